//! Pages and runs in tables that are there, and whole areas out of them: where all is known beforehand, no plan is
//! needed.

use super::{Editor, LeafSizes, RUN_SHIFT};
use crate::addr::{PAGE_SHIFT, PhysAddr, VirtAddr, VirtRange};
use crate::attr::Attrs;
use crate::format::{Descriptor, Format, RUN};
use crate::table::flush::{Flush, publish};
use crate::table::mem::Machine;
use crate::table::node::Node;

/// log2 of the bytes of a run of pages.
const RUN_BYTES: u32 = PAGE_SHIFT + RUN_SHIFT;

impl<'m, F: Format, M: Machine> Editor<'_, 'm, F, M> {
    /// [Maps](Self::map) one page in a table that is there, if that is all there is to do; `bits` is all but the
    /// frame of its descriptor. Whether it was: if not, nothing was changed.
    ///
    /// # Safety
    /// As for [`map`](Self::map).
    #[inline]
    pub(crate) unsafe fn map_lone_page(
        &mut self,
        range: VirtRange,
        phys: PhysAddr,
        bits: F::Raw,
    ) -> bool {
        let at = range.start();
        let Some(raw) = Self::page_word(range, phys, bits) else { return false };
        if self.frozen(F::LEVELS.len() - 1, at) {
            return false;
        }
        let Some(ptes) = self.own_ptes(at) else { return false };
        // SAFETY: the caller vouches for the mapping.
        unsafe { Self::put_page(&ptes, at, raw) }
    }

    /// [Maps](Self::map) `range` in tables of ptes that are there, if that is all there is to do. Whether it was: if
    /// not, nothing was changed.
    ///
    /// # Safety
    /// As for [`map`](Self::map).
    pub(crate) unsafe fn map_in_tables(
        &mut self,
        range: VirtRange,
        phys: PhysAddr,
        attrs: Attrs,
        sizes: LeafSizes,
    ) -> bool {
        let depth = F::LEVELS.len() - 1;
        let above = &F::LEVELS[depth - 1];
        let frozen = |depth| self.frozen(depth, range.start());
        let last = phys.checked_add(range.bytes() - 1);
        let reached =
            last.is_some_and(|last| Self::is_reached(PhysAddr::truncate(last.as_u64() & !0xfff)));
        let block = sizes.contains(LeafSizes::BLOCKS) && range.bytes() >= u64::from(above.span());
        if !range.is_aligned(PAGE_SHIFT)
            || !phys.is_aligned(PAGE_SHIFT)
            || !reached
            || frozen(depth)
            || block && !frozen(depth - 1)
        {
            return false;
        }
        let small = range.bytes() < 1 << RUN_BYTES;
        let sizes = if small { LeafSizes::PAGES } else { sizes };
        let mapping = self.mapping(range.start(), phys, attrs, sizes);
        let Some(page) = mapping.page_bits else { return false };
        let runs = sizes.contains(LeafSizes::RUNS) && F::LEVELS[depth].runs.is_some();
        let run = if runs { self.leaf(depth, PhysAddr::default(), attrs, true).ok() } else { None };
        let free = self.in_tables(range, |ptes, part| ptes.is_absent(ptes.indices(part)));
        if !free {
            return false;
        }
        self.in_tables(range, |ptes, part| {
            let put = |part: VirtRange, bits, run| {
                let raw = bits | F::Raw::from_u64(mapping.phys(part.start()).as_u64());
                // SAFETY: all absent; the caller vouches for the mapping.
                unsafe { Self::fill_pages(ptes, part, raw, run) };
            };
            let mut pages = Some(part);
            if let Some(bits) = run
                && let Some(runs) = mapping.aligned(part, RUN_BYTES)
            {
                if runs.start() != part.start() {
                    put(part.until(runs.start()), page, false);
                }
                put(runs, bits, true);
                pages = part.behind(runs.last());
            }
            if let Some(pages) = pages {
                put(pages, page, false);
            }
            self.clean(ptes, part);
            true
        });
        publish(self.machine());
        true
    }

    /// Writes `raw`, a page's or a run's, and its successors for `range`.
    unsafe fn fill_pages(ptes: &Node<'m, F, M>, range: VirtRange, raw: F::Raw, run: bool) {
        let (depth, indices) = (ptes.depth(), ptes.indices(range));
        let step = Self::step(depth, run);
        if step != F::Raw::default() {
            // SAFETY: the caller answers for it.
            return unsafe { ptes.fill(indices, raw, step) };
        }
        // Words of an identical run equal each other, and the next run's are a run further.
        let next = F::Raw::from_u64(1 << RUN_BYTES);
        let (mut start, mut raw) = (indices.start, raw);
        while start < indices.end {
            // SAFETY: as above.
            unsafe { ptes.fill_few(start..start + RUN, raw, step) };
            (start, raw) = (start + RUN, raw.step(next));
        }
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

    /// Calls `visit` for each table of ptes and its part of `range`, until it says no; no for a table that is not there,
    /// or not this tree's.
    fn in_tables(
        &self,
        range: VirtRange,
        mut visit: impl FnMut(&Node<'m, F, M>, VirtRange) -> bool,
    ) -> bool {
        let shift = F::LEVELS[F::LEVELS.len() - 2].shift;
        let mut at = range.start();
        loop {
            let span = VirtRange::aligned(at, shift);
            let (Some(part), Some(ptes)) = (span.intersection(range), self.own_ptes(at)) else {
                return false;
            };
            if !visit(&ptes, part) {
                return false;
            }
            match span.last().0.checked_add(1).map(VirtAddr) {
                Some(next) if range.contains(next) => at = next,
                _ => return true,
            }
        }
    }
}
