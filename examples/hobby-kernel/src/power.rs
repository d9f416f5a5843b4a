//! The way out.

use core::arch::asm;
use core::panic::PanicInfo;

use crate::{console, println};

/// PSCI's SYSTEM_OFF; `virt` listens to HVC.
const SYSTEM_OFF: u32 = 0x8400_0008;

/// Switches the machine off. Who asks for the exit status of the emulator gets 0.
pub fn off() -> ! {
    // SAFETY: the call does not return.
    unsafe {
        asm!(
            ".arch_extension virt",
            "hvc #0",
            "b .",
            in("r0") SYSTEM_OFF,
            options(noreturn),
        )
    }
}

/// Ends in failure. PSCI has no word for that, a debugger's semihosting does.
pub fn fail() -> ! {
    semihosting::process::exit(1)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // Whoever was speaking will not end.
    // SAFETY: from here on this is the only code that runs.
    unsafe { console::seize() };
    match info.location() {
        Some(at) => println!("panic: {}, {}:{}", info.message(), at.file(), at.line()),
        None => println!("panic: {}", info.message()),
    }
    fail()
}
