//! Each thing left out leads to a state that must not be.

use super::explore::explore;
use super::system::Without;

/// More than any of them takes.
const LIMIT: usize = 1_000_000;

fn bites(without: Without, expected: &str) {
    let explored = explore::<2, 4, 3>(without, 1, LIMIT);
    let wrong = explored.wrong.unwrap_or_else(|| panic!("{} states: all is well", explored.states));
    assert!(wrong.contains(expected), "{wrong}");
}

#[test]
fn without_the_flush_of_a_rollover() {
    bites(Without::Flush, "not its space's");
}

#[test]
fn b22_without_what_cpus_kept_before() {
    bites(Without::Reserved, "");
}

#[test]
fn b22_without_renewing_what_cpus_keep() {
    bites(Without::Renewal, "");
}

#[test]
fn without_the_exchange() {
    bites(Without::Exchange, "");
}

#[test]
fn without_waiting_for_busy_cpus() {
    bites(Without::Busy, "");
}

#[test]
fn b23_the_asid_is_read_before_the_stores() {
    bites(Without::Order, "not its space's");
}
