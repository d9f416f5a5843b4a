//! The heap that tables come from: sizes, alignment, counts, and what happens when it is full.

use std::ptr::NonNull;

use crate::support::*;
use armv7a_mm::format::Level;
use armv7a_mm::table::heap::{Incongruent, TableCounts, TableHeap};
use armv7a_mm::table::mem::{OutOfMemory, TableMemory};

/// Bytes of the heap.
const BYTES: usize = 128 << 10;

/// Physical minus virtual address, modulo 2^64, and a heap there.
fn heap(ram: &mut Vec<u128>) -> TableHeap {
    ram.resize((BYTES + (16 << 10)) / 16, 0xA5A5);
    let skip = ram.as_mut_ptr().align_offset(16 << 10);
    let start = NonNull::from(&mut ram[skip]).cast::<u8>();
    // SAFETY: the memory is the test's, and outlives the heap.
    unsafe { TableHeap::new(start, BYTES, phys(0x1_4000_0000)) }.unwrap()
}

fn levels() -> impl Iterator<Item = &'static Level> {
    Classic::LEVELS.iter().chain(Lpae::LEVELS)
}

#[test]
fn a_table_takes_its_own_size_and_no_more() {
    let mut ram = Vec::new();
    let heap = heap(&mut ram);
    for level in levels() {
        let table = heap.allocate(level).unwrap();
        assert!(table.is_aligned(level.table_shift()), "{}: {table}", level.name);
        assert_eq!(heap.used(), level.table_bytes());
        assert_eq!(heap.free_bytes(), BYTES - level.table_bytes());
        let inside = 0x1_4000_0000..0x1_4000_0000 + BYTES as u64;
        assert!(inside.contains(&table.as_u64()), "{table} is not in the heap");
        // SAFETY: it was just allocated, and nothing points to it.
        unsafe { heap.free(table, level) };
        assert_eq!((heap.used(), heap.counts()), (0, TableCounts::default()));
    }
}

#[test]
fn kinds_are_counted_apart() {
    let mut ram = Vec::new();
    let heap = heap(&mut ram);
    let tables: Vec<_> = levels().map(|level| (heap.allocate(level).unwrap(), level)).collect();
    assert_eq!(heap.counts(), TableCounts { pgd: 2, pmd: 1, pte: 2 });
    for (table, level) in tables {
        // SAFETY: as above.
        unsafe { heap.free(table, level) };
    }
    assert_eq!(heap.counts(), TableCounts::default());
}

#[test]
fn what_came_back_is_the_next() {
    let mut ram = Vec::new();
    let heap = heap(&mut ram);
    let level = &Lpae::LEVELS[1];
    let [first, second] = [0; 2].map(|_| heap.allocate(level).unwrap());
    // SAFETY: as above.
    unsafe {
        heap.free(first, level);
        heap.free(second, level);
    }
    assert_eq!([0; 3].map(|_| heap.allocate(level).unwrap())[..2], [second, first]);
}

/// Together they come back as they would one by one, each free to be overwritten when the next is asked for.
#[test]
fn many_come_back_at_once() {
    let mut ram = Vec::new();
    let heap = heap(&mut ram);
    let level = &Lpae::LEVELS[1];
    let tables = [0; 3].map(|_| heap.allocate(level).unwrap());
    let kept = heap.allocate(level).unwrap();
    let wipe = |table: PhysAddr| {
        // SAFETY: the table is the test's until it has been handed out.
        unsafe { heap.virt(table).write_bytes(0xEE, level.table_bytes()) };
        table
    };
    // SAFETY: as above.
    unsafe { heap.free_all(tables.into_iter().map(wipe), level) };
    assert_eq!(heap.used(), level.table_bytes());
    assert_eq!(heap.counts(), TableCounts { pmd: 1, ..TableCounts::default() });
    let [first, second, third] = tables;
    assert_eq!([0; 3].map(|_| heap.allocate(level).unwrap()), [third, second, first]);
    assert!(!tables.contains(&kept) && !tables.contains(&heap.allocate(level).unwrap()));
    // SAFETY: as above; of none, none does.
    unsafe { heap.free_all(std::iter::empty(), level) };
    assert_eq!(heap.used(), 5 * level.table_bytes());
}

/// Tables that came back are memory for other sizes, too, once there is no other.
#[test]
fn a_full_heap_gives_spares_to_other_sizes() {
    let mut ram = Vec::new();
    let heap = heap(&mut ram);
    let (small, large) = (&Classic::LEVELS[1], &Classic::LEVELS[0]);
    let fill = |level: &'static Level| -> Vec<PhysAddr> {
        std::iter::from_fn(|| heap.allocate(level).ok()).collect()
    };
    for level in [small, large, small] {
        let tables = fill(level);
        assert_eq!(tables.len(), BYTES / level.table_bytes(), "{}", level.name);
        assert_eq!(heap.free_bytes(), 0);
        assert_eq!(heap.allocate(&Lpae::LEVELS[0]), Err(OutOfMemory));
        for table in tables {
            // SAFETY: as above.
            unsafe { heap.free(table, level) };
        }
        assert_eq!(heap.free_bytes(), BYTES);
    }
}

#[test]
fn addresses_must_agree_modulo_the_largest_table() {
    let mut ram = [0u128; 64];
    let start = NonNull::from(&mut ram[0]).cast::<u8>();
    let at = start.as_ptr() as u64;
    for off in [0x1000, 0x2000, 0x10] {
        let phys = PhysAddr::truncate((at & 0x3FFF) + 0x4000_0000 + off);
        // SAFETY: the memory is the test's.
        let made = unsafe { TableHeap::new(start, 1024, phys) };
        assert_eq!(made.map(|_| ()), Err(Incongruent), "{off:#x} apart");
    }
}

/// Of next to no memory, also unaligned, there is a heap that has no table.
#[test]
fn a_heap_of_next_to_nothing_is_full() {
    let mut ram = [0_u128; 8];
    for (start, bytes) in (0..16).flat_map(|start| (0..64).map(move |bytes| (start, bytes))) {
        let at = NonNull::from(&mut ram).cast::<u8>();
        // SAFETY: 80 bytes are within the 128.
        let at = unsafe { at.add(start) };
        let phys = PhysAddr::truncate(at.as_ptr() as u64 & 0xFFFF);
        // SAFETY: the memory is the test's, and outlives the heap.
        let heap = unsafe { TableHeap::new(at, bytes, phys) }.unwrap();
        assert_eq!(heap.allocate(&Classic::LEVELS[0]), Err(OutOfMemory));
        assert_eq!(heap.used(), 0);
    }
}

/// A level is data that anybody can change.
#[test]
fn what_is_larger_than_any_table_is_refused() {
    let mut ram = Vec::new();
    let heap = heap(&mut ram);
    for last in [(1 << 15) - 1, usize::MAX >> 1] {
        let mut level = Classic::LEVELS[0];
        level.last = last;
        assert_eq!(heap.allocate(Box::leak(Box::new(level))), Err(OutOfMemory));
    }
    assert_eq!((heap.used(), heap.counts()), (0, TableCounts::default()));
}
