//! Memory for code that is loaded: written first, executed then, never both.
//!
//! ```text
//!   allocate ─▶ ModuleArea<Writable> ─ write it ─▶ seal ─▶ ModuleArea<Executable> ─▶ free
//!                                                    └──▶ ModuleArea<ReadOnly>
//! ```
//!
//! [`Modules::new`] checks that window and kernel lie within 32 MiB, which B and BL reach in ARM state (DDI 0406C A8.8.18,
//! A8.8.25), so that a module needs no veneers. In Thumb state they reach 16 MiB, which is not checked: a Thumb kernel takes
//! a part of the window that is near enough, by [`Modules::within`].

use core::fmt;
use core::marker::PhantomData;

use super::areas::{AreaKind, Areas};
use super::error::WindowError;
use super::frames::FrameSource;
use super::vmalloc::Vmalloc;
use crate::addr::{PAGE_SIZE, VirtRange};
use crate::attr::Access;
use crate::format::Format;
use crate::mm::layout::Layout;
use crate::mm::swapper::Swapper;
use crate::table::error::EditError;
use crate::table::mem::{CodeMaintenance, Machine};

/// From the first instruction to the last, if a branch is to get from either to the other: it counts from two
/// instructions on, and reaches 2^25 bytes back.
const BRANCH_RANGE: u64 = (1 << 25) - 4;

/// A branch from the module window to the kernel's text, or back, does not reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfBranchRange {
    /// The window for modules.
    pub modules: VirtRange,
    /// The kernel's text.
    pub text: VirtRange,
}

impl fmt::Display for OutOfBranchRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "branches reach 32 MiB: not from {} to {} and back", self.modules, self.text)
    }
}

impl core::error::Error for OutOfBranchRange {}

/// What is written, and does not run.
#[derive(Debug)]
pub enum Writable {}
/// What runs, and is not written any more.
#[derive(Debug)]
pub enum Executable {}
/// What is only read.
#[derive(Debug)]
pub enum ReadOnly {}

/// A module's pages. Dropped, they stay mapped; [`Modules::free`] gives them back.
#[must_use = "an area is given back with Modules::free"]
#[derive(Debug)]
pub struct ModuleArea<S> {
    range: VirtRange,
    state: PhantomData<S>,
}

impl<S> ModuleArea<S> {
    /// Its addresses.
    pub fn range(&self) -> VirtRange {
        self.range
    }

    fn with<T>(self) -> ModuleArea<T> {
        ModuleArea { range: self.range, state: PhantomData }
    }
}

impl ModuleArea<Writable> {
    /// Its bytes, to write code to.
    ///
    /// # Safety
    /// This CPU runs on swapper or a pgd of its, the faults of which are
    /// [handled](crate::mm::do_translation_fault); the frames held initialised bytes, as RAM always does.
    pub unsafe fn bytes(&mut self) -> &mut [u8] {
        let (start, bytes) = (self.range.start().0 as usize, self.range.bytes() as usize);
        // SAFETY: mapped for reading and writing, by this area alone; the caller answers for the rest.
        unsafe { core::slice::from_raw_parts_mut(start as *mut u8, bytes) }
    }
}

/// The layout's window for modules, for `N` areas at most.
pub struct Modules<'m, F: Format, M: Machine, const N: usize> {
    window: Vmalloc<'m, F, M, N>,
}

impl<'m, F: Format, M: Machine, const N: usize> Modules<'m, F, M, N> {
    /// The empty window of `layout`, for a kernel whose code lies in `text`.
    ///
    /// # Errors
    /// [`OutOfBranchRange`] where a branch would not reach from the one to the other, or back.
    pub fn new(layout: &Layout, text: VirtRange) -> Result<Self, OutOfBranchRange> {
        // The lowest window of the kernel half: if it is empty, no area fits.
        let modules = layout.spec().modules.range().unwrap_or(VirtRange::page(layout.task_size()));
        Self::within(modules, text)
    }

    /// As [`new`](Self::new), of a part of the layout's window.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn within(modules: VirtRange, text: VirtRange) -> Result<Self, OutOfBranchRange> {
        if modules.hull(text).bytes() > BRANCH_RANGE {
            return Err(OutOfBranchRange { modules, text });
        }
        Ok(Self { window: Vmalloc::new(modules) })
    }

    /// The areas in use.
    pub fn areas(&self) -> &Areas<N> {
        self.window.areas()
    }

    /// Pages for `bytes` bytes, to be written.
    ///
    /// # Errors
    /// [`WindowError`]; nothing was mapped, and every frame went back.
    ///
    /// # Safety
    /// As for [`Vmalloc::vmalloc`].
    pub unsafe fn allocate(
        &mut self,
        swapper: &mut Swapper<'m, F, M>,
        bytes: u32,
        frames: &mut impl FrameSource,
    ) -> Result<ModuleArea<Writable>, WindowError> {
        // SAFETY: the caller answers for it.
        let range = unsafe { self.window.vmalloc(swapper, bytes.div_ceil(PAGE_SIZE), frames) }?;
        Ok(ModuleArea { range, state: PhantomData })
    }

    /// Lets the area run: it is written no more. Write access is withdrawn and forgotten by every TLB; then the data
    /// cache is cleaned, and instruction caches and branch predictions are invalidated, in the manual's order
    /// (DDI 0406C B2.2.9).
    ///
    /// Another CPU needs an ISB, or an exception and its return, before it runs what is new there.
    ///
    /// # Errors
    /// [`EditError`]; the area is as it was, and still writable.
    ///
    /// # Safety
    /// The swapper is the one that the area was [allocated](Self::allocate) in.
    pub unsafe fn seal(
        &mut self,
        swapper: &mut Swapper<'m, F, M>,
        area: ModuleArea<Writable>,
    ) -> Result<ModuleArea<Executable>, (ModuleArea<Writable>, EditError)>
    where
        M: CodeMaintenance,
    {
        // SAFETY: the caller's promise.
        let sealed: ModuleArea<Executable> =
            unsafe { self.protect(swapper, area, Access::ReadExecute) }?;
        swapper.machine().publish_code(sealed.range);
        Ok(sealed)
    }

    /// Makes the area read-only: a module's constants.
    ///
    /// # Errors
    /// As for [`seal`](Self::seal).
    ///
    /// # Safety
    /// As for [`seal`](Self::seal).
    pub unsafe fn freeze(
        &mut self,
        swapper: &mut Swapper<'m, F, M>,
        area: ModuleArea<Writable>,
    ) -> Result<ModuleArea<ReadOnly>, (ModuleArea<Writable>, EditError)> {
        // SAFETY: the caller's promise.
        unsafe { self.protect(swapper, area, Access::Read) }
    }

    /// Unmaps the area, and gives its frames back once every TLB forgot them.
    ///
    /// # Errors
    /// [`WindowError::NoSuchArea`] for another window's, [`WindowError::Edit`]; the area is as it was.
    ///
    /// # Safety
    /// Nobody runs or uses it any more.
    pub unsafe fn free<S>(
        &mut self,
        swapper: &mut Swapper<'m, F, M>,
        area: ModuleArea<S>,
        frames: &mut impl FrameSource,
    ) -> Result<(), (ModuleArea<S>, WindowError)> {
        // SAFETY: the caller answers for it.
        unsafe { self.window.vfree(swapper, area.range.start(), frames) }
            .map_err(|error| (area, error))
    }

    /// # Safety
    /// As for [`seal`](Self::seal).
    unsafe fn protect<S>(
        &mut self,
        swapper: &mut Swapper<'m, F, M>,
        area: ModuleArea<Writable>,
        access: Access,
    ) -> Result<ModuleArea<S>, (ModuleArea<Writable>, EditError)> {
        let at = area.range.start();
        if self.window.areas().find(at) != Some((area.range, AreaKind::Memory)) {
            return Err((area, EditError::OutOfBounds { at }));
        }
        // SAFETY: whoever could write to the area gave it away; it is this swapper's.
        match unsafe { swapper.protect(area.range, access) } {
            Ok(flush) => {
                flush.pay();
                Ok(area.with())
            }
            Err(error) => Err((area, error)),
        }
    }
}
