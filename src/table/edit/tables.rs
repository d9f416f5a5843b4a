//! Linking empty tables ahead of their first use.

use super::Editor;
use crate::addr::VirtRange;
use crate::format::{Entry, Format};
use crate::table::error::EditError;
use crate::table::flush::publish;
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::reserve::{self, Need, Reserve};

impl<'m, F: Format, M: Machine> Editor<'_, 'm, F, M> {
    /// Links an empty table at every absent entry for `range` above the ptes that `wanted` asks for, given its depth and
    /// what of the range it translates.
    ///
    /// # Errors
    /// [`EditError::OutOfMemory`]; nothing was changed.
    #[inline(never)]
    pub fn link_tables(
        &mut self,
        range: VirtRange,
        wanted: &dyn Fn(usize, VirtRange) -> bool,
    ) -> Result<(), EditError> {
        let mut need = Need::default();
        self.plan_tables(0, Some(&self.root), range, wanted, &mut need);
        let mut reserve = Reserve::new(self.machine());
        reserve.fill(&need)?;
        self.build_tables(&self.root, range, wanted, &mut reserve, true);
        publish(self.machine());
        Ok(())
    }

    /// The table of ptes that translates `range`, in which nothing is mapped; it is made where there is none.
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed.
    pub(crate) fn link_ptes(&mut self, range: VirtRange) -> Result<Node<'m, F, M>, EditError> {
        let at = range.start();
        self.link_tables(range, &|_, _| true)?;
        let by = |node: &Node<'m, F, M>, index| EditError::Mapped {
            at: node.span(at, index).start(),
            by: node.entry(index),
        };
        let Some(ptes) = self.own_ptes(at) else {
            return Err(by(&self.narrow(range), self.narrow(range).index(at)));
        };
        match ptes.indices(range).find(|&index| ptes.load(index) != F::Raw::default()) {
            Some(index) => Err(by(&ptes, index)),
            None => Ok(ptes),
        }
    }

    #[inline(never)]
    fn plan_tables(
        &self,
        depth: usize,
        node: Option<&Node<'m, F, M>>,
        range: VirtRange,
        wanted: &dyn Fn(usize, VirtRange) -> bool,
        need: &mut Need,
    ) {
        if Self::is_pte(depth) {
            return;
        }
        let geometry = F::geometry(depth);
        for index in geometry.index(range.start())..=geometry.index(range.last()) {
            let (_, part) = geometry.cut(range, index);
            if !wanted(depth, part) {
                continue;
            }
            let child = match node.map_or(Entry::Absent, |node| node.entry(index)) {
                Entry::Absent => {
                    reserve::add(need, depth + 1, 1);
                    None
                }
                Entry::Table(table) if self.owns(&table) => {
                    // SAFETY: the entry was just read from this node.
                    node.map(|node| unsafe { node.child(table) })
                }
                _ => continue,
            };
            self.plan_tables(depth + 1, child.as_ref(), part, wanted, need);
        }
    }

    #[inline(never)]
    fn build_tables(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        wanted: &dyn Fn(usize, VirtRange) -> bool,
        reserve: &mut Reserve<'m, F, M>,
        live: bool,
    ) {
        let depth = node.depth();
        if Self::is_pte(depth) {
            return;
        }
        for index in node.indices(range) {
            let (_, part) = node.cut(range, index);
            if !wanted(depth, part) {
                continue;
            }
            match node.entry(index) {
                Entry::Absent => {
                    let Some(table) = reserve.take(depth + 1) else { return };
                    // SAFETY: the table is ours alone until it is linked, empty or with empty tables in it.
                    unsafe {
                        let child = Node::new(self.machine(), table, depth + 1);
                        child.zero_unlinked(child.all());
                        self.build_tables(&child, part, wanted, reserve, false);
                        self.link_table(node, index, &child, live);
                    }
                }
                Entry::Table(table) if self.owns(&table) => {
                    // SAFETY: the entry was just read from this node.
                    let child = unsafe { node.child(table) };
                    self.build_tables(&child, part, wanted, reserve, live);
                }
                _ => {}
            }
        }
    }
}
