//! Accesses that may fault: each is one instruction, its abort is recorded and returned.

use core::arch::asm;

use armv7a_mm::addr::VirtAddr;

use crate::faults::{self, FaultRecord, SKIP};

/// An address that nothing is ever mapped at: the last page but the vectors'.
pub const UNMAPPED: VirtAddr = VirtAddr(0xFFFF_E000);

/// What an access came to: its value, or the abort.
pub type Probed<T> = Result<T, FaultRecord>;

fn probed<T>(value: T) -> Probed<T> {
    faults::taken().map_or(Ok(value), Err)
}

macro_rules! reads {
    ($( $(#[$doc:meta])* $name:ident: $instruction:literal; )*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// The abort that it took.
        pub fn $name(at: VirtAddr) -> Probed<u32> {
            let value;
            faults::expect(SKIP);
            // SAFETY: a load changes nothing, and if it aborts it is skipped.
            unsafe {
                asm!(
                    concat!($instruction, " {}, [{}]"),
                    inlateout(reg) 0_u32 => value,
                    in(reg) at.0,
                    options(nostack, preserves_flags),
                );
            }
            probed(value)
        }
    )*};
}

macro_rules! writes {
    ($( $(#[$doc:meta])* $name:ident: $instruction:literal; )*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// The abort that it took.
        ///
        /// # Safety
        /// If the store succeeds, nothing that Rust believes in is changed by it.
        pub unsafe fn $name(at: VirtAddr, value: u32) -> Probed<()> {
            faults::expect(SKIP);
            // SAFETY: the caller answers for the store; if it aborts it is skipped.
            unsafe {
                asm!(
                    concat!($instruction, " {}, [{}]"),
                    in(reg) value,
                    in(reg) at.0,
                    options(nostack, preserves_flags),
                );
            }
            probed(())
        }
    )*};
}

reads! {
    /// Loads a word as the kernel (LDR).
    read: "ldr";
    /// Loads a byte as the kernel (LDRB).
    read_byte: "ldrb";
    /// Loads a word with user permissions (LDRT).
    read_user: "ldrt";
}

writes! {
    /// Stores a word as the kernel (STR).
    write: "str";
    /// Stores a word with user permissions (STRT).
    write_user: "strt";
}

/// User mode's registers, as `enter_user` loads them.
#[repr(C)]
struct UserState {
    r: [u32; 4],
    sp: u32,
    lr: u32,
    pc: u32,
    psr: u32,
}

// vectors.S
unsafe extern "C" {
    /// Calls `at`, with its stack noted for `resume`.
    fn call(at: u32) -> u32;
    /// Enters user mode, with its stack noted for `resume`.
    fn enter_user(state: &UserState);
    /// Where an exception under either of them returns from it.
    fn resume();
}

fn expect_resume() {
    faults::expect(resume as *const () as u32);
}

/// Calls the code at `at` as the kernel: returns the r0 that it leaves.
///
/// # Errors
/// The exception that it took: a prefetch abort if it cannot be fetched.
///
/// # Safety
/// What lies there, if it can be executed, is code that keeps the procedure call standard, or takes an
/// exception before it breaks it.
pub unsafe fn execute(at: VirtAddr) -> Probed<u32> {
    expect_resume();
    // SAFETY: the caller's promise.
    let value = unsafe { call(at.0) };
    probed(value)
}

/// Drops to user mode at `entry`, with `argument` in r0 and the stack pointer at `stack`, until it takes an
/// exception, an SVC or whatever else: that is the answer.
///
/// # Safety
/// Nothing that Rust believes in is changed by what user mode does there.
pub unsafe fn user(entry: VirtAddr, argument: u32, stack: VirtAddr) -> FaultRecord {
    // User mode, ARM state; interrupts and asynchronous aborts masked: nobody takes them here.
    let psr = 0x1D0;
    let state = UserState { r: [argument, 0, 0, 0], sp: stack.0, lr: 0, pc: entry.0, psr };
    expect_resume();
    // SAFETY: the caller's promise; the kernel's registers are kept.
    unsafe { enter_user(&state) }
    faults::taken().expect("nothing but an exception leaves user mode")
}

/// Loads a word, expecting nothing: a fault ends the run.
pub fn touch(at: VirtAddr) {
    // SAFETY: a load that faults does not return.
    unsafe { asm!("ldr {}, [{}]", out(reg) _, in(reg) at.0, options(nostack, preserves_flags)) }
}
