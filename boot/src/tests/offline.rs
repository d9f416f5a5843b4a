//! Descriptors changed with the MMU off, from a page that is mapped to itself.

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::{mmu, mmu::Query, offline};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::{Active, Descriptor, Entry, FaultKind, Format, Leaf, Owner, TableEntry};
use armv7a_mm::table::walk::{self, Step};

use super::idmap;
use super::kinds::Kind;
use super::oracle;
use super::support::{self, PTE, Space, Spare};
use crate::harness::Test;
use crate::kernel::LAYOUT;
use crate::{check, check_eq, image, probe, skip};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "offline::descriptor-is-stored-with-the-mmu-off", run: descriptor },
    Test { name: "offline::a-block-of-the-linear-map-is-split-in-place", run: split },
];

/// Where the routine lies.
fn routine() -> PhysAddr {
    image::placement().phys(offline::routine())
}

/// A space, entered, with the routine's page mapped to itself; `None` where that lies among the kernel's
/// addresses.
pub fn with_identity() -> Option<Space> {
    if !LAYOUT.user().encloses(idmap::routine()) {
        return None;
    }
    let space = idmap::space();
    space.enter();
    Some(space)
}

/// The last step of the walk for `va` by the live tables.
fn last_step(va: VirtAddr) -> Option<Step> {
    walk::trace(&oracle::live().root(), va).last()
}

/// Stores `raw` at the entry that `step` read.
fn store(step: &Step, raw: offline::Raw) {
    let offset = (step.index << step.level.entry_shift) as u64;
    let phys = PhysAddr::truncate(step.table.as_u64() + offset);
    // SAFETY: the routine is mapped to itself, and what the tests store maps the kernel as before.
    let stored = unsafe { offline::store(routine(), phys, raw) };
    stored.expect("image and tables lie below 4 GiB");
}

/// The descriptor of a kernel leaf of one address space or of all.
fn leaf(depth: usize, frame: PhysAddr, attrs: Attrs) -> offline::Raw {
    let leaf = Leaf { frame, attrs, run: false, pxn: false };
    Active::encode(depth, Entry::Leaf(leaf)).expect("frame and attributes are aligned and plain")
}

/// In the user half, in the middle of nothing.
const FREE: VirtAddr = VirtAddr(0x1230_4560);

fn descriptor() {
    let Some(_space) = with_identity() else { skip!("the image lies at the kernel's addresses") };
    let Some(step) = last_step(FREE) else { return check!(false, "no table was walked") };
    check_eq!(step.entry, Entry::Absent);
    let mask = step.level.span() - 1;
    let frame = PhysAddr::truncate(image::placement().ram().as_u64() & !u64::from(mask));
    let attrs = Attrs::kernel(Access::Read).with_global(false);

    let before = probe::read(FREE).map_err(|record| record.kind());
    check_eq!(before, Err(Some(FaultKind::Translation)));
    // A section, or a block of 1 GiB.
    store(&step, leaf(0, frame, attrs));
    let there = PhysAddr::truncate(frame.as_u64() | u64::from(FREE.0 & mask));
    check_eq!(mmu::translate(FREE, Query::KernelRead), Ok(there));
    store(&step, Descriptor::from_u64(0));
    let after = probe::read(FREE).map_err(|record| record.kind());
    check_eq!(after, Err(Some(FaultKind::Translation)));
}

fn split() {
    let Some(_space) = with_identity() else { skip!("the image lies at the kernel's addresses") };
    let block = Kind { depth: PTE - 1, run: false };
    let Some(phys) = Spare::new().take(block.bytes(), block.shift()) else {
        skip!("{} KiB aligned to themselves are not spare", block.bytes() >> 10);
    };
    let range = VirtRange::aligned(support::alias(phys), block.shift());
    let Some(step) = last_step(range.start()) else { return check!(false, "no table was walked") };
    let Entry::Leaf(Leaf { attrs, run: false, .. }) = step.entry else {
        skip!("the linear map has {range} in something else than a block");
    };
    check!(step.level == &Active::LEVELS[block.depth], "{step:x?}");

    // The table lies in the block that it splits: walks depend on what it maps.
    let pages = || (0..range.bytes() as u32).step_by(4096);
    let frame = |offset| PhysAddr::truncate(phys.as_u64() + u64::from(offset));
    for offset in pages().skip(1) {
        support::write(frame(offset), &[offset]);
    }
    let entry_words = size_of::<offline::Raw>() / 4;
    for (i, offset) in pages().enumerate() {
        let raw = leaf(PTE, frame(offset), attrs).as_u64();
        let words = [raw as u32, (raw >> 32) as u32];
        let at = frame((i * 4 * entry_words) as u32);
        support::write(at, &words[..entry_words]);
    }
    let link = Entry::Table(TableEntry { table: phys, owner: Owner::Swapper, pxn: false });
    let link = Active::encode(block.depth, link).expect("it is aligned to more than a table");
    store(&step, link);

    let at = |offset| VirtAddr(range.start().0 + offset);
    let wrong = pages().skip(1).find(|&offset| probe::read(at(offset)) != Ok(offset));
    let disagreement = pages().find_map(|offset| oracle::live().agree(at(offset)).err());
    // One page of it can now have permissions of its own.
    let one = pages().nth(5).and_then(|offset| Some((offset, last_step(at(offset))?)));
    let refused = one.map(|(offset, step)| {
        store(&step, leaf(PTE, frame(offset), attrs.with_access(Access::Read)));
        // SAFETY: spare memory is nobody's.
        let by_neighbour = unsafe { probe::write(at(offset + 4096), 1) };
        // SAFETY: as above.
        let refused = unsafe { probe::write(at(offset), 1) };
        (refused.map_err(|record| record.kind()), by_neighbour)
    });
    // Swapper's table under LPAE: it has its block again before anything is judged.
    store(&step, Descriptor::from_u64(step.raw));
    check!(wrong.is_none(), "other data at offset {wrong:x?}");
    check!(disagreement.is_none(), "{disagreement:x?}");
    check_eq!(refused, Some((Err(Some(FaultKind::Permission)), Ok(()))));
    check_eq!(last_step(range.last()).map(|step| step.entry), Some(step.entry));
    check_eq!(probe::read(at(5 * 4096)), Ok(5 * 4096));
}
