//! How a process came to its end.

use core::fmt;

use armv7a_mm::addr::VirtAddr;
use armv7a_mm::format::Fault;

/// How a process came to its end.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// It said so itself.
    Exited(u32),
    /// The kernel ended it.
    Killed(Reason),
}

/// What a process was killed for.
#[derive(Clone, Copy, Debug)]
pub enum Reason {
    /// It used memory that is not there or not its own.
    Memory {
        /// What the hardware says.
        fault: Fault,
        /// Where.
        at: VirtAddr,
        /// What is there.
        place: Place,
    },
    /// It executed what is no instruction.
    Undefined {
        /// Where.
        at: u32,
    },
    /// There was no memory left for it.
    OutOfMemory,
}

/// What a process finds where it should not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The lowest page, which never holds anything.
    Null,
    /// The kernel's half.
    Kernel,
    /// Memory of its own, not meant for this.
    Own,
    /// Nothing at all.
    Nothing,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with {status}"),
            Self::Killed(reason) => write!(f, "killed: {reason}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { fault, at, place } => write!(f, "{}, {place}", fault.at(at.0)),
            Self::Undefined { at } => write!(f, "undefined instruction at {at:#010x}"),
            Self::OutOfMemory => f.write_str("out of memory"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "through a null pointer",
            Self::Kernel => "where the kernel is",
            Self::Own => "which is not meant for that",
            Self::Nothing => "where nothing is",
        })
    }
}
