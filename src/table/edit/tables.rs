//! Linking empty tables ahead of their first use.

use super::Editor;
use crate::addr::VirtRange;
use crate::format::{Entry, Format};
use crate::table::error::EditError;
use crate::table::flush::publish;
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::reserve::{Need, Reserve, Supply};

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
        let (mut need, mut reserve) = (Need::default(), Reserve::new(self.machine()));
        let root = Some(&self.root);
        self.make_tables(0, root, range, wanted, &mut Supply::Counted(&mut need), true);
        reserve.fill(&need)?;
        self.make_tables(0, root, range, wanted, &mut Supply::Taken(&mut reserve), true);
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

    /// Makes tables at absent entries for `range`, at `depth`, in `node` or one that is still to be made. `live` says whether
    /// walks reach the node.
    #[inline(never)]
    fn make_tables(
        &self,
        depth: usize,
        node: Option<&Node<'m, F, M>>,
        range: VirtRange,
        wanted: &dyn Fn(usize, VirtRange) -> bool,
        supply: &mut Supply<'_, 'm, F, M>,
        live: bool,
    ) {
        if Self::is_pte(depth) {
            return;
        }
        let geometry = F::geometry(depth);
        for index in geometry.indices(range) {
            let (_, part) = geometry.cut(range, index);
            if !wanted(depth, part) {
                continue;
            }
            match node.map_or(Entry::Absent, |node| node.entry(index)) {
                Entry::Absent => {
                    let child = supply.take(depth + 1).map(|table| {
                        // SAFETY: the table is ours alone until it is linked.
                        let child = unsafe { Node::new(self.machine(), table, depth + 1) };
                        // SAFETY: as above.
                        unsafe { child.zero_unlinked(child.all()) };
                        child
                    });
                    self.make_tables(depth + 1, child.as_ref(), part, wanted, supply, false);
                    if let (Some(node), Some(child)) = (node, child) {
                        // SAFETY: it is complete, empty or with empty tables in it.
                        unsafe { self.link_table(node, index, &child, live) };
                    }
                }
                Entry::Table(table) if self.owns(&table) => {
                    // SAFETY: the entry was just read from this node.
                    let child = node.map(|node| unsafe { node.child(table) });
                    self.make_tables(depth + 1, child.as_ref(), part, wanted, supply, live);
                }
                _ => {}
            }
        }
    }
}
