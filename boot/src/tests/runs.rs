//! Runs of sixteen: used where addresses and sizes allow them, and only there, and each leaf of one answers.

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::{Active, Format, RUN, Runs};
use armv7a_mm::table::edit::LeafSizes;

use super::kinds::Kind;
use super::oracle;
use super::scratch::{DATA, HERE};
use super::support::{self, Space, Spare};
use crate::harness::Test;
use crate::{check_eq, probe, skip};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "runs::begin-and-end-where-they-are-aligned", run: aligned },
    Test { name: "runs::need-memory-aligned-alike", run: misaligned },
    Test { name: "runs::can-be-forbidden", run: forbidden },
    Test { name: "runs::of-the-user's-are-what-the-format-has", run: user },
];

/// The kinds that are runs.
fn runs() -> impl Iterator<Item = Kind> {
    Kind::all().filter(|kind| kind.run)
}

/// What became of a map.
#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    /// Which leaves are in runs, a bit each.
    in_runs: u64,
    /// The first address with other data, of another level, or that the hardware has another opinion about.
    wrong: Option<VirtAddr>,
}

/// Maps `count` leaves of a run's level from the `first`th in a run on, to memory that begins `skew` leaves
/// behind where it would have to. `None` if there is not the memory.
fn map(
    space: &mut Space,
    kind: Kind,
    [first, count, skew]: [u32; 3],
    attrs: Attrs,
    sizes: LeafSizes,
) -> Option<Outcome> {
    let shift = Active::LEVELS[kind.depth].shift;
    let bytes = u64::from(count) << shift;
    let offset = u64::from(first + skew) << shift;
    let base = Spare::new().take(bytes + offset, kind.shift())?;
    let at = |leaf: u32| VirtAddr(HERE.0 + ((first + leaf) << shift));
    let there = |leaf| PhysAddr::truncate(base.as_u64() + offset + (u64::from(leaf) << shift));
    for leaf in 0..count {
        support::write(there(leaf), &[leaf ^ 0x5A5A]);
    }
    let range = VirtRange::new(at(0), bytes).expect("the user half is larger");
    space.map(range, there(0), attrs, sizes).expect("the space is empty");
    space.enter();
    let oracle = oracle::live();
    let mut outcome = Outcome { in_runs: 0, wrong: None };
    for leaf in 0..count {
        let (first, last) = (at(leaf), VirtAddr(at(leaf).0 + (1 << shift) - 1));
        let mapped = space.translate(first).map(|found| Kind::of(&found));
        let right = probe::read(first) == Ok(leaf ^ 0x5A5A)
            && mapped.is_some_and(|mapped| mapped.depth == kind.depth)
            && oracle.agree(first).and(oracle.agree(last)).is_ok();
        if !right {
            outcome.wrong = outcome.wrong.or(Some(first));
        }
        outcome.in_runs |= u64::from(mapped == Some(kind)) << leaf;
    }
    Some(outcome)
}

/// Sixteen ones.
const SIXTEEN: u64 = (1 << RUN) - 1;

fn aligned() {
    for kind in runs() {
        // One leaf short of a run, a run, and two more.
        let mut space = Space::new();
        let Some(found) = map(&mut space, kind, [15, 19, 0], DATA, LeafSizes::LARGEST) else {
            skip!("{} MiB are not spare", kind.bytes() >> 19);
        };
        check_eq!(found, Outcome { in_runs: SIXTEEN << 1, wrong: None }, "{kind:?}");
    }
}

fn misaligned() {
    for kind in runs() {
        let mut space = Space::new();
        let Some(found) = map(&mut space, kind, [0, 16, 1], DATA, LeafSizes::LARGEST) else {
            skip!("{} MiB are not spare", kind.bytes() >> 19);
        };
        check_eq!(found, Outcome { in_runs: 0, wrong: None }, "{kind:?}");
    }
}

fn forbidden() {
    for kind in runs() {
        for (sizes, expected) in [(LeafSizes::BLOCKS, 0), (LeafSizes::LARGEST, SIXTEEN)] {
            let mut space = Space::new();
            let Some(found) = map(&mut space, kind, [0, 16, 0], DATA, sizes) else {
                skip!("{} MiB are not spare", kind.bytes() >> 20);
            };
            check_eq!(found, Outcome { in_runs: expected, wrong: None }, "{kind:?}");
        }
    }
}

fn user() {
    for kind in runs() {
        let mut space = Space::new();
        let attrs = Attrs::user(Access::ReadWrite);
        let Some(found) = map(&mut space, kind, [0, 16, 0], attrs, LeafSizes::LARGEST) else {
            skip!("{} MiB are not spare", kind.bytes() >> 20);
        };
        // Supersections know the kernel's domain alone.
        let identical = Active::LEVELS[kind.depth].runs == Some(Runs::Identical);
        let expected = if identical && kind.depth == 0 { 0 } else { SIXTEEN };
        check_eq!(found, Outcome { in_runs: expected, wrong: None }, "{kind:?}");
    }
}
