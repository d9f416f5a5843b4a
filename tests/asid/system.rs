//! CPUs that switch between address spaces, one that edits them, spaces that go and come.
//!
//! What TLBs remember decides no step, but where an edit begins. So it is a part of its own: [`Tlbs`], all of them or
//! one under watch.

use armv7a_mm::mm::asid::Book;

use super::tlbs::Tlbs;

/// In place of a space: none.
pub const NOBODY: u8 = 7;

/// As in the library: marks of an active identifier.
pub const BUSY: u64 = 1 << 63;
pub const TAKEN: u64 = 1 << 62;

/// What the system leaves out, to see that it is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Without {
    Nothing,
    /// The flush behind a rollover.
    Flush,
    /// What CPUs kept at the rollover before, where they have not switched since.
    Reserved,
    /// Renewed identifiers in what CPUs keep.
    Renewal,
    /// The exchange: the active identifier is overwritten.
    Exchange,
    /// The wait for busy CPUs.
    Busy,
    /// Reading the identifier behind the stores: it is read before.
    Order,
}

/// Where a CPU is in a switch to a space, or in none.
///
/// Steps that nobody else can tell apart are one. A space's identifier of the current generation stays until a
/// rollover, which makes the exchange fail: so looking and exchanging are one step, and a switch that fails begins again. A
/// rollover takes identifiers away one by one, but what a CPU does between its own and the last, it may as well do
/// behind that. `schedules` has all steps one by one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum At {
    Home,
    /// [`Without::Exchange`]: it found the space's identifier of the same generation as its active one.
    Ready {
        to: u8,
        wanted: u64,
    },
    /// It is busy: the registers are not written.
    Busy {
        to: u8,
        wanted: u64,
    },
    /// It has the lock, and the identifier is there for all to see.
    Locked {
        to: u8,
        wanted: u64,
    },
}

impl At {
    /// The space that it is on its way to, and the identifier that it is to run by.
    fn target(self) -> Option<(u8, u64)> {
        match self {
            Self::Home => None,
            Self::Ready { to, wanted }
            | Self::Busy { to, wanted }
            | Self::Locked { to, wanted } => Some((to, wanted)),
        }
    }

    /// Which of the four.
    pub fn kind(self) -> u64 {
        match self {
            Self::Home => 0,
            Self::Ready { .. } => 1,
            Self::Busy { .. } => 2,
            Self::Locked { .. } => 3,
        }
    }

    /// As [`to`](Self::to) and [`wanted`](Self::wanted), for other names.
    pub fn target_mut(&mut self) -> Option<(&mut u8, &mut u64)> {
        match self {
            Self::Home => None,
            Self::Ready { to, wanted }
            | Self::Busy { to, wanted }
            | Self::Locked { to, wanted } => Some((to, wanted)),
        }
    }

    /// The space that it is on its way to.
    pub fn to(self) -> Option<u8> {
        self.target().map(|(to, _)| to)
    }

    /// The identifier that it is to run by.
    pub fn wanted(self) -> Option<u64> {
        self.target().map(|(_, wanted)| wanted)
    }
}

/// One CPU.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cpu {
    pub at: At,
    /// The space whose tables it walks, and the number it does so under.
    pub space: u8,
    pub number: u8,
    pub active: u64,
}

/// An edit of a space, by whoever.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Edit {
    None,
    /// The descriptors are stored, for all walks to see.
    Stored {
        space: u8,
    },
    /// The identifier is read: the number, if there is one.
    Read {
        space: u8,
        number: u8,
    },
    /// [`Without::Order`]: read, and not stored yet.
    Early {
        space: u8,
        number: u8,
    },
}

impl Edit {
    /// The space that is edited.
    pub fn space(self) -> Option<u8> {
        match self {
            Self::None => None,
            Self::Stored { space } | Self::Read { space, .. } | Self::Early { space, .. } => {
                Some(space)
            }
        }
    }

    /// The number that it has read.
    pub fn read(self) -> Option<u8> {
        match self {
            Self::None | Self::Stored { .. } => None,
            Self::Read { number, .. } | Self::Early { number, .. } => Some(number),
        }
    }

    /// The same edit under other names.
    pub fn renamed(self, space: impl Fn(u8) -> u8, number: impl Fn(u8) -> u8) -> Self {
        match self {
            Self::None => Self::None,
            Self::Stored { space: s } => Self::Stored { space: space(s) },
            Self::Read { space: s, number: n } => Self::Read { space: space(s), number: number(n) },
            Self::Early { space: s, number: n } => {
                Self::Early { space: space(s), number: number(n) }
            }
        }
    }
}

/// The system: numbers with the reserved one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State<const CPUS: usize, const ASIDS: usize, const SPACES: usize, T> {
    pub book: Book<CPUS, ASIDS>,
    /// Whether a CPU has the lock.
    pub locked: bool,
    pub ids: [u64; SPACES],
    pub cpus: [Cpu; CPUS],
    pub edit: Edit,
    pub tlbs: T,
}

/// The number of an identifier.
pub fn number(id: u64) -> u8 {
    id as u8
}

fn is_current(id: u64, generation: u64) -> bool {
    (id ^ generation) >> 8 == 0
}

impl<const CPUS: usize, const ASIDS: usize, const SPACES: usize, T: Tlbs>
    State<CPUS, ASIDS, SPACES, T>
{
    /// No CPU has run anything.
    pub fn new() -> Self {
        let cpu = Cpu { at: At::Home, space: NOBODY, number: 0, active: TAKEN };
        Self {
            book: Book::new(),
            locked: false,
            ids: [0; SPACES],
            cpus: [cpu; CPUS],
            edit: Edit::None,
            tlbs: T::default(),
        }
    }

    /// Every state that is one step away.
    pub fn successors(&self, without: Without, mut found: impl FnMut(Self)) {
        for cpu in 0..CPUS {
            if self.cpus[cpu].at != At::Home {
                found(self.step(cpu, without));
                continue;
            }
            for to in (0..SPACES as u8).chain([NOBODY]) {
                self.begin(cpu, to, without).into_iter().for_each(&mut found);
            }
        }
        for space in 0..SPACES as u8 {
            self.edits(space, without).into_iter().for_each(&mut found);
            self.frees(space).into_iter().for_each(&mut found);
        }
    }

    /// A space that nobody runs or edits is freed, and another one begins in its place.
    pub fn frees(&self, space: u8) -> Option<Self> {
        let uses = |cpu: &Cpu| cpu.space == space || cpu.at.to() == Some(space);
        let id = self.ids[usize::from(space)];
        if id == 0 || self.edit.space() == Some(space) || self.cpus.iter().any(uses) {
            return None;
        }
        let mut next = self.clone();
        next.forget(number(id));
        next.ids[usize::from(space)] = 0;
        next.tlbs.gone(space);
        next.refill();
        Some(next)
    }

    /// A switch begins: without the lock where it can, else with it; `None` where the CPU waits.
    pub fn begin(&self, cpu: usize, to: u8, without: Without) -> Option<Self> {
        let mut next = self.clone();
        let active = self.cpus[cpu].active;
        let none = if active == TAKEN { 0 } else { active - u64::from(number(active)) };
        let wanted = self.ids.get(usize::from(to)).copied().unwrap_or(none);
        next.cpus[cpu].at = if !is_current(wanted, active) {
            let wanted = next.lock(to, without)?;
            At::Locked { to, wanted }
        } else if without == Without::Exchange {
            At::Ready { to, wanted }
        } else {
            next.cpus[cpu].active = wanted | BUSY;
            At::Busy { to, wanted }
        };
        next.refill();
        Some(next)
    }

    /// Takes the lock, and finds a space's identifier. `None` where it has to wait.
    fn lock(&mut self, to: u8, without: Without) -> Option<u64> {
        if std::mem::replace(&mut self.locked, true) {
            return None;
        }
        let Some(&old) = self.ids.get(usize::from(to)) else { return Some(self.book.generation) };
        let new = match self.renew(old, without) {
            Some(new) => new,
            None => {
                let busy = |cpu: &Cpu| cpu.active & BUSY != 0;
                if without != Without::Busy && self.cpus.iter().any(busy) {
                    return None;
                }
                let taken = self.cpus.map(|cpu| cpu.active & !BUSY);
                self.cpus.iter_mut().for_each(|cpu| cpu.active = TAKEN);
                if without == Without::Reserved {
                    self.book.reserved = [0; CPUS];
                }
                self.book.roll_over(|cpu| Some(taken[cpu]).filter(|id| *id != TAKEN));
                self.renew(old, without).expect("a number is left behind a rollover")
            }
        };
        self.ids[usize::from(to)] = new;
        Some(new)
    }

    /// A switch goes on.
    pub fn step(&self, cpu: usize, without: Without) -> Self {
        let mut next = self.clone();
        let it = &mut next.cpus[cpu];
        it.at = match it.at {
            At::Home => At::Home,
            At::Ready { to, wanted } => {
                it.active = wanted | BUSY;
                At::Busy { to, wanted }
            }
            At::Busy { to, wanted } => {
                (it.space, it.number) = (to, number(wanted));
                // Where nobody waits, it may be gone.
                if it.active & BUSY != 0 {
                    it.active = wanted;
                }
                At::Home
            }
            At::Locked { to, wanted } => {
                if std::mem::take(&mut next.book.pending[cpu]) && without != Without::Flush {
                    next.tlbs.forget_all(cpu);
                    // It walks the old space's tables until the registers are written.
                    next.tlbs.walk(cpu, it.space, it.number);
                }
                (it.space, it.number) = (to, number(wanted));
                it.active = wanted;
                next.locked = false;
                At::Home
            }
        };
        next.refill();
        next
    }

    fn renew(&mut self, old: u64, without: Without) -> Option<u64> {
        let reserved = self.book.reserved;
        let new = self.book.renew(old);
        if without == Without::Renewal {
            self.book.reserved = reserved;
        }
        new
    }

    /// An edit of a space begins or goes on.
    pub fn edits(&self, space: u8, without: Without) -> Option<Self> {
        if self.edit.space().is_some_and(|edited| edited != space) {
            return None;
        }
        let mut next = self.clone();
        let read = number(self.ids[usize::from(space)]);
        match self.edit {
            Edit::None if without == Without::Order => {
                next.edit = Edit::Early { space, number: read };
            }
            // Of what nobody remembers nothing can be wrong.
            Edit::None if !self.tlbs.know(space) => return None,
            Edit::None => {
                next.tlbs.store(space);
                next.edit = Edit::Stored { space };
            }
            Edit::Early { number, .. } => {
                next.tlbs.store(space);
                next.edit = Edit::Read { space, number };
            }
            Edit::Stored { .. } => next.edit = Edit::Read { space, number: read },
            Edit::Read { .. } => next.complete_edit(),
        }
        next.refill();
        Some(next)
    }

    /// An edit that has read a number has TLBs forget it. What they remember of old descriptors from then on is stale.
    pub fn complete_edit(&mut self) {
        if let Edit::Read { number, .. } = self.edit {
            self.forget(number);
        }
        self.tlbs.complete();
        self.edit = Edit::None;
    }

    /// TLBIASID, on every CPU; number 0 says that there is none.
    fn forget(&mut self, number: u8) {
        if number != 0 {
            self.tlbs.forget(number);
        }
    }

    /// Every CPU walks what it can.
    pub fn refill(&mut self) {
        for (index, cpu) in self.cpus.iter().enumerate() {
            self.tlbs.walk(index, cpu.space, cpu.number);
        }
    }

    /// What must not be.
    pub fn wrong(&self) -> Option<String> {
        for (index, cpu) in self.cpus.iter().enumerate() {
            if let Some(wrong) = self.tlbs.wrong(index, cpu.space, cpu.number, self.edit) {
                return Some(format!("CPU {index} may use what is {wrong}"));
            }
            if cpu.space == NOBODY {
                if cpu.number != 0 {
                    return Some(format!("CPU {index} runs nobody under {}", cpu.number));
                }
                continue;
            }
            if cpu.number == 0 || cpu.number != number(self.ids[usize::from(cpu.space)]) {
                return Some(format!("CPU {index} runs its space under another number"));
            }
            let shares = |other: &&Cpu| other.number == cpu.number && other.space != cpu.space;
            if self.cpus.iter().any(|other| shares(&other)) {
                return Some(format!("CPU {index} shares its number with another space"));
            }
        }
        // It is where the search for a free number begins.
        let free = |number: &usize| self.book.used[0] >> number & 1 == 0;
        (0..self.book.next).find(free).map(|number| format!("number {number} would not be found"))
    }
}
