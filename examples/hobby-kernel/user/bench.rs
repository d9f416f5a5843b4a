//! Measures the kernel from outside: instructions between a program's own.

use core::arch::asm;

use crate::calls;

/// Pages that are touched.
const PAGES: u32 = 64;
/// Rounds of what is done more than once.
const ROUNDS: u32 = 16;

/// The cycle counter.
fn now() -> u32 {
    let now;
    // SAFETY: the kernel lets programs read it.
    unsafe { asm!("mrc p15, 0, {}, c9, c13, 0", out(reg) now, options(nostack)) };
    now
}

/// Instructions that a write to `at` takes, with those of one look at the counter.
fn write(at: *mut u8) -> u32 {
    let (before, after): (u32, u32);
    // SAFETY: the caller's heap.
    unsafe {
        asm!(
            "mrc p15, 0, {before}, c9, c13, 0",
            "strb {before}, [{at}]",
            "mrc p15, 0, {after}, c9, c13, 0",
            before = out(reg) before,
            at = in(reg) at,
            after = lateout(reg) after,
            options(nostack),
        );
    }
    after.wrapping_sub(before)
}

/// Instructions of `getpid`, with those of one look at the counter.
fn getpid() -> u32 {
    let (before, after): (u32, u32);
    // SAFETY: the call changes r0 alone.
    unsafe {
        asm!(
            "mrc p15, 0, {before}, c9, c13, 0",
            "svc #0",
            "mrc p15, 0, {after}, c9, c13, 0",
            before = out(reg) before,
            after = lateout(reg) after,
            in("r7") crate::abi::call::GETPID,
            out("r0") _,
            options(nostack),
        );
    }
    after.wrapping_sub(before)
}

/// Writes a line for `cargo xtask bench`.
macro_rules! count {
    ($key:literal, $instructions:expr, $operations:expr) => {
        calls::Line::print(format_args!(
            concat!("count ", $key, " {} {}\n"),
            $instructions, $operations
        ))
    };
}

/// Measures, prints, and says whether all went as it should.
pub fn run() -> u32 {
    let heap = calls::sbrk(PAGES << 12).expect("there is memory");
    let page = |index: u32| heap.wrapping_add((index << 12) as usize);
    // The same write again, which does not fault, is not part of the fault.
    let zero: u32 = (0..PAGES).map(|index| write(page(index)) - write(page(index))).sum();
    count!("hobby_zero", zero, PAGES);

    let call: u32 = (0..ROUNDS).map(|_| getpid() - 1).sum();
    count!("hobby_getpid", call, ROUNDS);

    let (mut lives, mut copies) = (0, 0);
    for _ in 0..ROUNDS {
        let before = now();
        if calls::fork().expect("there is memory") == 0 {
            calls::exit(0);
        }
        calls::wait().expect("there is a child");
        lives += now() - before;
        // The child is gone, so these are not shared any more, but still protected.
        copies += (0..PAGES).map(|index| write(page(index)) - write(page(index))).sum::<u32>();
    }
    count!("hobby_fork", lives, ROUNDS);
    count!("hobby_reclaim", copies, ROUNDS * PAGES);
    0
}
