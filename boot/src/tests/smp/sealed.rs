//! What swapper maps while many address spaces are in use on many CPUs is there in each, for each.

use armv7a_mm::addr::{PhysAddr, VirtAddr};
use armv7a_mm::format::FaultKind;

use super::super::support::{self, Space, Spare};
use super::super::windows::{LINK, Mapping, fresh};
use super::{MOST, enter, everywhere, leave, same, with_team};
use crate::harness::Test;
use crate::kernel::LAYOUT;
use crate::probe;
use crate::team::{Outcome, Team};

/// The tests.
pub const TESTS: &[Test] =
    &[Test { name: "smp::later-kernel-mappings-are-everywhere", run: later }];

/// A word for each page.
const fn word(page: usize) -> u32 {
    0x5EA1_ED00 + page as u32
}

/// Pages of spare memory, each with its [`word`].
fn pages() -> [PhysAddr; 4] {
    let mut spare = Spare::new();
    core::array::from_fn(|page| {
        let frame = spare.page();
        support::write(frame, &[word(page)]);
        frame
    })
}

/// Addresses of pages under entries that swapper does not have yet: two in vmalloc, one in the window that shares user
/// space's half, with two pages.
fn places() -> [VirtAddr; 4] {
    let vmalloc = fresh(LAYOUT.spec().vmalloc, 2).start().0;
    let modules = fresh(LAYOUT.spec().modules, 1).start().0;
    let second = 1 << LINK.shift;
    [vmalloc + 0x3000, vmalloc + second + 0x7000, modules + 0x3000, modules + 0x7000].map(VirtAddr)
}

/// Whether the kernel reads these pages' words.
fn reads(places: &[VirtAddr]) -> Outcome {
    places.iter().enumerate().try_for_each(|(page, at)| match probe::read(*at) {
        Ok(found) => same("the word", found, word(page)),
        Err(record) => Err(("a kernel page is missing", record.far, at.0)),
    })
}

/// Whether none of these pages is there.
fn misses(places: &[VirtAddr]) -> Outcome {
    places.iter().try_for_each(|at| match probe::read(*at) {
        Err(record) if record.kind() == Some(FaultKind::Translation) => Ok(()),
        Err(record) => Err(("the status", record.fsr, 0)),
        Ok(found) => Err(("a kernel page is there", found, 0)),
    })
}

/// Each CPU does `visit` in each space, each begins with another.
fn tour(team: &Team, roots: &[PhysAddr], visit: impl Fn() -> Outcome + Sync) {
    everywhere(team, |cpu| {
        let mut outcome = Ok(());
        for turn in 0..roots.len() {
            enter(roots[(cpu + turn) % roots.len()]);
            outcome = outcome.and(visit());
        }
        leave();
        outcome.and(visit())
    });
}

/// Makes so many address spaces, and has `body` use their roots.
fn with_spaces<const N: usize>(body: impl FnOnce([PhysAddr; N])) {
    let mut spaces: [Option<Space>; N] = core::array::from_fn(|_| Some(Space::new()));
    let root = |space: &Option<Space>| space.as_ref().map(|space| space.root());
    body(spaces.each_ref().map(|space| root(space).expect("it was just made")));
    // The youngest is dropped first.
    spaces.iter_mut().rev().for_each(|space| drop(space.take()));
}

/// Maps each frame at its place.
fn map(places: [VirtAddr; 4], frames: [PhysAddr; 4]) -> [Mapping; 4] {
    core::array::from_fn(|page| Mapping::page(places[page], frames[page]))
}

fn later() {
    with_team(MOST, |team| {
        let frames = pages();
        with_spaces::<8>(|roots| {
            let (raced, toured) = roots.split_at(5);
            let places = places();
            tour(team, toured, || misses(&places));
            let mappings = map(places, frames);
            race(team, raced, &places);
            tour(team, toured, || reads(&places));
            tour(team, toured, || reads(&places));
            drop(mappings);
            tour(team, &roots, || misses(&places));
        });
    });
}

/// All run on one pgd, and all miss the same entries at once; so in one pgd after the other.
fn race(team: &Team, roots: &[PhysAddr], places: &[VirtAddr]) {
    everywhere(team, |_| {
        let mut outcome = Ok(());
        for &root in roots {
            enter(root);
            team.meet();
            outcome = outcome.and(reads(places));
        }
        leave();
        outcome
    });
}
