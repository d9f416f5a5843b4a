//! All that the machine is made of, behind one lock.

use std::collections::VecDeque;

use super::memory::Memory;
use super::regs::Regs;
use super::rng::{Choice, Rng};
use super::rules::Rules;
use super::tables::Tables;
use super::tlb::{Forget, Tlb};
use super::violation::Violation;

/// How a machine is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setup {
    /// Long descriptors.
    pub long: bool,
    pub cpus: usize,
    /// Whether table walks snoop the data cache (ID_MMFR3.CohWalk).
    pub coherent: bool,
    /// Whether maintenance reaches all CPUs, or the one that executes it.
    pub broadcast: bool,
    /// Whether there is memory for few tables only, which starts faster.
    pub small: bool,
    /// TTBCR.N, where it makes the roots that TTBR0 alone walks smaller: short descriptors.
    pub cut: u32,
    pub seed: u64,
}

impl Setup {
    /// A machine that does what the number of its CPUs needs.
    pub const fn new(long: bool, cpus: usize, coherent: bool, seed: u64) -> Self {
        Self { long, cpus, coherent, broadcast: cpus > 1, small: false, cut: 0, seed }
    }
}

/// One CPU.
#[derive(Clone, Debug, Default)]
pub struct Cpu {
    pub regs: Regs,
    /// The registers before those writes that no ISB has followed yet: a walk may obey either.
    pub before: Option<Regs>,
    pub tlb: Tlb,
}

impl Cpu {
    /// What a walk obeys just now.
    pub fn obeyed(&self, rng: &mut Rng) -> Regs {
        let Some(old) = self.before else { return self.regs };
        let mut regs = self.regs;
        if rng.one_in(2) {
            regs.ttbr0 = old.ttbr0;
        }
        if rng.one_in(2) {
            regs.contextidr = old.contextidr;
        }
        if rng.one_in(2) {
            regs.ttbr1 = old.ttbr1;
        }
        regs
    }

    /// Whether a walk may start at `root`.
    pub fn walks(&self, root: u64) -> bool {
        [Some(self.regs), self.before].into_iter().flatten().any(|regs| base(&regs) == root)
    }
}

/// The address that TTBR0 holds: of a whole root under LPAE (T0SZ = 0), else of one of 16 KiB >> TTBCR.N.
pub fn base(regs: &Regs) -> u64 {
    let below = 0x3FFF >> (regs.ttbcr & 0b111);
    if regs.long() { regs.ttbr0 & 0xFF_FFFF_FFE0 } else { regs.ttbr0 & 0xFFFF_FFFF & !below }
}

/// An invalidation on its way.
#[derive(Clone, Copy, Debug)]
pub struct Invalidation {
    pub by: usize,
    pub what: Forget,
    /// CPUs that it has not reached yet.
    pub left: u32,
}

/// Something that happened, for the report of a failure.
#[derive(Clone, Debug)]
pub enum Event {
    Begin(String),
    Store { cpu: usize, va: Option<u32>, at: u64, old: u64, new: u64 },
    Clean { at: u64, bytes: usize },
    DsbIshst,
    DsbIsh,
    Isb,
    Tlbi(Forget),
    Bpiall,
    Allocate(u64),
    Free(u64),
    Regs { cpu: usize, ttbr0: u64, contextidr: u32 },
}

/// Events kept.
const TRACE: usize = 1024;
/// Reports kept.
const REPORTS: usize = 32;

/// The machine's state.
pub struct State {
    pub setup: Setup,
    pub rng: Rng,
    pub memory: Memory,
    pub tables: Tables,
    pub cpus: Vec<Cpu>,
    /// Which CPU executes.
    pub cpu: usize,
    /// Whether it interrupts another one that holds the kernel's locks.
    pub nested: bool,
    pub rules: Rules,
    pub invalidations: Vec<Invalidation>,
    /// Trees, the CPUs that will remember nothing of them after a DSB, and by whom.
    pub resting: Vec<(usize, u32, usize)>,
    pub violations: Vec<Violation>,
    /// Allocations until one is refused.
    pub refuse_after: Option<u32>,
    /// Whether one was refused.
    pub refused: bool,
    /// Addresses that chance looks at.
    pub interest: VecDeque<u32>,
    pub trace: VecDeque<Event>,
}

impl State {
    pub fn new(setup: Setup) -> Self {
        let shift = if setup.long { 3 } else { 2 };
        let words = Tables::words(&setup);
        let memory = Memory::new(words << shift, shift, setup.coherent);
        let tables = Tables::new(&setup, memory.base());
        Self {
            setup,
            rng: Rng::new(setup.seed),
            rules: Rules::new(words, setup.cpus),
            memory,
            tables,
            cpus: vec![Cpu::default(); setup.cpus],
            cpu: 0,
            nested: false,
            invalidations: Vec::new(),
            resting: Vec::new(),
            violations: Vec::new(),
            refuse_after: None,
            refused: false,
            interest: VecDeque::new(),
            trace: VecDeque::new(),
        }
    }

    /// The registers by which the rules read descriptors, also before the MMU is on.
    pub fn reading(&self) -> Regs {
        let regs = self.cpus[self.cpu].regs;
        let sctlr = regs.sctlr | super::regs::TRE | super::regs::AFE;
        Regs { ttbcr: u32::from(self.setup.long) << 31, sctlr, ..regs }
    }

    /// Notes what happened.
    pub fn note(&mut self, event: Event) {
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(event);
    }

    /// Reports.
    pub fn report(&mut self, violation: Violation) {
        if self.violations.len() < REPORTS && !self.violations.contains(&violation) {
            self.violations.push(violation);
        }
    }

    /// The CPUs that maintenance by this one reaches, a bit each.
    pub fn reach(&self) -> u32 {
        if self.setup.broadcast { self.everyone() } else { 1 << self.cpu }
    }

    /// All CPUs, a bit each.
    pub fn everyone(&self) -> u32 {
        (1 << self.setup.cpus) - 1
    }
}
