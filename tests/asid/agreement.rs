//! What is explored under watch and canonical names is all there is, and no more: the [whole](super::whole) system, seen from
//! everywhere, comes to the same states.

use super::explore::{Names, THREE_CPUS, explore};
use super::system::Without;
use super::whole::{Whole, explore_whole};

/// Walks at random through a system that cannot be explored whole, and how long they are.
const WALKS: u64 = 40;
const STEPS: usize = 1000;

/// Explores a system both ways.
fn agree<const CPUS: usize, const ASIDS: usize, const SPACES: usize>() {
    let explored = explore::<CPUS, ASIDS, SPACES>(Without::Nothing, 1_000_000);
    assert_eq!(explored.wrong, None);
    let mut seen = Names::default();
    let (states, wrong) = explore_whole::<CPUS, ASIDS, SPACES>(Without::Nothing, |state| {
        for name in state.names() {
            assert!(explored.states.contains(&name), "not found: {state:x?}");
            seen.insert(name);
        }
    });
    println!(
        "{CPUS} CPUs, {ASIDS} ASIDs, {SPACES} spaces: {states} states, seen as {}",
        seen.len()
    );
    assert_eq!(wrong, None);
    assert_eq!(seen.len(), explored.states.len(), "some cannot be reached");
}

#[test]
fn one_cpu_whole_and_under_watch() {
    agree::<1, 3, 2>();
    agree::<1, 3, 3>();
}

/// `cargo test --release --test asid -- --ignored`
#[test]
#[ignore = "minutes: ten million states"]
fn two_cpus_whole_and_under_watch() {
    agree::<2, 4, 2>();
}

/// The next of a row of numbers that look random (splitmix64).
fn random(seed: &mut u64) -> usize {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*seed ^ *seed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed >> 33) as usize
}

#[test]
fn three_cpus_at_random_stay_in_what_is_explored() {
    for walk in 0..WALKS {
        let (mut state, mut seed) = (Whole::<3, 5, 4>::new(), walk);
        for _ in 0..STEPS {
            let mut next = Vec::new();
            state.successors(Without::Nothing, |state| next.push(state));
            state = next.swap_remove(random(&mut seed) % next.len());
            assert_eq!(state.wrong(), None);
            for name in state.names() {
                assert!(THREE_CPUS.states.contains(&name), "walk {walk} leaves it: {state:x?}");
            }
        }
    }
}
