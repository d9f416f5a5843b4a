//! A page in a table that is there, and whole areas out of them: where all is known beforehand, no plan is needed.

use super::Editor;
use crate::addr::{PhysAddr, VirtRange};
use crate::format::Format;
use crate::table::flush::Flush;
use crate::table::mem::Machine;

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
}
