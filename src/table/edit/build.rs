//! Committing a mapping: filling tables and linking them. Nothing here can fail.

use core::ops::Range;

use super::parts::Mapping;
use super::{Editor, LeafSizes};
use crate::addr::VirtRange;
use crate::format::{Descriptor, Format, RUN};
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::reserve::{Reserve, planned};

impl<'m, F: Format, M: Machine> Editor<'_, 'm, F, M> {
    /// Writes the mappings of `range` into `node`, as planned. `live` says whether walks reach the node.
    ///
    /// # Safety
    /// As for [`map`](Self::map); everything in `range` is absent, and the reserve holds what the plan
    /// counted.
    #[inline(never)]
    pub(super) unsafe fn build(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        mapping: &Mapping<F>,
        reserve: &mut Reserve<'m, F, M>,
        live: bool,
    ) {
        let parts = self.parts(node.depth(), range, mapping);
        for &(part, run) in parts.leaves.iter().flatten() {
            // SAFETY: absent or tables so far; the caller vouches for the mapping.
            unsafe {
                // Tables without mappings may stand in a linked table above the ptes.
                if !live || Self::is_pte(node.depth()) || self.is_absent(node, part) {
                    self.fill_leaves(node, part, mapping, run);
                } else {
                    self.build_mixed(node, part, mapping, reserve, live);
                }
            }
            if live {
                self.clean(node, part);
            }
        }
        for &part in parts.below.iter().flatten() {
            for index in node.indices(part) {
                let (_, below) = node.cut(part, index);
                // SAFETY: as above.
                unsafe { self.build_below(node, index, below, mapping, reserve, live) };
            }
        }
    }

    /// Writes leaves for `range`, which consists of whole entries of `node`, around the tables there.
    #[inline(never)]
    unsafe fn build_mixed(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        mapping: &Mapping<F>,
        reserve: &mut Reserve<'m, F, M>,
        live: bool,
    ) {
        for index in node.indices(range) {
            let span = node.span(range.start(), index);
            // SAFETY: the caller's promise; the plan checked that these can stand alone.
            unsafe {
                if node.load(index) == F::Raw::default() {
                    self.fill_leaves(node, span, mapping, false);
                } else {
                    self.build_below(node, index, span, mapping, reserve, live);
                }
            }
        }
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
        let step = Self::step(node.depth(), run);
        let indices = node.indices(range);
        if let (true, false, Some(bits)) = (Self::is_pte(node.depth()), run, mapping.page_bits) {
            let first = bits | F::Raw::from_u64(mapping.phys(range.start()).as_u64());
            // SAFETY: the caller vouches for the mapping.
            return unsafe { node.fill(indices, first, step) };
        }
        // Words of an identical run equal each other and differ from the next run's.
        let stride = if step == F::Raw::default() { RUN } else { indices.len() };
        let mut start = indices.start;
        while start < indices.end {
            let va = node.span(range.start(), start).start();
            let raw = self.leaf(node.depth(), mapping.phys(va), mapping.attrs, run);
            // The plan encoded the first and the last of these.
            let Some(raw) = planned(raw.ok()) else { return };
            // SAFETY: the caller vouches for the mapping.
            unsafe { node.fill(start..start + stride, raw, step) };
            start += stride;
        }
    }

    /// Maps `range` in the table at entry `index`, which is made first where there is none.
    #[inline(never)]
    unsafe fn build_below(
        &self,
        node: &Node<'m, F, M>,
        index: usize,
        range: VirtRange,
        mapping: &Mapping<F>,
        reserve: &mut Reserve<'m, F, M>,
        live: bool,
    ) {
        if let Some(table) = F::decode_table(node.depth(), node.load(index)) {
            // SAFETY: the entry was just read from this node, and the plan found it ours; the rest is the
            // caller's promise.
            unsafe {
                let child = node.child(table);
                self.build(&child, range, mapping, reserve, live);
                if !live {
                    // It was cleaned when its first part was made.
                    self.clean(&child, range);
                }
            }
            return;
        }
        let depth = node.depth() + 1;
        let Some(table) = reserve.take(depth) else { return };
        // SAFETY: the table is ours alone until it is linked, which happens when it is complete.
        unsafe {
            let child = Node::new(self.machine(), table, depth);
            let filled = match Self::is_pte(depth) {
                true => Some(range),
                false => self.parts(depth, range, mapping).hull,
            };
            self.zero_outside(&child, filled.map_or(0..0, |part| child.indices(part)));
            if Self::is_pte(depth) && !mapping.sizes.contains(LeafSizes::RUNS) {
                self.fill_leaves(&child, range, mapping, false);
            } else {
                self.build(&child, range, mapping, reserve, false);
            }
            self.link_table(node, index, &child, live);
        }
    }

    /// Zeroes what of a new table will not be filled with leaves.
    unsafe fn zero_outside(&self, child: &Node<'m, F, M>, filled: Range<usize>) {
        // SAFETY: the table is new and not linked.
        unsafe {
            child.zero_unlinked(0..filled.start);
            child.zero_unlinked(filled.end..child.count());
        }
    }

    /// Links a complete table at entry `index` of `node`: the last store of its making.
    ///
    /// # Safety
    /// The table is complete, and the entry absent.
    #[inline(never)]
    pub(super) unsafe fn link_table(
        &self,
        node: &Node<'m, F, M>,
        index: usize,
        child: &Node<'m, F, M>,
        live: bool,
    ) {
        child.clean(child.all());
        // Tables are aligned as their level asks, so the link can be written.
        let Some(raw) = planned(self.link(node.depth(), child.table()).ok()) else { return };
        if live {
            self.machine().dsb_ishst();
        }
        // SAFETY: the caller vouches for both.
        unsafe { node.store(index, raw) };
        if live {
            node.clean_one(index);
        }
    }
}
