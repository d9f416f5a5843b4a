//! The system whole: all TLBs, every edit, numbers as the library deals them, under the names that all of that has. So there
//! are many more states, of which few systems can be explored.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::system::{Edit, State, Without};
use super::tlbs::All;
use super::watch::{Knows, Watch};

pub type Whole<const CPUS: usize, const ASIDS: usize, const SPACES: usize> =
    State<CPUS, ASIDS, SPACES, All<CPUS, ASIDS>>;

/// The generation of an identifier, active or not.
fn generation(id: u64) -> u64 {
    id << 2 >> 10
}

impl<const CPUS: usize, const ASIDS: usize, const SPACES: usize> Whole<CPUS, ASIDS, SPACES> {
    /// What is seen of it by a watch on a CPU, a space and a number.
    pub fn seen(&self, cpu: usize, space: u8, number: u8) -> State<CPUS, ASIDS, SPACES, Watch> {
        let known = self.tlbs.0[cpu][usize::from(number)];
        let edit = if self.edit.space() == Some(space) { self.edit } else { Edit::None };
        let knows = if known.stale {
            Knows::Stale
        } else if known.old && edit != Edit::None {
            Knows::Old
        } else if known.spaces >> space & 1 != 0 {
            Knows::Current
        } else {
            Knows::Nothing
        };
        State {
            book: self.book.clone(),
            locked: self.locked,
            ids: self.ids,
            cpus: self.cpus,
            edit,
            tlbs: Watch { cpu: cpu as u8, space, number, knows },
        }
    }

    /// The names of what is seen of it from everywhere.
    pub fn names(&self) -> impl Iterator<Item = u128> {
        let spaces = 0..SPACES as u8;
        let numbers = 1..ASIDS as u8;
        let all = (0..CPUS).flat_map(move |cpu| spaces.clone().map(move |space| (cpu, space)));
        let all = all
            .flat_map(move |(cpu, space)| numbers.clone().map(move |number| (cpu, space, number)));
        all.map(|(cpu, space, number)| {
            self.seen(cpu, space, number).canonical(Without::Nothing).pack()
        })
    }

    /// With generations counted anew, those alone of which there is an identifier.
    fn renumbered(mut self) -> Self {
        let mut ids: Vec<&mut u64> = vec![&mut self.book.generation];
        ids.extend(&mut self.ids);
        ids.extend(&mut self.book.reserved);
        for cpu in &mut self.cpus {
            ids.push(&mut cpu.active);
            ids.extend(cpu.at.target_mut().map(|(_, wanted)| wanted));
        }
        // None is of generation 0.
        let mut generations: Vec<u64> = ids.iter().map(|id| generation(**id)).chain([0]).collect();
        generations.sort_unstable();
        generations.dedup();
        for id in ids {
            let rank = generations.binary_search(&generation(*id)).expect("it is one of them");
            *id = *id >> 62 << 62 | (rank as u64) << 8 | *id & 0xFF;
        }
        self
    }

    /// 128 bits, of which a collision is not to be expected.
    fn name(&self) -> u128 {
        let hash = |salt: u64| {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            self.hash(&mut hasher);
            hasher.finish()
        };
        u128::from(hash(1)) << 64 | u128::from(hash(2))
    }
}

/// Explores all of it, breadth first, until something is wrong; each state is shown to `look`. How many there were, and
/// what is wrong.
pub fn explore_whole<const CPUS: usize, const ASIDS: usize, const SPACES: usize>(
    without: Without,
    mut look: impl FnMut(&Whole<CPUS, ASIDS, SPACES>),
) -> (usize, Option<String>) {
    let start = Whole::<CPUS, ASIDS, SPACES>::new();
    let mut states = HashSet::from([start.name()]);
    let mut queue = VecDeque::from([start]);
    let mut wrong = None;
    while let Some(state) = queue.pop_front()
        && wrong.is_none()
    {
        look(&state);
        state.successors(without, |next| {
            if wrong.is_none() {
                wrong = next.wrong().map(|wrong| format!("{wrong}: {next:x?}"));
            }
            let next = next.renumbered();
            if states.insert(next.name()) {
                queue.push_back(next);
            }
        });
    }
    (states.len(), wrong)
}
