//! Once a flush is paid, no CPU uses the old translation any more.

use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Release},
};

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::FaultKind;
use armv7a_mm::table::edit::LeafSizes;
use spin::Mutex;

use super::super::kinds::Kind;
use super::super::support::{self, Space, Spare};
use super::super::windows::{Mapping, fresh};
use super::{MOST, enter, everywhere, leave, same, with_team};
use crate::harness::Test;
use crate::kernel::LAYOUT;
use crate::probe::{self, Probed};
use crate::team::{Outcome, Team};
use crate::{check, skip};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "smp::unmapped-pages-are-read-nowhere", run: pages },
    Test { name: "smp::unmapped-leaves-of-any-size-are-read-nowhere", run: leaves },
    Test { name: "smp::unmapped-kernel-pages-are-read-nowhere", run: kernel_pages },
    Test { name: "smp::read-only-pages-are-written-nowhere", run: protected },
];

const ROUNDS: u32 = 8;
const AT: VirtAddr = VirtAddr(0x3000_0000);

/// In each round, while all other CPUs use what `present` has mapped, the first takes it away by `absent`, which
/// returns when the flush is paid; then the others must get `kind` at once.
fn shoot(
    team: &Team,
    rounds: u32,
    present: impl Fn(u32) + Sync,
    absent: impl Fn(u32) + Sync,
    touch: impl Fn(u32) -> Probed<Outcome> + Sync,
    kind: FaultKind,
) {
    let gone = AtomicU32::new(0);
    let first = |round: u32| {
        present(round);
        team.meet();
        // The others have it in their TLBs.
        team.meet();
        absent(round);
        gone.store(round, Release);
        team.meet();
        Ok(())
    };
    let other = |round: u32| {
        team.meet();
        let mut outcome = match touch(round) {
            Ok(outcome) => outcome,
            Err(record) => Err(("what is mapped faults", record.fsr, 0)),
        };
        team.meet();
        while gone.load(Acquire) != round {
            if let Ok(more) = touch(round) {
                outcome = outcome.and(more);
            }
        }
        let last = match touch(round) {
            Ok(_) => Err(("it is used after the flush was paid", round, 0)),
            Err(record) if record.kind() == Some(kind) => Ok(()),
            Err(record) => Err(("the status", record.fsr, 0)),
        };
        team.meet();
        outcome.and(last)
    };
    everywhere(team, |cpu| {
        let mut outcome = Ok(());
        for round in 1..=rounds {
            outcome = outcome.and(if cpu == 0 { first(round) } else { other(round) });
        }
        outcome
    });
}

/// All CPUs on one address space, for as long as `body` runs.
fn inside(team: &Team, root: PhysAddr, body: impl FnOnce()) {
    let go = |at: fn(PhysAddr)| {
        everywhere(team, |_| {
            at(root);
            Ok(())
        });
    };
    go(enter);
    body();
    go(|_| leave());
}

/// Two places of spare memory, with a word in each that tells one from the other.
fn places(spare: &mut Spare, kind: Kind) -> Option<[PhysAddr; 2]> {
    let places = [spare.take(kind.bytes(), kind.shift())?, spare.take(kind.bytes(), kind.shift())?];
    for (place, word) in places.into_iter().zip(0..) {
        support::write(place, &[word]);
    }
    Some(places)
}

/// Unmapping what a leaf of this kind maps.
fn unmapped(team: &Team, kind: Kind, rounds: u32) -> Option<()> {
    let places = places(&mut Spare::new(), kind)?;
    let range = VirtRange::aligned(AT, kind.shift());
    let space = Mutex::new(Space::new());
    let root = space.lock().root();
    let attrs = Attrs::user(Access::ReadWrite);
    let present = |round: u32| {
        let place = places[round as usize & 1];
        let mapped = space.lock().map(range, place, attrs, kind.sizes());
        mapped.expect("it was unmapped");
    };
    let absent = |_| space.lock().unmap(range).expect("it is mapped").pay();
    let touch = |round: u32| probe::read(AT).map(|word| same("the word", word, round & 1));
    inside(team, root, || shoot(team, rounds, present, absent, touch, FaultKind::Translation));
    Some(())
}

fn pages() {
    with_team(MOST, |team| {
        check!(unmapped(team, Kind::PAGE, 3 * ROUNDS).is_some());
    });
}

fn leaves() {
    with_team(MOST, |team| {
        let done = Kind::all().filter(|kind| unmapped(team, *kind, ROUNDS).is_some()).count();
        check!(done >= 2, "{done} sizes of leaves");
    });
}

fn kernel_pages() {
    with_team(MOST, |team| {
        let mut spare = Spare::new();
        let Some(places) = places(&mut spare, Kind::PAGE) else { skip!("two pages are not spare") };
        let at = fresh(LAYOUT.spec().vmalloc, 1).start();
        let mapping = Mutex::new(None);
        let present =
            |round: u32| *mapping.lock() = Some(Mapping::page(at, places[round as usize & 1]));
        let absent = |_| drop(mapping.lock().take());
        let touch = |round: u32| probe::read(at).map(|word| same("the word", word, round & 1));
        let space = Space::new();
        inside(team, space.root(), || {
            shoot(team, ROUNDS, present, absent, touch, FaultKind::Translation);
        });
    });
}

fn protected() {
    with_team(MOST, |team| {
        let (frame, page) = (Spare::new().page(), VirtRange::page(AT));
        let space = Mutex::new(Space::new());
        let root = space.lock().root();
        let attrs = Attrs::user(Access::ReadWrite);
        let mapped = space.lock().map(page, frame, attrs, LeafSizes::PAGES);
        mapped.expect("a new pgd is empty");
        let set = |access| space.lock().protect(page, access).expect("it is mapped").pay();
        let present = |_| set(Access::ReadWrite);
        let absent = |_| set(Access::Read);
        // SAFETY: spare memory.
        let touch = |round: u32| unsafe { probe::write(AT, round) }.map(Ok);
        inside(team, root, || {
            shoot(team, ROUNDS, present, absent, touch, FaultKind::Permission);
        });
    });
}
