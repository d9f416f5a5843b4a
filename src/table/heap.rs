//! Table memory on a heap of its own: what a kernel without a frame allocator starts with.

use core::alloc::Layout;
use core::fmt;
use core::iter;
use core::ptr::NonNull;

use linked_list_allocator::Heap;
use spin::{Mutex, MutexGuard};

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

/// Bytes, and alignment, of the largest table: the classic pgd.
const LARGEST_TABLE: u64 = 16 << 10;

/// Of fewer bytes there is no table, and no place for the heap's own books.
const LEAST_BYTES: usize = 32;

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

/// What is taken from the heap at once, where there is so much, and cut into tables: finding memory costs more
/// than a table of the small kinds is worth.
const CHUNK: usize = LARGEST_TABLE as usize;

/// Kinds of tables.
const KINDS: usize = 3;
/// One more than log2 of the largest table's bytes.
const SHIFTS: usize = LARGEST_TABLE.trailing_zeros() as usize + 1;

struct State {
    heap: Heap,
    /// Tables in use, by kind.
    counts: [usize; KINDS],
    /// Bytes in use.
    used: usize,
    /// Tables that came back, by log2 of their bytes: the next one for the asking. Each holds the address of
    /// the one behind it.
    spares: [Option<NonNull<Spare>>; SHIFTS],
    /// What is left of a [`CHUNK`] that was cut into tables, by log2 of their bytes; null for nothing.
    fresh: [*mut u8; SHIFTS],
}

/// A table that nobody uses.
struct Spare {
    next: Option<NonNull<Spare>>,
}

// SAFETY: spares and fresh memory are the heap's, which belongs to the state as a whole.
unsafe impl Send for State {}

/// The layout of a table of `1 << shift` bytes.
///
/// # Safety
/// The shift is below [`SHIFTS`].
unsafe fn layout(shift: u32) -> Layout {
    let bytes = 1 << shift;
    // SAFETY: the alignment is a power of two, and the bytes are far from the greatest number.
    unsafe { Layout::from_size_align_unchecked(bytes, bytes) }
}

impl State {
    /// Takes a table that came back.
    fn take_spare(&mut self, shift: u32) -> Option<NonNull<u8>> {
        let first = self.spares.get_mut(shift as usize)?;
        let spare = (*first)?;
        // SAFETY: what is in the list was put there by `free`, and is nobody's since.
        *first = unsafe { spare.read() }.next;
        Some(spare.cast())
    }

    /// Cuts a table off the chunk for its size.
    fn take_fresh(&mut self, shift: u32) -> Option<NonNull<u8>> {
        let fresh = self.fresh.get_mut(shift as usize)?;
        let table = NonNull::new(*fresh)?;
        let next = fresh.wrapping_add(1 << shift);
        *fresh = if next.addr() % CHUNK == 0 { core::ptr::null_mut() } else { next };
        Some(table)
    }

    /// Gives the spares back to the heap, where they may become memory for other kinds.
    fn release_spares(&mut self) {
        for shift in 0..SHIFTS as u32 {
            while let Some(table) = self.take_spare(shift).or_else(|| self.take_fresh(shift)) {
                // SAFETY: it came from the heap, perhaps as a piece of a chunk. The heap keeps no books of what it
                // gave away: a piece becomes a hole, and holes that touch become one. That is more than its contract
                // says, so Cargo.toml names its very version. The shift is below the bound.
                unsafe { self.heap.deallocate(table, layout(shift)) };
            }
        }
    }

    /// A table that was none before; where memory is short, the spares of every size go back first.
    #[cold]
    #[inline(never)]
    fn carve(&mut self, shift: u32) -> Option<NonNull<u8>> {
        let fresh = self.fresh.get_mut(shift as usize)?;
        // SAFETY: it is the greatest; the other is an index of `fresh`.
        let (whole, layout) = unsafe { (layout(CHUNK.trailing_zeros()), layout(shift)) };
        if let Ok(chunk) = self.heap.allocate_first_fit(whole) {
            *fresh = chunk.as_ptr();
            return self.take_fresh(shift);
        }
        self.heap
            .allocate_first_fit(layout)
            .or_else(|()| {
                self.release_spares();
                self.heap.allocate_first_fit(layout)
            })
            .ok()
    }
}

/// A [`TableMemory`] that takes tables of each size and alignment from one region, a classic pte table of
/// 1 KiB taking really 1 KiB.
///
/// A lock guards it, so it needs exclusive loads and stores to work: use it once the MMU and the caches are
/// on, as an [early map](crate#the-way-in) has them. Whatever allocates or frees takes it, edits and the drop of a
/// [`Flush`](super::flush::Flush) too: with interrupts masked, where a handler or another thread of this CPU does so.
///
/// 1 MiB lasts for the kernel's own tables and some sixty empty address spaces of 16 KiB in the classic format; 1 GiB of
/// user pages takes 1 MiB of tables there and 2 MiB under LPAE.
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
        let heap = match bytes < LEAST_BYTES {
            true => Heap::empty(),
            // SAFETY: the caller answers for the memory.
            false => unsafe { Heap::new(start.as_ptr(), bytes) },
        };
        let state = State {
            heap,
            counts: [0; KINDS],
            used: 0,
            spares: [None; SHIFTS],
            fresh: [core::ptr::null_mut(); SHIFTS],
        };
        Ok(Self { state: Mutex::new(state), offset })
    }

    /// The state, for all but [`allocate`](TableMemory::allocate), which locks it in its own code.
    #[inline(never)]
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Tables in use now.
    pub fn counts(&self) -> TableCounts {
        let [pgd, pmd, pte] = self.lock().counts;
        TableCounts { pgd, pmd, pte }
    }

    /// Bytes in use now.
    pub fn used(&self) -> usize {
        self.lock().used
    }

    /// Bytes that are not in use now, perhaps in pieces.
    pub fn free_bytes(&self) -> usize {
        let state = self.lock();
        state.heap.size() - state.used
    }
}

// SAFETY: the heap hands out disjoint memory of the asked size and alignment, at its linear mapping; the
// rest is `new`'s duty.
unsafe impl TableMemory for TableHeap {
    #[inline(never)]
    fn allocate(&self, level: &'static Level) -> Result<PhysAddr, OutOfMemory> {
        let shift = level.table_shift();
        let mut state = self.state.lock();
        let table = state
            .take_spare(shift)
            .or_else(|| state.take_fresh(shift))
            .or_else(|| state.carve(shift))
            .ok_or(OutOfMemory)?;
        state.counts[level.kind as usize] += 1;
        state.used += level.table_bytes();
        Ok(PhysAddr::truncate((table.as_ptr() as u64).wrapping_add(self.offset)))
    }

    #[inline(never)]
    unsafe fn free(&self, table: PhysAddr, level: &'static Level) {
        // SAFETY: the caller answers for it.
        unsafe { self.free_all(iter::once(table), level) };
    }

    #[inline]
    unsafe fn free_all(&self, tables: impl Iterator<Item = PhysAddr>, level: &'static Level) {
        let mut state = self.lock();
        let Some(place) = state.spares.get_mut(level.table_shift() as usize) else { return };
        let (mut first, mut count) = (*place, 0);
        for table in tables {
            let Some(spare) = NonNull::new(self.virt(table).cast::<Spare>()) else { continue };
            // SAFETY: the caller gives the table back, so it is nobody's but the heap's.
            unsafe { spare.write(Spare { next: first }) };
            first = Some(spare);
            count += 1;
        }
        *place = first;
        state.counts[level.kind as usize] -= count;
        state.used -= count << level.table_shift();
    }

    #[inline]
    fn virt(&self, at: PhysAddr) -> *mut u8 {
        (at.as_u64() as usize).wrapping_sub(self.offset as usize) as *mut u8
    }
}
