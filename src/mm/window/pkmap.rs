//! `kmap`: any frame, also one that the linear map does not reach, for as long as somebody uses it.
//!
//! A frame that is mapped twice has one address, mostly, and a count. One that nobody uses any more stays mapped,
//! found again at no cost, until slots run out: then all such are unmapped, every TLB forgets them by one flush, and
//! their slots are free. So no address is given out again before it was forgotten.

use super::areas::AreaError;
use super::error::WindowError;
use crate::addr::{PAGE_SHIFT, PhysAddr, VirtAddr, VirtRange};
use crate::attr::{Access, Attrs};
use crate::format::Format;
use crate::mm::swapper::Swapper;
use crate::table::edit::LeafSizes;
use crate::table::error::EditError;
use crate::table::flush::Flush;
use crate::table::mem::Machine;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Slot {
    /// The number of the frame that is mapped there, of 28 bits; [`FREE`](Self::FREE)'s for none.
    frame: u32,
    users: u32,
}

impl Slot {
    const FREE: Self = Self { frame: u32::MAX, users: 0 };

    fn is_idle(self) -> bool {
        self.users == 0 && self != Self::FREE
    }
}

/// The window for persistent mappings: `N` slots of a page, 8 bytes of books each.
pub struct Pkmap<const N: usize> {
    start: VirtAddr,
    slots: [Slot; N],
    /// How many of them the window has room for.
    len: usize,
}

impl<const N: usize> Pkmap<N> {
    /// The window: the layout's [`pkmap`](crate::mm::LayoutSpec::pkmap), or a part of it, in which nobody else maps
    /// anything; whole pages of it are used. `N` is their number; of more, those that fit are used.
    pub const fn new(window: VirtRange) -> Self {
        let (first, end) = window.whole_pages();
        let pages = end.saturating_sub(first) as usize;
        let len = if pages < N { pages } else { N };
        Self { start: VirtAddr(first << PAGE_SHIFT), slots: [Slot::FREE; N], len }
    }

    /// Slots in use: the frames that are mapped and have users.
    pub fn in_use(&self) -> usize {
        self.slots.iter().filter(|slot| slot.users > 0).count()
    }

    /// Maps `frame` for the kernel to read and write, until [`kunmap`](Self::kunmap).
    ///
    /// # Errors
    /// [`WindowError`]; nothing was changed, but that slots without users may have been freed. A frame that pages of
    /// the format do not reach is refused by [`EditError::Encode`].
    ///
    /// # Safety
    /// As for [`Swapper::map`]: the frame is RAM with the linear map's memory type. The swapper is always the same one.
    pub unsafe fn kmap<F: Format, M: Machine>(
        &mut self,
        swapper: &mut Swapper<'_, F, M>,
        frame: PhysAddr,
    ) -> Result<VirtAddr, WindowError> {
        if !frame.is_aligned(PAGE_SHIFT) {
            return Err(EditError::PhysMisaligned { start: frame }.into());
        }
        let number = (frame.as_u64() >> PAGE_SHIFT) as u32;
        let index = match self.find(number) {
            Some(index) => index,
            None => {
                // SAFETY: the caller's promise.
                unsafe { self.purge(swapper) }?;
                self.find(number).ok_or(AreaError::WindowFull)?
            }
        };
        let at = self.at(index);
        if self.slots[index] == Slot::FREE {
            let data = Attrs::kernel(Access::ReadWrite);
            // SAFETY: the caller answers for it.
            unsafe { swapper.map(VirtRange::page(at), frame, data, LeafSizes::PAGES) }?;
            self.slots[index].frame = number;
        }
        self.slots[index].users += 1;
        Ok(at)
    }

    /// Ends one use of the mapping at `at`.
    ///
    /// # Errors
    /// [`WindowError::NoSuchArea`] where nobody uses a slot.
    ///
    /// # Safety
    /// Whoever called [`kmap`](Self::kmap) does not use the address any more.
    pub unsafe fn kunmap(&mut self, at: VirtAddr) -> Result<(), WindowError> {
        let index = (at.0.wrapping_sub(self.start.0) >> PAGE_SHIFT) as usize;
        match self.slots.get_mut(index) {
            Some(slot) if slot.users > 0 => {
                slot.users -= 1;
                Ok(())
            }
            _ => Err(WindowError::NoSuchArea { at }),
        }
    }

    /// Unmaps every slot that nobody uses: one flush for all. Before a frame's memory is used with another memory type,
    /// or goes to somebody who must not find it mapped here.
    ///
    /// # Errors
    /// [`WindowError::Edit`] where somebody else unmapped a slot; those before it are free.
    ///
    /// # Safety
    /// The swapper is the one of every [`kmap`](Self::kmap).
    pub unsafe fn purge<F: Format, M: Machine>(
        &mut self,
        swapper: &mut Swapper<'_, F, M>,
    ) -> Result<(), WindowError> {
        let mut owed: Option<Flush<'_, F, M>> = None;
        let (mut index, mut done) = (0, Ok(()));
        while index < self.len {
            let idle = self.slots[index..self.len].iter().take_while(|slot| slot.is_idle()).count();
            if idle > 0 {
                let run = VirtRange::page(self.at(index));
                let run = run.hull(VirtRange::page(self.at(index + idle - 1)));
                // SAFETY: nobody uses them.
                match (unsafe { swapper.unmap(run) }, &mut owed) {
                    (Ok(flush), Some(owed)) => owed.merge(flush),
                    (Ok(flush), none) => *none = Some(flush),
                    (Err(error), _) => {
                        done = Err(error.into());
                        break;
                    }
                }
            }
            index += idle + 1;
        }
        // Before a slot is free.
        if let Some(owed) = owed {
            owed.pay();
        }
        for slot in self.slots.iter_mut().take(index).filter(|slot| slot.is_idle()) {
            *slot = Slot::FREE;
        }
        done
    }

    fn at(&self, index: usize) -> VirtAddr {
        VirtAddr(self.start.0 + ((index as u32) << PAGE_SHIFT))
    }

    /// The slot of the frame, or a free one for it: the search starts where the frame's number leads.
    fn find(&self, frame: u32) -> Option<usize> {
        // The golden ratio spreads neighbours.
        let home = (u64::from(frame.wrapping_mul(0x9E37_79B9)) * self.len as u64) >> 32;
        let (before, from) = self.slots[..self.len].split_at(home as usize);
        let mut order = from.iter().chain(before);
        let place = order.position(|slot| slot.frame == frame || *slot == Slot::FREE)?;
        let index = home as usize + place;
        Some(if index < self.len { index } else { index - self.len })
    }
}
