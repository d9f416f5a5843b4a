//! Making and destroying address spaces.

use core::hint::black_box;

use armv7a_mm::attr::Asid;
use armv7a_mm::format::{Active, Format};
use stub::harness::Test;
use stub::kernel::{LAYOUT, Pgd, kernel};
use stub::{check, check_eq};

use crate::balance::Balance;
use crate::bulk;
use crate::counter::Tally;
use crate::plain;
use crate::space;

/// Address spaces that no freed one helps to make.
pub const COLD: &[Test] = &[Test { name: "bench::pgd_alloc_cold", run: cold }];

/// The other tests.
pub const TESTS: &[Test] = &[
    Test { name: "bench::pgd_alloc_warm, pgd_free", run: warm },
    Test { name: "bench::pgd_alloc floor", run: floor },
];

/// Address spaces in use while another is made: what was freed before the measurement is taken by these.
const DRAINED: usize = 16;
/// Measured ones.
const ROUNDS: usize = 16;

fn cold() {
    let before = Balance::now();
    let swapper = &kernel().swapper;
    swapper.lock().shrink();
    let drained: [Pgd; DRAINED] = core::array::from_fn(|_| space::empty());
    let mut tally = Tally::new();
    let made: [Pgd; ROUNDS] = core::array::from_fn(|_| {
        let swapper = black_box(swapper);
        tally.count(|| swapper.lock().pgd_alloc()).expect("the heap has room for it")
    });
    let bytes = (Balance::now().bytes - before.bytes) / (DRAINED + ROUNDS);
    check_eq!(bytes, space::empty_bytes(), "bytes of an empty address space");
    check!(made.iter().all(space::is_empty));
    made.into_iter().chain(drained).for_each(space::free);
    check_eq!(Balance::now(), before);
    tally.report("pgd_alloc_cold", ROUNDS as u32);
}

fn warm() {
    let before = Balance::now();
    let swapper = &kernel().swapper;
    space::free(space::empty());
    let (mut allocate, mut free) = (Tally::new(), Tally::new());
    for _ in 0..ROUNDS {
        let swapper = black_box(swapper);
        let made = allocate.count(|| swapper.lock().pgd_alloc());
        let mut pgd = made.expect("one was just freed");
        check!(space::is_empty(&pgd));
        // SAFETY: no TLB knows it.
        unsafe { pgd.set_asid(Some(Asid(1))) };
        let pgd = black_box(pgd);
        // SAFETY: it never ran.
        free.count(|| unsafe { swapper.lock().pgd_free(pgd) });
        check_eq!(Balance::now(), before);
    }
    allocate.report("pgd_alloc_warm", ROUNDS as u32);
    free.report("pgd_free", ROUNDS as u32);
}

/// Zeroes and copies what a new address space has zeroed and copied: most of a root in the classic format, the
/// table for the shared window in LPAE, beside whose 512 entries the four of the root do not count.
fn floor() {
    let (level, task_size) = (&Active::LEVELS[Active::LEVELS.len() - 2], LAYOUT.task_size());
    let (entries, border) = (level.entries(), level.index(task_size));
    let table = plain::spare(2 * entries);
    // SAFETY: spare memory, as all below.
    let model = unsafe { table.add(entries) };
    // SAFETY: as above.
    unsafe { bulk::fill(model, entries, 1, 1) };
    let mut tally = Tally::new();
    let (to, from) = black_box((table, model));
    // SAFETY: as above.
    tally.count(|| unsafe {
        bulk::zero(to, border);
        bulk::copy(to.add(border), from.add(border), entries - border);
    });
    // SAFETY: as above.
    let right = |i| unsafe {
        table.add(i).read_volatile() == if i < border { 0 } else { i as plain::Raw + 1 }
    };
    check!((0..entries).all(right));
    tally.report("pgd_alloc_cold_floor", 1);
}
