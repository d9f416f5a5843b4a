//! Address spaces of a kernel half that TTBR1 serves: nothing of it is copied. They are made and destroyed beside the running
//! kernel, and never run.

use core::hint::black_box;
use core::ops::ControlFlow;

use armv7a_mm::addr::{PhysAddr, VirtRange};
use armv7a_mm::armv7::mmu;
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::Active;
use armv7a_mm::mm::{Features, Layout, LayoutSpec, Swapper};
use armv7a_mm::table::edit::LeafSizes;
use spin::Mutex;
use stub::harness::Test;
use stub::kernel::Pgd;
use stub::memory::{Machine, machine};
use stub::{check, check_eq};

use crate::balance::Balance;
use crate::bulk;
use crate::counter::Tally;
use crate::plain;

/// The tests.
pub const TESTS: &[Test] = &[Test { name: "bench::pgd_alloc and pgd_free, split", run: lifetime }];

/// The kernel half from 2 GiB on, all of it TTBR1's.
static LAYOUT: Layout =
    Layout::checked_for::<Active>(LayoutSpec::modules_at_border(0x8000_0000).split_at(0x8000_0000));

/// Measured ones.
const ROUNDS: usize = 16;

fn lifetime() {
    let features = Features { pxn: mmu::has_pxn() };
    // It stays, as a swapper does.
    let swapper = Swapper::new(machine(), &LAYOUT, features).expect("the heap has a root");
    let swapper = &Mutex::new(swapper);
    let lowmem = VirtRange::aligned(LAYOUT.lowmem().start(), 24);
    let kernel = Attrs::kernel(Access::ReadWrite);
    let ram = PhysAddr::from_u32(0x4000_0000);
    // SAFETY: nobody walks these tables.
    let mapped = unsafe { swapper.lock().map(lowmem, ram, kernel, LeafSizes::LARGEST) };
    check_eq!(mapped, Ok(()));
    check!(swapper.lock().seal().is_ok());

    let before = Balance::now();
    let level = LAYOUT.pgd_level::<Active>();
    let (mut cold, mut warm, mut free) = (Tally::new(), Tally::new(), Tally::new());
    let made: [Pgd; ROUNDS] = core::array::from_fn(|_| {
        let swapper = black_box(swapper);
        cold.count(|| swapper.lock().pgd_alloc()).expect("the heap has room for it")
    });
    check_eq!(Balance::now().bytes - before.bytes, ROUNDS * level.table_bytes());
    check!(made.iter().all(|pgd| is_empty(pgd, swapper)));
    for pgd in made {
        // SAFETY: it never ran.
        unsafe { swapper.lock().pgd_free(pgd) };
    }
    for _ in 0..ROUNDS {
        let swapper = black_box(swapper);
        let made = warm.count(|| swapper.lock().pgd_alloc());
        let pgd = black_box(made.expect("one was just freed"));
        check!(is_empty(&pgd, swapper));
        // SAFETY: it never ran.
        free.count(|| unsafe { swapper.lock().pgd_free(pgd) });
    }
    swapper.lock().shrink();
    check_eq!(Balance::now(), before);
    cold.report("pgd_alloc_split_cold", ROUNDS as u32);
    warm.report("pgd_alloc_split_warm", ROUNDS as u32);
    free.report("pgd_free_split", ROUNDS as u32);

    // What any solution does: the root has no entry yet.
    let table = plain::spare(level.entries());
    let mut floor = Tally::new();
    let to = black_box(table);
    // SAFETY: spare memory.
    floor.count(|| unsafe { bulk::zero(to, level.entries()) });
    floor.report("pgd_alloc_split_cold_floor", 1);
}

/// Whether nothing is mapped in the user half, and in the kernel half what swapper maps.
fn is_empty(pgd: &Pgd, swapper: &Mutex<Swapper<'static, Active, Machine>>) -> bool {
    let at = LAYOUT.lowmem().start();
    let found = |phys: Option<PhysAddr>| phys == Some(PhysAddr::from_u32(0x4000_0000));
    pgd.visit(LAYOUT.user(), |_| ControlFlow::Break(())).is_continue()
        && found(pgd.translate(at).map(|found| found.phys))
        && found(swapper.lock().translate(at).map(|found| found.phys))
}
