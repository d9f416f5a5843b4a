//! `x86_64`: `OffsetPageTable`. It has no type for an address space: making, sharing the kernel's half and destroying are
//! the caller's, here as short as can be.

use std::ptr;

use x86_64::structures::paging::mapper::{CleanUp, MapperFlush, Translate, TranslateResult};
use x86_64::structures::paging::{
    FrameAllocator, FrameDeallocator, Mapper, OffsetPageTable, Page, PageSize, PageTable,
    PageTableFlags, PhysFrame, Size2MiB, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

use crate::contender::{BYTES, Contender, LARGE_FRAMES, PAGE, WINDOW};
use crate::pool;

struct Frames;

// SAFETY: the pool's frames are unused.
unsafe impl FrameAllocator<Size4KiB> for Frames {
    #[inline]
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let at = PhysAddr::new(pool::take(pool::FRAME_SHIFT)?.as_ptr() as u64);
        Some(PhysFrame::containing_address(at))
    }
}

impl FrameDeallocator<Size4KiB> for Frames {
    #[inline]
    unsafe fn deallocate_frame(&mut self, frame: PhysFrame) {
        // SAFETY: the caller's promise.
        unsafe { pool::give(frame.start_address().as_u64() as *mut u8, pool::FRAME_SHIFT) }
    }
}

/// An address space: the table of level 4, and the memory behind the window.
pub struct Peer {
    root: *mut PageTable,
    frames: usize,
}

const DATA: PageTableFlags = PageTableFlags::PRESENT
    .union(PageTableFlags::WRITABLE)
    .union(PageTableFlags::USER_ACCESSIBLE)
    .union(PageTableFlags::NO_EXECUTE);

/// Entries of the root that are the kernel's.
const KERNEL: std::ops::Range<usize> = 256..512;

impl Peer {
    #[inline]
    fn mapper(&self) -> OffsetPageTable<'static> {
        // SAFETY: the root is this space's, and physical addresses are virtual ones here.
        unsafe { OffsetPageTable::new(&mut *self.root, VirtAddr::new(0)) }
    }

    fn map_as<S: PageSize>(&mut self, frames: usize)
    where
        OffsetPageTable<'static>: Mapper<S>,
    {
        let mut mapper = self.mapper();
        for at in (0..BYTES).step_by(S::SIZE as usize) {
            map_page::<S>(&mut mapper, WINDOW + at, frames + at);
        }
    }
}

#[inline]
fn page<S: PageSize>(va: usize) -> Page<S> {
    Page::containing_address(VirtAddr::new(va as u64))
}

#[inline]
fn map_page<S: PageSize>(mapper: &mut impl Mapper<S>, va: usize, phys: usize) {
    let frame = PhysFrame::containing_address(PhysAddr::new(phys as u64));
    // SAFETY: nobody walks the tables.
    let flush = unsafe { mapper.map_to(page(va), frame, DATA, &mut Frames) };
    flush.map(MapperFlush::ignore).unwrap_or_else(|_| panic!("it is empty"));
}

impl Contender for Peer {
    const NAME: &'static str = "x86_64";

    /// A root with the kernel's half.
    type Kernel = *mut PageTable;

    fn kernel() -> Self::Kernel {
        let root: *mut PageTable = pool::touched(PAGE, PAGE).cast().as_ptr();
        // SAFETY: a table's memory; nobody walks it.
        let table = unsafe {
            root.write(PageTable::new());
            &mut *root
        };
        for index in KERNEL {
            table[index].set_addr(PhysAddr::new(PAGE as u64), PageTableFlags::PRESENT);
        }
        root
    }

    fn used(_: &Self::Kernel) -> usize {
        pool::used()
    }

    fn create(kernel: &mut Self::Kernel, frames: usize) -> Self {
        let root: *mut PageTable =
            pool::take(pool::FRAME_SHIFT).expect("the pool is large").cast().as_ptr();
        // SAFETY: both are tables, and different ones.
        unsafe {
            let (to, from) = (root.cast::<u64>(), kernel.cast::<u64>());
            ptr::write_bytes(to, 0, KERNEL.start);
            ptr::copy_nonoverlapping(from.add(KERNEL.start), to.add(KERNEL.start), KERNEL.len());
        }
        Self { root, frames }
    }

    fn map(&mut self) {
        self.map_as::<Size4KiB>(self.frames);
    }

    fn map_large(&mut self) {
        self.map_as::<Size2MiB>(LARGE_FRAMES);
    }

    fn map_one(&mut self, va: usize) {
        map_page::<Size4KiB>(&mut self.mapper(), va, va - WINDOW + self.frames);
    }

    fn protect(&mut self) {
        let mut mapper = self.mapper();
        for at in (0..BYTES).step_by(PAGE) {
            let page = page::<Size4KiB>(WINDOW + at);
            // SAFETY: nobody walks the tables.
            let flush = unsafe { mapper.update_flags(page, DATA - PageTableFlags::WRITABLE) };
            flush.expect("it is mapped").ignore();
        }
    }

    fn unmap(&mut self) {
        let mut mapper = self.mapper();
        for at in (0..BYTES).step_by(PAGE) {
            mapper.unmap(page::<Size4KiB>(WINDOW + at)).expect("it is mapped").1.ignore();
        }
        let range = Page::range_inclusive(page(WINDOW), page(WINDOW + BYTES - 1));
        // SAFETY: nobody walks the tables, and all of them came from the pool.
        unsafe { mapper.clean_up_addr_range(range, &mut Frames) };
    }

    #[inline]
    fn translate(&self, va: usize) -> Option<usize> {
        let found = self.mapper().translate_addr(VirtAddr::new(va as u64));
        found.map(|at| at.as_u64() as usize)
    }

    fn is_writable(&self, va: usize) -> bool {
        match self.mapper().translate(VirtAddr::new(va as u64)) {
            TranslateResult::Mapped { flags, .. } => flags.contains(PageTableFlags::WRITABLE),
            _ => false,
        }
    }

    fn destroy(self, _: &mut Self::Kernel) {
        // SAFETY: nobody uses the tables any more.
        unsafe {
            free_below(&*self.root, 0..KERNEL.start, 3);
            pool::give(self.root.cast(), pool::FRAME_SHIFT);
        }
    }
}

/// Frees the tables that entries of `table` point to, `levels` levels deep.
unsafe fn free_below(table: &PageTable, entries: std::ops::Range<usize>, levels: usize) {
    for index in entries {
        let entry = &table[index];
        if entry.is_unused() || entry.flags().contains(PageTableFlags::HUGE_PAGE) {
            continue;
        }
        let child: *mut PageTable = entry.addr().as_u64() as *mut PageTable;
        // SAFETY: an entry that is no leaf points to a table.
        unsafe {
            if levels > 1 {
                free_below(&*child, 0..512, levels - 1);
            }
            pool::give(child.cast(), pool::FRAME_SHIFT);
        }
    }
}
