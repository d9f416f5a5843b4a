//! `kmap_local`: slots of the fixmap that one CPU has for itself, for a moment and without a lock.
//!
//! A slot is written and forgotten by its own CPU alone: no other CPU ever uses its address, whatever its TLB may have
//! picked up by speculation. So the flush is local, where [`Pkmap`](super::Pkmap)'s is broadcast. Before a frame that was
//! mapped here gets another memory type, all TLBs are to forget it (DDI 0406C A3.5.7).
//!
//! # Staying on the CPU
//! The slots of a CPU are a value, to be kept where that CPU alone finds it, and `&mut` is needed to use them. Whoever
//! holds that borrow must not move to another CPU: the kernel gives it out with preemption off, or with the thread
//! pinned, and takes it back after. An interrupt handler that maps, too, has slots of its own, or ends what it began
//! before it returns: the slots are a stack.

use super::areas::AreaError;
use super::error::WindowError;
use crate::addr::{PAGE_SHIFT, PhysAddr, VirtAddr, VirtRange};
use crate::attr::{Access, Attrs};
use crate::format::{Format, Leaf};
use crate::mm::swapper::Swapper;
use crate::table::error::EditError;
use crate::table::flush::publish;
use crate::table::mem::{LocalMaintenance, Machine};
use crate::table::node::Node;

/// One CPU's slots: a page each, a stack of them.
pub struct LocalSlots<'m, F: Format, M> {
    ptes: Node<'m, F, M>,
    range: VirtRange,
    used: u32,
}

impl<'m, F: Format, M: Machine + LocalMaintenance> LocalSlots<'m, F, M> {
    /// The slots at `range`, which one table of ptes translates; its tables are made now. Before swapper is sealed, or in
    /// a window that is [eager](crate::mm::Window::eager), no use of them faults.
    ///
    /// # Errors
    /// [`EditError::Misaligned`] if the range is not pages, or crosses a border of what one table spans (1 MiB classic,
    /// 2 MiB LPAE); others where something is mapped there. Nothing was changed.
    ///
    /// # Safety
    /// Nobody else edits swapper there, as long as the slots are used: one range is one CPU's.
    pub unsafe fn new(
        swapper: &mut Swapper<'m, F, M>,
        range: VirtRange,
    ) -> Result<Self, EditError> {
        swapper.check(range)?;
        let table = F::LEVELS[F::LEVELS.len() - 2].shift;
        if !range.is_aligned(PAGE_SHIFT) || (range.start().0 ^ range.last().0) >> table != 0 {
            return Err(EditError::Misaligned);
        }
        let ptes = swapper.editor().link_ptes(range)?;
        Ok(Self { ptes, range, used: 0 })
    }

    /// The addresses of the slots.
    pub fn range(&self) -> VirtRange {
        self.range
    }

    /// Slots in use.
    pub fn in_use(&self) -> u32 {
        self.used
    }

    /// Maps `frame` for this CPU to read and write.
    ///
    /// # Errors
    /// [`AreaError::WindowFull`] where all slots are in use, [`EditError::Encode`] for a frame that the format does not
    /// reach; nothing was changed.
    ///
    /// # Safety
    /// As for [`Swapper::map`]: the frame is RAM with the linear map's memory type. This is the CPU that the slots belong
    /// to, and the caller stays on it until [`kunmap_local`](Self::kunmap_local).
    pub unsafe fn kmap_local(&mut self, frame: PhysAddr) -> Result<VirtAddr, WindowError> {
        let at = self.slot(self.used);
        if !self.range.contains(at) {
            return Err(AreaError::WindowFull.into());
        }
        let attrs = Attrs::kernel(Access::ReadWrite);
        let leaf = Leaf { frame, attrs, run: false, pxn: false };
        let raw = F::encode_leaf(self.ptes.depth(), leaf).map_err(EditError::from)?;
        self.store(at, raw);
        publish(self.ptes.machine());
        self.used += 1;
        Ok(at)
    }

    /// Unmaps the slot that was mapped last, in whose page `at` lies.
    ///
    /// # Errors
    /// [`WindowError::NoSuchArea`], or [`WindowError::OutOfOrder`] where that is not the last; nothing was changed.
    ///
    /// # Safety
    /// The address is not used any more, and this is the CPU that mapped it.
    pub unsafe fn kunmap_local(&mut self, at: VirtAddr) -> Result<(), WindowError> {
        let at = at.align_down(PAGE_SHIFT);
        let last = self.used.checked_sub(1).map(|last| self.slot(last));
        let last = last.filter(|&last| self.range.start() <= at && at <= last);
        let last = last.ok_or(WindowError::NoSuchArea { at })?;
        if at != last {
            return Err(WindowError::OutOfOrder { last });
        }
        self.used -= 1;
        self.store(at, F::Raw::default());
        let machine = self.ptes.machine();
        machine.dsb_ishst();
        machine.tlbimvaa_local(at);
        machine.dsb_nsh();
        machine.isb();
        Ok(())
    }

    fn slot(&self, index: u32) -> VirtAddr {
        VirtAddr(self.range.start().0.wrapping_add(index << PAGE_SHIFT))
    }

    fn store(&self, at: VirtAddr, raw: F::Raw) {
        let index = self.ptes.index(at);
        // SAFETY: the slot is this CPU's alone; `kmap_local`'s caller answers for the mapping.
        unsafe { self.ptes.store(index, raw) };
        self.ptes.clean_one(index);
    }
}
