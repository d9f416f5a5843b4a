//! How much memory there is, as the device tree says, wherever it is found, and what of it is taken.

use core::slice;

use armv7a_mm::addr::{PhysAddr, VirtAddr};

use crate::devicetree::{self, DtError, HEADER, MAX_BYTES, Range, Ranges};
use crate::image::Placement;
use crate::{console, head, image, println, probe};

/// What is assumed where no device tree says: 64 MiB from where RAM is taken to begin. No machine that this
/// image is meant for has less, and what is more stays unused.
pub const FALLBACK_BYTES: u64 = 64 << 20;

/// The machine's memory.
pub struct Ram {
    /// All of it.
    pub ranges: Ranges,
    /// Where other CPUs sleep, if they were started with this one.
    pub parking: Range,
    /// The device tree that says so, if one does.
    pub tree: Option<Tree>,
}

/// A device tree, as long as the early map is live.
pub struct Tree {
    /// What it says.
    pub bytes: &'static [u8],
    /// Where it lies.
    pub place: Range,
}

/// The machine's memory: by the device tree that r2 pointed to, by the one at the start of RAM, or assumed.
/// Says which. The image was entered at `entry`.
pub fn find(placement: Placement, r2: u32, entry: u32) -> Ram {
    let parking = Range { base: entry.into(), bytes: head::PARKING.into() };
    let window = VirtAddr(head::WINDOW + (r2 & ((1 << head::SHIFT) - 1)));
    // A window of two early leaves, and the memory below the image.
    let window_bytes = (2_u32 << head::SHIFT) - (window.0 - head::WINDOW);
    let below_image = image::whole().start().0 - head::PAGE_OFFSET;
    for (place, at, phys, bytes) in [
        ("r2", window, PhysAddr::from_u32(r2), if r2 == 0 { 0 } else { window_bytes }),
        ("the start of RAM", VirtAddr(head::PAGE_OFFSET), placement.ram(), below_image),
    ] {
        match read(at, bytes as usize) {
            Ok((_, ranges)) if begins_too_late(placement, &ranges) => {
                println!(
                    "boot: RAM starts less than 2 MiB below this image; load it 2 MiB further up"
                );
                console::exit(1)
            }
            Ok((bytes, ranges)) if holds_image(placement, &ranges) => {
                println!("device tree: at {place}");
                let place = Range { base: phys.as_u64(), bytes: bytes.len() as u64 };
                return Ram { ranges, parking, tree: Some(Tree { bytes, place }) };
            }
            Ok(_) => println!("device tree: at {place}, but its memory is not where this image is"),
            Err(DtError::NoTree) => {}
            Err(error) => println!("device tree: at {place}, but {error}"),
        }
    }
    let base = placement.ram().as_u64();
    println!("device tree: none to go by; taking {} MiB from {base:#x}", FALLBACK_BYTES >> 20);
    let ranges = Ranges::one(Range { base, bytes: FALLBACK_BYTES });
    Ram { ranges, parking, tree: None }
}

/// Whether one of `ranges` holds all of the image: a tree of another machine's memory is none for this one.
fn holds_image(placement: Placement, ranges: &Ranges) -> bool {
    let [first, last] =
        [image::whole().start(), image::whole().last()].map(|at| placement.phys(at).as_u64());
    ranges.as_slice().iter().any(|range| range.base <= first && last < range.end())
}

/// Whether the RAM that holds the image begins behind where it is taken to begin: then not all that the linear map has
/// before the image is there.
fn begins_too_late(placement: Placement, ranges: &Ranges) -> bool {
    let taken = placement.ram().as_u64();
    holds_image(placement, ranges)
        && !ranges.as_slice().iter().any(|range| range.base <= taken && taken < range.end())
}

/// The device tree at `at`, where `bytes` bytes are mapped, and the memory by it.
fn read(at: VirtAddr, bytes: usize) -> Result<(&'static [u8], Ranges), DtError> {
    // An address in r2 that is nothing of the kind may lead nowhere: ask first.
    if bytes < HEADER
        || !at.0.is_multiple_of(8)
        || probe::read(at).is_err()
        || probe::read(VirtAddr(at.0 + 4)).is_err()
    {
        return Err(DtError::NoTree);
    }
    let bytes = bytes.min(MAX_BYTES);
    // SAFETY: the header was just read, and nobody writes it.
    let size = devicetree::total_size(unsafe { slice::from_raw_parts(at.0 as *const u8, HEADER) })?;
    if size > bytes || probe::read_byte(VirtAddr(at.0 + size as u32 - 1)).is_err() {
        return Err(DtError::Size(size));
    }
    // SAFETY: its first and last byte were read, and between them lies RAM, for the map there is linear;
    // nobody writes it.
    let tree = unsafe { slice::from_raw_parts(at.0 as *const u8, size) };
    devicetree::memory(tree).map(|ranges| (tree, ranges))
}
