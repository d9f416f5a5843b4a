//! Single pages.

use core::hint::black_box;

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::Access;
use armv7a_mm::format::{Active, Format};
use armv7a_mm::table::edit::LeafSizes;
use stub::harness::Test;
use stub::{check, check_eq};

use crate::balance::Balance;
use crate::counter::Tally;
use crate::plain::{self, Tree};
use crate::space::{self, DATA, FRAMES, PTE, Random, WINDOW};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "bench::map_one", run: map_one },
    Test { name: "bench::translate", run: translate },
];

/// The page of the window with this number, and its frame.
fn page(index: u32) -> (VirtRange, PhysAddr) {
    let start = VirtAddr(WINDOW.start().0 + index * PTE.span());
    let frame = FRAMES.checked_add(u64::from(index * PTE.span())).expect("within 4 GiB");
    (VirtRange::page(start), frame)
}

fn map_one() {
    let before = Balance::now();
    let mut pgd = space::empty();
    let mut tally = Tally::new();
    // All of one table; the first page brings it, so it does not count.
    let pages = PTE.entries() as u32;
    for index in 0..pages {
        let ((range, frame), attrs) = black_box((page(index), DATA));
        let mut uncounted = Tally::new();
        let tally = if index == 0 { &mut uncounted } else { &mut tally };
        // SAFETY: nobody goes there.
        let mapped = tally.count(|| unsafe { pgd.map(range, frame, attrs, LeafSizes::PAGES) });
        check_eq!(mapped, Ok(()));
    }
    let all = VirtRange::aligned(WINDOW.start(), PTE.shift + PTE.last.count_ones());
    check!(space::holds(&pgd, all, FRAMES, PTE, Access::ReadWrite));
    let mut floor = Tally::new();
    // SAFETY: the tables are there; the last page's descriptor is written again as it is.
    let right = unsafe {
        let entry = Tree::at(pgd.root()).entry(all.last(), Active::LEVELS.len() - 1);
        let (entry, raw) = black_box((entry, entry.read_volatile()));
        floor.count(|| plain::publish(entry, raw));
        pgd.translate(all.last()).is_some()
    };
    check!(right);
    space::free(pgd);
    check_eq!(Balance::now(), before);
    tally.report("map_one", pages - 1);
    floor.report("map_one_floor", 1);
}

/// Addresses looked up.
const LOOKUPS: usize = 4096;

/// Counts `find` for each of `addresses` and the loop around it; what was found, added up.
#[inline(always)]
fn sum(tally: &mut Tally, addresses: &[VirtAddr], find: impl Fn(VirtAddr) -> u64) -> u64 {
    let addresses = black_box(addresses);
    tally.count(|| addresses.iter().fold(0, |sum: u64, &va| sum.wrapping_add(find(va))))
}

fn translate() {
    let before = Balance::now();
    let pgd = space::full();
    let mut random = Random::new().within(WINDOW);
    let addresses: [VirtAddr; LOOKUPS] =
        core::array::from_fn(|_| random.next().unwrap_or(WINDOW.start()));
    let (mut around, mut tally, mut floor) = (Tally::new(), Tally::new(), Tally::new());
    let distance = FRAMES.as_u64() - u64::from(WINDOW.start().0);
    let there = sum(&mut around, &addresses, |va| va.0.into()) + LOOKUPS as u64 * distance;

    let space = black_box(&pgd);
    let found = sum(&mut tally, &addresses, |va| {
        space.translate(va).map_or(0, |found| found.phys.as_u64())
    });
    check_eq!(found, there);
    let tree = black_box(Tree::at(pgd.root()));
    let found = sum(&mut floor, &addresses, |va| {
        // SAFETY: all of the window is mapped by pages.
        unsafe { tree.walk(va) }.as_u64()
    });
    check_eq!(found, there);
    check!(addresses.iter().all(|&va| {
        pgd.translate(va).map(|found| found.phys.as_u64()) == Some(u64::from(va.0) + distance)
    }));

    tally.less(&around);
    floor.less(&around);
    space::free(pgd);
    check_eq!(Balance::now(), before);
    tally.report("translate", LOOKUPS as u32);
    floor.report("translate_floor", LOOKUPS as u32);
}
