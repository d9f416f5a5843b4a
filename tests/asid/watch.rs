//! One CPU's TLB under watch: what it remembers of one space by one number.
//!
//! # Why one is enough
//! - What TLBs remember and where an edit is decides no step of identifiers, switches and rollovers; only that a space
//!   is not freed while it is edited.
//! - What must not be, is of one CPU and one number by which it knows something: a space that it does not run, or what is
//!   true of none. So for each such state there is a watch, on the CPU, the space and the number, that sees it. Where a
//!   CPU knows two spaces by one number it does not run one of them: the watch on that one sees it.
//! - Edits of another space only have TLBs forget. Without them, as much is remembered and more. So the space
//!   under watch alone is edited, and only where something of it is remembered; whatever others are edited at
//!   the same time.
//! - An edit that a CPU did not know of when it began has it forget, too, and no more: what the CPU has walked since is true
//!   behind the edit as well.
//!
//! And a watch sees nothing that is not there: to leave an edit out is a run of the system, too. `agreement` tries all
//! that out.
//!
//! # When it begins
//! States without a watch are those of identifiers and CPUs alone. At any of them a watch may begin: on a CPU, the space that
//! it runs and its number. As long as nothing else happens to these than that, the state needs no watch. So the steps
//! with which one begins are those by which the CPU leaves the space, and the space's edits.

use super::system::{At, Edit, NOBODY, State, Without};
use super::tlbs::Tlbs;

/// What is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Knows {
    #[default]
    Nothing,
    /// What is true.
    Current,
    /// What the edit that is not complete changes.
    Old,
    /// What no longer is true of anything.
    Stale,
}

/// Who is watched, and what it knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Watch {
    pub cpu: u8,
    pub space: u8,
    pub number: u8,
    pub knows: Knows,
}

impl Default for Watch {
    fn default() -> Self {
        Self { cpu: 0, space: NOBODY, number: 0, knows: Knows::Nothing }
    }
}

impl Tlbs for Watch {
    fn walk(&mut self, cpu: usize, space: u8, number: u8) {
        let watched =
            space != NOBODY && (self.cpu, self.space, self.number) == (cpu as u8, space, number);
        if watched && self.knows == Knows::Nothing {
            self.knows = Knows::Current;
        }
    }

    fn forget_all(&mut self, cpu: usize) {
        if usize::from(self.cpu) == cpu {
            self.knows = Knows::Nothing;
        }
    }

    fn forget(&mut self, number: u8) {
        if self.number == number {
            self.knows = Knows::Nothing;
        }
    }

    fn store(&mut self, space: u8) {
        if self.know(space) {
            self.knows = Knows::Old;
        }
    }

    fn complete(&mut self) {
        if self.knows == Knows::Old {
            self.knows = Knows::Stale;
        }
    }

    fn gone(&mut self, space: u8) {
        if self.know(space) {
            self.knows = Knows::Stale;
        }
    }

    fn know(&self, space: u8) -> bool {
        self.knows == Knows::Current && self.space == space
    }

    fn wrong(&self, cpu: usize, space: u8, number: u8, _: Edit) -> Option<&'static str> {
        if (self.cpu, self.number) != (cpu as u8, number) {
            return None;
        }
        match self.knows {
            Knows::Stale => Some("not its space's"),
            Knows::Current if self.space != space => Some("not its space's"),
            Knows::Old if self.space != space => Some("another space's"),
            _ => None,
        }
    }
}

impl<const CPUS: usize, const ASIDS: usize, const SPACES: usize> State<CPUS, ASIDS, SPACES, Watch> {
    /// Every state that is one step away, whichever free number a space is given. Edits of what nobody watches are
    /// left out.
    pub fn watched(&self, without: Without, mut found: impl FnMut(Self)) {
        for cpu in 0..CPUS {
            if self.cpus[cpu].at != At::Home {
                found(self.step(cpu, without));
                continue;
            }
            self.begin(cpu, NOBODY, without).into_iter().for_each(&mut found);
            for to in 0..SPACES as u8 {
                self.begins(cpu, to, without, &mut found);
            }
        }
        for space in 0..SPACES as u8 {
            self.frees(space).into_iter().for_each(&mut found);
            self.edits_on(space, without, &mut found);
        }
        if self.tlbs.knows == Knows::Nothing {
            self.watches_begin(without, found);
        }
    }

    /// A watch begins on a CPU, with what it walks.
    fn watches_begin(&self, without: Without, mut found: impl FnMut(Self)) {
        for (index, cpu) in self.cpus.iter().enumerate() {
            if cpu.space == NOBODY {
                continue;
            }
            let mut begun = self.clone();
            begun.tlbs = Watch {
                cpu: index as u8,
                space: cpu.space,
                number: cpu.number,
                knows: Knows::Current,
            };
            if cpu.at != At::Home {
                found(begun.step(index, without));
            }
            begun.edits_on(cpu.space, without, &mut found);
        }
    }

    /// An edit goes on. What happens between reading the number under watch and invalidating it may as well happen before
    /// both.
    fn edits_on(&self, space: u8, without: Without, found: &mut impl FnMut(Self)) {
        let Some(next) = self.edits(space, without) else { return };
        if matches!(next.edit, Edit::Read { number, .. } if number == next.tlbs.number) {
            next.edits(space, without).into_iter().for_each(&mut *found);
        }
        found(next);
    }

    /// A switch to a space begins, whichever free number is found for it: each in turn is called the lowest.
    fn begins(&self, cpu: usize, to: u8, without: Without, found: &mut impl FnMut(Self)) {
        let Some(next) = self.begin(cpu, to, without) else { return };
        let of = usize::from(to);
        let is_renewed = next.ids[of] != self.ids[of];
        found(next);
        if is_renewed {
            for other in 2..ASIDS as u8 {
                let mut renamed = self.clone();
                renamed.rename_numbers(|number| match number {
                    1 => other,
                    number if number == other => 1,
                    number => number,
                });
                renamed
                    .begin(cpu, to, without)
                    .filter(|next| next.ids[of] as u8 == 1)
                    .into_iter()
                    .for_each(&mut *found);
            }
        }
    }
}
