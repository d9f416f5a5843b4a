//! Which addresses of a window are taken: areas in a sorted list of fixed capacity, no heap.
//!
//! What lies between two areas is free, so neighbours that are given back are one gap again by themselves. Behind
//! each area a page is left out, the guard: what runs over the end of an area faults.
//!
//! An area that is unmapped but may still be in a TLB is *retired*: its addresses are not given out before
//! [`reclaim`](Areas::reclaim), which the owner calls once the flush is paid.

use core::fmt;

use crate::addr::{PAGE_SHIFT, VirtAddr, VirtRange};
use crate::attr::MemoryType;

/// Pages of the guard behind an area.
const GUARD: u32 = 1;

/// Why a window has no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AreaError {
    /// No gap is large enough.
    WindowFull,
    /// As many areas as the list holds are in use.
    TooManyAreas,
}

impl fmt::Display for AreaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WindowFull => "the window has no gap of that size left",
            Self::TooManyAreas => "the window's list of areas is full",
        })
    }
}

impl core::error::Error for AreaError {}

/// What an area holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AreaKind {
    /// A physical range that somebody else owns, as memory of this type: ioremap's.
    Io(MemoryType),
    /// Frames that are given back with the area: vmalloc's.
    Memory,
}

#[derive(Clone, Copy)]
struct Area {
    /// Its first page's number.
    first: u32,
    /// Its pages, without the guard.
    pages: u32,
    kind: AreaKind,
    retired: bool,
}

impl Area {
    const NONE: Self = Self { first: 0, pages: 0, kind: AreaKind::Memory, retired: false };

    /// One past the guard.
    const fn end(&self) -> u32 {
        self.first + self.pages + GUARD
    }

    fn range(&self) -> VirtRange {
        let page = |number: u32| VirtRange::page(VirtAddr(number << PAGE_SHIFT));
        page(self.first).hull(page(self.first + self.pages - 1))
    }
}

/// The areas of a window: `N` at most, in 12 bytes each.
///
/// Finding an area takes log(N) steps; making and removing one moves those behind it.
pub struct Areas<const N: usize> {
    /// The window's first page and the one behind its last.
    window: (u32, u32),
    /// Sorted by address; the first `len` count.
    list: [Area; N],
    len: usize,
    retired: usize,
    /// Where the last area was placed: the search goes on from there.
    next: usize,
}

impl<const N: usize> Areas<N> {
    /// No area yet. Of `window`, whole pages are used.
    pub const fn new(window: VirtRange) -> Self {
        Self { window: window.whole_pages(), list: [Area::NONE; N], len: 0, retired: 0, next: 0 }
    }

    /// The pages that areas may take; with none, the whole address space.
    pub(super) fn window(&self) -> VirtRange {
        let (first, end) = self.window;
        let last = (end << PAGE_SHIFT).wrapping_sub(1);
        VirtRange::inclusive(VirtAddr(first << PAGE_SHIFT), VirtAddr(last))
            .unwrap_or(VirtRange::ALL)
    }

    /// Areas in use, without those that are retired.
    pub fn count(&self) -> usize {
        self.len - self.retired
    }

    /// Areas that are retired.
    pub fn retired(&self) -> usize {
        self.retired
    }

    /// Every area in use, in order, without the guards.
    pub fn iter(&self) -> impl Iterator<Item = (VirtRange, AreaKind)> {
        let used = self.list[..self.len].iter().filter(|area| !area.retired);
        used.map(|area| (area.range(), area.kind))
    }

    /// Takes an area of `pages` pages, whose start has the low `shift` bits of `like`. 12 asks for no more than a page's
    /// alignment.
    ///
    /// # Errors
    /// [`AreaError`]; nothing was changed.
    pub fn allocate(
        &mut self,
        pages: u32,
        shift: u32,
        like: u64,
        kind: AreaKind,
    ) -> Result<VirtRange, AreaError> {
        if self.len == N {
            return Err(AreaError::TooManyAreas);
        }
        let unit = 1_u32 << shift.saturating_sub(PAGE_SHIFT);
        let offset = (like >> PAGE_SHIFT) as u32 & (unit - 1);
        let start = self.next.min(self.len);
        let mut index = start;
        let first = loop {
            if let Some(first) = self.fit(index, pages, unit, offset) {
                break first;
            }
            index = if index == self.len { 0 } else { index + 1 };
            if index == start {
                return Err(AreaError::WindowFull);
            }
        };
        // Mostly, there is nothing behind.
        if index < self.len {
            self.list.copy_within(index..self.len, index + 1);
        }
        let area = Area { first, pages, kind, retired: false };
        self.list[index] = area;
        self.len += 1;
        self.next = index + 1;
        Ok(area.range())
    }

    /// Where such an area would start in the gap before area `index`.
    #[inline]
    fn fit(&self, index: usize, pages: u32, unit: u32, offset: u32) -> Option<u32> {
        let from = if index == 0 { self.window.0 } else { self.list[index - 1].end() };
        let to = if index == self.len { self.window.1 } else { self.list[index].first };
        let first = from.checked_add(offset.wrapping_sub(from) & (unit - 1))?;
        let end = first.checked_add(pages)?.checked_add(GUARD)?;
        (pages > 0 && end <= to).then_some(first)
    }

    /// The area in use that starts in the page of `at`.
    #[inline]
    pub fn find(&self, at: VirtAddr) -> Option<(VirtRange, AreaKind)> {
        let area = &self.list[self.index(at)?];
        Some((area.range(), area.kind))
    }

    #[inline]
    fn index(&self, at: VirtAddr) -> Option<usize> {
        let (used, page) = (&self.list[..self.len], at.0 >> PAGE_SHIFT);
        // What was made last goes first, as often as not.
        if let Some(last) = self.next.checked_sub(1)
            && used.get(last).is_some_and(|area| area.first == page && !area.retired)
        {
            return Some(last);
        }
        let index = used.binary_search_by_key(&page, |area| area.first).ok()?;
        (!used[index].retired).then_some(index)
    }

    /// Gives the area that starts in the page of `at` back; its addresses are free at once. Whether there was one.
    pub fn release(&mut self, at: VirtAddr) -> bool {
        let Some(index) = self.index(at) else { return false };
        self.list.copy_within(index + 1..self.len, index);
        self.len -= 1;
        self.next = index;
        true
    }

    /// Gives the area that starts in the page of `at` back, but keeps its addresses until
    /// [`reclaim`](Self::reclaim). Whether there was one.
    pub fn retire(&mut self, at: VirtAddr) -> bool {
        let Some(index) = self.index(at) else { return false };
        self.list[index].retired = true;
        self.retired += 1;
        true
    }

    /// Frees the addresses of what was retired: no TLB knows them any more.
    pub fn reclaim(&mut self) {
        let mut kept = 0;
        for index in 0..self.len {
            if !self.list[index].retired {
                self.list[kept] = self.list[index];
                kept += 1;
            }
        }
        self.len = kept;
        self.retired = 0;
        self.next = 0;
    }
}
