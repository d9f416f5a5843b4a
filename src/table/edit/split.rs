//! Splitting the leaf or run that a boundary cuts.
//!
//! A run becomes sixteen leaves, a leaf a table of smaller ones with the same meaning. What is split is
//! absent for a moment (break before make), so it must not be what runs. In the classic format domain and PXN are the
//! table's: a section of the kernel's alone in a pgd becomes pages that are closed as user space's are.

use super::parts::Mapping;
use super::place::Place;
use super::plan::{Pass, Plan, Refused};
use super::{Editor, LeafSizes, RUN_SHIFT};
use crate::addr::{VirtAddr, VirtRange};
use crate::format::{Entry, Format, Leaf, Runs};
use crate::table::error::EditError;
use crate::table::flush::publish;
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::reserve::{Reserve, planned};

/// A leaf or run that a boundary cuts.
struct Cut<'m, F: Format, M> {
    node: Node<'m, F, M>,
    leaf: Leaf,
    /// All that the leaf, or its run, translates.
    span: VirtRange,
}

/// The first address of `range`, and the one behind it: 0 where that is the top of the address space, which cuts nothing.
fn ends(range: VirtRange) -> [VirtAddr; 2] {
    [range.start(), VirtAddr(range.last().0.wrapping_add(1))]
}

impl<'m, F: Format, M: Machine> Editor<'_, 'm, F, M> {
    /// The leaf or run that `boundary` cuts in two, if any.
    #[inline(never)]
    fn cut(&self, boundary: VirtAddr) -> Option<Cut<'m, F, M>> {
        let root = &F::LEVELS[0];
        // Nothing is so large as to go across; and if the root ends there, it has no entry to look at.
        if boundary.is_aligned(root.shift + if root.runs.is_some() { RUN_SHIFT } else { 0 }) {
            return None;
        }
        let node = self.narrow(VirtRange::page(boundary));
        let Entry::Leaf(leaf) = node.entry(node.index(boundary)) else { return None };
        let shift = node.geometry().shift + if leaf.run { RUN_SHIFT } else { 0 };
        let span = VirtRange::aligned(boundary, shift);
        (span.start() != boundary).then_some(Cut { node, leaf, span })
    }

    /// The same translation as the cut leaf's, for smaller leaves.
    #[inline(never)]
    fn same(&self, cut: &Cut<'m, F, M>, boundary: VirtAddr) -> Mapping<F> {
        // Each word of an identical run holds the run's base; in other runs leaves hold their own.
        let holder = match F::RUNS {
            Runs::Identical => cut.span.start(),
            Runs::Stepping => boundary.align_down(cut.node.geometry().shift),
        };
        self.mapping(holder, cut.leaf.frame, cut.leaf.attrs, LeafSizes::LARGEST)
    }

    /// Checks that the leaves cut by the ends of `range` can be split, and counts the tables for it. Whether
    /// there are any.
    #[inline(never)]
    pub(super) fn plan_splits(&self, range: VirtRange, plan: &mut Plan) -> Result<bool, Refused> {
        let mut any = false;
        for boundary in ends(range) {
            let Some(cut) = self.cut(boundary) else { continue };
            any = true;
            let (depth, at) = (cut.node.depth(), cut.span.start());
            if self.frozen(depth, boundary) {
                return plan.refuse(EditError::Sealed { at });
            }
            // What a leaf that stands alone holds, smaller ones can; a run may reach further.
            if cut.leaf.run {
                self.check_leaves(depth, cut.span, &self.same(&cut, boundary), false, plan)?;
            }
            for depth in depth..F::LEVELS.len() {
                let entry = boundary.align_down(F::geometry(depth).shift);
                if entry == boundary {
                    break;
                }
                // Both ends may cut the same entry: then one table serves both.
                plan.table(depth + 1, entry);
            }
        }
        Ok(any)
    }

    /// Splits what the ends of `range` cut, as planned.
    ///
    /// # Safety
    /// Nothing that runs uses what is split; the reserve holds what [`plan_splits`](Self::plan_splits)
    /// counted.
    #[inline(never)]
    pub(super) unsafe fn split_ends(&self, range: VirtRange, reserve: &mut Reserve<'m, F, M>) {
        for boundary in ends(range) {
            while let Some(cut) = self.cut(boundary) {
                // SAFETY: the caller answers for it.
                unsafe {
                    if cut.leaf.run {
                        self.split_run(&cut, boundary);
                    } else {
                        self.split_leaf(&cut, boundary, reserve);
                    }
                }
            }
        }
    }

    /// Turns a run into sixteen leaves.
    #[inline(never)]
    unsafe fn split_run(&self, cut: &Cut<'m, F, M>, boundary: VirtAddr) {
        // SAFETY: the caller of `split_ends` vouches that nothing uses it; it maps the same as before.
        unsafe {
            self.break_entries(&cut.node, cut.span);
            self.fill_leaves(&cut.node, cut.span, &self.same(cut, boundary), false);
        }
        self.clean(&cut.node, cut.span);
        publish(self.machine());
    }

    /// Turns a leaf into a table of leaves, in the largest that do not cross `boundary`.
    #[inline(never)]
    unsafe fn split_leaf(
        &self,
        cut: &Cut<'m, F, M>,
        boundary: VirtAddr,
        reserve: &mut Reserve<'m, F, M>,
    ) {
        let depth = cut.node.depth() + 1;
        let Some(table) = reserve.take(depth) else { return };
        let mapping = self.same(cut, boundary);
        let before = cut.span.until(boundary);
        let halves = [Some(before), cut.span.behind(before.last())];
        // SAFETY: the table is ours alone until it is linked; it maps what the leaf did.
        unsafe {
            let child = Node::new(self.machine(), table, depth);
            child.zero_unlinked(child.all());
            // Not fresh: the second half goes to tables that the first made.
            let place = Place::table(child);
            for half in halves.into_iter().flatten() {
                let done = self.put(&place, half, &mapping, &mut Pass::Commit(reserve));
                planned(done.ok());
            }
            self.break_entries(&cut.node, cut.span);
            self.link_table(&cut.node, cut.node.index(boundary), &child, true);
        }
        publish(self.machine());
    }
}
