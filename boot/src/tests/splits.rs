//! A leaf or run cut in two while the rest of it is in use: nothing else about it changes.

use core::cell::Cell;

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::Access;
use armv7a_mm::format::FaultKind;

use super::kinds::Kind;
use super::oracle;
use super::scratch::{DATA, HERE, Refusal, part, poke};
use super::support::{self, PTE, Space, Spare};
use crate::harness::Test;
use crate::{check, check_eq, probe, skip};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "splits::the-rest-is-readable-all-the-while", run: in_use },
    Test { name: "splits::both-ends-in-one-leaf-take-one-table", run: one_page },
    Test { name: "splits::both-ends-may-cut-a-leaf", run: two_leaves },
    Test { name: "splits::half-a-leaf-is-unmapped", run: half },
];

/// The kinds that can be cut.
fn large() -> impl Iterator<Item = Kind> {
    Kind::all().filter(|&kind| kind != Kind::PAGE)
}

/// The first word of every page of `bytes` bytes at `phys` says which page it is.
fn number_pages(phys: PhysAddr, bytes: u64) {
    for offset in (0..bytes).step_by(4096) {
        let page = PhysAddr::truncate(phys.as_u64() + offset);
        support::write(page, &[(offset >> 12) as u32]);
    }
}

/// A space, entered, with `count` leaves of `kind` side by side at [`HERE`], their pages numbered. `None` where
/// there is not the memory.
fn space_with(kind: Kind, count: u32) -> Option<(Space, VirtRange)> {
    let bytes = kind.bytes() * u64::from(count);
    let phys = Spare::new().take(bytes, kind.shift())?;
    number_pages(phys, bytes);
    let mut space = Space::new();
    let range = part(kind.range(), 0, bytes);
    space.map(range, phys, DATA, kind.sizes()).expect("the space is empty");
    space.enter();
    Some((space, range))
}

/// The number of the page at `at`.
fn number(at: VirtAddr) -> u32 {
    (at.0 - HERE.0) >> 12
}

/// The first page of `range`, numbered from [`HERE`] on, that does not read as it should, or that the hardware,
/// the tables and the inspector do not agree on.
fn wrong_page(range: VirtRange) -> Option<VirtAddr> {
    let oracle = oracle::live();
    let mut pages = (0..range.bytes() as u32).step_by(4096).map(|i| VirtAddr(range.start().0 + i));
    let right = |at| probe::read(at) == Ok(number(at)) && oracle.agree(at).is_ok();
    pages.find(|&at| !right(at))
}

/// What a write to the page at `at` comes to, if not to what is there already.
fn refused(at: VirtAddr) -> Option<Refusal> {
    Refusal::of(poke(at, number(at)))
}

fn in_use() {
    for kind in large() {
        let Some((mut space, range)) = space_with(kind, 1) else {
            skip!("{} MiB aligned to themselves are not spare", kind.bytes() >> 20);
        };
        let half = (kind.bytes() / 2) as u32;
        let (low, high) = (part(range, 0, half.into()), part(range, half, half.into()));
        // The edit asks for each new meaning while it plans, and again once it has split: there its rest is
        // read, and its own half too.
        let (asked, failed) = (Cell::new(0), Cell::new(None));
        let flush = space.modify(high, |attrs| {
            asked.set(asked.get() + 1);
            for at in [low.start(), low.last(), high.start(), high.last()] {
                let page = at.align_down(12);
                if probe::read(page) != Ok(number(page)) {
                    failed.set(Some(page));
                }
            }
            attrs.with_access(Access::Read)
        });
        check!(flush.is_ok(), "{kind:?}");
        drop(flush);
        check!(asked.get() >= 2, "{kind:?}: asked {} times", asked.get());
        check!(failed.get().is_none(), "{kind:?}: {:?} was gone meanwhile", failed.get());
        let wrong = wrong_page(range);
        check!(wrong.is_none(), "{kind:?}: other data at {wrong:?}");
        let ends = [low.last(), high.start(), high.last()].map(|at| refused(at.align_down(12)));
        let forbidden = Some(FaultKind::Permission);
        let faults = ends.map(|end| end.map(|refusal| refusal.kind));
        check_eq!(faults, [None, forbidden, forbidden], "{kind:?}");
    }
}

fn one_page() {
    for kind in large() {
        let Some((mut space, range)) = space_with(kind, 1) else {
            skip!("{} MiB aligned to themselves are not spare", kind.bytes() >> 20);
        };
        let before = support::in_use().1;
        let offset = kind.bytes() as u32 / 2 + 5 * 4096;
        let page = part(range, offset, 4096);
        check!(space.protect(page, Access::Read).is_ok(), "{kind:?}");
        let tables = support::in_use().1.pte - before.pte;
        check_eq!(tables, usize::from(kind.depth < PTE), "{kind:?}");

        check_eq!(refused(page.start()), Refusal::write(FaultKind::Permission, PTE), "{kind:?}");
        for at in [page.start().0 - 4096, page.last().0 + 1, range.start().0] {
            check_eq!(refused(VirtAddr(at)), None, "{kind:?}, {at:#x}");
        }
        let wrong = wrong_page(range);
        check!(wrong.is_none(), "{kind:?}: other data at {wrong:?}");
        // What is not cut stays as large as it can be.
        let rest = space.translate(range.start()).map(|found| Kind::of(&found));
        let expected = match kind {
            Kind { run: true, depth } => Kind { run: false, depth },
            Kind { depth, .. } => Kind { run: true, depth: depth + 1 },
        };
        check_eq!(rest, Some(expected), "{kind:?}");
        check!(space.unmap(range).is_ok(), "{kind:?}");
        check_eq!(support::in_use().1.pte, before.pte - usize::from(kind.depth == PTE), "{kind:?}");
    }
}

fn two_leaves() {
    for kind in large() {
        let Some((mut space, range)) = space_with(kind, 2) else {
            skip!("twice {} MiB are not spare", kind.bytes() >> 20);
        };
        // From the middle of one to the middle of the other, and a page more.
        let half = kind.bytes() as u32 / 2;
        let cut = part(range, half + 4096, kind.bytes());
        check!(space.protect(cut, Access::Read).is_ok(), "{kind:?}");
        let places = [cut.start().0 - 4096, cut.start().0, cut.last().0 & !0xFFF, cut.last().0 + 1];
        let faults = places.map(|at| refused(VirtAddr(at)).map(|refusal| refusal.kind));
        let forbidden = Some(FaultKind::Permission);
        check_eq!(faults, [None, forbidden, forbidden, None], "{kind:?}");
        let wrong = wrong_page(range);
        check!(wrong.is_none(), "{kind:?}: other data at {wrong:?}");
    }
}

fn half() {
    for kind in large() {
        let Some((mut space, range)) = space_with(kind, 1) else {
            skip!("{} MiB aligned to themselves are not spare", kind.bytes() >> 20);
        };
        let half = kind.bytes() / 2;
        let (low, high) = (part(range, 0, half), part(range, half as u32, half));
        check!(probe::read(low.start()).is_ok() && probe::read(high.start()).is_ok());
        check!(space.unmap(low).is_ok(), "{kind:?}");
        let mut pages = (0..half as u32).step_by(4096).map(|offset| VirtAddr(HERE.0 + offset));
        let left = pages.find(|&at| {
            refused(at).map(|refusal| refusal.kind) != Some(FaultKind::Translation)
                || oracle::live().agree(at).is_err()
        });
        check!(left.is_none(), "{kind:?}: {left:?} is still there");
        let wrong = wrong_page(high);
        check!(wrong.is_none(), "{kind:?}: other data at {wrong:?}");
    }
}
