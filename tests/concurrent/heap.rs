//! The heap that tables come from, under real threads.

use std::ptr::NonNull;
use std::sync::Barrier;
use std::thread;

use armv7a_mm::addr::PhysAddr;
use armv7a_mm::format::{Classic, Format, Level, Lpae};
use armv7a_mm::table::heap::{TableCounts, TableHeap};
use armv7a_mm::table::mem::TableMemory;

const THREADS: u64 = 4;
const ROUNDS: u64 = 3000;

/// Threads take tables of every kind, mark them as their own, and give them back: no two ever have the same bytes, and
/// in the end all is as it was.
#[test]
fn threads_share_it() {
    let mut ram = vec![0u128; (1 << 20) / 16];
    let skip = ram.as_mut_ptr().align_offset(16 << 10);
    let start = NonNull::from(&mut ram[skip]).cast::<u8>();
    let bytes = (ram.len() - skip) * 16;
    // SAFETY: the memory is this test's, and outlives the heap.
    let heap = unsafe { TableHeap::new(start, bytes, PhysAddr::from_u32(0x4000_0000)) };
    let heap = heap.expect("both addresses are aligned alike");
    let (empty, begin) = (heap.free_bytes(), Barrier::new(THREADS as usize));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (heap, begin) = (&heap, &begin);
            scope.spawn(move || {
                begin.wait();
                (0..ROUNDS).for_each(|round| take_and_give(heap, thread, round));
            });
        }
    });
    assert_eq!((heap.counts(), heap.used()), (TableCounts::default(), 0));
    assert_eq!(heap.free_bytes(), empty);
}

fn take_and_give(heap: &TableHeap, thread: u64, round: u64) {
    let levels: Vec<&'static Level> = Classic::LEVELS.iter().chain(Lpae::LEVELS).collect();
    let level = levels[((thread + round) % levels.len() as u64) as usize];
    let Ok(table) = heap.allocate(level) else { return };
    let words = level.table_bytes() / 8;
    let at = heap.virt(table).cast::<u64>();
    let mark = thread << 32 | round;
    // SAFETY: the table is this thread's until it is freed, and has that many words.
    unsafe {
        (0..words).for_each(|word| at.add(word).write(mark));
        thread::yield_now();
        assert!((0..words).all(|word| at.add(word).read() == mark), "somebody else has it, too");
        heap.free(table, level);
    }
}
