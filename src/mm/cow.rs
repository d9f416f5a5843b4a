//! Copy-on-write: address spaces that share memory until one of them writes.
//!
//! ```text
//!   fork     parent.copy_on_write(&mut child, range, &mut frames)?.pay()
//!   fault    ReadOnly, and the leaf may be written:   frame shared?  no: make_writable(va)?.pay()
//!                                                                    yes: copy it, break_cow(va, copy)
//! ```
//!
//! What may be written is remembered in the leaf's software bits ([`Marks::WRITE`](crate::attr::Marks::WRITE)), so is
//! what was ([`Marks::DIRTY`](crate::attr::Marks::DIRTY)). How many spaces share a frame is the kernel's to know. Where
//! such memory gets another access, [`Attrs::mprotect`] keeps it shared:
//! `pgd.modify_mapped(range, |attrs| attrs.mprotect(access))`.

use super::pgd::Pgd;
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::attr::Attrs;
use crate::format::Format;
use crate::table::error::EditError;
use crate::table::flush::Flush;
use crate::table::mem::Machine;

/// A kernel's count of who maps a frame.
pub trait SharedFrames {
    /// The `bytes` bytes from `frame` on are mapped once more: a leaf's, or a run's as a whole.
    fn share(&mut self, frame: PhysAddr, bytes: u64);
}

/// What a write makes of a leaf that may be written.
fn written(attrs: Attrs) -> Attrs {
    attrs.mkdirty().mkyoung()
}

impl<'m, F: Format, M: Machine> Pgd<'m, F, M> {
    /// Maps in `child`, where nothing is mapped yet, what this address space maps in `range`, and withdraws write access
    /// from both, until [`break_cow`](Self::break_cow) or [`make_writable`](Self::make_writable) gives it back.
    /// Leaves keep their sizes; the ends of the range split what they cut.
    ///
    /// The flush is this address space's: pay it before the child runs. Until then other CPUs that run this one may
    /// write to what is shared.
    ///
    /// # Errors
    /// [`EditError`]; both are as before, and no frame was shared. [`EditError::Mapped`] where the child maps something, or
    /// this one what is the kernel's alone, as an identity mapping is.
    ///
    /// # Safety
    /// As for [`Editor::modify`](crate::table::edit::Editor::modify), and both were made by the same swapper.
    pub unsafe fn copy_on_write(
        &mut self,
        child: &mut Self,
        range: VirtRange,
        frames: &mut impl SharedFrames,
    ) -> Result<Flush<'m, F, M>, EditError> {
        // SAFETY: the caller answers for it.
        unsafe { self.duplicate(child, range, &Attrs::mkcow, frames) }
    }

    /// Maps in `child`, where nothing is mapped yet, what this address space maps in `range`, as it is: memory that both
    /// go on to write.
    ///
    /// # Errors
    /// As for [`copy_on_write`](Self::copy_on_write).
    ///
    /// # Safety
    /// As for [`copy_on_write`](Self::copy_on_write).
    pub unsafe fn share(
        &mut self,
        child: &mut Self,
        range: VirtRange,
        frames: &mut impl SharedFrames,
    ) -> Result<(), EditError> {
        // SAFETY: the caller answers for it.
        unsafe { self.duplicate(child, range, &|attrs| attrs, frames) }.map(Flush::pay)
    }

    unsafe fn duplicate(
        &mut self,
        child: &mut Self,
        range: VirtRange,
        change: &dyn Fn(Attrs) -> Attrs,
        frames: &mut impl SharedFrames,
    ) -> Result<Flush<'m, F, M>, EditError> {
        self.check(range)?;
        child.check(range)?;
        let parts = self.touched.ranges().filter_map(|part| part.intersection(range));
        // Elsewhere there is nothing to look for when the child is freed.
        child.touched.add_common(self.touched, range);
        // SAFETY: the caller answers for it.
        unsafe {
            self.editor().duplicate(
                &mut child.editor(),
                range,
                &parts,
                change,
                &mut |frame, bytes| frames.share(frame, bytes),
            )
        }
    }

    /// Gives the page of `va` a frame of its own, `copy`, young and, where it may be written, writable and dirty, and answers
    /// the frame it was mapped to. A larger leaf is split. Every TLB has forgotten the old frame when it returns.
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed.
    ///
    /// # Safety
    /// As for [`Editor::map`](crate::table::edit::Editor::map): the copy belongs to this address space.
    pub unsafe fn break_cow(
        &mut self,
        va: VirtAddr,
        copy: PhysAddr,
    ) -> Result<PhysAddr, EditError> {
        let page = VirtRange::page(va);
        self.check(page)?;
        // SAFETY: the caller answers for it.
        unsafe { self.editor().replace(page, copy, &written) }
    }

    /// Makes the page of `va` writable where its leaf may be written, and dirty: what nobody shares any more, or was
    /// clean. A larger leaf is split. The flush spares a TLB's owner one more fault.
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed.
    ///
    /// # Safety
    /// As for [`Editor::modify`](crate::table::edit::Editor::modify): nobody else has the frame.
    pub unsafe fn make_writable(&mut self, va: VirtAddr) -> Result<Flush<'m, F, M>, EditError> {
        // SAFETY: the caller answers for it.
        unsafe { self.modify(VirtRange::page(va), written) }
    }

    /// Makes the leaf that maps `va` young, the whole run of it: after an access flag fault.
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed.
    ///
    /// # Safety
    /// As for [`Editor::modify`](crate::table::edit::Editor::modify).
    pub unsafe fn mkyoung(&mut self, va: VirtAddr) -> Result<Flush<'m, F, M>, EditError> {
        let found = self.translate(va).ok_or(EditError::NotMapped { at: va })?;
        // SAFETY: the caller answers for it.
        unsafe { self.modify(found.span(), Attrs::mkyoung) }
    }
}
