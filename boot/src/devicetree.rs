//! The memory that a device tree describes: a pure function over bytes, which may hold anything.

use core::fmt;

use dtoolkit::Node;
use dtoolkit::error::{FdtParseError, PropertyError, StandardError};
use dtoolkit::fdt::Fdt;

/// Bytes of the header as far as its total size.
pub const HEADER: usize = 8;
/// The first word of a device tree.
const MAGIC: u32 = 0xD00D_FEED;
/// Bytes that a device tree may have here: what lies below the image, and what the early map shows.
pub const MAX_BYTES: usize = 2 << 20;
/// Ranges of memory that are told apart.
const MAX_RANGES: usize = 8;
/// Memory begins and ends on pages.
const PAGE: u64 = 4096;
/// One past the highest physical address of ARMv7-A.
const LIMIT: u64 = 1 << 40;

/// A range of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Range {
    /// Its first byte, on a page.
    pub base: u64,
    /// Whole pages, at least one.
    pub bytes: u64,
}

impl Range {
    /// One past its last byte, at most 2^40.
    pub const fn end(&self) -> u64 {
        self.base + self.bytes
    }
}

/// Ranges of memory: at least one, in order of address, none of which touch or overlap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ranges {
    ranges: [Range; MAX_RANGES],
    used: usize,
}

impl Ranges {
    /// One range alone.
    pub const fn one(range: Range) -> Self {
        let mut ranges = [Range { base: 0, bytes: 0 }; MAX_RANGES];
        ranges[0] = range;
        Self { ranges, used: 1 }
    }

    /// The ranges.
    pub fn as_slice(&self) -> &[Range] {
        &self.ranges[..self.used]
    }

    /// Bytes in all of them.
    pub fn bytes(&self) -> u64 {
        self.as_slice().iter().map(|range| range.bytes).sum()
    }

    fn insert(&mut self, range: Range) -> Result<(), DtError> {
        let at =
            self.as_slice().iter().position(|other| range.base < other.end()).unwrap_or(self.used);
        if self.as_slice().get(at).is_some_and(|other| other.base < range.end()) {
            return Err(DtError::Overlap(range));
        }
        if self.used == MAX_RANGES {
            return Err(DtError::TooMany);
        }
        self.ranges.copy_within(at..self.used, at + 1);
        self.ranges[at] = range;
        self.used += 1;
        Ok(())
    }
}

/// Why the bytes describe no memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DtError {
    /// They are no device tree.
    NoTree,
    /// The tree says that it has more bytes than can be, or than are there; or less than a header.
    Size(u32),
    /// The tree is broken.
    Broken(FdtParseError),
    /// The `reg` of a memory node is broken.
    Reg(PropertyError),
    /// An address or size of memory is wider than 64 bits.
    Cells(StandardError),
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
            Self::Cells(error) => write!(f, "its memory has odd cells: {error}"),
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

/// The size that the device tree whose first bytes these are says it has.
///
/// # Errors
/// [`DtError::NoTree`] without its magic number; [`DtError::Size`] below a header or above [`MAX_BYTES`].
pub fn total_size(header: &[u8]) -> Result<usize, DtError> {
    let word = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    if word(0) != Some(MAGIC) {
        return Err(DtError::NoTree);
    }
    let bytes = word(4).ok_or(DtError::NoTree)?;
    match usize::try_from(bytes) {
        Ok(size) if (40..=MAX_BYTES).contains(&size) => Ok(size),
        _ => Err(DtError::Size(bytes)),
    }
}

/// The memory that the device tree in `dtb` describes, trimmed to whole pages. Bytes behind the tree are
/// ignored. Never panics.
///
/// # Errors
/// Every [`DtError`].
pub fn memory(dtb: &[u8]) -> Result<Ranges, DtError> {
    let size = total_size(dtb)?;
    let tree =
        Fdt::new(dtb.get(..size).ok_or(DtError::Size(size as u32))?).map_err(DtError::Broken)?;
    let mut ranges = Ranges { ranges: [Range::default(); MAX_RANGES], used: 0 };
    for node in tree.root().children().filter(|node| node.name_without_address() == "memory") {
        for reg in node.reg().map_err(DtError::Reg)?.into_iter().flatten() {
            let base = reg.address::<u64>().map_err(DtError::Cells)?;
            let bytes = reg.size::<u64>().map_err(DtError::Cells)?;
            let end = base.checked_add(bytes).filter(|end| *end <= LIMIT);
            let end = end.ok_or(DtError::Beyond(Range { base, bytes }))? & !(PAGE - 1);
            let base = base.next_multiple_of(PAGE);
            if base < end {
                ranges.insert(Range { base, bytes: end - base })?;
            }
        }
    }
    if ranges.used == 0 { Err(DtError::NoMemory) } else { Ok(ranges) }
}
