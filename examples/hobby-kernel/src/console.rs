//! The console: a PL011, mapped like any device.

use core::fmt::{self, Write};

use spin::Mutex;

use crate::devices::Registers;

/// Data register.
const DR: usize = 0x00;
/// Flag register, and its bit that says the transmit FIFO is full.
const FR: usize = 0x18;
const FULL: u32 = 1 << 5;

/// Nothing is said before it is mapped.
static CONSOLE: Mutex<Option<Console>> = Mutex::new(None);

struct Console {
    uart: Registers,
}

/// Speaks through the PL011 at `uart` from here on.
pub fn start(uart: Registers) {
    *CONSOLE.lock() = Some(Console { uart });
}

impl Console {
    fn put(&self, byte: u8) {
        while self.uart.read(FR) & FULL != 0 {}
        self.uart.write(DR, byte.into());
    }
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.put(byte));
        Ok(())
    }
}

/// Unlocks it for the last words of the kernel.
///
/// # Safety
/// Who has locked it does not go on.
pub unsafe fn seize() {
    // SAFETY: the caller's promise.
    unsafe { CONSOLE.force_unlock() }
}

/// Writes bytes as they are.
pub fn write(bytes: &[u8]) {
    if let Some(console) = &*CONSOLE.lock() {
        bytes.iter().for_each(|&byte| console.put(byte));
    }
}

/// Writes formatted text: [`println!`](crate::println) calls it.
pub fn print(text: fmt::Arguments<'_>) {
    if let Some(console) = &mut *CONSOLE.lock() {
        // A PL011 takes everything.
        let _ = console.write_fmt(text);
    }
}

/// Writes a formatted line.
#[macro_export]
macro_rules! println {
    ($($arg:tt)*) => { $crate::console::print(format_args!("{}\n", format_args!($($arg)*))) };
}
