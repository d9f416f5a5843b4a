//! No step asks what a CPU, a space or a number is called: a state under other names has the same successors but for names.

use super::explore::{Explored, THREE_CPUS, explore};
use super::system::{State, Without};
use super::watch::{Knows, Watch};

/// Of so many states one is tried.
const SAMPLE: u128 = 149;

type Watched<const CPUS: usize, const ASIDS: usize, const SPACES: usize> =
    State<CPUS, ASIDS, SPACES, Watch>;

/// Every order of `CPUS` CPUs.
fn orders<const CPUS: usize>() -> Vec<[usize; CPUS]> {
    let all = (0..CPUS.pow(CPUS as u32))
        .map(|code| std::array::from_fn(|place| code / CPUS.pow(place as u32) % CPUS));
    all.filter(|order| (0..CPUS).all(|cpu| order.contains(&cpu))).collect()
}

/// One name for all that are the same but for names: the least in any order of CPUs, with which that of numbers and spaces
/// leaves nothing undecided.
fn least_name<const CPUS: usize, const ASIDS: usize, const SPACES: usize>(
    mut state: Watched<CPUS, ASIDS, SPACES>,
    orders: &[[usize; CPUS]],
) -> u128 {
    state.drop_what_decides_nothing(Without::Nothing);
    let names = orders.iter().filter_map(|order| {
        let mut state = state.clone();
        state.rename_cpus(*order);
        let is_first = state.tlbs.knows == Knows::Nothing || state.tlbs.cpu == 0;
        state.sort_numbers_and_spaces();
        is_first.then(|| state.pack())
    });
    names.min().expect("in one order the watched CPU is the first")
}

fn successors<const CPUS: usize, const ASIDS: usize, const SPACES: usize>(
    state: &Watched<CPUS, ASIDS, SPACES>,
    orders: &[[usize; CPUS]],
) -> Vec<u128> {
    let mut names = Vec::new();
    state.watched(Without::Nothing, |next| names.push(least_name(next, orders)));
    names.sort_unstable();
    names.dedup();
    names
}

fn names_decide_nothing<const CPUS: usize, const ASIDS: usize, const SPACES: usize>(
    explored: &Explored,
) {
    let orders = orders();
    for name in explored.states.iter().filter(|name| **name % SAMPLE == 0) {
        let state = Watched::<CPUS, ASIDS, SPACES>::unpack(*name);
        let expected = successors(&state, &orders);
        let mut renamed = state.clone();
        for turn in 1..ASIDS {
            renamed.rename_cpus(std::array::from_fn(|cpu| (cpu + 1) % CPUS));
            assert_eq!(successors(&renamed, &orders), expected, "CPUs, {turn}: {state:x?}");
            renamed.rename_spaces(std::array::from_fn(|space| (space + 1) % SPACES));
            assert_eq!(successors(&renamed, &orders), expected, "spaces, {turn}: {state:x?}");
            let last = ASIDS as u8 - 1;
            renamed.rename_numbers(|number| if number == 0 { 0 } else { number % last + 1 });
            assert_eq!(successors(&renamed, &orders), expected, "numbers, {turn}: {state:x?}");
        }
    }
}

#[test]
fn names_decide_nothing_with_two_cpus() {
    names_decide_nothing::<2, 4, 3>(&explore::<2, 4, 3>(Without::Nothing, usize::MAX));
}

#[test]
fn names_decide_nothing_with_three_cpus() {
    names_decide_nothing::<3, 5, 4>(&THREE_CPUS);
}
