//! Many neighbouring descriptors at once, by the instructions that are best at it.
//!
//! LDM and STM move words, each of them single-copy atomic; a long descriptor is read by LDM only where a table's
//! one editor reads what it alone changes, and always stored by STRD, whole (DDI 0406C A3.5.3).

use core::arch::asm;

/// Bytes a turn, in most loops: eight registers' worth.
pub(super) const BYTES: usize = 32;
/// Bytes a turn of [`zero`].
pub(super) const ZEROED: usize = 4 * BYTES;
/// Bytes a turn of [`fill_low`].
pub(super) const FILLED: usize = 2 * BYTES;

/// A loop over `turns` of what r0 to r5, r8 and r9 hold at once: the registers that the compiler leaves to
/// inline assembly, in LDM's order. The instructions of a turn, where the turns that are left go, the other
/// operands. A branch to `3f` ends the loop early.
macro_rules! eight_a_turn {
    ($($instruction:literal)+; $turns:ident => $left:tt, $($operand:tt)+) => {
        asm!(
            "2:",
            $($instruction,)+
            "subs {turns}, {turns}, #1",
            "bne 2b",
            "3:",
            turns = inout(reg) $turns => $left,
            out("r0") _, out("r1") _, out("r2") _, out("r3") _,
            out("r4") _, out("r5") _, out("r8") _, out("r9") _,
            $($operand)+
        )
    };
}

/// The bits that all even and all odd of `turns` times eight words at `at` have set: long descriptors' low and high ones.
///
/// # Safety
/// They are readable and aligned; `turns` is not 0.
#[inline]
pub(super) unsafe fn common_bits(at: *const u32, turns: usize) -> [u32; 2] {
    let (mut even, mut odd) = (u32::MAX, u32::MAX);
    // SAFETY: reads what the caller vouches for.
    unsafe {
        eight_a_turn!(
            "ldmia {at}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}"
            "and {even}, {even}, r0"
            "and {odd}, {odd}, r1"
            "and {even}, {even}, r2"
            "and {odd}, {odd}, r3"
            "and {even}, {even}, r4"
            "and {odd}, {odd}, r5"
            "and {even}, {even}, r8"
            "and {odd}, {odd}, r9"
            ; turns => _,
            at = inout(reg) at => _,
            even = inout(reg) even,
            odd = inout(reg) odd,
            options(nostack, readonly),
        );
    }
    [even, odd]
}

/// Whether `turns` times four long descriptors at `at` agree with `model` in their high words and in the low 12
/// bits: pages of one kind, in the same 4 GiB.
///
/// # Safety
/// They are readable and aligned; `turns` is not 0.
#[inline]
pub(super) unsafe fn is_uniform(at: *const u64, mut turns: usize, model: u64) -> bool {
    // SAFETY: reads what the caller vouches for.
    unsafe {
        eight_a_turn!(
            "ldmia {at}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}"
            "eor r0, r0, {low}"
            "eor r2, r2, {low}"
            "eor r4, r4, {low}"
            "eor r8, r8, {low}"
            "orr r0, r0, r2"
            "orr r4, r4, r8"
            "orr r0, r0, r4"
            "lsls r0, r0, #20"
            "itttt eq" // for Thumb
            "cmpeq r1, {high}"
            "cmpeq r3, {high}"
            "cmpeq r5, {high}"
            "cmpeq r9, {high}"
            "bne 3f"
            ; turns => turns,
            at = inout(reg) at => _,
            low = in(reg) model as u32,
            high = in(reg) (model >> 32) as u32,
            options(nostack, readonly),
        );
    }
    turns == 0
}

/// Inverts the bits of `flip` in the low words of `turns` times four long descriptors at `at`.
///
/// # Safety
/// They are aligned and may be changed so; `turns` is not 0.
#[inline]
pub(super) unsafe fn flip_low(at: *mut u64, turns: usize, flip: u32) {
    // SAFETY: changes what the caller vouches for.
    unsafe {
        eight_a_turn!(
            "ldmia {at}, {{r0, r1, r2, r3, r4, r5, r8, r9}}"
            "eor r0, r0, {flip}"
            "eor r2, r2, {flip}"
            "eor r4, r4, {flip}"
            "eor r8, r8, {flip}"
            "strd r0, r1, [{at}], #8"
            "strd r2, r3, [{at}], #8"
            "strd r4, r5, [{at}], #8"
            "strd r8, r9, [{at}], #8"
            ; turns => _,
            at = inout(reg) at => _,
            flip = in(reg) flip,
            options(nostack),
        );
    }
}

/// Whether `turns` times eight words at `at` are all zero.
///
/// # Safety
/// They are readable and aligned; `turns` is not 0.
#[inline]
pub(super) unsafe fn are_zero(at: *const u32, turns: usize) -> bool {
    let mut any = 0;
    // SAFETY: reads what the caller vouches for.
    unsafe {
        eight_a_turn!(
            "ldmia {at}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}"
            "orr {any}, {any}, r0"
            "orr {any}, {any}, r1"
            "orr {any}, {any}, r2"
            "orr {any}, {any}, r3"
            "orr {any}, {any}, r4"
            "orr {any}, {any}, r5"
            "orr {any}, {any}, r8"
            "orr {any}, {any}, r9"
            ; turns => _,
            at = inout(reg) at => _,
            any = inout(reg) any,
            options(nostack, readonly),
        );
    }
    any == 0_u32
}

/// The bits in which any of `turns` times eight short descriptors at `at` differs from `model`.
///
/// # Safety
/// They are readable and aligned; `turns` is not 0.
#[inline]
pub(super) unsafe fn difference(at: *const u32, turns: usize, model: u32) -> u32 {
    let mut differ = 0;
    // SAFETY: reads what the caller vouches for.
    unsafe {
        eight_a_turn!(
            "ldmia {at}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}"
            "eor r0, r0, {model}"
            "eor r1, r1, {model}"
            "eor r2, r2, {model}"
            "eor r3, r3, {model}"
            "eor r4, r4, {model}"
            "eor r5, r5, {model}"
            "eor r8, r8, {model}"
            "eor r9, r9, {model}"
            "orr {differ}, {differ}, r0"
            "orr {differ}, {differ}, r1"
            "orr {differ}, {differ}, r2"
            "orr {differ}, {differ}, r3"
            "orr {differ}, {differ}, r4"
            "orr {differ}, {differ}, r5"
            "orr {differ}, {differ}, r8"
            "orr {differ}, {differ}, r9"
            ; turns => _,
            at = inout(reg) at => _,
            model = in(reg) model,
            differ = inout(reg) differ,
            options(nostack, readonly),
        );
    }
    differ
}

/// Inverts the bits of `flip` in `turns` times eight short descriptors at `at`.
///
/// # Safety
/// They are aligned and may be changed so; `turns` is not 0.
#[inline]
pub(super) unsafe fn flip(at: *mut u32, turns: usize, flip: u32) {
    // SAFETY: changes what the caller vouches for.
    unsafe {
        eight_a_turn!(
            "ldmia {at}, {{r0, r1, r2, r3, r4, r5, r8, r9}}"
            "eor r0, r0, {flip}"
            "eor r1, r1, {flip}"
            "eor r2, r2, {flip}"
            "eor r3, r3, {flip}"
            "eor r4, r4, {flip}"
            "eor r5, r5, {flip}"
            "eor r8, r8, {flip}"
            "eor r9, r9, {flip}"
            "stmia {at}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}"
            ; turns => _,
            at = inout(reg) at => _,
            flip = in(reg) flip,
            options(nostack),
        );
    }
}

/// Writes `first` and its successors, each `step` further, to `turns` times eight short descriptors at `at`.
///
/// # Safety
/// They are aligned and may be changed so; `turns` is not 0.
#[inline]
pub(super) unsafe fn fill(at: *mut u32, turns: usize, first: u32, step: u32) {
    let next = |n: u32| first.wrapping_add(step.wrapping_mul(n));
    // SAFETY: changes what the caller vouches for.
    unsafe {
        asm!(
            "2:",
            "stmia {at}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}",
            "add r0, r0, {stride}",
            "add r1, r1, {stride}",
            "add r2, r2, {stride}",
            "add r3, r3, {stride}",
            "add r4, r4, {stride}",
            "add r5, r5, {stride}",
            "add r8, r8, {stride}",
            "add r9, r9, {stride}",
            "subs {turns}, {turns}, #1",
            "bne 2b",
            at = inout(reg) at => _,
            turns = inout(reg) turns => _,
            stride = in(reg) step.wrapping_mul(8),
            inout("r0") first => _,
            inout("r1") next(1) => _,
            inout("r2") next(2) => _,
            inout("r3") next(3) => _,
            inout("r4") next(4) => _,
            inout("r5") next(5) => _,
            inout("r8") next(6) => _,
            inout("r9") next(7) => _,
            options(nostack),
        );
    }
}

/// Writes `first` and its successors, each `step` further, to `turns` times eight long descriptors at `at`. Their
/// high words are the same.
///
/// # Safety
/// They are aligned and may be changed so; `turns` is not 0.
#[inline]
pub(super) unsafe fn fill_low(at: *mut u64, turns: usize, first: u64, step: u32) {
    // SAFETY: changes what the caller vouches for.
    unsafe {
        asm!(
            "2:",
            "strd r0, r1, [{at}], #8",
            "add r0, r0, {step}",
            "strd r0, r1, [{at}], #8",
            "add r0, r0, {step}",
            "strd r0, r1, [{at}], #8",
            "add r0, r0, {step}",
            "strd r0, r1, [{at}], #8",
            "add r0, r0, {step}",
            "strd r0, r1, [{at}], #8",
            "add r0, r0, {step}",
            "strd r0, r1, [{at}], #8",
            "add r0, r0, {step}",
            "strd r0, r1, [{at}], #8",
            "add r0, r0, {step}",
            "strd r0, r1, [{at}], #8",
            "add r0, r0, {step}",
            "subs {turns}, {turns}, #1",
            "bne 2b",
            at = inout(reg) at => _,
            turns = inout(reg) turns => _,
            step = in(reg) step,
            inout("r0") first as u32 => _,
            in("r1") (first >> 32) as u32,
            options(nostack),
        );
    }
}

/// Writes zeroes to `turns` times 128 bytes at `at`, which no walk reaches: an odd turn first, then two at once.
///
/// # Safety
/// They are aligned to 4 and may be changed so; `turns` is not 0.
#[inline]
pub(super) unsafe fn zero(at: *mut u8, turns: usize) {
    // SAFETY: changes what the caller vouches for.
    unsafe {
        asm!(
            "lsrs {turns}, {turns}, #1",
            "bcc 2f",
            ".rept 4",
            "stmia {at}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}",
            ".endr",
            "beq 3f",
            "2:",
            ".rept 8",
            "stmia {at}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}",
            ".endr",
            "subs {turns}, {turns}, #1",
            "bne 2b",
            "3:",
            at = inout(reg) at => _,
            turns = inout(reg) turns => _,
            inout("r0") 0 => _, inout("r1") 0 => _, inout("r2") 0 => _, inout("r3") 0 => _,
            inout("r4") 0 => _, inout("r5") 0 => _, inout("r8") 0 => _, inout("r9") 0 => _,
            options(nostack),
        );
    }
}

/// Copies `turns` times 32 bytes to where no walk reaches.
///
/// # Safety
/// They are aligned to 4, readable and changeable, and do not overlap; `turns` is not 0.
#[inline]
pub(super) unsafe fn copy(from: *const u8, to: *mut u8, turns: usize) {
    // SAFETY: changes what the caller vouches for.
    unsafe {
        eight_a_turn!(
            "ldmia {from}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}"
            "stmia {to}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}"
            ; turns => _,
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            options(nostack),
        );
    }
}
