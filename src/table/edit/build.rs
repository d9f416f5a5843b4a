//! The walk that maps: made once to plan, and once more to do what was planned.

use super::parts::{Kind, Mapping};
use super::place::Place;
use super::plan::{Pass, Refused};
use super::{Editor, LeafSizes};
use crate::addr::VirtRange;
use crate::format::{Entry, Format, RUN, Runs};
use crate::table::error::EditError;
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::reserve::{self, planned};

impl<'m, F: Format, M: Machine> Editor<'_, 'm, F, M> {
    /// Maps `range` in the table at `place`: a plan finds the first thing in the way and counts the tables needed below,
    /// a commit fills and links.
    ///
    /// # Safety
    /// A commit: as for [`map`](Self::map), and it was planned.
    #[inline(never)]
    pub(super) unsafe fn put(
        &self,
        place: &Place<'m, F, M>,
        range: VirtRange,
        mapping: &Mapping<F>,
        pass: &mut Pass<'_, 'm, F, M>,
    ) -> Result<(), Refused> {
        let (depth, is_pte) = (place.depth, Self::is_pte(place.depth));
        if let (true, Some(node)) = (place.fresh, &place.node) {
            let all = node.indices(range);
            // SAFETY: no walk reaches it, and the rest is filled; the caller vouches for the mapping.
            unsafe {
                node.zero_unlinked(0..all.start);
                node.zero_unlinked(all.end..node.count());
                if is_pte && !mapping.sizes.contains(LeafSizes::RUNS) {
                    self.fill_leaves(node, range, mapping, false);
                    return Ok(());
                }
            }
        }
        if is_pte && self.frozen(depth, range.start()) {
            return pass.refuse(EditError::Sealed { at: range.start() });
        }
        let mut rest = Some(range);
        while let Some(range) = rest {
            let (part, kind) = self.first_part(depth, range, mapping);
            // Only a table can stand where a leaf would; its neighbours then stand alone.
            let leaves = kind != Kind::Tables;
            let planned = is_pte && matches!(pass, Pass::Commit(_));
            // SAFETY: the caller answers for it.
            unsafe {
                if leaves && (planned || place.is_absent(part)) {
                    self.put_leaves(place, part, mapping, kind == Kind::Runs, pass)?;
                } else {
                    self.put_below(place, part, mapping, leaves, pass)?;
                }
            }
            rest = range.behind(part.last());
        }
        Ok(())
    }

    /// Maps `range` in the tables that entries of this one point to, or will point to unless `leaves` says that those
    /// which are absent get leaves.
    ///
    /// # Safety
    /// As for [`put`](Self::put).
    #[inline(never)]
    unsafe fn put_below(
        &self,
        place: &Place<'m, F, M>,
        range: VirtRange,
        mapping: &Mapping<F>,
        leaves: bool,
        pass: &mut Pass<'_, 'm, F, M>,
    ) -> Result<(), Refused> {
        let (depth, geometry) = (place.depth, F::geometry(place.depth));
        let mut indices = geometry.indices(range);
        if let (true, Some(node)) = (place.fresh, &place.node) {
            // SAFETY: no walk reaches it.
            unsafe { node.zero_unlinked(indices.clone()) };
        }
        let (mut absent, mut skipped) = (false, 0);
        if let Pass::Plan(plan) = pass
            && place.is_absent(range)
        {
            absent = true;
            // Tables of ptes need no others, and all but the first and the last are covered whole. What is frozen shows in
            // the first, and what the format cannot reach in the last: those between need no look.
            if Self::is_pte(depth + 1) {
                skipped = indices.len().saturating_sub(2);
                reserve::add(&mut plan.need, depth + 1, skipped);
            }
        }
        while let Some(index) = indices.next() {
            let (_, part) = geometry.cut(range, index);
            let raw = if absent { F::Raw::default() } else { place.load(index) };
            // SAFETY: the caller answers for it; a new table is linked when it is complete.
            unsafe {
                if leaves && raw == F::Raw::default() {
                    self.put_leaves(place, part, mapping, false, pass)?;
                    continue;
                }
                let child = self.below(depth, raw, pass);
                let Some(child) = &child else {
                    return pass.refuse(in_the_way::<F>(depth, raw, part));
                };
                self.put(child, part, mapping, pass)?;
                self.link_below(place, index, child);
            }
            indices.start += core::mem::take(&mut skipped);
        }
        Ok(())
    }

    /// Checks that leaves for `range`, which consists of whole absent entries, can be written, or writes them.
    ///
    /// # Safety
    /// As for [`put`](Self::put).
    #[inline(never)]
    unsafe fn put_leaves(
        &self,
        place: &Place<'m, F, M>,
        range: VirtRange,
        mapping: &Mapping<F>,
        run: bool,
        pass: &mut Pass<'_, 'm, F, M>,
    ) -> Result<(), Refused> {
        match pass {
            Pass::Plan(plan) => self.check_leaves(place.depth, range, mapping, run, plan)?,
            Pass::Commit(_) => {
                let Some(node) = planned(place.node) else { return Ok(()) };
                // SAFETY: the caller answers for it.
                unsafe { self.fill_leaves(&node, range, mapping, run) };
                if !place.fresh {
                    self.clean(&node, range);
                }
            }
        }
        Ok(())
    }

    /// Writes leaves for `range`, which consists of whole absent entries of `node`.
    ///
    /// # Safety
    /// As for [`map`](Self::map).
    #[inline(never)]
    pub(super) unsafe fn fill_leaves(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        mapping: &Mapping<F>,
        run: bool,
    ) {
        let (depth, indices) = (node.depth(), node.indices(range));
        let step = Self::step(depth, run);
        // Words of an identical run equal each other and differ from the next run's.
        let stride = if step == F::Raw::default() { RUN } else { indices.len() };
        let (mut start, mut va) = (indices.start, range.start());
        while start < indices.end {
            // The plan encoded the first and the last of these.
            let raw = self.word(depth, va, mapping, run).ok();
            let Some(raw) = planned(raw) else { return };
            // SAFETY: the caller vouches for the mapping.
            unsafe {
                match F::RUNS {
                    Runs::Identical if run => node.fill_few(start..start + RUN, raw, step),
                    _ => node.fill(start..start + stride, raw, step),
                }
            }
            start += stride;
            va.0 = va.0.wrapping_add((stride as u32) << F::geometry(depth).shift);
        }
    }
}

/// What stands where a table would.
fn in_the_way<F: Format>(depth: usize, raw: F::Raw, part: VirtRange) -> EditError {
    let at = part.start();
    match F::decode(depth, raw) {
        by @ Entry::Leaf(_) => EditError::Mapped { at, by },
        _ => EditError::Reserved { at },
    }
}
