//! CPUs that switch between address spaces, one that edits them, and TLBs at their worst: each remembers all that its CPU
//! could have walked, until it is told to forget.

use armv7a_mm::mm::asid::Book;

/// In place of a space: none.
pub const NOBODY: u8 = 7;

const BUSY: u64 = 1 << 63;
const TAKEN: u64 = 1 << 62;

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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
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
    /// The space that it is on its way to.
    pub fn to(self) -> Option<u8> {
        match self {
            Self::Home => None,
            Self::Ready { to, .. } | Self::Busy { to, .. } | Self::Locked { to, .. } => Some(to),
        }
    }
}

/// What a TLB remembers by one number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
pub struct Known {
    /// Spaces, a bit each, of which it is true.
    pub spaces: u8,
    /// What the edit that is not complete changes.
    pub old: bool,
    /// What no longer is true of anything.
    pub stale: bool,
}

/// One CPU.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Cpu<const ASIDS: usize> {
    pub at: At,
    /// The space whose tables it walks, and the number it does so under.
    pub space: u8,
    pub number: u8,
    pub active: u64,
    pub tlb: [Known; ASIDS],
}

impl<const ASIDS: usize> Cpu<ASIDS> {
    /// It walks what it can. Of what is known of two spaces, whichever it then runs is wronged.
    fn refill(&mut self) {
        if self.space != NOBODY {
            self.tlb[usize::from(self.number)].spaces |= 1 << self.space;
        }
        for known in &mut self.tlb {
            if known.stale || known.spaces.count_ones() > 1 {
                *known = Known { stale: true, ..Known::default() };
            }
        }
    }
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

/// The system: numbers with the reserved one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State<const CPUS: usize, const ASIDS: usize, const SPACES: usize> {
    pub book: Book<CPUS, ASIDS>,
    /// Whether a CPU has the lock.
    pub locked: bool,
    pub ids: [u64; SPACES],
    pub cpus: [Cpu<ASIDS>; CPUS],
    pub edit: Edit,
}

/// The number of an identifier.
pub fn number(id: u64) -> u8 {
    id as u8
}

fn is_current(id: u64, generation: u64) -> bool {
    (id ^ generation) >> 8 == 0
}

impl<const CPUS: usize, const ASIDS: usize, const SPACES: usize> State<CPUS, ASIDS, SPACES> {
    /// No CPU has run anything.
    pub fn new() -> Self {
        let cpu = Cpu {
            at: At::Home,
            space: NOBODY,
            number: 0,
            active: TAKEN,
            tlb: [Known::default(); ASIDS],
        };
        Self {
            book: Book::new(),
            locked: false,
            ids: [0; SPACES],
            cpus: [cpu; CPUS],
            edit: Edit::None,
        }
    }

    /// Every state that is one step away.
    pub fn successors(&self, without: Without, mut found: impl FnMut(Self)) {
        for cpu in 0..CPUS {
            if self.cpus[cpu].at == At::Home {
                for to in (0..SPACES as u8).chain([NOBODY]) {
                    self.begin(cpu, to, without)
                        .map(Self::refilled)
                        .into_iter()
                        .for_each(&mut found);
                }
            } else {
                found(self.step(cpu, without).refilled());
            }
        }
        for space in 0..SPACES as u8 {
            self.edits(space, without, &mut found);
            if self.may_go(space) {
                let mut next = self.clone();
                next.forget(number(self.ids[space as usize]));
                next.ids[space as usize] = 0;
                next.outdate(space);
                found(next.refilled());
            }
        }
    }

    /// Whether nobody runs or edits a space: it is freed, and another one begins in its place.
    fn may_go(&self, space: u8) -> bool {
        let uses = |cpu: &Cpu<ASIDS>| cpu.space == space || cpu.at.to() == Some(space);
        self.ids[space as usize] != 0 && self.edit == Edit::None && !self.cpus.iter().any(uses)
    }

    /// A switch begins: without the lock where it can, else with it; `None` where the CPU waits.
    fn begin(&self, cpu: usize, to: u8, without: Without) -> Option<Self> {
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
                let busy = |cpu: &Cpu<ASIDS>| cpu.active & BUSY != 0;
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
    fn step(&self, cpu: usize, without: Without) -> Self {
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
                    it.tlb = [Known::default(); ASIDS];
                    // It walks the old space's tables until the registers are written.
                    it.refill();
                }
                (it.space, it.number) = (to, number(wanted));
                it.active = wanted;
                next.locked = false;
                At::Home
            }
        };
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

    /// An edit of a space goes on.
    fn edits(&self, space: u8, without: Without, found: &mut impl FnMut(Self)) {
        let mut next = self.clone();
        let id = self.ids[space as usize];
        next.edit = match self.edit {
            Edit::None if without == Without::Order => Edit::Early { space, number: number(id) },
            // Of what nobody remembers nothing can be wrong.
            Edit::None if !self.is_known(space) => return,
            Edit::None => {
                next.store(space);
                Edit::Stored { space }
            }
            Edit::Early { space: mine, number } if mine == space => {
                next.store(space);
                Edit::Read { space, number }
            }
            Edit::Stored { space: mine } if mine == space => {
                Edit::Read { space, number: number(id) }
            }
            Edit::Read { space: mine, number } if mine == space => {
                next.edit = Edit::Read { space, number };
                next.complete_edit();
                Edit::None
            }
            _ => return,
        };
        found(next.refilled());
    }

    /// An edit that has read a number has TLBs forget it. What they remember of old descriptors from then on is stale.
    pub fn complete_edit(&mut self) {
        if let Edit::Read { number, .. } = self.edit {
            self.forget(number);
        }
        for known in self.cpus.iter_mut().flat_map(|cpu| &mut cpu.tlb) {
            known.stale |= std::mem::take(&mut known.old);
        }
        self.edit = Edit::None;
    }

    /// Descriptors of a space change: what TLBs remember of it is of the old ones.
    pub fn store(&mut self, space: u8) {
        for known in self.cpus.iter_mut().flat_map(|cpu| &mut cpu.tlb) {
            known.old |= known.spaces >> space & 1 != 0;
            known.spaces &= !(1 << space);
        }
    }

    fn is_known(&self, space: u8) -> bool {
        let mut known = self.cpus.iter().flat_map(|cpu| &cpu.tlb);
        known.any(|known| known.spaces >> space & 1 != 0)
    }

    /// A space is gone.
    fn outdate(&mut self, space: u8) {
        for known in self.cpus.iter_mut().flat_map(|cpu| &mut cpu.tlb) {
            known.stale |= known.spaces >> space & 1 != 0;
            known.spaces &= !(1 << space);
        }
    }

    /// TLBIASID, on every CPU; number 0 says that there is none.
    fn forget(&mut self, number: u8) {
        if number != 0 {
            self.cpus.iter_mut().for_each(|cpu| cpu.tlb[usize::from(number)] = Known::default());
        }
    }

    /// Every CPU walks what it can.
    pub fn refill(&mut self) {
        self.cpus.iter_mut().for_each(|cpu| cpu.refill());
    }

    fn refilled(mut self) -> Self {
        self.refill();
        self
    }

    /// What must not be.
    pub fn wrong(&self) -> Option<String> {
        for (index, cpu) in self.cpus.iter().enumerate() {
            let known = cpu.tlb[usize::from(cpu.number)];
            let own = if cpu.space == NOBODY { 0 } else { 1 << cpu.space };
            if known.stale || known.spaces & !own != 0 {
                return Some(format!("CPU {index} may use what is not its space's"));
            }
            let foreign = matches!(self.edit, Edit::Stored { space } | Edit::Read { space, .. } if space != cpu.space);
            if known.old && foreign {
                return Some(format!("CPU {index} may use what is another space's"));
            }
            if cpu.space == NOBODY {
                if cpu.number != 0 {
                    return Some(format!("CPU {index} runs nobody under {}", cpu.number));
                }
                continue;
            }
            if cpu.number != number(self.ids[cpu.space as usize]) {
                return Some(format!("CPU {index} runs its space under another number"));
            }
            let shares =
                |other: &&Cpu<ASIDS>| other.number == cpu.number && other.space != cpu.space;
            if self.cpus.iter().any(|other| shares(&other)) {
                return Some(format!("CPU {index} shares its number with another space"));
            }
        }
        None
    }
}
