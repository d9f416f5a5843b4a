//! Every state that can be reached, breadth first, so that what goes wrong first is shown by few steps.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

use super::system::{State, Without};
use super::watch::Watch;

/// Of a name, which is a `u128`.
#[derive(Default)]
pub struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, _: &[u8]) {
        unreachable!("names are written whole");
    }

    fn write_u128(&mut self, name: u128) {
        let product = u128::from(name as u64 ^ 0x9E37_79B9_7F4A_7C15)
            * u128::from((name >> 64) as u64 ^ 0xD6E8_FEB8_6659_FD93);
        let half = product as u64 ^ (product >> 64) as u64;
        self.0 = (half ^ name as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

pub type Names = HashSet<u128, BuildHasherDefault<Mix>>;

/// What an exploration came to.
pub struct Explored {
    pub states: Names,
    pub wrong: Option<String>,
}

/// Explores until something is wrong, or there are more than `limit` states.
pub fn explore<const CPUS: usize, const ASIDS: usize, const SPACES: usize>(
    without: Without,
    limit: usize,
) -> Explored {
    let start = State::<CPUS, ASIDS, SPACES, Watch>::new().canonical(without).pack();
    let mut states = Names::from_iter([start]);
    let mut queue = VecDeque::from([start]);
    let mut wrong = None;
    while let Some(name) = queue.pop_front() {
        State::<CPUS, ASIDS, SPACES, Watch>::unpack(name).watched(without, |next| {
            if wrong.is_none() {
                wrong = next.wrong().map(|wrong| format!("{wrong}: {next:x?}"));
            }
            let name = next.canonical(without).pack();
            if states.insert(name) {
                queue.push_back(name);
            }
        });
        if wrong.is_some() || states.len() > limit {
            break;
        }
    }
    Explored { states, wrong }
}

/// More states than there are.
const LIMIT: usize = 10_000_000;

/// All of three CPUs with four numbers, explored once.
pub static THREE_CPUS: LazyLock<Explored> =
    LazyLock::new(|| explore::<3, 5, 4>(Without::Nothing, LIMIT));

fn all_is_well(explored: &Explored) {
    let states = explored.states.len();
    println!("{states} states");
    assert_eq!(explored.wrong, None);
    assert!(states <= LIMIT, "not all of them");
}

#[test]
fn b22_b23_every_state_of_two_cpus() {
    let explored = explore::<2, 4, 3>(Without::Nothing, LIMIT);
    all_is_well(&explored);
    for name in explored.states {
        let state = State::<2, 4, 3, Watch>::unpack(name);
        assert_eq!(state.clone().canonical(Without::Nothing).pack(), name, "{state:x?}");
    }
}

#[test]
fn b22_b23_every_state_of_three_cpus() {
    all_is_well(&THREE_CPUS);
}
