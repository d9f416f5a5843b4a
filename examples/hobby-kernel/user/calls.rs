//! System calls as functions, and `println!` on top of them.

use core::arch::asm;
use core::fmt::{self, Write};

use crate::abi::call;

fn supervisor(number: u32, r0: u32, r1: u32) -> u32 {
    let answer;
    // SAFETY: the kernel changes r0, and memory only where it is asked to.
    unsafe {
        asm!("svc #0", in("r7") number, inlateout("r0") r0 => answer, in("r1") r1, options(nostack))
    };
    answer
}

/// An answer of the kernel's, or one of its errors.
fn checked(answer: u32) -> Result<u32, u32> {
    if answer > -4096i32 as u32 { Err(answer) } else { Ok(answer) }
}

pub fn exit(status: u32) -> ! {
    supervisor(call::EXIT, status, 0);
    unreachable!("the kernel does not return from exit")
}

/// The child's number; 0 in the child.
pub fn fork() -> Result<u32, u32> {
    checked(supervisor(call::FORK, 0, 0))
}

/// Writes the bytes at an address, whatever it is.
pub fn write_at(address: u32, count: u32) -> Result<u32, u32> {
    checked(supervisor(call::WRITE, address, count))
}

pub fn getpid() -> u32 {
    supervisor(call::GETPID, 0, 0)
}

/// The number of a child that has ended, and its status.
pub fn wait() -> Result<(u32, u32), u32> {
    let mut status = 0;
    let pid = wait_at(&raw mut status as u32)?;
    Ok((pid, status))
}

/// As [`wait`], the status to go to any address.
pub fn wait_at(status: u32) -> Result<u32, u32> {
    checked(supervisor(call::WAIT, status, 0))
}

pub fn yield_now() {
    supervisor(call::YIELD, 0, 0);
}

/// More heap.
pub fn sbrk(bytes: u32) -> Result<*mut u8, u32> {
    checked(supervisor(call::SBRK, bytes, 0)).map(|start| start as *mut u8)
}

pub fn time() -> Result<u32, u32> {
    let answer = supervisor(call::TIME, 0, 0);
    if answer == call::ENOSYS { Err(answer) } else { Ok(answer) }
}

/// Keeps a line together: one call writes it.
pub struct Line {
    bytes: [u8; 160],
    used: usize,
}

impl Line {
    pub fn print(text: fmt::Arguments<'_>) {
        let mut line = Self { bytes: [0; 160], used: 0 };
        // What does not fit is cut.
        let _ = line.write_fmt(text);
        let _ = write_at(line.bytes.as_ptr() as u32, line.used as u32);
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            *self.bytes.get_mut(self.used).ok_or(fmt::Error)? = byte;
            self.used += 1;
        }
        Ok(())
    }
}

/// Writes a formatted line.
#[macro_export]
macro_rules! println {
    ($($arg:tt)*) => {
        $crate::calls::Line::print(format_args!("[{}] {}\n", $crate::calls::getpid(), format_args!($($arg)*)))
    };
}
