//! Programs that do nothing wrong.

use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::{calls, println};

/// Every process has its own, at the same address.
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// Counts to a number of its own, and never gives the CPU away: the timer takes it.
pub fn count(argument: u32) -> u32 {
    let goal = argument * 1_000_000;
    for _ in 0..goal {
        COUNTER.fetch_add(1, Relaxed);
    }
    let counted = COUNTER.load(Relaxed);
    println!("counted to {counted} at {:p}", &COUNTER);
    u32::from(counted != goal)
}

/// Uses heap and stack that are not there yet.
pub fn grow() -> u32 {
    const BYTES: usize = 1 << 20;
    let heap = calls::sbrk(BYTES as u32).expect("there is memory");
    // SAFETY: the kernel gave it to nobody else.
    let heap = unsafe { core::slice::from_raw_parts_mut(heap, BYTES) };
    assert!(heap.iter().step_by(512).all(|&byte| byte == 0), "fresh memory is not zero");
    for (index, word) in heap.chunks_exact_mut(4).enumerate() {
        word.copy_from_slice(&(index as u32).to_le_bytes());
    }
    let right =
        heap.chunks_exact(4).enumerate().all(|(index, word)| word == (index as u32).to_le_bytes());
    let sum = deep(100);
    println!(
        "{} KiB of heap hold what was written, the stack went 100 calls of 1 KiB deep",
        BYTES >> 10
    );
    u32::from(!right || sum != 5050)
}

/// The sum of all numbers up to `depth`, by way of the stack.
fn deep(depth: u32) -> u32 {
    let kilobyte = black_box([depth; 256]);
    if depth == 0 { 0 } else { kilobyte[255] + deep(depth - 1) }
}

/// Forks, and looks whether memory is shared where it should not be.
pub fn fork() -> u32 {
    let pages = calls::sbrk(2 << 12).expect("there is memory").cast::<AtomicU32>();
    // SAFETY: the kernel gave both to nobody else, and they are zero.
    let (heap, status) = unsafe { (&*pages, &*pages.byte_add(1 << 12)) };
    heap.store(1, Relaxed);
    COUNTER.store(1, Relaxed);
    for child in 1..=3 {
        match calls::fork().expect("there is memory") {
            0 => {
                // The parent's memory, until this writes to it.
                let seen = heap.load(Relaxed) + COUNTER.load(Relaxed);
                heap.store(100 * child, Relaxed);
                COUNTER.store(10 * child, Relaxed);
                calls::yield_now();
                let kept = heap.load(Relaxed) + COUNTER.load(Relaxed);
                println!("child {child} saw {seen}, and has {kept} now");
                calls::exit(if seen == 2 && kept == 110 * child { child } else { 99 });
            }
            pid => println!("forked child {child}: process {pid}"),
        }
    }
    let mut sum = 0;
    // The kernel is the first to write to the page of the status.
    while calls::wait_at(status.as_ptr() as u32).is_ok() {
        sum += status.load(Relaxed);
    }
    let seen = heap.load(Relaxed) + COUNTER.load(Relaxed);
    println!("all children ended, the parent still has {seen}");
    u32::from(sum != 6 || seen != 2)
}

/// Asks the kernel's module for the time.
pub fn clock() -> u32 {
    match calls::time() {
        Ok(seconds) => {
            println!("it is {seconds} s past 1970");
            // QEMU's clock is the host's: some time after this was written.
            u32::from(seconds < 1_700_000_000)
        }
        Err(error) => {
            println!("there is no clock: error {}", error as i32);
            1
        }
    }
}
