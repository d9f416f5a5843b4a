//! Cache maintenance by address. By set and way a CPU maintains its own level 1 alone, while its cache is off: as it starts
//! or leaves, in [`start`](super::start) (DDI 0406C B2.2.6).

use super::barrier::{ISH, dsb, isb};
use super::cp15::{CTR, DCCIMVAC, DCCMVAC, DCCMVAU, DCIMVAC, ICIMVAU};
use super::tlb::forget_predictions;

/// Bytes of the shortest data or unified cache line (CTR.DminLine, DDI 0406C B4.1).
#[inline]
pub fn data_line() -> usize {
    4 << (CTR::read() >> 16 & 0xF)
}

/// Bytes of the shortest instruction cache line of this CPU (CTR.IminLine): publish code on one that has the shortest
/// of all, where they differ.
#[inline]
pub fn instruction_line() -> usize {
    4 << (CTR::read() & 0xF)
}

/// The first bytes of the lines that hold `bytes` bytes from `from`, each exactly once: the range may end at
/// the top of the address space, so it is walked by its last line, not by its end.
///
/// `line` is a power of two, two bytes at least.
#[inline]
pub fn lines(from: usize, bytes: usize, line: usize) -> impl Iterator<Item = usize> {
    let first = from & !(line - 1);
    let count = bytes
        .checked_sub(1)
        .map_or(0, |rest| ((from.saturating_add(rest) - first) >> line.trailing_zeros()) + 1);
    (0..count).map(move |i| first + i * line)
}

/// Whether all of the line at `at`, one of the [`lines`] of that range, lies in it.
#[inline]
pub fn is_whole(at: usize, from: usize, bytes: usize, line: usize) -> bool {
    at.checked_sub(from).is_some_and(|before| bytes - before >= line)
}

/// Cleans the data lines of `bytes` bytes at `from` to the point of unification (DCCMVAU), where table walks
/// and instruction fetches see them. `line` is [`data_line`]. Complete when it returns, by a DSB ISH: a DSB ISHST, which
/// mostly follows, would not wait for it (DDI 0406C A3.8.3).
///
/// An address that is not mapped faults like a read of it.
#[cold]
#[inline(never)]
pub fn clean_to_unification(from: *const u8, bytes: usize, line: usize) {
    for at in lines(from as usize, bytes, line) {
        // SAFETY: cleaning changes no value.
        unsafe { DCCMVAU::write(at as u32) }
    }
    dsb(ISH);
}

/// Cleans and invalidates the data lines of `bytes` bytes at `from` to the point of coherency (DCCIMVAC): what
/// comes before access with the caches off, or by a device. Complete after a DSB.
#[inline]
pub fn flush_to_coherency(from: *const u8, bytes: usize) {
    for at in lines(from as usize, bytes, data_line()) {
        // SAFETY: cleaning changes no value, and what is invalidated has been cleaned.
        unsafe { DCCIMVAC::write(at as u32) }
    }
}

/// Cleans the data lines of `bytes` bytes at `from` to the point of coherency (DCCMVAC): what the CPU wrote, before a
/// device that does not snoop reads it. Complete after a DSB.
#[inline]
pub fn clean_to_coherency(from: *const u8, bytes: usize) {
    for at in lines(from as usize, bytes, data_line()) {
        // SAFETY: cleaning changes no value.
        unsafe { DCCMVAC::write(at as u32) }
    }
}

/// Invalidates the data lines of `bytes` bytes at `from` to the point of coherency (DCIMVAC): what a device that does not
/// snoop wrote, before the CPU reads it, and also before the device writes, so that no line is written back over it
/// meanwhile. A line that the range has a part of is cleaned, too: its other bytes stay. Complete after a DSB.
///
/// # Safety
/// What the CPU wrote there may be lost: the bytes are the device's.
pub unsafe fn invalidate_to_coherency(from: *mut u8, bytes: usize) {
    let (from, line) = (from as usize, data_line());
    for at in lines(from, bytes, line) {
        // SAFETY: the caller's promise, or nothing is lost.
        unsafe {
            if is_whole(at, from, bytes, line) {
                DCIMVAC::write(at as u32)
            } else {
                DCCIMVAC::write(at as u32)
            }
        }
    }
}

/// Makes instructions just written at `from` ready to run, on every CPU of the inner shareable domain but for
/// their ISB (DDI 0406C B2.2.9).
pub fn publish_code(from: *const u8, bytes: usize) {
    clean_to_unification(from, bytes, data_line());
    for at in lines(from as usize, bytes, instruction_line()) {
        // SAFETY: instruction caches hold copies only.
        unsafe { ICIMVAU::write(at as u32) }
    }
    forget_predictions();
    // Without it the invalidation may be incomplete when the ISB refetches.
    dsb(ISH);
    isb();
}
