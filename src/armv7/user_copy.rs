//! The instructions that may fault, and where each continues then.
//!
//! A copy goes in turns of four words, then of words, then of bytes. Where an access faults it goes on in the next smaller
//! units from the first that is not copied, until a byte faults: so it stops at the very byte. Words are used where both
//! sides are aligned alone, whatever SCTLR.A says.

use core::arch::global_asm;

/// The instructions of `start..end` continue at `landing` if they fault.
#[repr(C)]
pub(super) struct Fixup {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) landing: u32,
}

// The copies: r0 to, r1 from, r2 bytes; they return how many are left. r6 is the distance from the kernel's address to user
// space's, which go side by side but in the middle of a turn.
global_asm!(
    ".section .text.armv7a_mm_uaccess, \"ax\", %progbits",
    ".arm",
    ".balign 4",
    ".global armv7a_mm_copy_from_user",
    ".type armv7a_mm_copy_from_user, %function",
    "armv7a_mm_copy_from_user:",
    "push {{r4-r6, lr}}",
    "sub r6, r1, r0",
    "tst r6, #3",
    "bne 6f",
    // Up to the first whole word.
    "1:",
    "tst r1, #3",
    "cmpne r2, #0",
    "beq 2f",
    "20:",
    "ldrbt r3, [r1], #1",
    "21:",
    "strb r3, [r0], #1",
    "sub r2, r2, #1",
    "b 1b",
    "2:",
    "subs r2, r2, #16",
    "blo 4f",
    "3:",
    "22:",
    "ldrt r3, [r1], #4",
    "ldrt r4, [r1], #4",
    "ldrt r5, [r1], #4",
    "ldrt r12, [r1], #4",
    "23:",
    "stmia r0!, {{r3, r4, r5, r12}}",
    "subs r2, r2, #16",
    "bhs 3b",
    "4:",
    "add r2, r2, #16",
    "5:",
    "subs r2, r2, #4",
    "blo 7f",
    "24:",
    "ldrt r3, [r1], #4",
    "25:",
    "str r3, [r0], #4",
    "b 5b",
    "7:",
    "add r2, r2, #4",
    "6:",
    "cmp r2, #0",
    "beq 8f",
    "26:",
    "ldrbt r3, [r1], #1",
    "27:",
    "strb r3, [r0], #1",
    "sub r2, r2, #1",
    "b 6b",
    // A turn that faulted is done again in words.
    "9:",
    "add r1, r0, r6",
    "b 4b",
    "8:",
    "mov r0, r2",
    "pop {{r4-r6, pc}}",
    ".pushsection .rodata.armv7a_mm_fixups, \"a\", %progbits",
    ".balign 4",
    ".global armv7a_mm_fixups",
    "armv7a_mm_fixups:",
    ".word 20b, 21b, 8b",
    ".word 22b, 23b, 9b",
    ".word 24b, 25b, 7b",
    ".word 26b, 27b, 8b",
    ".popsection",
    ".global armv7a_mm_copy_to_user",
    ".type armv7a_mm_copy_to_user, %function",
    "armv7a_mm_copy_to_user:",
    "push {{r4-r6, lr}}",
    "sub r6, r0, r1",
    "tst r6, #3",
    "bne 6f",
    "1:",
    "tst r0, #3",
    "cmpne r2, #0",
    "beq 2f",
    "ldrb r3, [r1], #1",
    "20:",
    "strbt r3, [r0], #1",
    "21:",
    "sub r2, r2, #1",
    "b 1b",
    "2:",
    "subs r2, r2, #16",
    "blo 4f",
    "3:",
    "ldmia r1, {{r3, r4, r5, r12}}",
    "22:",
    "strt r3, [r0], #4",
    "strt r4, [r0], #4",
    "strt r5, [r0], #4",
    "strt r12, [r0], #4",
    "23:",
    "add r1, r1, #16",
    "subs r2, r2, #16",
    "bhs 3b",
    "4:",
    "add r2, r2, #16",
    "5:",
    "subs r2, r2, #4",
    "blo 7f",
    "ldr r3, [r1]",
    "24:",
    "strt r3, [r0], #4",
    "25:",
    "add r1, r1, #4",
    "b 5b",
    "7:",
    "add r2, r2, #4",
    "6:",
    "cmp r2, #0",
    "beq 8f",
    "ldrb r3, [r1], #1",
    "26:",
    "strbt r3, [r0], #1",
    "27:",
    "sub r2, r2, #1",
    "b 6b",
    "9:",
    "add r0, r1, r6",
    "b 4b",
    "8:",
    "mov r0, r2",
    "pop {{r4-r6, pc}}",
    ".pushsection .rodata.armv7a_mm_fixups, \"a\", %progbits",
    ".word 20b, 21b, 8b",
    ".word 22b, 23b, 9b",
    ".word 24b, 25b, 7b",
    ".word 26b, 27b, 8b",
    ".popsection",
    // r0 an address in a line; they return 0, or 1 where it faults.
    ".global armv7a_mm_clean_user",
    ".type armv7a_mm_clean_user, %function",
    "armv7a_mm_clean_user:",
    "20:",
    "mcr p15, 0, r0, c7, c11, 1", // DCCMVAU
    "21:",
    "mov r0, #0",
    "bx lr",
    ".global armv7a_mm_forget_user_code",
    ".type armv7a_mm_forget_user_code, %function",
    "armv7a_mm_forget_user_code:",
    "22:",
    "mcr p15, 0, r0, c7, c5, 1", // ICIMVAU
    "23:",
    "mov r0, #0",
    "bx lr",
    "9:",
    "mov r0, #1",
    "bx lr",
    ".pushsection .rodata.armv7a_mm_fixups, \"a\", %progbits",
    ".word 20b, 21b, 9b",
    ".word 22b, 23b, 9b",
    ".popsection",
    ".previous",
);

/// Entries of the table.
const FIXUPS: usize = 10;

unsafe extern "C" {
    static armv7a_mm_fixups: [Fixup; FIXUPS];

    /// Copies `bytes` bytes from user space's `from`, and returns how many are left.
    ///
    /// # Safety
    /// They may be written at `to`.
    #[link_name = "armv7a_mm_copy_from_user"]
    pub(super) fn copy_from_user(to: *mut u8, from: u32, bytes: usize) -> usize;

    /// Copies `bytes` bytes to user space's `to`, and returns how many are left.
    ///
    /// # Safety
    /// They may be read at `from`.
    #[link_name = "armv7a_mm_copy_to_user"]
    pub(super) fn copy_to_user(to: u32, from: *const u8, bytes: usize) -> usize;

    /// Cleans the data line of `at` to the point of unification. Not 0 if that faulted.
    #[link_name = "armv7a_mm_clean_user"]
    pub(super) fn clean_user(at: usize) -> usize;

    /// Invalidates the instruction line of `at`. Not 0 if that faulted.
    #[link_name = "armv7a_mm_forget_user_code"]
    pub(super) fn forget_user_code(at: usize) -> usize;
}

/// What may fault, and where it continues.
pub(super) fn fixups() -> &'static [Fixup] {
    // SAFETY: the table is above, so long, and constant.
    unsafe { &armv7a_mm_fixups }
}
