//! Data lands where translate says: written through one address, read through another, in every kind of leaf.

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Attrs, MemoryType};
use armv7a_mm::table::edit::LeafSizes;

use super::kinds::Kind;
use super::scratch::{DATA, HERE, WINDOW, poke, poke_user};
use super::support::{self, Space, Spare};
use super::windows::Mapping;
use crate::harness::Test;
use crate::{check, check_eq, probe, skip};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "data::every-kind-of-leaf-shows-the-linear-map's-memory", run: kinds },
    Test { name: "data::every-memory-type-reaches-the-same-memory", run: types },
    Test { name: "data::two-addresses-show-one-page", run: shared },
    Test { name: "data::windows-of-the-kernel-half-show-it-too", run: window },
];

/// Writes to every page of `range` through it and reads through the linear map at `phys`, and the other way
/// round. `None`, or the first address that disagrees.
fn exchange(range: VirtRange, phys: PhysAddr) -> Option<VirtAddr> {
    let pages = || (0..range.bytes() as u32).step_by(4096);
    // A word of each page, not always the same one, that says which page it is.
    let place = |offset: u32| {
        let offset = offset + (offset >> 12) % 1024 * 4;
        let there = PhysAddr::truncate(phys.as_u64() + u64::from(offset));
        (VirtAddr(range.start().0 + offset), there, 0xA5A5_0000 ^ offset)
    };
    for (at, _, value) in pages().map(place) {
        if poke(at, value).is_err() {
            return Some(at);
        }
    }
    let wrong = pages().map(place).find(|&(_, there, value)| support::read(there) != value);
    if let Some((at, ..)) = wrong {
        return Some(at);
    }
    for (_, there, value) in pages().map(place) {
        support::write(there, &[!value]);
    }
    let wrong = pages().map(place).find(|&(at, _, value)| probe::read(at) != Ok(!value));
    wrong.map(|(at, ..)| at)
}

fn kinds() {
    let mut spare = Spare::new();
    for kind in Kind::all() {
        let Some(phys) = spare.take(kind.bytes(), kind.shift()) else {
            skip!("{} MiB aligned to themselves are not spare", kind.bytes() >> 20);
        };
        let mut space = Space::new();
        check_eq!(space.map(kind.range(), phys, DATA, kind.sizes()), Ok(()));
        space.enter();
        let found = space.translate(kind.range().last());
        check_eq!(found.map(|found| (Kind::of(&found), found.span())), Some((kind, kind.range())));
        let wrong = exchange(kind.range(), phys);
        check!(wrong.is_none(), "{kind:?}: other data at {wrong:?}");
    }
}

fn types() {
    let phys = Spare::new().page();
    for memory in MemoryType::ALL {
        let mut space = Space::new();
        let page = VirtRange::page(HERE);
        check_eq!(space.map(page, phys, DATA.with_memory(memory), LeafSizes::PAGES), Ok(()));
        space.enter();
        let wrong = exchange(page, phys);
        check!(wrong.is_none(), "{memory:?}: other data at {wrong:?}");
    }
}

fn shared() {
    let phys = Spare::new().page();
    let mut space = Space::new();
    let pages = [VirtRange::page(HERE), VirtRange::page(VirtAddr(0x2345_6000))];
    check_eq!(space.map(pages[0], phys, DATA, LeafSizes::PAGES), Ok(()));
    check_eq!(space.map(pages[1], phys, Attrs::user(Access::ReadWrite), LeafSizes::PAGES), Ok(()));
    space.enter();
    let at = |i: usize, offset| VirtAddr(pages[i].start().0 + offset);
    check_eq!(poke(at(0, 0x10), 1), Ok(()));
    check_eq!(poke_user(at(1, 0x14), 2), Ok(()));
    let words = [(0, 0x14), (1, 0x10)].map(|(i, offset)| probe::read(at(i, offset)));
    check_eq!(words, [Ok(2), Ok(1)]);
}

fn window() {
    let mut spare = Spare::new();
    for kind in Kind::all().take(2) {
        let Some(phys) = spare.take(kind.bytes(), kind.shift()) else {
            skip!("{} bytes aligned to themselves are not spare", kind.bytes());
        };
        let space = Space::new();
        let range = VirtRange::aligned(WINDOW, kind.shift());
        let mapping = Mapping::new(range, phys, kind.sizes());
        let mut wrong = exchange(range, phys);
        space.enter();
        wrong = wrong.or(exchange(range, phys));
        check!(wrong.is_none(), "{kind:?}: other data at {wrong:?}");
        drop(mapping);
        check!(probe::read(WINDOW).is_err(), "{kind:?}: there after it was unmapped");
    }
}
