//! The shortest loops for many descriptors: eight registers a turn, each descriptor stored whole. A long one takes STRD
//! where walks may see it; memory that none reaches is written by STM in both formats.

use core::arch::asm;

use armv7a_mm::format::{Active, Descriptor, Format};

use crate::plain::Raw;

/// Whether descriptors are long.
const LONG: bool = Active::LEVELS.len() > 2;
/// Descriptors a turn.
const TURN: usize = 32 / size_of::<Raw>();

/// A loop over 32 bytes a turn: r0 to r5, r8 and r9 are its own.
macro_rules! turns {
    ($turns:expr, [$($line:literal),* $(,)?], $($operands:tt)*) => {
        asm!(
            "2:",
            $($line,)*
            "subs {turns}, {turns}, #1",
            "bne 2b",
            turns = inout(reg) $turns => _,
            $($operands)*
            options(nostack),
        )
    };
}

/// Stores `count` descriptors, each `step` more than the one before, all in the same 4 GiB.
///
/// # Safety
/// They lie at `at`, and are the caller's to write; `count` is a multiple of eight, and not 0. So for all that follow.
#[inline(always)]
pub unsafe fn fill(at: *mut Raw, count: usize, first: Raw, step: u32) {
    let low = |n: u32| (first.as_u64() as u32).wrapping_add(step.wrapping_mul(n));
    let stride = step.wrapping_mul(TURN as u32);
    // SAFETY: the caller's promise.
    unsafe {
        if LONG {
            let high = (first.as_u64() >> 32) as u32;
            turns!(
                count / TURN,
                [
                    "strd r0, r1, [{at}], #8",
                    "strd r2, r3, [{at}], #8",
                    "strd r4, r5, [{at}], #8",
                    "strd r8, r9, [{at}], #8",
                    "add r0, r0, {stride}",
                    "add r2, r2, {stride}",
                    "add r4, r4, {stride}",
                    "add r8, r8, {stride}",
                ],
                at = inout(reg) at => _,
                stride = in(reg) stride,
                inout("r0") low(0) => _, in("r1") high, inout("r2") low(1) => _, in("r3") high,
                inout("r4") low(2) => _, in("r5") high, inout("r8") low(3) => _, in("r9") high,
            );
        } else {
            turns!(
                count / TURN,
                [
                    "stm {at}!, {{r0-r5, r8, r9}}",
                    "add r0, r0, {stride}",
                    "add r1, r1, {stride}",
                    "add r2, r2, {stride}",
                    "add r3, r3, {stride}",
                    "add r4, r4, {stride}",
                    "add r5, r5, {stride}",
                    "add r8, r8, {stride}",
                    "add r9, r9, {stride}",
                ],
                at = inout(reg) at => _,
                stride = in(reg) stride,
                inout("r0") low(0) => _, inout("r1") low(1) => _, inout("r2") low(2) => _,
                inout("r3") low(3) => _, inout("r4") low(4) => _, inout("r5") low(5) => _,
                inout("r8") low(6) => _, inout("r9") low(7) => _,
            );
        }
    }
}

/// Inverts the bits of `flip` in the low words of `count` descriptors.
///
/// # Safety
/// As for [`fill`].
#[inline(always)]
pub unsafe fn flip(at: *mut Raw, count: usize, flip: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        if LONG {
            turns!(
                count / TURN,
                [
                    "ldm {at}, {{r0-r5, r8, r9}}",
                    "eor r0, r0, {flip}",
                    "eor r2, r2, {flip}",
                    "eor r4, r4, {flip}",
                    "eor r8, r8, {flip}",
                    "strd r0, r1, [{at}], #8",
                    "strd r2, r3, [{at}], #8",
                    "strd r4, r5, [{at}], #8",
                    "strd r8, r9, [{at}], #8",
                ],
                at = inout(reg) at => _,
                flip = in(reg) flip,
                out("r0") _, out("r1") _, out("r2") _, out("r3") _,
                out("r4") _, out("r5") _, out("r8") _, out("r9") _,
            );
        } else {
            turns!(
                count / TURN,
                [
                    "ldm {at}, {{r0-r5, r8, r9}}",
                    "eor r0, r0, {flip}",
                    "eor r1, r1, {flip}",
                    "eor r2, r2, {flip}",
                    "eor r3, r3, {flip}",
                    "eor r4, r4, {flip}",
                    "eor r5, r5, {flip}",
                    "eor r8, r8, {flip}",
                    "eor r9, r9, {flip}",
                    "stm {at}!, {{r0-r5, r8, r9}}",
                ],
                at = inout(reg) at => _,
                flip = in(reg) flip,
                out("r0") _, out("r1") _, out("r2") _, out("r3") _,
                out("r4") _, out("r5") _, out("r8") _, out("r9") _,
            );
        }
    }
}

/// Stores zeros to `count` descriptors that no walk reaches.
///
/// # Safety
/// As for [`fill`].
#[inline(always)]
pub unsafe fn zero(at: *mut Raw, count: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        turns!(
            count / TURN,
            ["stm {at}!, {{r0-r5, r8, r9}}"],
            at = inout(reg) at => _,
            in("r0") 0, in("r1") 0, in("r2") 0, in("r3") 0,
            in("r4") 0, in("r5") 0, in("r8") 0, in("r9") 0,
        );
    }
}

/// Copies `count` descriptors to where no walk reaches them.
///
/// # Safety
/// As for [`fill`]; as many lie at `from`, which is elsewhere.
#[inline(always)]
pub unsafe fn copy(at: *mut Raw, from: *const Raw, count: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        turns!(
            count / TURN,
            ["ldm {from}!, {{r0-r5, r8, r9}}", "stm {at}!, {{r0-r5, r8, r9}}"],
            at = inout(reg) at => _,
            from = inout(reg) from => _,
            out("r0") _, out("r1") _, out("r2") _, out("r3") _,
            out("r4") _, out("r5") _, out("r8") _, out("r9") _,
        );
    }
}
