//! Linking empty tables ahead of their first use.

use super::Editor;
use super::place::Place;
use super::plan::{Pass, Plan};
use crate::addr::VirtRange;
use crate::format::Format;
use crate::table::error::EditError;
use crate::table::flush::publish;
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::reserve::Reserve;

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
        let (mut plan, mut reserve) = (Plan::new(), Reserve::new(self.machine()));
        let root = Place::table(self.root);
        self.make_tables(&root, range, wanted, &mut Pass::Plan(&mut plan));
        reserve.fill(&plan.need)?;
        self.make_tables(&root, range, wanted, &mut Pass::Commit(&mut reserve));
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

    /// Makes tables at absent entries for `range` below `place`, or counts them.
    #[inline(never)]
    fn make_tables(
        &self,
        place: &Place<'m, F, M>,
        range: VirtRange,
        wanted: &dyn Fn(usize, VirtRange) -> bool,
        pass: &mut Pass<'_, 'm, F, M>,
    ) {
        if let (true, Some(node)) = (place.fresh, &place.node) {
            // SAFETY: no walk reaches it.
            unsafe { node.zero_unlinked(node.all()) };
        }
        let depth = place.depth;
        if Self::is_pte(depth) {
            return;
        }
        let geometry = F::geometry(depth);
        for index in geometry.indices(range) {
            let (_, part) = geometry.cut(range, index);
            if wanted(depth, part)
                && let Some(child) = &self.below(depth, place.load(index), pass)
            {
                self.make_tables(child, part, wanted, pass);
                // SAFETY: a new table is complete, empty or with empty tables in it.
                unsafe { self.link_below(place, index, child) };
            }
        }
    }
}
