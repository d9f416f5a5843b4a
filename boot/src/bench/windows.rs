//! Windows of the kernel half.

use core::hint::black_box;

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::MemoryType;
use armv7a_mm::format::Active;
use armv7a_mm::mm::window::Vmalloc;
use stub::harness::Test;
use stub::kernel::{LAYOUT, kernel};
use stub::memory::Machine;
use stub::{check, check_eq};

use crate::counter::Tally;

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "bench::ioremap_page", run: page },
    Test { name: "bench::ioremap_1m", run: mebibyte },
];

/// Measured pairs of ioremap and iounmap.
const ROUNDS: u32 = 50;

/// A device's registers. Nobody goes there, so it need not be one.
const DEVICE: PhysAddr = PhysAddr::from_u32(0x1000_0000);

fn page() {
    pairs("ioremap_page", 4096);
}

fn mebibyte() {
    pairs("ioremap_1m", 1 << 20);
}

fn pairs(key: &str, bytes: u64) {
    let place = VirtRange::aligned(VirtAddr(LAYOUT.spec().vmalloc.end - 1), 23);
    let mut window = Vmalloc::<'_, Active, Machine, 64>::new(place);
    let mut swapper = kernel().swapper.lock();
    let mut tally = Tally::new();
    // Over all of the window, so that its tables are there, and then as often as not it has to be purged.
    for round in 0..2 * ROUNDS {
        let mut uncounted = Tally::new();
        let tally = if round < ROUNDS { &mut uncounted } else { &mut tally };
        let (phys, bytes) = black_box((DEVICE, bytes));
        let (window, swapper) = (&mut window, &mut *swapper);
        // SAFETY: nobody goes there.
        let mapped =
            tally.count(|| unsafe { window.ioremap(swapper, phys, bytes, MemoryType::Device) });
        let Ok(at) = mapped else { return check!(false, "{mapped:?}") };
        let last = VirtAddr(at.0 + (bytes - 1) as u32);
        let found = [at, last].map(|at| swapper.translate(at).map(|found| found.phys));
        check_eq!(found, [Some(phys), phys.checked_add(bytes - 1)]);
        // SAFETY: as above.
        check_eq!(tally.count(|| unsafe { window.iounmap(swapper, at) }), Ok(()));
        check_eq!(swapper.translate(at).map(|found| found.phys), None);
    }
    tally.report(key, ROUNDS);
}
