//! Table memory on a heap of its own: what a kernel without a frame allocator starts with.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

use linked_list_allocator::Heap;
use spin::Mutex;

use super::mem::{OutOfMemory, TableMemory};
use crate::addr::PhysAddr;
use crate::format::Level;

/// Tables in use, by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TableCounts {
    /// Roots.
    pub pgd: usize,
    /// Middle tables, LPAE alone.
    pub pmd: usize,
    /// Last-level tables.
    pub pte: usize,
}

impl TableCounts {
    fn of(&mut self, level: &Level) -> &mut usize {
        match level.name {
            "pgd" => &mut self.pgd,
            "pmd" => &mut self.pmd,
            _ => &mut self.pte,
        }
    }
}

/// Bytes, and alignment, of the largest table: the classic pgd.
const LARGEST_TABLE: u64 = 16 << 10;

/// The virtual and the physical address of a table heap do not agree modulo 16 KiB, the alignment of the
/// largest table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Incongruent;

impl fmt::Display for Incongruent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("virtual and physical address of the table heap must agree modulo 16 KiB")
    }
}

impl core::error::Error for Incongruent {}

struct State {
    heap: Heap,
    counts: TableCounts,
}

/// A [`TableMemory`] that takes tables of each size and alignment from one region, a classic pte table of
/// 1 KiB taking really 1 KiB.
///
/// A lock guards it, so it needs exclusive loads and stores to work: use it once the MMU and the caches are
/// on.
pub struct TableHeap {
    state: Mutex<State>,
    /// Physical minus virtual address.
    offset: u64,
}

impl TableHeap {
    /// Allocates from the `bytes` bytes at `start`, which lie at `phys`.
    ///
    /// # Errors
    /// [`Incongruent`]: what is aligned virtually would not be so physically.
    ///
    /// # Safety
    /// The memory is mapped for reading and writing, linearly, as normal cacheable memory, belongs to
    /// nobody else for as long as the heap is used, and in the classic format lies below 4 GiB physically.
    pub unsafe fn new(
        start: NonNull<u8>,
        bytes: usize,
        phys: PhysAddr,
    ) -> Result<Self, Incongruent> {
        let offset = phys.as_u64().wrapping_sub(start.as_ptr() as u64);
        if offset & (LARGEST_TABLE - 1) != 0 {
            return Err(Incongruent);
        }
        // SAFETY: the caller answers for the memory.
        let heap = unsafe { Heap::new(start.as_ptr(), bytes) };
        Ok(Self { state: Mutex::new(State { heap, counts: TableCounts::default() }), offset })
    }

    /// Tables in use now.
    pub fn counts(&self) -> TableCounts {
        self.state.lock().counts
    }

    /// Bytes in use now.
    pub fn used(&self) -> usize {
        self.state.lock().heap.used()
    }

    /// Bytes free now, perhaps in pieces.
    pub fn free_bytes(&self) -> usize {
        self.state.lock().heap.free()
    }

    fn layout(level: &Level) -> Option<Layout> {
        Layout::from_size_align(level.table_bytes(), level.table_bytes()).ok()
    }
}

// SAFETY: the heap hands out disjoint memory of the asked size and alignment, at its linear mapping; the
// rest is `new`'s duty.
unsafe impl TableMemory for TableHeap {
    fn allocate(&self, level: &'static Level) -> Result<PhysAddr, OutOfMemory> {
        let layout = Self::layout(level).ok_or(OutOfMemory)?;
        let mut state = self.state.lock();
        let table = state.heap.allocate_first_fit(layout).map_err(|()| OutOfMemory)?;
        *state.counts.of(level) += 1;
        Ok(PhysAddr::truncate((table.as_ptr() as u64).wrapping_add(self.offset)))
    }

    unsafe fn free(&self, table: PhysAddr, level: &'static Level) {
        let (Some(layout), Some(at)) = (Self::layout(level), NonNull::new(self.virt(table))) else {
            return;
        };
        let mut state = self.state.lock();
        // SAFETY: the caller gives back what `allocate` returned, with the same layout.
        unsafe { state.heap.deallocate(at, layout) };
        *state.counts.of(level) -= 1;
    }

    #[inline]
    fn virt(&self, at: PhysAddr) -> *mut u8 {
        at.as_u64().wrapping_sub(self.offset) as usize as *mut u8
    }
}
