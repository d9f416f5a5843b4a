//! Proof that the machine bites: sequences that are right pass for every seed, and each deliberately wrong one is
//! reported, by the rules always and by sight for some seed.
//!
//! Every right sequence is also run with each of its steps left out: a step that nothing missed would be a step
//! that nothing tests.

use crate::machine::Setup;
use crate::machine::bench::{ASID, Bench, FRAME, OTHER, Op, PAGE};
use crate::machine::violation::Violation;

/// Seeds by which a wrong sequence must have been seen to go wrong.
const SEEDS: u64 = 60;
/// Seeds that a whole matrix is run with.
const FEW_SEEDS: u64 = 16;

/// Every kind of machine.
fn setups(seed: u64) -> impl Iterator<Item = Setup> {
    let all = [false, true].into_iter().flat_map(|long| [1, 2, 4].map(|cpus| (long, cpus)));
    all.flat_map(move |(long, cpus)| {
        [true, false].map(|coherent| Setup::new(long, cpus, coherent, seed))
    })
}

/// The way to make every CPU forget what was taken away.
fn flush(tlbi: Op) -> Vec<Op> {
    vec![Op::DsbIshst, tlbi, Op::Bpiall, Op::DsbIsh, Op::Isb]
}

fn sequence(parts: &[&[Op]]) -> Vec<Op> {
    parts.concat()
}

/// Takes the page away, and waits until every CPU forgot it.
fn unmap(tlbi: Op) -> Vec<Op> {
    sequence(&[&[Op::Leaf(None), Op::CleanLeaf], &flush(tlbi)])
}

/// Moves the page to another frame.
fn remap() -> Vec<Op> {
    let make = [Op::Leaf(Some(OTHER)), Op::CleanLeaf, Op::DsbIshst, Op::Isb];
    sequence(&[&unmap(Op::TlbiPage(PAGE, ASID)), &make])
}

/// Takes the table away and frees it.
fn unlink() -> Vec<Op> {
    sequence(&[&[Op::Unlink, Op::CleanLink], &flush(Op::TlbiSpace(ASID)), &[Op::Free]])
}

/// Puts another table in the place of the first.
fn relink() -> Vec<Op> {
    let make = [
        Op::Fill(OTHER),
        Op::CleanFresh,
        Op::DsbIshst,
        Op::Link,
        Op::CleanLink,
        Op::DsbIshst,
        Op::Isb,
    ];
    sequence(&[&unlink(), &make])
}

fn run(setup: Setup, ops: &[Op], frame: Option<u64>) -> Vec<Violation> {
    Bench::new(setup).judge(ops, frame)
}

/// Whether a step changes nothing on this machine.
fn is_idle(setup: Setup, op: Op) -> bool {
    setup.coherent && matches!(op, Op::CleanLeaf | Op::CleanLink | Op::CleanFresh)
}

/// Whether leaving the step out can be seen: this machine has no branch predictor, and an ISB that is missing
/// is missed only by what the CPU itself fetched ahead.
fn is_visible(op: Op) -> bool {
    !matches!(op, Op::Bpiall | Op::Isb)
}

/// All right sequences, and what the page is mapped to after each.
fn right() -> [(&'static str, Vec<Op>, Option<u64>); 7] {
    [
        ("unmap", unmap(Op::TlbiPage(PAGE, ASID)), None),
        ("unmap by address", unmap(Op::TlbiPageOfAll(PAGE)), None),
        ("unmap by address space", unmap(Op::TlbiSpace(ASID)), None),
        ("unmap by all", unmap(Op::TlbiAll), None),
        ("remap", remap(), Some(OTHER)),
        ("unlink", unlink(), None),
        ("relink", relink(), Some(OTHER)),
    ]
}

#[test]
fn right_sequences_pass() {
    for seed in 0..FEW_SEEDS {
        for setup in setups(seed) {
            for (name, ops, frame) in right() {
                assert_eq!(run(setup, &ops, frame), [], "{name}, {setup:?}");
            }
        }
    }
}

#[test]
fn every_step_left_out_breaks_a_rule() {
    for setup in setups(1) {
        for (name, ops, frame) in right() {
            for left_out in 0..ops.len() {
                let mut ops = ops.clone();
                let op = ops.remove(left_out);
                // With a store left out the machine cannot know what was meant; one ISB does for both.
                let unknown = matches!(op, Op::Leaf(_) | Op::Unlink | Op::Link | Op::Free);
                let again = op == Op::Isb && ops[left_out..].contains(&op);
                if is_idle(setup, op) || unknown || again {
                    continue;
                }
                let found = run(setup, &ops, frame);
                let rules = found.iter().filter(|violation| !violation.is_seen());
                assert_ne!(rules.count(), 0, "{name} without {op:?}, {setup:?}");
            }
        }
    }
}

#[test]
fn every_step_left_out_is_seen_to_go_wrong() {
    for setup in setups(0) {
        for (name, ops, frame) in right() {
            for left_out in 0..ops.len() {
                let mut ops = ops.clone();
                let op = ops.remove(left_out);
                if !is_visible(op) || is_idle(setup, op) || op == Op::Free {
                    continue;
                }
                let seen = (0..SEEDS).any(|seed| {
                    let found = run(Setup { seed, ..setup }, &ops, frame);
                    found.iter().any(Violation::is_seen)
                });
                assert!(seen, "{name} without step {left_out}, {op:?}, {setup:?}");
            }
        }
    }
}

/// Asserts that a rule finds `ops` wrong whatever happens, and the eye does for some seed.
fn assert_wrong(setup: Setup, name: &str, ops: &[Op], frame: Option<u64>) {
    let mut seen = false;
    for seed in 0..SEEDS {
        if seen && seed >= FEW_SEEDS {
            return;
        }
        let found = run(Setup { seed, ..setup }, ops, frame);
        let ruled = found.iter().any(|violation| !violation.is_seen());
        assert!(ruled, "{name} breaks a rule with every seed, {setup:?}, {seed}");
        seen |= found.iter().any(Violation::is_seen);
    }
    assert!(seen, "{name} is seen with some seed, {setup:?}");
}

#[test]
fn wrong_address_space_or_page_is_reported() {
    for setup in setups(0) {
        for (name, tlbi) in [
            ("wrong ASID", Op::TlbiPage(PAGE, ASID + 1)),
            ("wrong page", Op::TlbiPage(PAGE + 0x1000, ASID)),
            ("wrong page of all", Op::TlbiPageOfAll(PAGE - 0x1000)),
            ("wrong space", Op::TlbiSpace(ASID + 1)),
        ] {
            assert_wrong(setup, name, &unmap(tlbi), None);
        }
    }
}

/// A table's address is in walk caches under every address that it translates.
#[test]
fn a_page_flush_for_a_table_is_reported() {
    for setup in setups(0) {
        let flush = flush(Op::TlbiPage(PAGE, ASID));
        let ops = sequence(&[&[Op::Unlink, Op::CleanLink], &flush, &[Op::Free]]);
        assert_wrong(setup, "page flush", &ops, None);
    }
}

#[test]
fn local_maintenance_on_several_cpus_is_reported() {
    for setup in setups(0).filter(|setup| setup.cpus > 1) {
        let setup = Setup { broadcast: false, ..setup };
        for (name, ops, frame) in right() {
            assert_wrong(setup, name, &ops, frame);
        }
    }
}

#[test]
fn wrong_order_is_reported() {
    let page = Op::TlbiPage(PAGE, ASID);
    let (make, clean) = (Op::Leaf(None), Op::CleanLeaf);
    let end = [Op::Bpiall, Op::DsbIsh, Op::Isb];
    for setup in setups(0) {
        let early = sequence(&[&[page, make, clean, Op::DsbIshst], &end]);
        assert_wrong(setup, "TLBI before the store", &early, None);
        let early = sequence(&[&[make, clean, page, Op::DsbIshst], &end]);
        assert_wrong(setup, "TLBI before the DSB", &early, None);
        let mut early = unlink();
        early.rotate_right(1);
        let early = sequence(&[&early[1..2], &early[..1], &early[2..]]);
        assert_wrong(setup, "free before the flush", &early, None);
        if !setup.coherent {
            let late =
                sequence(&[&[make, Op::DsbIshst, page], &end, &[clean, Op::DsbIsh, Op::Isb]]);
            assert_wrong(setup, "clean behind the flush", &late, None);
        }
    }
}

#[test]
fn replacing_without_break_is_reported() {
    for setup in setups(0) {
        let leaf =
            sequence(&[&[Op::Leaf(Some(OTHER)), Op::CleanLeaf], &flush(Op::TlbiPage(PAGE, ASID))]);
        let found = run(setup, &leaf, Some(OTHER));
        assert!(found.contains(&Violation::NoBreakBeforeMake { va: PAGE }), "{found:x?}");
        let fill = [Op::Fill(OTHER), Op::CleanFresh, Op::DsbIshst];
        let table = sequence(&[&fill, &[Op::Link, Op::CleanLink], &flush(Op::TlbiSpace(ASID))]);
        let found = run(setup, &table, Some(OTHER));
        let broken = |it: &Violation| matches!(it, Violation::NoBreakBeforeMake { .. });
        assert!(found.iter().any(broken), "{found:x?}");
    }
}

/// The old and the new translation in one TLB: what break before make is for.
#[test]
fn without_break_both_translations_meet() {
    for setup in setups(0) {
        let met = (0..SEEDS).any(|seed| {
            let bench = Bench::new(Setup { seed, ..setup });
            for op in [Op::Leaf(Some(OTHER)), Op::CleanLeaf, Op::DsbIshst, Op::Isb] {
                bench.run(op);
            }
            bench.sim.with(|state| (0..setup.cpus).for_each(|cpu| state.speculate(cpu, PAGE)));
            bench.expect(Some(OTHER));
            bench.sim.violations().contains(&Violation::Conflict { cpu: 0, va: PAGE })
        });
        assert!(met, "{setup:?}");
    }
}

#[test]
fn freeing_what_is_linked_or_twice_is_reported() {
    for setup in setups(3) {
        let found = run(setup, &[Op::Free], Some(FRAME));
        assert!(found.iter().any(|it| matches!(it, Violation::FreedLinked { .. })), "{found:x?}");
        assert!(found.iter().any(|it| matches!(it, Violation::Dangling { .. })), "{found:x?}");
        let mut twice = unlink();
        twice.push(Op::Free);
        let found = run(setup, &twice, None);
        assert!(found.iter().any(|it| matches!(it, Violation::BadFree { .. })), "{found:x?}");
    }
}
