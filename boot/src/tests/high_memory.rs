//! RAM above the linear map, which nothing maps but what a test makes; above 4 GiB it takes more than 32 bits.

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::check;
use armv7a_mm::armv7::mmu::{self, Query};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{Active, RUN};
use armv7a_mm::mm::{Layout, LayoutSpec};
use armv7a_mm::table::edit::LeafSizes;

use super::support::{self, PTE, Space, Spare};
use super::windows::{LINK, Mapping};
use super::world::World;
use crate::harness::Test;
use crate::kernel::{LAYOUT, kernel};
use crate::{check, check_eq, probe, skip};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "high-memory::is-seen-at-two-addresses", run: aliases },
    Test { name: "high-memory::above-4-gib-in-leaves-of-every-size", run: above },
    Test { name: "high-memory::above-4-gib-by-supersections", run: supersections },
];

/// In the user half, aligned to 32 MiB.
const HERE: VirtAddr = VirtAddr(0x2000_0000);
const FOUR_GIB: u64 = 1 << 32;

/// Writes a word at one address and reads it at the other, both ways.
///
/// # Safety
/// Both are mapped to spare memory.
unsafe fn meet(one: VirtAddr, other: VirtAddr) -> bool {
    [(one, other, 0x1357_9BDF), (other, one, 0x0246_8ACE)].into_iter().all(|(to, from, value)| {
        // SAFETY: the caller's promise.
        unsafe { probe::write(to, value) }.is_ok() && probe::read(from) == Ok(value)
    })
}

fn aliases() {
    let Some(high) = kernel().high else { skip!("the linear map has all RAM") };
    let pkmap = VirtAddr(LAYOUT.spec().pkmap.start);
    let mut space = Space::new();
    space.enter();
    // Its first page, and its last.
    for base in [high.base, high.end() - 0x1000] {
        let Some(frame) = PhysAddr::new(base) else { skip!("{base:#x} is beyond 40 bits") };
        let here = VirtRange::page(HERE);
        let user = Attrs::user(Access::ReadWrite);
        check_eq!(space.map(here, frame, user, LeafSizes::PAGES), Ok(()));
        let window = Mapping::page(pkmap, frame);
        // SAFETY: both are the same spare page.
        check!(unsafe { meet(HERE, pkmap) }, "{frame}");
        for query in [Query::KernelRead, Query::KernelWrite] {
            check_eq!(mmu::translate(HERE, query), Ok(frame));
            check_eq!(mmu::translate(pkmap, query), Ok(frame));
        }
        drop(window);
        check!(space.unmap(here).map(|flush| flush.pay()).is_ok());
    }
}

/// Memory above 4 GiB whose low 32 bits are those of `low`, spare memory: what a lost high word would hit.
fn twin(low: PhysAddr, bytes: u64, end: u64) -> Option<PhysAddr> {
    let twin = low.checked_add(FOUR_GIB)?;
    (twin.as_u64() + bytes <= end).then_some(twin)
}

fn above() {
    if !Active::LPAE {
        skip!("pages of the classic format reach 4 GiB");
    }
    let Some(high) = kernel().high else { skip!("the linear map has all RAM") };
    let mut space = Space::new();
    let pkmap = VirtAddr(LAYOUT.spec().pkmap.start);
    for (shift, sizes) in [
        (12, LeafSizes::PAGES),
        (16, LeafSizes::LARGEST),
        (21, LeafSizes::BLOCKS),
        (25, LeafSizes::LARGEST),
    ] {
        let range = VirtRange::aligned(HERE, shift);
        let Some(low) = Spare::new().take(range.bytes(), shift) else { panic!("no memory") };
        let Some(frame) = twin(low, range.bytes(), high.end()) else {
            skip!("there is no RAM at {:#x}", low.as_u64() + FOUR_GIB);
        };
        check_eq!(space.map(range, frame, Attrs::user(Access::ReadWrite), sizes), Ok(()));
        let found = space.translate(HERE);
        check_eq!(found.map(|found| found.span()), Some(range), "one leaf, or one run");
        space.enter();
        for at in [HERE, VirtAddr(range.last().0 & !0xFFF)] {
            let offset = u64::from(at.0 - HERE.0);
            let (low, there) = (low.as_u64() + offset, frame.as_u64() + offset);
            let there = PhysAddr::truncate(there);
            support::write(PhysAddr::truncate(low), &[0x10_10_10_10]);
            let window = Mapping::page(pkmap, there);
            // SAFETY: both are the same spare page.
            check!(unsafe { meet(at, pkmap) }, "{at} at {there}");
            check_eq!(mmu::translate(at, Query::KernelWrite), Ok(there));
            check_eq!(mmu::translate(pkmap, Query::KernelWrite), Ok(there));
            check_eq!(support::read(PhysAddr::truncate(low)), 0x10_10_10_10, "below 4 GiB");
            drop(window);
        }
        support::leave();
        check!(space.unmap(range).map(|flush| flush.pay()).is_ok());
    }
}

static WORLD: Layout = Layout::checked(LayoutSpec::linux(0xC000_0000));

fn supersections() {
    if Active::LPAE {
        skip!("LPAE has none");
    }
    if !mmu::has_supersections() {
        skip!("this CPU has no supersections");
    }
    let bytes = u64::from(LINK.span()) * RUN as u64;
    let Some(low) = Spare::new().take(bytes, 24) else { skip!("RAM is too small") };
    let Some(frame) = twin(low, bytes, FOUR_GIB + kernel().unreached) else {
        skip!("there is no RAM at {:#x}", low.as_u64() + FOUR_GIB);
    };
    // Root entries of the kernel half change no more once sealed: a swapper that is not.
    let mut world = World::new(&WORLD);
    let start = WORLD.spec().vmalloc.start.next_multiple_of(1 << 24);
    let [one, other] = [start, start + (1 << 24)].map(VirtAddr);
    for at in [one, other] {
        let range = VirtRange::aligned(at, 24);
        world.map_at(range, frame, Access::ReadWrite, LeafSizes::LARGEST);
        let found = world
            .translate(at)
            .map(|found| (found.depth, found.leaf().map(|leaf| leaf.run), found.span()));
        check_eq!(found, Some((PTE - 1, Some(true), range)));
    }
    let space = Space::of(&mut world);
    space.enter();
    for offset in [0, 0x0012_3456 & !3, (1 << 24) - 4] {
        let below = PhysAddr::truncate(low.as_u64() + u64::from(offset));
        support::write(below, &[0x10_10_10_10]);
        // SAFETY: both are the same spare memory.
        check!(unsafe { meet(VirtAddr(one.0 + offset), VirtAddr(other.0 + offset)) });
        check_eq!(support::read(below), 0x10_10_10_10, "below 4 GiB");
    }
    check_eq!(check::agree_at(&space.node(), one), Ok(true));
    let answer = mmu::ask(one, Query::KernelWrite);
    check!(answer.is_ok_and(|answer| answer.supersection), "{answer:?}");
}
