//! What swapper maps while pgds live comes into them by faults: once per entry that is missing, for the
//! kernel's accesses alone, and only where swapper has something.

use armv7a_mm::addr::{VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{Active, FaultKind};
use armv7a_mm::table::edit::LeafSizes;

use super::support::{self, Space, Spare};
use super::windows::{LINK, Mapping, fresh, link};
use crate::faults::Vector;
use crate::harness::Test;
use crate::kernel::{LAYOUT, synced};
use crate::{check, check_eq, image, probe};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "sync::vmalloc-once-per-root-entry", run: vmalloc },
    Test { name: "sync::window-once-per-entry", run: window },
    Test { name: "sync::user-mode-gets-nothing", run: user_mode },
    Test { name: "sync::nothing-is-not-copied", run: nowhere },
    Test { name: "sync::the-neighbour-is-not-the-faulting-entry", run: neighbours },
    Test { name: "sync::a-store-and-a-fetch-are-accesses-too", run: accesses },
];

/// Where the test's user code lies.
const CODE: VirtAddr = VirtAddr(0x1_0000);
/// LDR r0, \[r0\]; SVC #0.
const LOAD: [u32; 2] = [0xE590_0000, 0xEF00_0000];

/// Faults that a touch of every entry in `range` came to, and whether all of it could be read.
fn touch(range: VirtRange) -> (u32, bool) {
    let before = synced();
    let ends = [range.start(), range.last()].map(|at| probe::read(at.align_down(2)));
    let entries = (range.start().0..=range.last().0).step_by(1 << LINK.shift);
    let all = entries.map(VirtAddr).all(|at| probe::read(at).is_ok());
    (synced() - before, all && ends.iter().all(Result::is_ok))
}

/// Maps `bytes` of a window after a pgd was made, and touches it in that pgd: `expected` faults.
fn once_per_entry(range: VirtRange, expected: u32) {
    let mut spare = Spare::new();
    let Some(memory) = spare.take(range.bytes(), 12) else { panic!("no memory") };
    let space = Space::new();
    space.enter();
    check!(probe::read(range.start()).is_err());
    let _mapping = Mapping::new(range, memory, LeafSizes::LARGEST);
    check_eq!(touch(range), (expected, true));
    check_eq!(touch(range), (0, true), "again");
    // A pgd that is made now has all of it.
    let younger = Space::new();
    younger.enter();
    check_eq!(touch(range), (0, true), "in a younger pgd");
}

fn vmalloc() {
    // Under LPAE the root entry is there from the start: the fixmap shares it.
    let bytes: u32 = 24 << 20;
    let range = fresh(LAYOUT.spec().vmalloc, bytes >> LINK.shift);
    once_per_entry(range, if Active::LPAE { 0 } else { 24 });
}

fn window() {
    let links = 2;
    once_per_entry(fresh(LAYOUT.spec().modules, links), links);
}

fn user_mode() {
    let mut spare = Spare::new();
    let (code, data) = (spare.page(), spare.page());
    support::write_code(code, &LOAD);
    let mut space = Space::new();
    let user = Attrs::user(Access::ReadExecute);
    check_eq!(space.map(VirtRange::page(CODE), code, user, LeafSizes::PAGES), Ok(()));
    let mapping = Mapping::page(fresh(LAYOUT.spec().pkmap, 1).start(), data);
    let at = mapping.start();
    space.enter();
    // SAFETY: it loads, and the load faults.
    let load = || unsafe { probe::user(CODE, at.0, VirtAddr(0)) };
    let before = synced();
    for _ in 0..2 {
        let record = load();
        check_eq!((record.vector, record.far), (Vector::Data, at.0), "{record}");
        check_eq!(record.kind(), Some(FaultKind::Translation), "{record}");
    }
    check_eq!((synced() - before, link(&space.node(), at)), (0, None));
    // The kernel's own access brings it in; now the leaf says whose it is.
    check!(probe::read(at).is_ok());
    check_eq!(synced() - before, 1);
    let record = load();
    check_eq!(record.kind(), Some(FaultKind::Permission), "{record}");
    check_eq!(synced() - before, 1);
}

/// A fault that stays one, and copies nothing.
fn fails(at: VirtAddr) -> bool {
    let before = synced();
    let kind = probe::read(at).map_err(|record| record.kind());
    kind == Err(Some(FaultKind::Translation)) && synced() == before
}

fn nowhere() {
    let vmalloc = LAYOUT.spec().vmalloc;
    let mut spare = Spare::new();
    let space = Space::new();
    space.enter();
    // No table at all; then a table without the page, in swapper and, later, in the pgd.
    let at = fresh(vmalloc, 1).start();
    check!(fails(at), "no table");
    let mapping = Mapping::page(VirtAddr(at.0 + 0x5000), spare.page());
    check!(probe::read(mapping.start()).is_ok());
    check!(fails(at), "a table without it");
    let gone = mapping.start();
    drop(mapping);
    check!(fails(gone), "unmapped again");
    check!(fails(probe::UNMAPPED), "next to the vectors");
    // Permission is no reason to copy either.
    let before = synced();
    let text = image::text().start();
    // SAFETY: it faults; if not, it stores what was there.
    let stored = unsafe { probe::write(text, probe::read(text).unwrap_or_default()) };
    check_eq!(stored.map_err(|record| record.kind()), Err(Some(FaultKind::Permission)));
    check_eq!(synced(), before);
}

/// Linux's classic format has root entries in pairs, and once looked at the wrong one.
fn neighbours() {
    let mut spare = Spare::new();
    let pair = fresh(LAYOUT.spec().vmalloc, 4);
    let even = pair.start().0.next_multiple_of(2 << LINK.shift);
    let odd = VirtAddr(even + (1 << LINK.shift));
    let space = Space::new();
    space.enter();
    let _mapping = Mapping::page(odd, spare.page());
    check!(fails(VirtAddr(even)));
    let before = synced();
    check!(probe::read(odd).is_ok());
    check_eq!(synced() - before, u32::from(!Active::LPAE));
    check!(fails(VirtAddr(even)), "the odd one is there, this one is not");
}

fn accesses() {
    let mut spare = Spare::new();
    let space = Space::new();
    space.enter();
    let mappings = [0x1000_u32, 0x2000].map(|offset| {
        let at = fresh(LAYOUT.spec().vmalloc, 1).start();
        Mapping::page(VirtAddr(at.0 + offset), spare.page())
    });
    let before = synced();
    let per_entry = u32::from(!Active::LPAE);
    let [store, fetch] = mappings.each_ref().map(Mapping::start);
    // SAFETY: spare memory.
    check_eq!(unsafe { probe::write(store, 0x5709_ED00) }, Ok(()));
    check_eq!(synced() - before, per_entry);
    check_eq!(probe::read(store), Ok(0x5709_ED00));
    // The prefetch abort is synced as well; what is there then is data.
    // SAFETY: it is not executable.
    let fetched = unsafe { probe::execute(fetch) }.map_err(|record| record.kind());
    check_eq!(fetched, Err(Some(FaultKind::Permission)));
    check_eq!(synced() - before, 2 * per_entry);
}
