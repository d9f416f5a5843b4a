//! One of the many states that are the same but for names, and for what decides nothing any more.
//!
//! # Names
//! No step, and nothing that must not be, asks what a CPU, a space or a number is called; but for the search for a free
//! number, which finds the lowest. So exploration lets it find [any](State::watched): then numbers are alike, too,
//! and what the library's does is among what is explored. `symmetry` tries that out.
//!
//! Each state is given names in the order of what it says of them. Where that leaves two undecided, some states are
//! explored under two names, and none is left out.
//!
//! # What is dropped
//! - Identifiers of past generations are compared with what CPUs have reserved, and with nothing else. So they have one
//!   generation, and a mark where a CPU has them reserved. (Those that CPUs have reserved are of different numbers if they
//!   are different: that is asserted.)
//! - What a CPU has reserved is read by the next rollover if the CPU was not active since the last; else it is only
//!   compared, and for that the mark is enough.
//! - What a CPU that holds the lock had as its active identifier is overwritten before the next rollover.
//! - What a CPU that has to forget remembers is forgotten before it runs anything else: its next switch takes the lock,
//!   which is asserted. What it runs just now is not wronged by it, or it would be seen right away.
//! - What a CPU can walk at the moment it need not remember: a watch may begin at any time.
//! - An edit that has read the number under watch is as one that has not, until it invalidates it. So exploration lets it
//!   do that at once, or later read it again.
//! - An edit of what was forgotten meanwhile can only have more forgotten.

use super::bits::Bits;
use super::system::{At, BUSY, Edit, NOBODY, State, TAKEN, Without, number};
use super::watch::{Knows, Watch};

/// The generations of canonical identifiers: of what a CPU has reserved that is no space's, a past one, the same with the
/// mark, the current one.
const NONE: u64 = 0;
const PAST: u64 = 1 << 8;
const KEPT: u64 = 2 << 8;
pub const NOW: u64 = 3 << 8;

/// The rank of such a generation; 0 of what is no identifier.
fn rank(id: u64) -> u64 {
    id >> 8 & 3
}

impl<const CPUS: usize, const ASIDS: usize, const SPACES: usize> State<CPUS, ASIDS, SPACES, Watch> {
    /// The state under canonical names.
    pub fn canonical(mut self, without: Without) -> Self {
        if without == Without::Nothing {
            assert!(self.reserved_are_apart() && self.pending_take_the_lock(), "{self:x?}");
        }
        self.drop_what_decides_nothing(without);
        self.sort_cpus();
        self.sort_numbers_and_spaces();
        self
    }

    /// Drops all but names.
    pub fn drop_what_decides_nothing(&mut self, without: Without) {
        self.drop_what_is_forgotten(without);
        self.rename_generations();
    }

    fn reserved_are_apart(&self) -> bool {
        let reserved = self.book.reserved.iter().enumerate().filter(|(_, id)| number(**id) != 0);
        reserved.clone().all(|(cpu, id)| {
            let mut before = self.book.reserved[..cpu].iter();
            before.all(|other| number(*other) != number(*id) || other == id)
        })
    }

    fn pending_take_the_lock(&self) -> bool {
        let mut cpus = self.cpus.iter().zip(self.book.pending);
        cpus.all(|(cpu, pending)| !pending || cpu.at != At::Home || cpu.active == TAKEN)
    }

    fn drop_what_is_forgotten(&mut self, without: Without) {
        let Watch { cpu, space, number, knows } = self.tlbs;
        let it = self.cpus[usize::from(cpu)];
        let has_to_forget = self.book.pending[usize::from(cpu)]
            && matches!(it.at, At::Home | At::Locked { .. })
            && !matches!(without, Without::Flush | Without::Exchange);
        let is_walked = knows == Knows::Current && (it.space, it.number) == (space, number);
        if is_walked || has_to_forget {
            self.tlbs.knows = Knows::Nothing;
        }
        match self.tlbs.knows {
            Knows::Nothing => self.tlbs = Watch::default(),
            Knows::Stale => self.tlbs.space = NOBODY,
            Knows::Current | Knows::Old => {}
        }
        self.edit = match (self.edit, self.tlbs.knows) {
            // Without the order: what it has read counts before anything is old.
            (edit @ Edit::Early { .. }, Knows::Nothing | Knows::Current) => edit,
            (edit @ Edit::Stored { .. }, Knows::Old) => edit,
            (Edit::Read { space, number: read }, Knows::Old) if read != number => {
                Edit::Read { space, number: 0 }
            }
            (edit @ Edit::Read { .. }, Knows::Old) if without == Without::Order => edit,
            (Edit::Read { space, .. }, Knows::Old) => Edit::Stored { space },
            _ => Edit::None,
        };
    }

    fn rename_generations(&mut self) {
        let generation = self.book.generation;
        let (ids, reserved) = (self.ids, self.book.reserved);
        let renamed = |id: u64, past: u64| {
            let is_now = (id & !BUSY ^ generation) >> 8 == 0;
            id & (BUSY | 0xFF) | if is_now { NOW } else { past }
        };
        for id in self.ids.iter_mut().filter(|id| **id != 0) {
            *id = renamed(*id, if reserved.contains(id) { KEPT } else { PAST });
        }
        for (reserved, cpu) in self.book.reserved.iter_mut().zip(&mut self.cpus) {
            let is_locked = matches!(cpu.at, At::Locked { .. });
            *reserved = if is_locked || cpu.active != TAKEN || number(*reserved) == 0 {
                0
            } else {
                renamed(*reserved, if ids.contains(reserved) { KEPT } else { NONE })
            };
            if is_locked {
                cpu.active = TAKEN;
            } else if cpu.active != TAKEN {
                cpu.active = renamed(cpu.active, PAST);
            }
            if let Some((_, wanted)) = cpu.at.target_mut() {
                *wanted = renamed(*wanted, PAST);
            }
        }
        self.book.generation = NOW;
    }

    /// What canonical states do not say: where the search for a free number begins, and who has reserved what has the
    /// mark.
    pub fn put_back(&mut self) {
        self.find_next();
        for id in self.ids.into_iter().filter(|id| rank(*id) == rank(KEPT)) {
            if !self.book.reserved.contains(&id) {
                let mut cpus = self.cpus.iter().zip(&mut self.book.reserved);
                let unread = cpus.find(|(cpu, reserved)| {
                    **reserved == 0 && (cpu.active != TAKEN || matches!(cpu.at, At::Locked { .. }))
                });
                *unread.expect("a CPU has it reserved").1 = id;
            }
        }
    }

    fn find_next(&mut self) {
        let free = (1..ASIDS).find(|number| self.book.used[0] >> number & 1 == 0);
        self.book.next = free.unwrap_or(ASIDS);
    }

    /// The one that is watched comes first, the others in the order of what names of spaces and numbers do not change.
    fn sort_cpus(&mut self) {
        let special = self.special();
        let class = |space: u8| {
            let id = self.ids.get(usize::from(space));
            id.map_or(0, |id| 1 + rank(*id) * 2 + u64::from(space == special))
        };
        let key = |cpu: usize| {
            let it = &self.cpus[cpu];
            let is_watched = self.tlbs.knows != Knows::Nothing && self.tlbs.cpu == cpu as u8;
            let to = it.at.to().unwrap_or(NOBODY);
            let mut key = Bits::default();
            key.put((!is_watched).into(), 1);
            key.put(it.at.kind(), 2);
            key.put(class(it.space), 4);
            key.put(class(to), 4);
            key.put((it.space == to).into(), 1);
            key.put(rank(it.at.wanted().unwrap_or(0)), 2);
            key.put(it.active >> 62, 2);
            key.put(rank(it.active), 2);
            key.put(rank(self.book.reserved[cpu]), 2);
            key.put(self.book.pending[cpu].into(), 1);
            key
        };
        let mut order: [(Bits, usize); CPUS] = std::array::from_fn(|cpu| (key(cpu), cpu));
        order.sort_unstable();
        self.rename_cpus(order.map(|(_, cpu)| cpu));
    }

    /// `order`: old names, in the order of the new ones.
    pub fn rename_cpus(&mut self, order: [usize; CPUS]) {
        self.cpus = order.map(|cpu| self.cpus[cpu]);
        self.book.reserved = order.map(|cpu| self.book.reserved[cpu]);
        self.book.pending = order.map(|cpu| self.book.pending[cpu]);
        let new = order.iter().position(|cpu| *cpu == usize::from(self.tlbs.cpu));
        self.tlbs.cpu = new.expect("each is among them") as u8;
    }

    /// The space that is unlike all others: it is edited or watched.
    fn special(&self) -> u8 {
        self.edit.space().unwrap_or(self.tlbs.space)
    }

    /// With the CPUs in order, a space is told from others by its identifier's generation and by who runs it, a number by
    /// who has it; then spaces of the same by their numbers.
    pub fn sort_numbers_and_spaces(&mut self) {
        let special = self.special();
        let mut spaces: [Bits; SPACES] = std::array::from_fn(|space| {
            let (id, space) = (self.ids[space], space as u8);
            let mut key = Bits::default();
            key.put(rank(id), 2);
            key.put((space != special).into(), 1);
            for cpu in &self.cpus {
                key.put((cpu.space == space).into(), 1);
                key.put((cpu.at.to() == Some(space)).into(), 1);
            }
            key
        });
        let mut order: [usize; SPACES] = std::array::from_fn(|space| space);
        order.sort_unstable_by_key(|space| spaces[*space]);
        let mut numbers: [(Bits, usize); ASIDS] = std::array::from_fn(|name| {
            let is = |number: u8| u64::from(usize::from(number) == name);
            let mut key = Bits::default();
            // So that keys of two lengths are two.
            key.put(1, 1);
            key.put(is(self.tlbs.number), 1);
            key.put(self.edit.read().map_or(0, is), 1);
            key.put((self.book.used[0] >> name & 1).into(), 1);
            for (cpu, reserved) in self.cpus.iter().zip(self.book.reserved) {
                key.put(is(cpu.number), 1);
                key.put(is(number(cpu.active)), 1);
                key.put(is(number(reserved)), 1);
                key.put(cpu.at.wanted().map_or(0, |id| is(number(id))), 1);
            }
            for space in order.into_iter().filter(|space| is(number(self.ids[*space])) != 0) {
                key.append(spaces[space], 3 + 2 * CPUS as u32);
            }
            (key, name)
        });
        numbers[1..].sort_unstable();
        let mut names = [0; ASIDS];
        numbers.iter().enumerate().for_each(|(to, (_, from))| names[*from] = to as u8);
        self.rename_numbers(|number| names[usize::from(number)]);
        for (key, id) in spaces.iter_mut().zip(self.ids) {
            key.put(number(id).into(), 3);
        }
        order.sort_unstable_by_key(|space| spaces[*space]);
        self.rename_spaces(order);
    }

    /// As for CPUs.
    pub fn rename_spaces(&mut self, order: [usize; SPACES]) {
        let mut names = [NOBODY; NOBODY as usize + 1];
        let ids = self.ids;
        for (to, from) in order.into_iter().enumerate() {
            names[from] = to as u8;
            self.ids[to] = ids[from];
        }
        let name = |space: u8| names[usize::from(space)];
        for cpu in &mut self.cpus {
            cpu.space = name(cpu.space);
            if let Some((to, _)) = cpu.at.target_mut() {
                *to = name(*to);
            }
        }
        self.tlbs.space = name(self.tlbs.space);
        self.edit = self.edit.renamed(name, |number| number);
    }

    /// Gives numbers other names; 0 keeps its.
    pub fn rename_numbers(&mut self, name: impl Fn(u8) -> u8) {
        let rename = |id: &mut u64| *id = *id & !0xFF | u64::from(name(number(*id)));
        self.ids.iter_mut().for_each(rename);
        self.book.reserved.iter_mut().for_each(rename);
        for cpu in &mut self.cpus {
            cpu.number = name(cpu.number);
            rename(&mut cpu.active);
            if let Some((_, wanted)) = cpu.at.target_mut() {
                rename(wanted);
            }
        }
        let used = std::mem::take(&mut self.book.used[0]);
        let used = (0..ASIDS as u8).filter(|number| used >> number & 1 != 0);
        used.for_each(|number| self.book.used[0] |= 1 << name(number));
        self.find_next();
        self.tlbs.number = name(self.tlbs.number);
        self.edit = self.edit.renamed(|space| space, name);
    }
}
