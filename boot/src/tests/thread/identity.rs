//! Case 3: PHYS_OFFSET > PAGE_OFFSET. An identity mapping lands on an entry that is swapper's: its table is
//! not written, what else it maps goes on working, and `identity_mapping_del` brings everything back.

use armv7a_mm::addr::{PAGE_SIZE, PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::mmu::{self, Query};
use armv7a_mm::armv7::offline;
use armv7a_mm::attr::Access;
use armv7a_mm::format::Owner;
use armv7a_mm::mm::{Layout, LayoutSpec};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::walk;

use crate::tests::idmap::routine;
use crate::tests::support::{self, Space};
use crate::tests::windows::link;
use crate::tests::world::World;
use crate::{check, check_eq, image, probe, skip};

/// Where RAM starts at 1 GiB, it starts 16 MiB above.
static LAYOUT: Layout = Layout::checked(LayoutSpec::linux(0x3F00_0000));

/// Physical minus virtual address in the world's linear map.
const DELTA: u32 = 16 << 20;

/// Bytes of the linear map around the identity mapping.
const BYTES: u32 = 4 << 20;

/// How far the words are apart that tell pages of it from each other.
const STEP: u32 = 16 << 10;

/// Where the linear map has the memory behind the identity mapping.
fn around() -> (VirtRange, PhysAddr) {
    let start = routine().start().align_down(21);
    let range = VirtRange::new(start, BYTES.into()).expect("it lies low");
    (range, PhysAddr::from_u32(start.0 + DELTA))
}

/// The world, its linear map in leaves of these sizes; `None` where that would not be of spare memory, or where the kernel
/// runs.
fn world(sizes: LeafSizes) -> Option<World> {
    let (range, phys) = around();
    if !support::is_spare(phys, range.bytes()) || !LAYOUT.lowmem().encloses(range) {
        return None;
    }
    let mut world = World::new(&LAYOUT);
    let mut places = (0..BYTES).step_by(PAGE_SIZE as usize);
    if places.any(|offset| world.translate(VirtAddr(range.start().0 + offset)).is_some()) {
        return None;
    }
    for offset in (0..BYTES).step_by(STEP as usize) {
        let at = PhysAddr::from_u32(range.start().0 + DELTA + offset);
        support::write(at, &[!offset]);
    }
    world.map_at(range, phys, Access::ReadWrite, sizes);
    Some(world)
}

/// How many words of the linear map can be read where they belong, the page of the routine left out.
fn readable() -> usize {
    let (range, _) = around();
    (0..BYTES)
        .step_by(STEP as usize)
        .map(|offset| (VirtAddr(range.start().0 + offset), !offset))
        .filter(|(at, _)| !routine().contains(*at))
        .filter(|(at, word)| probe::read(*at) == Ok(*word))
        .count()
}

/// As [`readable`] should say.
fn all() -> usize {
    let hidden = routine().start().0.is_multiple_of(STEP);
    (BYTES / STEP) as usize - usize::from(hidden)
}

pub fn over_blocks() {
    live(LeafSizes::LARGEST);
}

pub fn over_tables() {
    live(LeafSizes::PAGES);
}

fn live(sizes: LeafSizes) {
    let Some(mut world) = world(sizes) else {
        skip!("RAM holds no linear map around where the image lies")
    };
    let mut space = Space::of(&mut world);
    let at = routine().start();
    let hidden = PhysAddr::from_u32(at.0 + DELTA);
    let index = space.node().index(at);
    let copy = space.node().load(index);
    let before = (support::in_use(), world.checksum());

    // SAFETY: no CPU runs on the pgd, and what is mapped is code that does not change.
    let added = unsafe { space.identity_mapping_add(routine(), Access::ReadExecute) };
    check_eq!(added, Ok(()));
    check!(space.node().load(index) != copy);
    check_eq!(link(&space.node(), at).map(|entry| entry.owner), Some(Owner::Kernel));
    check_eq!(world.checksum(), before.1, "swapper's tables are not written");
    check_eq!(world.translate(at).map(|found| found.phys), Some(hidden));

    space.enter();
    check_eq!(mmu::translate(at, Query::KernelRead), Ok(PhysAddr::from_u32(at.0)));
    check!(mmu::translate(at, Query::UserRead).is_err());
    check_eq!(readable(), all());
    let phys = image::placement().phys(offline::routine());
    // SAFETY: the pgd in use maps the routine's page to itself, and stays in use.
    let through = unsafe { offline::set_root(phys, space.root(), None) };
    check_eq!(through, Ok(()));
    check_eq!(readable(), all(), "after the MMU was off");

    support::leave();
    // SAFETY: nobody runs on the pgd any more.
    let deleted = unsafe { space.identity_mapping_del(routine()) };
    check!(deleted.map(|flush| flush.pay()).is_ok());
    check_eq!(space.node().load(index), copy, "swapper's entry is back");
    check_eq!((support::in_use(), world.checksum()), before);
    space.enter();
    check_eq!(mmu::translate(at, Query::KernelRead), Ok(hidden));
    check_eq!(readable(), all());
}

pub fn sizes_over_blocks() {
    sizes(LeafSizes::LARGEST);
}

pub fn sizes_over_tables() {
    sizes(LeafSizes::PAGES);
}

fn sizes(sizes: LeafSizes) {
    let Some(mut world) = world(sizes) else {
        skip!("RAM holds no linear map around where the image lies")
    };
    let mut space = Space::of(&mut world);
    let (around, _) = around();
    let before = (support::in_use(), world.checksum());
    // From inside a leaf or a run to all of both blocks, and beyond what swapper maps.
    let ranges: [(u32, u32); 7] = [
        (0x0000_0000, 0x1000),
        (0x0000_F000, 0x2000),
        (0x0003_0000, 0x1_0000),
        (0x0010_0000, 0x10_0000),
        (0x001F_F000, 0x2000),
        (0x0000_0000, BYTES),
        (0x003F_F000, 0x2_0000),
    ];
    for (offset, bytes) in ranges {
        let start = VirtAddr(around.start().0 + offset);
        let range = VirtRange::new(start, bytes.into()).expect("it lies low");
        // SAFETY: nobody runs on the pgd.
        let added = unsafe { space.identity_mapping_add(range, Access::ReadExecute) };
        check_eq!(added, Ok(()), "{range}");
        for page in (around.start().0..around.start().0 + 2 * BYTES).step_by(0x1000) {
            let at = VirtAddr(page);
            let found = space
                .translate(at)
                .map(|found| (found.phys, found.leaf().expect("swapper writes no other").attrs));
            let expected = if range.contains(at) {
                found.map(|(_, attrs)| (PhysAddr::from_u32(page), attrs.with_global(false)))
            } else {
                let swapper = walk::translate(&world.view().node(), at);
                swapper
                    .map(|found| (found.phys, found.leaf().expect("swapper writes no other").attrs))
            };
            check_eq!(found, expected, "{at} with {range} mapped to itself");
            check!(found.is_some() || !range.contains(at), "{at} in {range} is not mapped");
        }
        // SAFETY: as above.
        let deleted = unsafe { space.identity_mapping_del(range) };
        check!(deleted.map(|flush| flush.pay()).is_ok(), "{range}");
        check_eq!((support::in_use(), world.checksum()), before, "{range}");
        let index = space.node().index(start);
        check_eq!(space.node().load(index), world.view().node().load(index), "{range}");
    }
}
