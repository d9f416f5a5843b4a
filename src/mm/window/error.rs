//! Why a kernel window refused. Whatever the reason, nothing was mapped or unmapped, and no frame is kept.

use core::fmt;

use super::areas::AreaError;
use crate::addr::{PhysAddr, VirtAddr};
use crate::table::error::EditError;

/// Why a kernel window refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WindowError {
    /// Nothing was asked for: a length of 0.
    Empty,
    /// The physical range ends beyond 40 bits.
    PhysOverflow {
        /// Where it starts.
        start: PhysAddr,
    },
    /// The physical range is RAM, which the linear map has with another memory type.
    Ram {
        /// The first byte of RAM in it.
        at: PhysAddr,
    },
    /// The window has no place.
    Area(AreaError),
    /// No area, or none of this kind, or no mapping of this window's, starts there.
    NoSuchArea {
        /// The address in question.
        at: VirtAddr,
    },
    /// The kernel has no frame left.
    OutOfFrames,
    /// A slot that was taken later is still in use.
    OutOfOrder {
        /// The last one.
        last: VirtAddr,
    },
    /// The tables refused.
    Edit(EditError),
}

impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the range holds no byte"),
            Self::PhysOverflow { start } => EditError::PhysOverflow { start: *start }.fmt(f),
            Self::Ram { at } => write!(f, "{at} is RAM, which has another memory type"),
            Self::Area(error) => error.fmt(f),
            Self::NoSuchArea { at } => write!(f, "nothing of this window's starts at {at}"),
            Self::OutOfFrames => f.write_str("no frame is left"),
            Self::OutOfOrder { last } => write!(f, "{last} was mapped later and is still in use"),
            Self::Edit(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for WindowError {}

impl From<EditError> for WindowError {
    fn from(error: EditError) -> Self {
        Self::Edit(error)
    }
}

impl From<AreaError> for WindowError {
    fn from(error: AreaError) -> Self {
        Self::Area(error)
    }
}
