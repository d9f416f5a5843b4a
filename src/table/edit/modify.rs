//! Changing what is mapped: unmapping, protecting.

use super::plan::{Plan, Refused};
use super::survey::{Change, Holes, Removal, Survey};
use super::{Editor, check_pages};
use crate::addr::VirtRange;
use crate::attr::{Access, Attrs};
use crate::format::{Entry, Format};
use crate::table::error::EditError;
use crate::table::flush::Flush;
use crate::table::mem::Machine;
use crate::table::memo::Memo;
use crate::table::node::Node;
use crate::table::reserve::Reserve;

impl<'m, F: Format, M: Machine> Editor<'_, 'm, F, M> {
    /// Unmaps all of `range`. Leaves and runs that its ends cut are split; tables that become empty are
    /// freed with the flush, where the policy lets them.
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed. [`EditError::NotMapped`] names the first hole.
    ///
    /// # Safety
    /// Nothing uses the mappings any more, nor, until the flush is paid, the memory for anything else; and
    /// what is split is not what runs.
    pub unsafe fn unmap(&mut self, range: VirtRange) -> Result<Flush<'m, F, M>, EditError> {
        // SAFETY: the caller answers for it.
        unsafe { self.remove(range, Holes::Refused) }
    }

    /// Unmaps what is mapped in `range`, and does not mind holes. In a tree that is not swapper's, a table that goes as
    /// a whole is not looked into: all that it maps costs as little as one page.
    ///
    /// # Errors
    /// As for [`unmap`](Self::unmap), but for holes, and for what goes with its table.
    ///
    /// # Safety
    /// As for [`unmap`](Self::unmap).
    pub unsafe fn clear(&mut self, range: VirtRange) -> Result<Flush<'m, F, M>, EditError> {
        // SAFETY: the caller answers for it.
        unsafe { self.remove(range, Holes::Skipped) }
    }

    /// Changes what may be done with `range`, all of which is mapped; memory type, frames and marks stay. A run is absent for
    /// a moment: its sixteen words must agree at any time.
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed.
    ///
    /// # Safety
    /// Nothing relies on an access that ends; the new access breaks no promise of Rust code. What is split, or
    /// is a run, is not what runs, and no fault handler needs it.
    pub unsafe fn protect(
        &mut self,
        range: VirtRange,
        access: Access,
    ) -> Result<Flush<'m, F, M>, EditError> {
        // SAFETY: the caller answers for it.
        unsafe { self.modify(range, &|attrs| attrs.with_access(access)) }
    }

    /// Gives every leaf in `range`, all of which is mapped, the attributes that `change` makes of its own.
    ///
    /// Where memory type, shareability or scope change, the leaf is absent for a moment
    /// (break before make, DDI 0406C B3.10.1); so is a run whatever changes, for its sixteen words must agree.
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed.
    ///
    /// # Safety
    /// As for [`protect`](Self::protect), and nothing relies on what is absent for a moment; `change` gives the same answer
    /// to the same attributes.
    pub unsafe fn modify(
        &mut self,
        range: VirtRange,
        change: &dyn Fn(Attrs) -> Attrs,
    ) -> Result<Flush<'m, F, M>, EditError> {
        // SAFETY: the caller answers for it.
        unsafe { self.alter(range, Holes::Refused, change) }
    }

    /// [Modifies](Self::modify) what is mapped in `range`, and does not mind holes.
    ///
    /// # Errors
    /// As for [`modify`](Self::modify), but for holes.
    ///
    /// # Safety
    /// As for [`modify`](Self::modify).
    pub unsafe fn modify_mapped(
        &mut self,
        range: VirtRange,
        change: &dyn Fn(Attrs) -> Attrs,
    ) -> Result<Flush<'m, F, M>, EditError> {
        // SAFETY: the caller answers for it.
        unsafe { self.alter(range, Holes::Skipped, change) }
    }

    #[inline(never)]
    unsafe fn alter(
        &mut self,
        range: VirtRange,
        holes: Holes,
        change: &dyn Fn(Attrs) -> Attrs,
    ) -> Result<Flush<'m, F, M>, EditError> {
        check_pages(range)?;
        let mut plan = Plan::new();
        // SAFETY: the caller answers for it.
        let changed = match unsafe { self.modify_page(range, change) } {
            Some(executable) => Ok(Some(executable)),
            // SAFETY: as above.
            None => unsafe { self.modify_leaves(range, holes, change, &mut plan) },
        };
        let changed = changed.map_err(|Refused| plan.why)?;
        let mut flush = self.flush();
        if let Some(executable) = changed {
            flush.add(range, executable);
        }
        Ok(flush)
    }

    /// [Modifies](Self::modify) whatever leaves there are, if any. Whether anything was or becomes executable.
    unsafe fn modify_leaves(
        &self,
        range: VirtRange,
        holes: Holes,
        change: &dyn Fn(Attrs) -> Attrs,
        plan: &mut Plan,
    ) -> Result<Option<bool>, Refused> {
        let mut survey = Change::new(self, change);
        // SAFETY: the caller vouches for the change.
        unsafe {
            let split = self.isolate(range, holes, &mut survey, plan)?;
            if !survey.any {
                return Ok(None);
            }
            let mut known = (survey.uniform && !split).then(Memo::default);
            self.rewrite(&self.narrow(range), range, change, &mut known);
        }
        Ok(Some(survey.executable))
    }

    /// [Modifies](Self::modify) one page that is a leaf of its own, where that takes one store: what faults do. Whether
    /// it was or becomes executable; if there is no answer, nothing was changed.
    unsafe fn modify_page(&self, page: VirtRange, change: &dyn Fn(Attrs) -> Attrs) -> Option<bool> {
        let node = self.narrow(page);
        let (at, depth) = (page.start(), node.depth());
        if page != VirtRange::page(at) || !Self::is_pte(depth) || self.frozen(depth, at) {
            return None;
        }
        let index = node.index(at);
        let Entry::Leaf(leaf) = node.entry(index) else { return None };
        let changed = self.changed(depth, &leaf, change).ok()?;
        if leaf.run || changed.broken {
            return None;
        }
        // SAFETY: the caller vouches for the change.
        unsafe { node.store(index, changed.raw) };
        node.clean_one(index);
        Some(changed.executable)
    }

    #[inline(never)]
    unsafe fn remove(
        &mut self,
        range: VirtRange,
        holes: Holes,
    ) -> Result<Flush<'m, F, M>, EditError> {
        check_pages(range)?;
        // All of swapper's tables stay, so each is looked into.
        let unseen = (holes == Holes::Skipped && !self.is_swapper()).then_some(self.policy.ties);
        let mut survey = Removal { unseen, ..Removal::default() };
        let mut plan = Plan::new();
        // SAFETY: the caller vouches that nothing uses the mappings.
        let isolated = unsafe { self.isolate(range, holes, &mut survey, &mut plan) };
        isolated.map_err(|Refused| plan.why)?;
        let mut flush = self.flush();
        if survey.any {
            flush.add(range, survey.executable);
            // SAFETY: as above; nothing is in the way.
            unsafe { self.forget(&self.root, range, &mut flush) };
        }
        Ok(flush)
    }

    /// Unmaps `range`, which whole leaves and runs map, none of them executable: nothing is looked at, and nothing can
    /// fail. Tables stay as the policy has it. What is owed is added to `flush`, which is this tree's.
    ///
    /// # Safety
    /// As for [`unmap`](Self::unmap), and it is mapped so.
    #[inline]
    pub(crate) unsafe fn unmap_area(&mut self, range: VirtRange, flush: &mut Flush<'m, F, M>) {
        flush.add(range, false);
        let at = range.start();
        if range == VirtRange::page(at)
            && let Some(ptes) = self.own_ptes(at)
        {
            let index = ptes.index(at);
            // SAFETY: the caller answers for it.
            unsafe { ptes.store(index, F::Raw::default()) };
            return ptes.clean_one(index);
        }
        // SAFETY: as above.
        unsafe { self.forget(&self.narrow(range), range, flush) };
    }

    /// Judges all that `range` maps, then splits what its ends cut: nothing that is left of an edit can fail. Whether
    /// anything was split.
    ///
    /// # Safety
    /// What is split is not what runs.
    #[inline(never)]
    unsafe fn isolate(
        &self,
        range: VirtRange,
        holes: Holes,
        survey: &mut dyn Survey<F, M>,
        plan: &mut Plan,
    ) -> Result<bool, Refused> {
        let splits = self.plan_splits(range, plan)?;
        self.survey(&self.narrow(range), range, holes, survey, plan)?;
        let mut reserve = Reserve::new(self.machine());
        reserve.fill(&plan.need)?;
        if splits {
            // SAFETY: planned; the caller answers for the rest.
            unsafe { self.split_ends(range, &mut reserve) };
        }
        Ok(splits)
    }

    /// Makes `range`, which cuts no leaf and no run, absent below `node`. Tables that become empty and
    /// need not stay go to `flush`.
    #[inline(never)]
    pub(super) unsafe fn forget(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        flush: &mut Flush<'m, F, M>,
    ) {
        if Self::is_pte(node.depth()) {
            // SAFETY: the caller of `remove` vouches that nothing uses the mappings.
            unsafe { node.zero(node.indices(range)) };
            return self.clean(node, range);
        }
        for index in node.indices(range) {
            let raw = node.load(index);
            // SAFETY: the caller of `remove` vouches that nothing uses the mappings; tables are reached by
            // entries just read, and go to the flush once they are cut off.
            unsafe {
                match F::decode_table(node.depth(), raw) {
                    None if raw != F::Raw::default() => node.store(index, F::Raw::default()),
                    Some(table) if self.owns(&table) => {
                        let (child, (span, part)) = (node.child(table), node.cut(range, index));
                        let keeps = self.keeps(node.depth(), span.start());
                        if part == span && !keeps {
                            node.store(index, F::Raw::default());
                            flush.add_tree(&child);
                            continue;
                        }
                        self.forget(&child, part, flush);
                        if !keeps && self.is_empty(&child, part) {
                            node.store(index, F::Raw::default());
                            flush.add_table(child.table(), child.depth());
                        }
                    }
                    _ => {}
                }
            }
        }
        self.clean(node, range);
    }

    /// Whether nothing is left in `child`, of which `part` was just made absent.
    #[inline(never)]
    fn is_empty(&self, child: &Node<'m, F, M>, part: VirtRange) -> bool {
        // Above the ptes, tables may have stayed in the part.
        let absent = if Self::is_pte(child.depth()) { child.indices(part) } else { 0..0 };
        child.is_empty_outside(absent)
    }

    /// Takes everything out of `range`, whatever it is and whatever its ends cut, but for tables that stay.
    ///
    /// # Safety
    /// Nobody walks or uses the tree any more.
    pub(crate) unsafe fn abandon(&mut self, range: VirtRange, flush: &mut Flush<'m, F, M>) {
        flush.add_wide(range);
        // SAFETY: the caller answers for it.
        unsafe { self.forget(&self.root, range, flush) };
    }
}
