//! `page_table_multiarch`: the host's own table type, four levels.

use memory_addr::{PhysAddr, VirtAddr};
#[cfg(target_arch = "aarch64")]
use page_table_multiarch::aarch64::A64PageTable as Table;
#[cfg(target_arch = "x86_64")]
use page_table_multiarch::x86_64::X64PageTable as Table;
use page_table_multiarch::{MappingFlags, PageSize, PagingHandler};

use crate::contender::{BYTES, Contender, LARGE_FRAMES, WINDOW};
use crate::pool;

/// Frames of the pool; physical addresses are virtual ones.
pub struct Frames;

impl PagingHandler for Frames {
    fn alloc_frames(num: usize, _: usize) -> Option<PhysAddr> {
        assert_eq!(num, 1, "all tables are frames");
        pool::take(pool::FRAME_SHIFT).map(|frame| PhysAddr::from(frame.as_ptr() as usize))
    }

    fn dealloc_frames(paddr: PhysAddr, _: usize) {
        // SAFETY: it came from the pool.
        unsafe { pool::give(paddr.as_usize() as *mut u8, pool::FRAME_SHIFT) }
    }

    #[inline]
    fn phys_to_virt(paddr: PhysAddr) -> VirtAddr {
        VirtAddr::from(paddr.as_usize())
    }
}

/// An address space.
pub struct Peer {
    table: Table<Frames>,
    frames: usize,
}

const READ: MappingFlags = MappingFlags::READ.union(MappingFlags::USER);
const DATA: MappingFlags = READ.union(MappingFlags::WRITE);

/// The kernel's half of the address space.
const KERNEL: usize = 0xFFFF_8000_0000_0000;

impl Contender for Peer {
    const NAME: &'static str = "page_table_multiarch";
    const FREES: bool = false;

    type Kernel = Table<Frames>;

    fn kernel() -> Self::Kernel {
        Table::try_new().expect("the pool is large")
    }

    fn used(_: &Self::Kernel) -> usize {
        pool::used()
    }

    fn create(kernel: &mut Self::Kernel, frames: usize) -> Self {
        let mut table = Table::try_new().expect("the pool is large");
        table.cursor().copy_from(kernel, VirtAddr::from(KERNEL), KERNEL.wrapping_neg());
        Self { table, frames }
    }

    fn map(&mut self) {
        let offset = self.frames - WINDOW;
        let there = |va: VirtAddr| PhysAddr::from(va.as_usize() + offset);
        let mapped =
            self.table.cursor().map_region(VirtAddr::from(WINDOW), there, BYTES, DATA, false);
        mapped.expect("it is empty");
    }

    fn map_large(&mut self) {
        let there = |va: VirtAddr| PhysAddr::from(va.as_usize() + LARGE_FRAMES - WINDOW);
        let mapped =
            self.table.cursor().map_region(VirtAddr::from(WINDOW), there, BYTES, DATA, true);
        mapped.expect("it is empty");
    }

    fn map_one(&mut self, va: usize) {
        let (at, frame) = (VirtAddr::from(va), PhysAddr::from(va - WINDOW + self.frames));
        self.table.cursor().map(at, frame, PageSize::Size4K, DATA).expect("it is empty");
    }

    fn protect(&mut self) {
        let changed = self.table.cursor().protect_region(VirtAddr::from(WINDOW), BYTES, READ);
        changed.expect("it is mapped");
    }

    fn unmap(&mut self) {
        let unmapped = self.table.cursor().unmap_region(VirtAddr::from(WINDOW), BYTES);
        unmapped.expect("it is mapped");
    }

    #[inline]
    fn translate(&self, va: usize) -> Option<usize> {
        self.table.query(VirtAddr::from(va)).ok().map(|(at, _, _)| at.as_usize())
    }

    fn is_writable(&self, va: usize) -> bool {
        let found = self.table.query(VirtAddr::from(va));
        found.is_ok_and(|(_, flags, _)| flags.contains(MappingFlags::WRITE))
    }

    fn destroy(self, _: &mut Self::Kernel) {}
}
