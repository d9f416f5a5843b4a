//! 1 GiB of user space at once.

use core::hint::black_box;

use armv7a_mm::addr::PhysAddr;
use armv7a_mm::attr::Access;
use armv7a_mm::format::{Active, Format};
use armv7a_mm::table::edit::LeafSizes;
use stub::harness::Test;
use stub::{check, check_eq};

use crate::balance::Balance;
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

/// The same descriptors stored, changed and cleared in a row.
fn floors() {
    let pages = PAGES as usize;
    let table = plain::spare(pages);
    let read = |index: usize| {
        // SAFETY: spare memory, as all below.
        unsafe { table.add(index).read_volatile() }
    };
    let first = FRAMES.as_u64() as Raw | 0x32;
    let count = |run: &dyn Fn(&mut Tally)| {
        let mut tally = Tally::new();
        run(&mut tally);
        tally
    };

    let mapped = count(&|tally| {
        let (table, first, step) = black_box((table, first, PTE.span() as Raw));
        // SAFETY: as above.
        tally.count(|| unsafe { plain::fill(table, pages, first, step) });
    });
    check!((0..pages).all(|i| read(i) == first + i as Raw * PTE.span() as Raw));
    let protected = count(&|tally| {
        let (table, clear, set) = black_box((table, 0x2, 0x200));
        // SAFETY: as above.
        tally.count(|| unsafe { plain::change(table, pages, clear, set) });
    });
    check!((0..pages).all(|i| read(i) == (first ^ 0x202) + i as Raw * PTE.span() as Raw));
    let unmapped = count(&|tally| {
        let table = black_box(table);
        // SAFETY: as above.
        tally.count(|| unsafe { plain::fill(table, pages, 0, 0) });
    });
    check!((0..pages).all(|i| read(i) == 0));
    let leaves = (WINDOW.bytes() >> BLOCK.shift) as usize;
    let large = count(&|tally| {
        let (table, first, step) = black_box((table, first, BLOCK.span() as Raw));
        // SAFETY: as above.
        tally.count(|| unsafe { plain::fill(table, leaves, first, step) });
    });
    check!((0..leaves).all(|i| read(i) == first + i as Raw * BLOCK.span() as Raw));
    mapped.report("map_4k_floor", PAGES);
    large.report("map_largest_floor", leaves as u32);
    unmapped.report("unmap_4k_floor", PAGES);
    protected.report("protect_4k_floor", PAGES);
}
