//! Many entries of one table at once: the loops that run once a page.
//!
//! Eight entries a turn, so that counting and branching cost little; no division, no bounds check and no way
//! to panic inside.

use core::ops::Range;

use super::mem::TableMemory;
use super::node::Node;
use crate::format::{Descriptor, Format};

/// Entries a turn.
const TURN: usize = 8;

impl<F: Format, M: TableMemory> Node<'_, F, M> {
    /// Calls `f` with the place of each entry in `range`, as far as the table has them.
    #[inline(always)]
    fn each(&self, range: Range<usize>, mut f: impl FnMut(*mut F::Raw)) {
        let end = range.end.min(self.level().entries());
        let mut left = end.saturating_sub(range.start);
        let mut at = self.slot(range.start);
        while left >= TURN {
            for k in 0..TURN {
                f(at.wrapping_add(k));
            }
            at = at.wrapping_add(TURN);
            left -= TURN;
        }
        for _ in 0..left {
            f(at);
            at = at.wrapping_add(1);
        }
    }

    /// Whether every entry in `range` is absent.
    #[inline]
    pub fn is_absent(&self, range: Range<usize>) -> bool {
        let mut any = F::Raw::default();
        // SAFETY: the entry lies in the table.
        self.each(range, |at| any = any | unsafe { self.machine().load(at) });
        any == F::Raw::default()
    }

    /// The bits that all entries in `range` have in common, set in each; all ones for no entries.
    #[inline]
    pub fn common_bits(&self, range: Range<usize>) -> F::Raw {
        let mut common = !F::Raw::default();
        // SAFETY: the entry lies in the table.
        self.each(range, |at| common = common & unsafe { self.machine().load(at) });
        common
    }

    /// Whether the entries in `range` agree with `model` in all bits but those of `mask`.
    #[inline]
    pub fn is_uniform(&self, range: Range<usize>, model: F::Raw, mask: F::Raw) -> bool {
        let mut differ = F::Raw::default();
        // SAFETY: the entry lies in the table.
        self.each(range, |at| differ = differ | (unsafe { self.machine().load(at) } ^ model));
        differ & !mask == F::Raw::default()
    }

    /// Inverts the bits of `flip` in each entry in `range`: one store each.
    ///
    /// # Safety
    /// As for [`store`](Self::store), for each of them.
    #[inline]
    pub unsafe fn flip(&self, range: Range<usize>, flip: F::Raw) {
        self.each(range, |at| {
            // SAFETY: the entry lies in the table; the caller answers for the new descriptor.
            unsafe {
                let raw = self.machine().load(at);
                self.machine().store(at, raw ^ flip);
            }
        });
    }

    /// Writes `raw` and its successors, each `step` further, to the entries in `range`: one store each.
    ///
    /// # Safety
    /// As for [`store`](Self::store), for each of them.
    #[inline]
    pub unsafe fn fill(&self, range: Range<usize>, raw: F::Raw, step: F::Raw) {
        let mut raw = raw;
        self.each(range, |at| {
            // SAFETY: the entry lies in the table; the caller answers for the descriptor.
            unsafe { self.machine().store(at, raw) };
            raw = raw.step(step);
        });
    }

    /// Writes zero, the absent entry, to the entries in `range`: one store each.
    ///
    /// # Safety
    /// As for [`store`](Self::store), for each of them.
    #[inline]
    pub unsafe fn zero(&self, range: Range<usize>) {
        let zero = F::Raw::default();
        // SAFETY: the entry lies in the table; the caller answers for what ends.
        self.each(range, |at| unsafe { self.machine().store(at, zero) });
    }

    /// Whether every entry outside `range` is absent. Looks next to `range` first: neighbours are what a
    /// table that is still in use most likely holds.
    pub fn is_empty_outside(&self, range: Range<usize>) -> bool {
        let entries = self.level().entries();
        let (after, before) = (range.end, range.start);
        let near = TURN.min(entries - after);
        self.is_absent(after..after + near)
            && self.is_absent(before.saturating_sub(TURN)..before)
            && self.is_absent(after + near..entries)
            && self.is_absent(0..before.saturating_sub(TURN))
    }
}
