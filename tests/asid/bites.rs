//! Each thing left out leads to a state that must not be: under watch, as in the [whole](super::whole) system.

use super::explore::explore;
use super::system::Without;
use super::whole::explore_whole;

/// More than any of them takes.
const LIMIT: usize = 1_000_000;

/// For each of which a system with so many `SPACES` comes to the wrong state early.
fn bites<const SPACES: usize>(without: Without, expected: &str) {
    let explored = explore::<2, 4, SPACES>(without, LIMIT);
    let under_watch = (explored.states.len(), explored.wrong);
    for (states, wrong) in [under_watch, explore_whole::<2, 4, SPACES>(without, |_| ())] {
        let wrong = wrong.unwrap_or_else(|| panic!("{states} states: all is well"));
        assert!(wrong.contains(expected), "{wrong}");
    }
}

#[test]
fn without_the_flush_of_a_rollover() {
    bites::<3>(Without::Flush, "not its space's");
}

#[test]
fn b22_without_what_cpus_kept_before() {
    bites::<3>(Without::Reserved, "");
}

#[test]
fn b22_without_renewing_what_cpus_keep() {
    bites::<2>(Without::Renewal, "");
}

#[test]
fn without_the_exchange() {
    bites::<3>(Without::Exchange, "");
}

#[test]
fn without_waiting_for_busy_cpus() {
    bites::<3>(Without::Busy, "");
}

#[test]
fn b23_the_asid_is_read_before_the_stores() {
    bites::<3>(Without::Order, "not its space's");
}
