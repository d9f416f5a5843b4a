//! What a boot stub asks of a device tree: which memory and which CPUs there are, and where a device is. Pure functions
//! over bytes, which may hold anything.
//!
//! ```text
//!   lib      checks the tree's bounds and reads its memory nodes
//!   device   follows buses to a device
//!   cpus     lists CPUs, and how they are started
//!   ranges   memory in order, told apart
//!   error    why bytes describe no memory
//! ```
//!
//! No Arm, no allocation: it runs where it is tested.
#![no_std]

use dtoolkit::Node;
use dtoolkit::fdt::Fdt;
use dtoolkit::standard::NodeStandard;

mod cpus;
mod device;
mod error;
mod ranges;

pub use cpus::{Conduit, Cpus, MAX_CPUS, cpus, psci};
pub use error::DtError;
pub use ranges::{MAX_RANGES, Range, Ranges};

/// Bytes of the header as far as its total size.
pub const HEADER: usize = 8;
/// The first word of a device tree.
const MAGIC: usize = 0xD00D_FEED;
/// Bytes that a device tree may have here: what lies below the image, and what the early map shows.
pub const MAX_BYTES: usize = 2 << 20;
/// Memory begins and ends on pages.
const PAGE: u64 = 4096;
/// Cells of an address or a size: PCI's addresses have three, and no bus more. `dtoolkit` adds them up in 32 bits.
const MAX_CELLS: u32 = 3;
/// One past the highest physical address of ARMv7-A.
const LIMIT: u64 = 1 << 40;

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

/// The tree in `dtb`, in which whatever is read stays in bounds. Bytes behind the tree are ignored.
fn open(dtb: &[u8]) -> Result<Fdt<'_>, DtError> {
    let size = total_size(dtb)?;
    let dtb = dtb.get(..size).ok_or(DtError::Size(size))?;
    bounded(dtb).ok_or(DtError::Unbounded)?;
    Fdt::new(dtb).map_err(DtError::Broken)
}

/// The memory that the device tree in `dtb` describes, trimmed to whole pages. Bytes behind the tree are
/// ignored. Never panics.
///
/// # Errors
/// Every [`DtError`].
pub fn memory(dtb: &[u8]) -> Result<Ranges, DtError> {
    let tree = open(dtb)?;
    let cells = tree.root().address_space();
    if let Some(cells) =
        [cells.address_cells, cells.size_cells].into_iter().find(|cells| *cells > 2)
    {
        return Err(DtError::Cells(cells));
    }
    let mut ranges = Ranges::none();
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
    if ranges.as_slice().is_empty() { Err(DtError::NoMemory) } else { Ok(ranges) }
}

/// The address of the first register of a device that is compatible with one of `wanted`, and not disabled; `None`
/// where there is none whose address the CPU could use. Never panics.
///
/// # Errors
/// [`DtError::NoTree`], [`DtError::Size`], [`DtError::Unbounded`], [`DtError::Broken`].
pub fn device(dtb: &[u8], wanted: &[&str]) -> Result<Option<u64>, DtError> {
    Ok(device::below(open(dtb)?.root(), device::Buses::none(), wanted))
}
