//! A descriptor changed with the MMU off.

use armv7a_mm::addr::{PhysAddr, VirtAddr};
use armv7a_mm::armv7::{mmu, mmu::Query, offline};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::{Active, Descriptor, Entry, FaultKind, Format, Leaf};

use crate::harness::Test;
use crate::{check_eq, image, probe, skip};

/// The tests.
pub const TESTS: &[Test] =
    &[Test { name: "offline::descriptor-is-stored-with-the-mmu-off", run: descriptor }];

/// In the user half, where the kernel's tables hold nothing.
const FREE: VirtAddr = VirtAddr(0x1230_4560);

/// The first absent entry on the way to [`FREE`], where it lies, and its depth.
fn absent() -> Option<(*mut offline::Raw, PhysAddr, usize)> {
    let mut table = mmu::root();
    for (depth, level) in Active::LEVELS.iter().enumerate() {
        let phys = table.checked_add((level.index(FREE) << level.entry_shift) as u64)?;
        let entry = image::placement().virt(phys).0 as *mut offline::Raw;
        // SAFETY: a walk of the live tables, which lie in the linear map.
        match Active::decode(depth, unsafe { entry.read_volatile() }) {
            Entry::Table(next) => table = next.table,
            Entry::Absent => return Some((entry, phys, depth)),
            _ => return None,
        }
    }
    None
}

fn descriptor() {
    let routine = image::placement().phys(offline::routine());
    let identity = VirtAddr(routine.as_u64() as u32);
    if mmu::translate(identity, Query::KernelRead) != Ok(routine) {
        skip!("the routine's page is not mapped to itself");
    }
    let Some((entry, entry_phys, depth)) = absent() else { skip!("{FREE} is taken") };
    let shift = Active::LEVELS[depth].shift;
    let ram = image::placement().ram().as_u64();
    let frame = PhysAddr::truncate(ram & !((1 << shift) - 1));
    let attrs = Attrs::kernel(Access::Read).with_global(false);
    let leaf = Active::encode(depth, Entry::Leaf(Leaf { frame, attrs, run: false, pxn: false }));
    let Ok(leaf) = leaf else { skip!("depth {depth} has no leaves") };

    let before = probe::read(FREE).map_err(|record| record.kind());
    check_eq!(before, Err(Some(FaultKind::Translation)));
    // SAFETY: the entry is absent, nobody uses what it maps, and the routine is mapped to itself.
    let stored = unsafe { offline::store(routine, entry, entry_phys, leaf) };
    check_eq!(stored, Ok(()));
    let there = PhysAddr::truncate(frame.as_u64() | u64::from(FREE.0 & ((1 << shift) - 1)));
    let translated = mmu::translate(FREE, Query::KernelRead);
    let absent = offline::Raw::from_u64(0);
    // SAFETY: as before; the entry goes back to what it was.
    let stored = unsafe { offline::store(routine, entry, entry_phys, absent) };
    check_eq!(stored, Ok(()));
    check_eq!(translated, Ok(there));
    let after = probe::read(FREE).map_err(|record| record.kind());
    check_eq!(after, Err(Some(FaultKind::Translation)));
}
