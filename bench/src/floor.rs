//! What nobody can do without: LPAE's descriptors looked at, stored and changed one by one, and tables taken, zeroed where
//! leaves will not fill them, and given back.

use std::ptr;

use crate::contender::{BYTES, Contender, LARGE_FRAMES, PAGE, WINDOW};
use crate::pool;

/// A block, valid, young and writable; what makes it a page or a table; what makes it read-only.
const BLOCK: u64 = 0x4C5 & !READ_ONLY;
const PAGE_OR_TABLE: u64 = 1 << 1;
const READ_ONLY: u64 = 1 << 7;
/// The bits of a frame, or of a table: physical addresses are virtual ones, of 47 bits at most.
const BASE: u64 = 0x7FFF_FFFF_F000;

/// Entries of a table.
const ENTRIES: usize = 512;
/// Bytes behind an entry of the middle table.
const SPAN: usize = ENTRIES * PAGE;

/// A table of 512 descriptors.
#[derive(Clone, Copy)]
struct Table(*mut u64);

impl Table {
    fn take() -> Self {
        Self(pool::take(pool::FRAME_SHIFT).expect("the pool is large").as_ptr().cast())
    }

    fn zero(self) {
        // SAFETY: as long as that.
        unsafe { ptr::write_bytes(self.0, 0, ENTRIES) };
    }

    fn give(self) {
        // SAFETY: it came from there.
        unsafe { pool::give(self.0.cast(), pool::FRAME_SHIFT) };
    }

    #[inline]
    fn load(self, index: usize) -> u64 {
        // SAFETY: an index within the table, here and below.
        unsafe { self.0.add(index % ENTRIES).read_volatile() }
    }

    #[inline]
    fn store(self, index: usize, raw: u64) {
        // SAFETY: as above.
        unsafe { self.0.add(index % ENTRIES).write_volatile(raw) }
    }

    /// The entry for it.
    fn link(self) -> u64 {
        self.0 as u64 | BLOCK | PAGE_OR_TABLE
    }

    /// The table that an entry points to, if it does.
    #[inline]
    fn below(raw: u64) -> Option<Self> {
        (raw & PAGE_OR_TABLE != 0).then_some(Self((raw & BASE) as *mut u64))
    }
}

/// An address space: LPAE's root, and the middle table for the window that it shares with the kernel.
pub struct Floor {
    root: Table,
    middle: Table,
    frames: usize,
}

impl Floor {
    /// The entries of the middle table for the window.
    fn window() -> impl Iterator<Item = usize> {
        (0..BYTES / SPAN).map(|i| i + WINDOW / SPAN)
    }

    /// The window's last tables, where there are any.
    fn last(&self) -> impl Iterator<Item = Table> {
        let middle = self.middle;
        Self::window().filter_map(move |index| Table::below(middle.load(index)))
    }

    /// The leaf for `va`, and the bytes it maps.
    #[inline]
    fn leaf(&self, va: usize) -> (u64, usize) {
        let root = Table::below(self.root.load(va >> 30 & 3));
        let middle = root.map_or(0, |middle| middle.load(va / SPAN));
        match Table::below(middle) {
            Some(last) => (last.load(va / PAGE), PAGE),
            None => (middle, SPAN),
        }
    }
}

impl Contender for Floor {
    const NAME: &'static str = "floor";

    type Kernel = ();

    fn kernel() {}

    fn used((): &()) -> usize {
        pool::used()
    }

    fn create((): &mut (), frames: usize) -> Self {
        let space = Self { root: Table::take(), middle: Table::take(), frames };
        (0..4).for_each(|index| space.root.store(index, space.middle.link()));
        space.middle.zero();
        space
    }

    fn map(&mut self) {
        let mut phys = self.frames;
        for index in Self::window() {
            let last = Table::take();
            for page in 0..ENTRIES {
                last.store(page, phys as u64 | BLOCK | PAGE_OR_TABLE);
                phys += PAGE;
            }
            self.middle.store(index, last.link());
        }
    }

    fn map_large(&mut self) {
        let mut phys = LARGE_FRAMES;
        for index in Self::window() {
            self.middle.store(index, phys as u64 | BLOCK);
            phys += SPAN;
        }
    }

    fn map_one(&mut self, va: usize) {
        let last = Table::below(self.middle.load(va / SPAN)).unwrap_or_else(|| {
            let last = Table::take();
            last.zero();
            self.middle.store(va / SPAN, last.link());
            last
        });
        if last.load(va / PAGE) == 0 {
            let phys = va - WINDOW + self.frames;
            last.store(va / PAGE, phys as u64 | BLOCK | PAGE_OR_TABLE);
        }
    }

    fn protect(&mut self) {
        for last in self.last() {
            (0..ENTRIES).for_each(|page| last.store(page, last.load(page) | READ_ONLY));
        }
    }

    fn unmap(&mut self) {
        for index in Self::window() {
            if let Some(last) = Table::below(self.middle.load(index)) {
                self.middle.store(index, 0);
                last.give();
            }
        }
    }

    #[inline]
    fn translate(&self, va: usize) -> Option<usize> {
        let (leaf, span) = self.leaf(va);
        (leaf != 0).then_some((leaf & BASE) as usize + (va & (span - 1)))
    }

    fn is_writable(&self, va: usize) -> bool {
        self.leaf(va).0 & READ_ONLY == 0
    }

    fn destroy(self, (): &mut ()) {
        self.last().for_each(Table::give);
        self.middle.give();
        self.root.give();
    }
}
