//! Why bytes describe no memory.

use core::fmt;

use dtoolkit::error::{FdtParseError, PropertyError};

use crate::ranges::{MAX_RANGES, Range};

/// Why the bytes describe no memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DtError {
    /// They are no device tree.
    NoTree,
    /// The tree says that it has more bytes than can be, or than are there; or less than a header.
    Size(usize),
    /// The tree is broken.
    Broken(FdtParseError),
    /// The `reg` of a memory node is broken.
    Reg(PropertyError),
    /// A property or a name leaves the tree, or the tree does not end.
    Unbounded,
    /// An address or size of memory has this many cells, and at most two can be.
    Cells(u32),
    /// The memory ends beyond 2^40.
    Beyond(Range),
    /// The memory overlaps other memory of the same tree.
    Overlap(Range),
    /// There are more ranges than are told apart.
    TooMany,
    /// No node describes memory, or none a whole page.
    NoMemory,
}

impl fmt::Display for DtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTree => f.write_str("there is none"),
            Self::Size(bytes) => write!(f, "its size of {bytes} bytes cannot be"),
            Self::Broken(error) => write!(f, "it is broken: {error}"),
            Self::Reg(error) => write!(f, "its memory is broken: {error}"),
            Self::Unbounded => f.write_str("its structure leaves its bounds"),
            Self::Cells(cells) => write!(f, "its memory has numbers of {cells} cells"),
            Self::Beyond(Range { base, bytes }) => {
                write!(f, "its memory at {base:#x}, {bytes:#x} bytes, ends beyond 40 bits")
            }
            Self::Overlap(Range { base, .. }) => {
                write!(f, "its memory at {base:#x} overlaps other memory")
            }
            Self::TooMany => write!(f, "its memory has more than {MAX_RANGES} ranges"),
            Self::NoMemory => f.write_str("it describes no memory"),
        }
    }
}
