//! Which entries of a table serve a range: the choice of the largest leaves.

use super::plan::{Plan, Refused};
use super::{Editor, LeafSizes, RUN_SHIFT};
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::attr::Attrs;
use crate::format::{Descriptor, EncodeError, Format};
use crate::table::mem::Machine;

/// What one edit maps: how physical follows virtual, with which attributes, in which leaves.
#[derive(Clone, Copy)]
pub(super) struct Mapping<F: Format> {
    /// Physical minus virtual address, modulo 2^64.
    offset: u64,
    pub(super) attrs: Attrs,
    pub(super) sizes: LeafSizes,
    /// All but the frame of the descriptors of a page alone and of one in a run, if there are such pages.
    pub(super) page_bits: [Option<F::Raw>; 2],
}

impl<F: Format> Mapping<F> {
    #[inline]
    pub(super) fn phys(&self, va: VirtAddr) -> PhysAddr {
        PhysAddr::truncate(u64::from(va.0).wrapping_add(self.offset))
    }

    /// The part of `range` made of whole, aligned units of `1 << shift` bytes in both address spaces.
    pub(super) fn aligned(&self, range: VirtRange, shift: u32) -> Option<VirtRange> {
        let mask = (1_u32 << shift) - 1;
        if self.offset as u32 & mask != 0 {
            return None;
        }
        let start = range.start().0.checked_add(mask)? & !mask;
        // One past the last unit: 0 for the top of the address space, else something must be left.
        let end = range.last().0.wrapping_add(1) & !mask;
        if end == 0 && range.last() != VirtAddr::MAX {
            return None;
        }
        VirtRange::inclusive(VirtAddr(start), VirtAddr(end.wrapping_sub(1))).ok()
    }
}

/// What entries of a table are made to map memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Links to tables: what is too small or not aligned for leaves.
    Tables,
    /// Leaves that stand alone.
    Leaves,
    /// Leaves in runs.
    Runs,
}

impl<F: Format, M: Machine> Editor<'_, '_, F, M> {
    /// `va` mapped to `phys`, and all around it likewise.
    #[inline(never)]
    pub(super) fn mapping(
        &self,
        va: VirtAddr,
        phys: PhysAddr,
        attrs: Attrs,
        sizes: LeafSizes,
    ) -> Mapping<F> {
        let offset = phys.as_u64().wrapping_sub(u64::from(va.0));
        let bits = |run| self.leaf(F::LEVELS.len() - 1, PhysAddr::default(), attrs, run).ok();
        let runs = sizes.contains(LeafSizes::RUNS);
        let page_bits = [bits(false), if runs { bits(true) } else { None }];
        Mapping { offset, attrs, sizes, page_bits }
    }

    /// The descriptor of the leaf at `depth` for `va`, which is the first of its run if it is in one.
    #[inline]
    pub(super) fn word(
        &self,
        depth: usize,
        va: VirtAddr,
        mapping: &Mapping<F>,
        run: bool,
    ) -> Result<F::Raw, EncodeError> {
        let frame = mapping.phys(va);
        match mapping.page_bits[usize::from(run)] {
            Some(bits) if Self::is_pte(depth) && Self::is_reached(frame) => {
                Ok(bits | F::Raw::from_u64(frame.as_u64()))
            }
            _ => self.leaf(depth, frame, mapping.attrs, run),
        }
    }

    /// What `range`, in one table at `depth`, begins with: entries of one kind, the largest that fit.
    #[inline(never)]
    pub(super) fn first_part(
        &self,
        depth: usize,
        range: VirtRange,
        mapping: &Mapping<F>,
    ) -> (VirtRange, Kind) {
        let (shift, sizes) = (F::geometry(depth).shift, mapping.sizes);
        let blocks = || sizes.contains(LeafSizes::BLOCKS) && !self.frozen(depth, range.start());
        let leaves = match Self::is_pte(depth) || blocks() {
            true => mapping.aligned(range, shift),
            false => None,
        };
        let Some(leaves) = leaves else { return (range, Kind::Tables) };
        if leaves.start() != range.start() {
            return (range.until(leaves.start()), Kind::Tables);
        }
        if sizes.contains(LeafSizes::RUNS)
            && F::level(depth).runs.is_some()
            && let Some(runs) = mapping.aligned(leaves, shift + RUN_SHIFT)
            && self.word(depth, runs.start(), mapping, true).is_ok()
        {
            return match runs.start() == leaves.start() {
                true => (runs, Kind::Runs),
                false => (leaves.until(runs.start()), Kind::Leaves),
            };
        }
        (leaves, Kind::Leaves)
    }

    /// Whether leaves of this kind can be written for all of `range`.
    #[inline(never)]
    pub(super) fn check_leaves(
        &self,
        depth: usize,
        range: VirtRange,
        mapping: &Mapping<F>,
        run: bool,
        plan: &mut Plan,
    ) -> Result<(), Refused> {
        let shift = F::geometry(depth).shift + if run { RUN_SHIFT } else { 0 };
        let check = |va| self.word(depth, va, mapping, run);
        // What lies between reaches no further than the last.
        match check(range.start()).and_then(|_| check(range.last().align_down(shift))) {
            Ok(_) => Ok(()),
            Err(error) => plan.refuse(error.into()),
        }
    }
}
