//! Programs that do what they should not. All but the first never return.

use core::arch::asm;

use crate::abi::call;
use crate::{calls, println};

/// The kernel's text.
const KERNEL: u32 = 0xC020_0000;

/// Has the kernel use addresses that are not the program's; it refuses, and nobody dies.
pub fn cheat() -> u32 {
    let text = crate::programs::fork as *const () as u32;
    let refused = |answer| answer == Err(call::EFAULT);
    let right = refused(calls::write_at(KERNEL, 4))
        && refused(calls::write_at(0, 4))
        && refused(calls::write_at(0xFFFF_FFF0, 64))
        && refused(calls::write_at(0x3000_0000, 4));
    // A child's status to read-only memory, or the kernel's.
    let mut asked = true;
    for address in [KERNEL, text] {
        if calls::fork() == Ok(0) {
            calls::exit(0);
        }
        asked &= refused(calls::wait_at(address));
    }
    println!(
        "the kernel {} addresses that are not mine",
        if right && asked { "refused" } else { "TOOK" }
    );
    u32::from(!right || !asked)
}

/// Writes through a null pointer.
pub fn null() -> u32 {
    // SAFETY: none, that is the point.
    unsafe { asm!("str {}, [{}]", in(reg) 42, in(reg) 0, options(nostack)) };
    1
}

/// Reads the kernel's memory.
pub fn peek() -> u32 {
    let word: u32;
    // SAFETY: none, that is the point.
    unsafe { asm!("ldr {}, [{}]", out(reg) word, in(reg) KERNEL, options(nostack)) };
    println!("the kernel's text holds {word:#010x}");
    1
}

/// Executes its stack.
pub fn shellcode() -> u32 {
    /// `bx lr`
    const RETURN: u32 = 0xE12F_FF1E;
    let code = [RETURN; 8];
    // SAFETY: none, that is the point.
    unsafe { asm!("blx {}", in(reg) &code, out("lr") _) };
    println!("the stack executes");
    1
}
