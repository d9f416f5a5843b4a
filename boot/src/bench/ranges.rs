//! 1 GiB of user space at once.

use core::hint::black_box;

use armv7a_mm::addr::PhysAddr;
use armv7a_mm::attr::Access;
use armv7a_mm::format::{Active, Format};
use armv7a_mm::table::edit::LeafSizes;
use stub::harness::Test;
use stub::{check, check_eq};

use crate::balance::Balance;
use crate::bulk;
use crate::counter::Tally;
use crate::plain::{self, Raw};
use crate::space::{self, BLOCK, DATA, FRAMES, PAGES, PTE, WINDOW};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "bench::map_4k", run: map_4k },
    Test { name: "bench::map_largest", run: map_largest },
    Test { name: "bench::unmap_4k", run: unmap_4k },
    Test { name: "bench::protect_4k", run: protect_4k },
    Test { name: "bench::range floors", run: floors },
];

fn map_4k() {
    let before = Balance::now();
    let mut pgd = space::empty();
    let empty = Balance::now();
    let (range, frames, attrs) = black_box((WINDOW, FRAMES, DATA));
    let mut tally = Tally::new();
    // SAFETY: nobody goes there.
    let mapped = tally.count(|| unsafe { pgd.map(range, frames, attrs, LeafSizes::PAGES) });
    check_eq!(mapped, Ok(()));
    check!(space::holds(&pgd, WINDOW, FRAMES, PTE, Access::ReadWrite));
    let tables = PAGES as usize / PTE.entries() * PTE.table_bytes();
    let middle = if Active::LEVELS.len() > 2 { BLOCK.table_bytes() } else { 0 };
    check_eq!(Balance::now().bytes - empty.bytes, tables + middle, "bytes of tables");
    space::free(pgd);
    check_eq!(Balance::now(), before);
    tally.report("map_4k", PAGES);
}

/// Congruent to the window modulo 32 MiB, LPAE's longest run of blocks, but not modulo 1 GiB: a single leaf
/// would measure nothing but the call.
const LARGE_FRAMES: PhysAddr = PhysAddr::from_u32(0x8200_0000);

fn map_largest() {
    let before = Balance::now();
    let mut pgd = space::empty();
    let (range, frames, attrs) = black_box((WINDOW, LARGE_FRAMES, DATA));
    let mut tally = Tally::new();
    // SAFETY: nobody goes there.
    let mapped = tally.count(|| unsafe { pgd.map(range, frames, attrs, LeafSizes::LARGEST) });
    check_eq!(mapped, Ok(()));
    check!(space::holds(&pgd, WINDOW, LARGE_FRAMES, BLOCK, Access::ReadWrite));
    space::free(pgd);
    check_eq!(Balance::now(), before);
    tally.report("map_largest", (WINDOW.bytes() >> BLOCK.shift) as u32);
}

fn unmap_4k() {
    let before = Balance::now();
    let mut pgd = space::empty();
    let empty = Balance::now();
    // SAFETY: nobody goes there.
    let mapped = unsafe { pgd.map(WINDOW, FRAMES, DATA, LeafSizes::PAGES) };
    check_eq!(mapped, Ok(()));
    let range = black_box(WINDOW);
    let mut tally = Tally::new();
    // SAFETY: nobody goes there.
    let unmapped = tally.count(|| unsafe { pgd.unmap(range) }.map(|flush| flush.pay()));
    check_eq!(unmapped, Ok(()));
    check!(space::is_empty(&pgd));
    check_eq!(Balance::now(), empty);
    space::free(pgd);
    check_eq!(Balance::now(), before);
    tally.report("unmap_4k", PAGES);
}

fn protect_4k() {
    let before = Balance::now();
    let mut pgd = space::full();
    let full = Balance::now();
    let (range, access) = black_box((WINDOW, Access::Read));
    let mut tally = Tally::new();
    // SAFETY: nobody goes there.
    let protected = tally.count(|| unsafe { pgd.protect(range, access) }.map(|flush| flush.pay()));
    check_eq!(protected, Ok(()));
    check!(space::holds(&pgd, WINDOW, FRAMES, PTE, Access::Read));
    check_eq!(Balance::now(), full);
    space::free(pgd);
    check_eq!(Balance::now(), before);
    tally.report("protect_4k", PAGES);
}

/// The same descriptors stored and changed in a row, and cleared as they are when their tables are kept for later.
fn floors() {
    let pages = PAGES as usize;
    let leaves = (WINDOW.bytes() >> BLOCK.shift) as usize;
    let table = plain::spare(pages);
    let first = FRAMES.as_u64() as Raw | 0x32;
    let holds = |count: usize, first: Raw, step: u32| {
        // SAFETY: spare memory.
        let read = |index: usize| unsafe { table.add(index).read_volatile() };
        (0..count).all(|index| read(index) == first + index as Raw * step as Raw)
    };
    let [mut mapped, mut protected, mut unmapped, mut large] = [const { Tally::new() }; 4];

    let (at, raw, step) = black_box((table, first, PTE.span()));
    // SAFETY: spare memory, as all below.
    mapped.count(|| unsafe { bulk::fill(at, pages, raw, step) });
    check!(holds(pages, first, PTE.span()));
    let (at, flip) = black_box((table, 0x200));
    // SAFETY: as above.
    protected.count(|| unsafe { bulk::flip(at, pages, flip) });
    check!(holds(pages, first | 0x200, PTE.span()));
    let at = black_box(table);
    // SAFETY: as above.
    unmapped.count(|| unsafe { bulk::zero(at, pages) });
    check!(holds(pages, 0, 0));
    let (at, raw, step) = black_box((table, first, BLOCK.span()));
    // SAFETY: as above.
    large.count(|| unsafe { bulk::fill(at, leaves, raw, step) });
    check!(holds(leaves, first, BLOCK.span()));

    mapped.report("map_4k_floor", PAGES);
    large.report("map_largest_floor", leaves as u32);
    unmapped.report("unmap_4k_floor", PAGES);
    protected.report("protect_4k_floor", PAGES);
}
