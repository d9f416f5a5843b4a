//! Every state that can be reached, breadth first, so that what goes wrong first is shown by the fewest steps.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;

use super::system::{State, Without};

/// A state's name: 128 bits, of which a collision is not to be expected.
fn name(state: &impl Hash) -> u128 {
    let hash = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        state.hash(&mut hasher);
        hasher.finish()
    };
    u128::from(hash(1)) << 64 | u128::from(hash(2))
}

/// What an exploration came to.
pub struct Explored {
    pub states: usize,
    pub wrong: Option<String>,
}

/// Explores at most `limit` states, with an eye on what CPU 0 knows by the number `focus`: what TLBs know decides no step,
/// so all of them may be looked at one after another; and CPUs are alike.
pub fn explore<const CPUS: usize, const ASIDS: usize, const SPACES: usize>(
    without: Without,
    focus: usize,
    limit: usize,
) -> Explored {
    let start = State::<CPUS, ASIDS, SPACES>::new().canonical(without, focus);
    let mut seen = HashSet::from([name(&start)]);
    let mut queue = VecDeque::from([start]);
    while let Some(state) = queue.pop_front() {
        let mut wrong = None;
        state.successors(without, |next| {
            if wrong.is_none() {
                wrong = next.wrong().map(|wrong| format!("{wrong}: {next:x?}"));
            }
            let next = next.canonical(without, focus);
            if seen.insert(name(&next)) {
                queue.push_back(next);
            }
        });
        if wrong.is_some() || seen.len() > limit {
            return Explored { states: seen.len(), wrong };
        }
    }
    Explored { states: seen.len(), wrong: None }
}

/// Explores all of a system, with an eye on each of the numbers. `limit` is more states than there are.
fn every_state<const CPUS: usize, const ASIDS: usize, const SPACES: usize>(
    numbers: RangeInclusive<usize>,
    limit: usize,
) {
    for number in numbers {
        let explored = explore::<CPUS, ASIDS, SPACES>(Without::Nothing, number, limit);
        println!(
            "{CPUS} CPUs, {ASIDS} ASIDs, {SPACES} spaces, number {number}: {} states",
            explored.states
        );
        assert_eq!(explored.wrong, None);
        assert!(explored.states <= limit, "not all of them");
    }
}

#[test]
fn b22_b23_every_state_of_two_cpus() {
    every_state::<2, 4, 3>(1..=3, 1_000_000);
}

/// `cargo test --release --test asid -- --ignored`: some hours, and many gigabytes.
#[test]
#[ignore = "long"]
fn b22_b23_every_state_of_three_cpus() {
    every_state::<3, 5, 4>(1..=4, 1_000_000_000);
}

/// As far as a few steps lead, of which a rollover is one.
#[test]
fn b22_b23_many_states_of_three_cpus() {
    let explored = explore::<3, 5, 4>(Without::Nothing, 1, 500_000);
    assert_eq!(explored.wrong, None);
}
