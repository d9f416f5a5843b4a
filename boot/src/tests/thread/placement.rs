//! Case 6: the three placements of the window for modules and pkmap, each run on. What each costs a pgd, and
//! what it costs in faults.

use armv7a_mm::addr::{VirtAddr, VirtRange};
use armv7a_mm::attr::Access;
use armv7a_mm::format::{Active, FaultKind, Format, Owner};
use armv7a_mm::mm::{Layout, LayoutSpec, Pmds, Verdict};
use armv7a_mm::table::edit::LeafSizes;

use crate::tests::support::{self, Space, Spare};
use crate::tests::windows::link;
use crate::tests::world::World;
use crate::{check_eq, probe};

static BELOW: Layout = Layout::checked(LayoutSpec::linux(0x8000_0000));
static BORDER: Layout = Layout::checked(LayoutSpec::modules_at_border(0x8000_0000));
static ALWAYS: Layout =
    Layout::checked(LayoutSpec { pmds: Pmds::Always, ..LayoutSpec::linux(0x8000_0000) });

/// What a layout costs under LPAE; in the classic format a root entry is filled in for each MiB, and no pgd
/// has a table of its own.
struct Cost {
    /// Tables of a pgd below its root.
    tables: usize,
    /// Faults for the first use of each 2 MiB of the window.
    faults: u32,
}

pub fn below() {
    measure(&BELOW, Cost { tables: 1, faults: 1 });
}

pub fn border() {
    measure(&BORDER, Cost { tables: 0, faults: 0 });
}

pub fn always() {
    measure(&ALWAYS, Cost { tables: 4, faults: 1 });
}

fn measure(layout: &'static Layout, lpae: Cost) {
    let classic = Cost { tables: 0, faults: 1 };
    let cost = if Active::LEVELS.len() == 2 { classic } else { lpae };
    let mut spare = Spare::new();
    let mut world = World::new(layout);
    // As there is in any kernel: something in the linear map.
    let lowmem = VirtRange::page(layout.lowmem().start());
    world.map_at(lowmem, spare.page(), Access::ReadWrite, LeafSizes::PAGES);

    let before = support::in_use().1;
    let space = Space::of(&mut world);
    let after = support::in_use().1;
    let tables = (after.pmd + after.pte) - (before.pmd + before.pte);
    check_eq!((after.pgd - before.pgd, tables), (1, cost.tables), "tables of a pgd");

    let spec = layout.spec();
    space.enter();
    for (value, window) in [(0x1111_1111, spec.modules), (0x2222_2222, spec.pkmap)] {
        let (at, page) = (VirtAddr(window.start), spare.page());
        support::write(page, &[value]);
        world.map_at(VirtRange::page(at), page, Access::ReadWrite, LeafSizes::PAGES);
        let mut faults = 0;
        while let Err(record) = probe::read(at) {
            check_eq!(record.kind(), Some(FaultKind::Translation), "{record}");
            check_eq!(world.judge(&record), Some(Verdict::Retry), "{record}");
            faults += 1;
        }
        check_eq!(faults, cost.faults, "faults for {at}");
        check_eq!(probe::read(at), Ok(value));
        let copy = link(&space.node(), at);
        check_eq!(copy, link(&world.view().node(), at));
        check_eq!(copy.map(|entry| entry.owner), Some(Owner::Swapper));
    }
    // What no swapper maps is not retried for ever.
    let next = VirtAddr(spec.modules.start + 0x1000);
    let verdict = probe::read(next).map_err(|record| world.judge(&record));
    check_eq!(verdict, Err(Some(Verdict::Kernel)));
}
