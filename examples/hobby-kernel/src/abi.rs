//! What the kernel and its programs agree on; both include this file.

/// System calls: the number is in r7, arguments in r0 and r1, the answer comes in r0. Numbers and errors are those of
/// Linux on Arm.
#[allow(dead_code, reason = "each side uses its part")]
pub mod call {
    /// Ends the process with a status.
    pub const EXIT: u32 = 1;
    /// Makes a copy of the process; 0 in the child, its number in the parent.
    pub const FORK: u32 = 2;
    /// Writes bytes to the console: address, count.
    pub const WRITE: u32 = 4;
    /// The process's number.
    pub const GETPID: u32 = 20;
    /// Waits for a child to end: where its status goes. Its number.
    pub const WAIT: u32 = 114;
    /// Lets others run.
    pub const YIELD: u32 = 158;
    /// Grows the heap by so many bytes; where they begin.
    pub const SBRK: u32 = 45;
    /// Seconds since 1970, as a loaded module reads them from a clock.
    pub const TIME: u32 = 13;

    /// No child to wait for.
    pub const ECHILD: u32 = -10i32 as u32;
    /// No memory.
    pub const ENOMEM: u32 = -12i32 as u32;
    /// The address is not the process's.
    pub const EFAULT: u32 = -14i32 as u32;
    /// No such call.
    pub const ENOSYS: u32 = -38i32 as u32;
}

/// The programs, which lie in one image: r0 says which, r1 is its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(dead_code, reason = "each side uses its part")]
pub enum Program {
    /// Counts, next to others that count at the same address.
    Count,
    /// Uses heap and stack that are not there yet.
    Grow,
    /// Forks, and looks whether memory is shared where it should not be.
    Fork,
    /// Hands the kernel addresses that are not its own.
    Cheat,
    /// Asks a module for the time.
    Clock,
    /// Writes through a null pointer.
    Null,
    /// Reads the kernel's memory.
    Peek,
    /// Executes its stack.
    Shellcode,
    /// Measures the kernel.
    Bench,
}
