//! The memory that a device tree describes: a pure function over bytes, which may hold anything.

use core::fmt;

use dtoolkit::Node;
use dtoolkit::error::{FdtParseError, PropertyError};
use dtoolkit::fdt::Fdt;
use dtoolkit::standard::NodeStandard;

/// Bytes of the header as far as its total size.
pub const HEADER: usize = 8;
/// The first word of a device tree.
const MAGIC: usize = 0xD00D_FEED;
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

/// The big-endian word at `at`.
fn word(dtb: &[u8], at: usize) -> Option<usize> {
    let bytes = dtb.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_be_bytes(*bytes)).ok()
}

/// The size that the device tree whose first bytes these are says it has.
///
/// # Errors
/// [`DtError::NoTree`] without its magic number; [`DtError::Size`] below a header or above [`MAX_BYTES`].
pub fn total_size(header: &[u8]) -> Result<usize, DtError> {
    if word(header, 0) != Some(MAGIC) {
        return Err(DtError::NoTree);
    }
    match word(header, 4).ok_or(DtError::NoTree)? {
        size @ 40..=MAX_BYTES => Ok(size),
        size => Err(DtError::Size(size)),
    }
}

/// Walks the structure to its end token, as long as names and properties stay in bounds. `dtoolkit` adds
/// their lengths up in 32 bits: one of almost 4 GiB would lead it back to where it was, for ever.
fn bounded(dtb: &[u8]) -> Option<()> {
    let mut at = word(dtb, 8)?;
    loop {
        let token = word(dtb, at)?;
        at += 4;
        match token {
            1 => at += dtb.get(at..)?.iter().position(|byte| *byte == 0)? + 1,
            3 => {
                let (length, name) = (word(dtb, at)?, word(dtb, at + 4)?);
                at += 8;
                dtb.get(at..)?.get(..length)?;
                dtb.get(name..)?;
                at += length;
            }
            9 => return Some(()),
            // The end of a node, or nothing. What else there may be, dtoolkit names.
            _ => {}
        }
        at = at.next_multiple_of(4);
    }
}

/// The memory that the device tree in `dtb` describes, trimmed to whole pages. Bytes behind the tree are
/// ignored. Never panics.
///
/// # Errors
/// Every [`DtError`].
pub fn memory(dtb: &[u8]) -> Result<Ranges, DtError> {
    let size = total_size(dtb)?;
    let dtb = dtb.get(..size).ok_or(DtError::Size(size))?;
    bounded(dtb).ok_or(DtError::Unbounded)?;
    let tree = Fdt::new(dtb).map_err(DtError::Broken)?;
    let cells = tree.root().address_space();
    if let Some(cells) =
        [cells.address_cells, cells.size_cells].into_iter().find(|cells| *cells > 2)
    {
        return Err(DtError::Cells(cells));
    }
    let mut ranges = Ranges { ranges: [Range::default(); MAX_RANGES], used: 0 };
    for node in tree.root().children().filter(|node| node.name_without_address() == "memory") {
        for reg in node.reg().map_err(DtError::Reg)?.into_iter().flatten() {
            // At most two cells: both fit.
            let (Ok(base), Ok(bytes)) = (reg.address::<u64>(), reg.size::<u64>()) else { continue };
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
