//! `ioremap` and `vmalloc`: areas of devices and of scattered memory, at addresses that the window chooses.
//!
//! # Aliases
//! Memory that has two memory types at once loses what is written to it (DDI 0406C A3.5.7). All RAM of the linear
//! map is write-back there. So a kernel says what is RAM ([`refuse_ram`](Vmalloc::refuse_ram)), and `ioremap` refuses
//! it with any other type. What is nobody's RAM for the kernel, but a frame buffer or a firmware's table, is simply
//! left out of the list.
//!
//! # When TLBs forget
//! Devices are never read by speculation, so an area of one may linger in TLBs once it is unmapped: it is only
//! retired, and many are forgotten by one flush, before the first address of any is given out again. Normal memory
//! is forgotten at once, and frames are given back after that alone.

use super::areas::{AreaKind, Areas};
use super::error::WindowError;
use super::frames::{self, FrameSource};
use crate::addr::{PAGE_SHIFT, PAGE_SIZE, PhysAddr, VirtAddr, VirtRange};
use crate::attr::{Access, Attrs, MemoryType};
use crate::format::{Format, RUN};
use crate::mm::swapper::Swapper;
use crate::table::flush::Flush;
use crate::table::mem::Machine;

/// A range of physical addresses, from its first byte to its last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PhysRange {
    /// The first byte.
    pub first: PhysAddr,
    /// The last byte.
    pub last: PhysAddr,
}

impl PhysRange {
    /// The first byte that both ranges hold.
    fn meets(&self, other: &Self) -> Option<PhysAddr> {
        let first = self.first.max(other.first);
        (first <= self.last.min(other.last)).then_some(first)
    }
}

/// A window of swapper's for `N` areas at most, each with a guard page behind it.
///
/// Each call takes the swapper that the window belongs to, always the same one; locking both is the kernel's choice.
pub struct Vmalloc<'m, F: Format, M: Machine, const N: usize> {
    areas: Areas<N>,
    /// What the retired areas owe.
    debt: Option<Flush<'m, F, M>>,
    ram: &'m [PhysRange],
    /// The memory type of the last page, and all but the frame of its descriptor: mostly the next is of the same.
    kind: Option<(MemoryType, F::Raw)>,
}

impl<'m, F: Format, M: Machine, const N: usize> Vmalloc<'m, F, M, N> {
    /// An empty window: of the layout's [`vmalloc`](crate::mm::LayoutSpec::vmalloc), or a part of it, in which nobody
    /// else maps anything.
    pub const fn new(window: VirtRange) -> Self {
        Self { areas: Areas::new(window), debt: None, ram: &[], kind: None }
    }

    /// Says what is RAM: [`ioremap`](Self::ioremap) refuses it with any type but the linear map's.
    pub fn refuse_ram(&mut self, ram: &'m [PhysRange]) {
        self.ram = ram;
    }

    /// The areas in use.
    pub fn areas(&self) -> &Areas<N> {
        &self.areas
    }

    /// Maps `bytes` bytes from `phys` on, aligned as they may be, for the kernel to read and write, in the largest
    /// leaves that fit and can be taken back: not in entries that pgds have copies of. The address of the first byte;
    /// the area ends with its page, and the one behind is not mapped.
    ///
    /// # Errors
    /// [`WindowError`]; nothing was changed.
    ///
    /// # Safety
    /// As for [`Swapper::map`]: what becomes reachable may be reached, as memory of this type.
    pub unsafe fn ioremap(
        &mut self,
        swapper: &mut Swapper<'m, F, M>,
        phys: PhysAddr,
        bytes: u64,
        memory: MemoryType,
    ) -> Result<VirtAddr, WindowError> {
        let rest = bytes.checked_sub(1).ok_or(WindowError::Empty)?;
        let last = phys.checked_add(rest).ok_or(WindowError::PhysOverflow { start: phys })?;
        let asked = PhysRange { first: phys, last };
        if memory != MemoryType::WriteBackWriteAllocate
            && let Some(at) = self.ram.iter().find_map(|ram| ram.meets(&asked))
        {
            return Err(WindowError::Ram { at });
        }
        let offset = phys.as_u64() as u32 & (PAGE_SIZE - 1);
        let start = PhysAddr::truncate(phys.as_u64() - u64::from(offset));
        // 28 bits at most.
        let pages = ((last.as_u64() >> PAGE_SHIFT) - (start.as_u64() >> PAGE_SHIFT) + 1) as u32;
        let range = self.place_like(swapper, start, pages, memory)?;
        let at = VirtAddr(range.start().0 | offset);
        // SAFETY: the caller answers for it.
        unsafe {
            if let Some((known, bits)) = self.kind
                && (known, pages) == (memory, 1)
                && swapper.check(range).is_ok()
                && swapper.editor_here().map_lone_page(range, start, bits)
            {
                return Ok(at);
            }
            let attrs = Attrs::kernel(Access::ReadWrite).with_memory(memory);
            if let Err(error) = swapper.map_for_a_while(range, start, attrs) {
                self.areas.release(range.start());
                return Err(error.into());
            }
            if pages == 1 {
                self.kind = swapper.editor().page_bits(attrs).map(|bits| (memory, bits));
            }
        }
        Ok(at)
    }

    /// Unmaps what [`ioremap`](Self::ioremap) mapped at `at`.
    ///
    /// # Errors
    /// [`WindowError::NoSuchArea`]; nothing was changed.
    ///
    /// # Safety
    /// Nobody uses it any more.
    pub unsafe fn iounmap(
        &mut self,
        swapper: &mut Swapper<'m, F, M>,
        at: VirtAddr,
    ) -> Result<(), WindowError> {
        let Some((range, AreaKind::Io(memory))) = self.areas.find(at) else {
            return Err(WindowError::NoSuchArea { at });
        };
        let debt = self.debt.get_or_insert_with(|| swapper.flush());
        // SAFETY: ioremap mapped it as a whole, and nobody else maps in the window; the caller answers for the rest.
        unsafe { swapper.editor_here().unmap_area(range, debt) };
        self.areas.retire(range.start());
        if memory.is_normal() {
            self.purge();
        } else {
            // Whoever pays may be another CPU: what this one stored is complete by then (DDI 0406C A3.8.3).
            swapper.machine().dsb_ishst();
        }
        Ok(())
    }

    /// Maps `pages` pages of scattered memory, for the kernel to read and write, and a guard page behind them that is
    /// not mapped.
    ///
    /// # Errors
    /// [`WindowError`]; nothing was mapped, and every frame went back. Tables that were made for it stay swapper's.
    ///
    /// # Safety
    /// As for [`Swapper::map`]: the frames are memory that nobody else uses.
    pub unsafe fn vmalloc(
        &mut self,
        swapper: &mut Swapper<'m, F, M>,
        pages: u32,
        frames: &mut impl FrameSource,
    ) -> Result<VirtRange, WindowError> {
        if pages == 0 {
            return Err(WindowError::Empty);
        }
        let range = self.place(pages, PAGE_SHIFT, 0, AreaKind::Memory)?;
        let attrs = Attrs::kernel(Access::ReadWrite);
        // SAFETY: the caller answers for it.
        if let Err(error) = unsafe { frames::map(swapper, range, attrs, frames) } {
            self.areas.release(range.start());
            return Err(error);
        }
        Ok(range)
    }

    /// Unmaps what [`vmalloc`](Self::vmalloc) mapped at `at`, and gives the frames back once every TLB forgot them.
    ///
    /// # Errors
    /// [`WindowError::NoSuchArea`], [`WindowError::Edit`]; nothing was changed.
    ///
    /// # Safety
    /// Nobody uses it any more.
    pub unsafe fn vfree(
        &mut self,
        swapper: &mut Swapper<'m, F, M>,
        at: VirtAddr,
        frames: &mut impl FrameSource,
    ) -> Result<(), WindowError> {
        let Some((range, AreaKind::Memory)) = self.areas.find(at) else {
            return Err(WindowError::NoSuchArea { at });
        };
        // SAFETY: the caller answers for it.
        unsafe { frames::unmap(swapper, range, frames) }?;
        self.areas.release(range.start());
        Ok(())
    }

    /// Makes every TLB forget the areas that were unmapped, whose addresses are free then. Done by itself where
    /// addresses run short.
    pub fn purge(&mut self) {
        if let Some(debt) = self.debt.take() {
            debt.pay();
        }
        self.areas.reclaim();
    }

    /// Addresses for `pages` pages of memory from `phys` on, so that the largest leaves fit.
    fn place_like(
        &mut self,
        swapper: &Swapper<'m, F, M>,
        phys: PhysAddr,
        pages: u32,
        memory: MemoryType,
    ) -> Result<VirtRange, WindowError> {
        let kind = AreaKind::Io(memory);
        let shift =
            if pages < RUN as u32 { PAGE_SHIFT } else { self.leaf_shift(swapper, phys, pages) };
        if shift > PAGE_SHIFT
            && let Ok(range) = self.place(pages, shift, phys.as_u64(), kind)
        {
            return Ok(range);
        }
        self.place(pages, PAGE_SHIFT, 0, kind)
    }

    /// log2 of the largest leaf or run that fits into the memory, and that no pgd has a copy of: for that would stay.
    fn leaf_shift(&self, swapper: &Swapper<'m, F, M>, phys: PhysAddr, pages: u32) -> u32 {
        let (start, end) = (phys.as_u64(), phys.as_u64() + (u64::from(pages) << PAGE_SHIFT));
        let fits = |shift: u32| {
            let rest = (1_u64 << shift) - 1;
            ((start + rest) & !rest) + rest < end
        };
        for (depth, level) in F::LEVELS.iter().enumerate() {
            let at = self.areas.window().start();
            if swapper.layout().is_copied::<F>(depth, at) {
                continue;
            }
            let run = level.runs.map(|_| level.shift + RUN.trailing_zeros());
            let shift = run.into_iter().chain([level.shift]).find(|&shift| fits(shift));
            if let Some(shift) = shift {
                return shift;
            }
        }
        PAGE_SHIFT
    }

    fn place(
        &mut self,
        pages: u32,
        shift: u32,
        like: u64,
        kind: AreaKind,
    ) -> Result<VirtRange, WindowError> {
        match self.areas.allocate(pages, shift, like, kind) {
            Err(_) if self.areas.retired() > 0 => {
                self.purge();
                Ok(self.areas.allocate(pages, shift, like, kind)?)
            }
            placed => Ok(placed?),
        }
    }
}
