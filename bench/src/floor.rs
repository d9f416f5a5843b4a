//! What nobody can do without: LPAE's descriptors stored, changed and read one by one, in tables that are there.

use std::ptr;

use crate::contender::{Contender, LARGE_FRAMES, PAGE, PAGES, WINDOW};
use crate::pool;

/// A block, valid, young and writable; what makes it a page or a table; what makes it read-only.
const BLOCK: u64 = 0x4C5 & !READ_ONLY;
const PAGE_OR_TABLE: u64 = 1 << 1;
const READ_ONLY: u64 = 1 << 7;
/// The bits of a frame.
const BASE: u64 = 0xFF_FFFF_F000;

/// Where the root, the middle table and the window's last tables lie, in descriptors.
const ROOT: usize = 0;
const MIDDLE: usize = 512;
const LAST: usize = 1024;
/// Descriptors in all of them.
const ALL: usize = LAST + PAGES;

/// The tables of the one space that there is at a time.
pub struct Floor {
    tables: *mut u64,
    frames: usize,
    mapped: bool,
}

/// The entry for a table.
const fn table(at: usize) -> u64 {
    (at / 512 * PAGE) as u64 | BLOCK | PAGE_OR_TABLE
}

impl Floor {
    #[inline]
    fn load(&self, at: usize) -> u64 {
        // SAFETY: `at` lies in the tables.
        unsafe { self.tables.add(at).read_volatile() }
    }

    #[inline]
    fn store(&self, at: usize, raw: u64) {
        // SAFETY: as above.
        unsafe { self.tables.add(at).write_volatile(raw) }
    }

    /// The entry for `va` in the table that `entry` points to.
    #[inline]
    fn below(&self, entry: u64, va: usize, shift: u32) -> u64 {
        self.load((entry & BASE) as usize / 8 + (va >> shift & 511))
    }

    /// The leaf for `va`, and the bytes it maps.
    #[inline]
    fn leaf(&self, va: usize) -> (u64, usize) {
        let middle = self.below(self.load(ROOT + (va >> 30)), va, 21);
        match middle & PAGE_OR_TABLE {
            0 => (middle, 2 << 20),
            _ => (self.below(middle, va, 12), PAGE),
        }
    }
}

impl Contender for Floor {
    const NAME: &'static str = "floor";

    /// The memory of the tables.
    type Kernel = *mut u64;

    fn kernel() -> Self::Kernel {
        let tables: *mut u64 = pool::touched(ALL * 8, PAGE).cast().as_ptr();
        // SAFETY: as large as that.
        unsafe { ptr::write_bytes(tables, 0, ALL) };
        tables
    }

    fn used(_: &Self::Kernel) -> usize {
        0
    }

    fn create(kernel: &mut Self::Kernel, frames: usize) -> Self {
        let space = Self { tables: *kernel, frames, mapped: false };
        // LPAE's pgd, and the pmd for the window that it shares with the kernel.
        (0..4).for_each(|i| space.store(ROOT + i, table(MIDDLE)));
        // SAFETY: the middle table.
        unsafe { ptr::write_bytes(space.tables.add(MIDDLE), 0, 512) };
        space
    }

    fn map(&mut self) {
        self.mapped = true;
        (0..512).for_each(|i| self.store(MIDDLE + i, table(LAST + i * 512)));
        for i in 0..PAGES {
            self.store(LAST + i, (self.frames + i * PAGE) as u64 | BLOCK | PAGE_OR_TABLE);
        }
    }

    fn map_large(&mut self) {
        (0..512).for_each(|i| self.store(MIDDLE + i, (LARGE_FRAMES + (i << 21)) as u64 | BLOCK));
    }

    fn map_one(&mut self, va: usize) {
        self.mapped = true;
        let index = (va - WINDOW) / PAGE;
        if self.load(MIDDLE + index / 512) == 0 {
            let last = LAST + index / 512 * 512;
            // SAFETY: one of the last tables, that nobody uses yet.
            unsafe { ptr::write_bytes(self.tables.add(last), 0, 512) };
            self.store(MIDDLE + index / 512, table(last));
        }
        self.store(LAST + index, (va - WINDOW + self.frames) as u64 | BLOCK | PAGE_OR_TABLE);
    }

    fn protect(&mut self) {
        (0..PAGES).for_each(|i| self.store(LAST + i, self.load(LAST + i) | READ_ONLY));
    }

    fn unmap(&mut self) {
        (0..PAGES).for_each(|i| self.store(LAST + i, 0));
    }

    #[inline]
    fn translate(&self, va: usize) -> Option<usize> {
        let (leaf, span) = self.leaf(va);
        (leaf != 0).then_some((leaf & BASE) as usize + (va & (span - 1)))
    }

    fn is_writable(&self, va: usize) -> bool {
        self.leaf(va).0 & READ_ONLY == 0
    }

    fn destroy(self, _: &mut Self::Kernel) {
        if self.mapped {
            // SAFETY: as large as that.
            unsafe { ptr::write_bytes(self.tables.add(LAST), 0, PAGES) };
        }
    }
}
