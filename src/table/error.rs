//! Why an edit was refused. Whatever the reason, nothing was changed and nothing is kept.

use core::fmt;

use super::mem::OutOfMemory;
use crate::addr::{PhysAddr, VirtAddr};
use crate::format::{EncodeError, Entry};

/// Why an edit was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EditError {
    /// A start or an end does not lie on a page boundary.
    Misaligned,
    /// The memory does not start on a page boundary.
    PhysMisaligned {
        /// Where it starts.
        start: PhysAddr,
    },
    /// The physical range ends beyond 40 bits.
    PhysOverflow {
        /// Where it starts.
        start: PhysAddr,
    },
    /// The tree does not edit this address: the kernel half is edited in swapper alone, the user half in
    /// a pgd, and neither below FIRST_USER_ADDRESS nor in the vectors page.
    OutOfBounds {
        /// The first address in question.
        at: VirtAddr,
    },
    /// The attributes belong to the other half: the kernel's mappings are global, user space's are not.
    WrongHalf,
    /// Something is mapped already.
    Mapped {
        /// The first address in the way.
        at: VirtAddr,
        /// What is mapped there.
        by: Entry,
    },
    /// Nothing is mapped.
    NotMapped {
        /// The first address without a mapping.
        at: VirtAddr,
    },
    /// A word that this crate never writes is in the way.
    Reserved {
        /// The first address that it translates.
        at: VirtAddr,
    },
    /// Pgds hold copies of this entry of swapper's, so it can only go from absent to a table.
    Sealed {
        /// The first address that the entry translates.
        at: VirtAddr,
    },
    /// The format cannot express it.
    Encode(EncodeError),
    /// No memory was left for a table.
    OutOfMemory,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misaligned => f.write_str("the range does not start and end on page boundaries"),
            Self::PhysMisaligned { start } => {
                write!(f, "the memory at {start} does not start on a page boundary")
            }
            Self::PhysOverflow { start } => {
                write!(f, "the physical range from {start} ends beyond 40 bits")
            }
            Self::OutOfBounds { at } => write!(
                f,
                "{at} is not this tree's to edit: the kernel half is swapper's, user space a pgd's"
            ),
            Self::WrongHalf => f.write_str(
                "kernel mappings are global (`Attrs::kernel`) and user mappings are not \
                 (`Attrs::user`); these are the other's",
            ),
            Self::Mapped { at, by: Entry::Leaf(leaf) } => {
                write!(f, "{at} is mapped already, by a leaf of the memory at {}", leaf.frame)
            }
            Self::Mapped { at, .. } => write!(f, "{at} is mapped already"),
            Self::NotMapped { at } => write!(f, "nothing is mapped at {at}"),
            Self::Reserved { at } => {
                write!(f, "the entry for {at} holds a word of unknown meaning")
            }
            Self::Sealed { at } => {
                write!(f, "the entry for {at} was copied into pgds and can no longer change")
            }
            Self::Encode(error) => error.fmt(f),
            Self::OutOfMemory => OutOfMemory.fmt(f),
        }
    }
}

impl core::error::Error for EditError {}

/// [`EditError::OutOfBounds`], where nothing else can be wrong.
pub(crate) struct OutOfBounds {
    /// The first address in question.
    pub(crate) at: VirtAddr,
}

impl From<OutOfBounds> for EditError {
    fn from(OutOfBounds { at }: OutOfBounds) -> Self {
        Self::OutOfBounds { at }
    }
}

impl From<OutOfMemory> for EditError {
    fn from(OutOfMemory: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl From<EncodeError> for EditError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}
