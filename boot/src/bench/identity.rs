//! Identity mappings.

use core::hint::black_box;

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::Access;
use armv7a_mm::format::{Active, Format, RUN};
use stub::harness::Test;
use stub::kernel::{LAYOUT, kernel};
use stub::{check, check_eq, skip};

use crate::balance::Balance;
use crate::bulk;
use crate::counter::Tally;
use crate::plain;
use crate::space::{self, BLOCK};

/// The tests.
pub const TESTS: &[Test] = &[Test { name: "bench::idmap", run: idmap }];

/// In the linear map, so that swapper's entries around it have to be kept.
pub const SECTION: VirtRange = VirtRange::aligned(VirtAddr(0xD000_0000), BLOCK.shift);

/// Measured pairs of add and del.
const ROUNDS: u32 = 8;

fn idmap() {
    let end = u64::from(LAYOUT.lowmem().start().0) + kernel().linear.bytes;
    if end < 0xE000_0000 {
        skip!("needs 512 MiB of memory in the linear map");
    }
    let before = Balance::now();
    let mut pgd = space::empty();
    let empty = Balance::now();
    let swapper = |va: VirtAddr| kernel().swapper.lock().translate(va).map(|found| found.phys);
    let neighbours = [VirtAddr(SECTION.start().0 - 1), VirtAddr(SECTION.last().0 + 1)];
    let mut tally = Tally::new();
    for _ in 0..ROUNDS {
        let range = black_box(SECTION);
        // SAFETY: no CPU runs on the pgd.
        let added = tally.count(|| unsafe { pgd.identity_mapping_add(range, Access::ReadExecute) });
        check_eq!(added, Ok(()));
        for va in [SECTION.start(), SECTION.last()] {
            let found = pgd.translate(va).map(|found| found.phys);
            check_eq!(found, Some(PhysAddr::from_u32(va.0)), "{va}");
        }
        for va in neighbours {
            check_eq!(pgd.translate(va).map(|found| found.phys), swapper(va), "{va}");
        }
        // SAFETY: as above.
        let removed =
            tally.count(|| unsafe { pgd.identity_mapping_del(range) }.map(|flush| flush.pay()));
        check_eq!(removed, Ok(()));
        for va in [SECTION.start(), SECTION.last()].into_iter().chain(neighbours) {
            check_eq!(pgd.translate(va).map(|found| found.phys), swapper(va), "{va}");
        }
        check!(space::is_empty(&pgd));
        check_eq!(Balance::now(), empty);
    }
    space::free(pgd);
    check_eq!(Balance::now(), before);
    tally.report("idmap", ROUNDS);
    floor().report("idmap_floor", 1);
}

/// An entry stored and stored back, and what has to go with it: of the run that it lies in, each leaf is stored to stand
/// alone. Under LPAE that is in a copy of swapper's table, which is left in the end; in the classic format the run is
/// copied back.
fn floor() -> Tally {
    let mut tally = Tally::new();
    let entries = BLOCK.entries();
    let table = plain::spare(2 * entries + 1);
    // SAFETY: spare memory, as all below.
    let (to, from, entry) =
        black_box(unsafe { (table, table.add(entries), table.add(2 * entries)) });
    tally.count(|| {
        // SAFETY: as above.
        unsafe {
            if Active::LEVELS.len() > 2 {
                bulk::copy(to, from, entries);
            }
            bulk::fill(to, RUN, 1, 1);
            plain::publish(entry, 1);
            plain::publish(entry, 0);
            if Active::LEVELS.len() == 2 {
                bulk::copy(to, from, RUN);
            }
        }
    });
    tally
}
