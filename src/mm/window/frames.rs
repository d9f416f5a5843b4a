//! Where the memory of an area comes from and goes to.

use super::error::WindowError;
use crate::addr::{PhysAddr, VirtRange};
use crate::attr::{Access, Attrs};
use crate::format::Format;
use crate::mm::swapper::Swapper;
use crate::table::edit::scatter::{Stopped, first_pages};
use crate::table::error::EditError;
use crate::table::mem::Machine;

/// A kernel's frames: pages of 4 KiB of RAM.
pub trait FrameSource {
    /// A frame that nobody else uses; `None` if there is none.
    fn allocate(&mut self) -> Option<PhysAddr>;

    /// Takes a frame back that [`allocate`](Self::allocate) gave: nothing maps it any more.
    fn free(&mut self, frame: PhysAddr);
}

/// Maps all of `range` to frames of `frames`, or none of it. Tables that it took stay swapper's, as ever.
///
/// # Safety
/// As for [`Swapper::map`], for each frame.
pub(super) unsafe fn map<F: Format, M: Machine>(
    swapper: &mut Swapper<'_, F, M>,
    range: VirtRange,
    attrs: Attrs,
    frames: &mut impl FrameSource,
) -> Result<(), WindowError> {
    swapper.check(range).map_err(EditError::from)?;
    let mut refused = None;
    let mut next = || {
        refused = frames.allocate();
        refused
    };
    // SAFETY: the caller answers for it.
    let done = unsafe { swapper.editor().map_frames(range, attrs, &mut next) };
    let Err(Stopped { pages, error }) = done else { return Ok(()) };
    if let Some(mapped) = first_pages(range, pages) {
        // SAFETY: nobody was told of it.
        unsafe { unmap(swapper, mapped, frames) }?;
    }
    let Some(error) = error else { return Err(WindowError::OutOfFrames) };
    if let (EditError::Encode(_), Some(frame)) = (error, refused) {
        frames.free(frame);
    }
    Err(error.into())
}

/// Unmaps `range`, and gives its frames back once every TLB forgot them.
///
/// # Safety
/// As for [`Swapper::unmap`]; all of it was mapped by [`map`].
pub(super) unsafe fn unmap<F: Format, M: Machine>(
    swapper: &mut Swapper<'_, F, M>,
    range: VirtRange,
    frames: &mut impl FrameSource,
) -> Result<(), WindowError> {
    // Without access the entries are invalid to the hardware, but still know their frames.
    // SAFETY: the caller answers for it.
    unsafe { swapper.protect(range, Access::None) }?.pay();
    swapper.editor().take_frames(range, &mut |frame| frames.free(frame));
    Ok(())
}
