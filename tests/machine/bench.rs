//! A small tree written by hand, and single operations on it: what right and wrong sequences are made of.

use armv7a_mm::addr::{PhysAddr, VirtAddr};
use armv7a_mm::attr::Asid;
use armv7a_mm::format::{Classic, Format, Level, Lpae};
use armv7a_mm::table::mem::{Maintenance, TableMemory};

use super::regs::Regs;
use super::sim::Sim;
use super::state::Setup;
use super::violation::{Found, Violation};

/// The page that the tree maps: user space's, executable.
pub const PAGE: u32 = 0x0040_3000;
/// Where it lies.
pub const FRAME: u64 = 0x1234_5000;
/// Another frame.
pub const OTHER: u64 = 0x2345_6000;
/// The address space that it runs in.
pub const ASID: u8 = 7;

/// One operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Stores to the descriptor of [`PAGE`]: zero, or a frame.
    Leaf(Option<u64>),
    /// Stores zero to the entry that points to the last table.
    Unlink,
    /// Writes a fresh last table that maps [`PAGE`] to the frame, with zeroes around.
    Fill(u64),
    /// Stores the link to the fresh table.
    Link,
    CleanLeaf,
    CleanLink,
    CleanFresh,
    DsbIshst,
    DsbIsh,
    Isb,
    TlbiPage(u32, u8),
    TlbiPageOfAll(u32),
    TlbiSpace(u8),
    TlbiAll,
    Bpiall,
    /// Frees the last table.
    Free,
}

/// A machine with a tree: root, middle tables, one last table with one page.
pub struct Bench {
    pub sim: Sim,
    root: u64,
    /// The table above the last.
    above: u64,
    last: u64,
    fresh: u64,
}

impl Bench {
    /// The tree is published, and every CPU runs on it.
    pub fn new(setup: Setup) -> Self {
        let sim = Sim::new(Setup { small: true, ..setup });
        let levels = if setup.long { Lpae::LEVELS } else { Classic::LEVELS };
        let depth = levels.len() - 1;
        let table = |level: &'static Level| sim.allocate(level).expect("memory").as_u64();
        let tables: Vec<u64> = levels.iter().map(table).collect();
        let fresh = table(&levels[depth]);
        let (root, above, last) = (tables[0], tables[depth - 1], tables[depth]);
        let bench = Self { sim, root, above, last, fresh };
        for &table in &tables {
            bench.zero(table);
        }
        bench.put(last, bench.index(depth), bench.leaf(FRAME));
        for depth in 1..levels.len() {
            bench.put(tables[depth - 1], bench.index(depth - 1), bench.link(tables[depth]));
        }
        for (&table, level) in tables.iter().zip(levels) {
            bench.clean(table, level.table_bytes());
        }
        bench.sim.dsb_ishst();
        bench.sim.isb();
        bench.sim.adopt(root, Some(ASID), false);
        for cpu in 0..setup.cpus {
            bench.sim.start(cpu, regs(setup.long, root, ASID));
        }
        bench.sim.with(|state| state.look_at(PAGE));
        bench.sim.with(|state| (0..setup.cpus).for_each(|cpu| state.speculate(cpu, PAGE)));
        bench
    }

    /// The root, for registers.
    pub fn root(&self) -> u64 {
        self.root
    }

    fn long(&self) -> bool {
        self.sim.setup().long
    }

    /// The index of [`PAGE`]'s entry in the table at `depth`.
    fn index(&self, depth: usize) -> usize {
        let shifts: &[(u32, u32)] =
            if self.long() { &[(30, 3), (21, 511), (12, 511)] } else { &[(20, 4095), (12, 255)] };
        let (shift, mask) = shifts[depth];
        (PAGE >> shift & mask) as usize
    }

    /// A user page that may be read and executed, normal memory of index 7, young, not global.
    fn leaf(&self, frame: u64) -> u64 {
        if self.long() { frame | 0xFDF } else { frame | 0xE7E }
    }

    fn link(&self, table: u64) -> u64 {
        if self.long() { table | 0b11 } else { table | 1 << 5 | 0b01 }
    }

    fn put(&self, table: u64, index: usize, word: u64) {
        let at = self.sim.virt(PhysAddr::new(table).expect("40 bits"));
        // SAFETY: the index lies in the table.
        unsafe {
            if self.long() {
                self.sim.store(at.cast::<u64>().add(index), word);
            } else {
                self.sim.store(at.cast::<u32>().add(index), word as u32);
            }
        }
    }

    fn entries(&self, table: u64) -> usize {
        self.sim.with(|state| {
            let table = state.tables.at(table).expect("a table");
            state.tables.get(table).words.len()
        })
    }

    fn zero(&self, table: u64) {
        (0..self.entries(table)).for_each(|index| self.put(table, index, 0));
    }

    fn clean(&self, at: u64, bytes: usize) {
        self.sim.clean(self.sim.virt(PhysAddr::new(at).expect("40 bits")), bytes);
    }

    fn clean_entry(&self, table: u64, depth: usize) {
        let bytes = if self.long() { 8 } else { 4 };
        self.clean(table + (self.index(depth) * bytes) as u64, bytes);
    }

    /// Executes one operation.
    pub fn run(&self, op: Op) {
        let depth = if self.long() { 2 } else { 1 };
        let sim = &self.sim;
        match op {
            Op::Leaf(frame) => {
                let word = frame.map_or(0, |frame| self.leaf(frame));
                self.put(self.last, self.index(depth), word);
            }
            Op::Unlink => self.put(self.above, self.index(depth - 1), 0),
            Op::Fill(frame) => {
                self.zero(self.fresh);
                self.put(self.fresh, self.index(depth), self.leaf(frame));
            }
            Op::Link => self.put(self.above, self.index(depth - 1), self.link(self.fresh)),
            Op::CleanLeaf => self.clean_entry(self.last, depth),
            Op::CleanLink => self.clean_entry(self.above, depth - 1),
            Op::CleanFresh => {
                let bytes = self.entries(self.fresh) * if self.long() { 8 } else { 4 };
                self.clean(self.fresh, bytes);
            }
            Op::DsbIshst => sim.dsb_ishst(),
            Op::DsbIsh => sim.dsb_ish(),
            Op::Isb => sim.isb(),
            Op::TlbiPage(va, asid) => sim.tlbimva(VirtAddr(va), Asid(asid)),
            Op::TlbiPageOfAll(va) => sim.tlbimvaa(VirtAddr(va)),
            Op::TlbiSpace(asid) => sim.tlbiasid(Asid(asid)),
            Op::TlbiAll => sim.tlbiall(),
            Op::Bpiall => sim.bpiall(),
            Op::Free => {
                let level = if self.long() { &Lpae::LEVELS[2] } else { &Classic::LEVELS[1] };
                // SAFETY: whether it may be freed is what the machine judges.
                unsafe { sim.free(PhysAddr::new(self.last).expect("40 bits"), level) };
            }
        }
    }

    /// Executes a whole operation and judges it. Then every access must find `frame`, or nothing.
    pub fn judge(&self, ops: &[Op], frame: Option<u64>) -> Vec<Violation> {
        self.sim.begin(format!("{ops:?}"), false);
        ops.iter().for_each(|op| self.run(*op));
        self.sim.end(true);
        self.expect(frame);
        self.sim.violations()
    }

    /// Every access to the page must find `frame`, or nothing, on every CPU, whatever it remembers.
    pub fn expect(&self, frame: Option<u64>) {
        for cpu in 0..self.sim.setup().cpus {
            for found in self.sim.outcomes(cpu, PAGE) {
                let right = match found {
                    Found::Hit(phys, _) => Some(phys) == frame,
                    Found::Fault(_) => frame.is_none(),
                    Found::Conflict => false,
                };
                if !right {
                    self.sim.report(Violation::Wrong { cpu, va: PAGE, found });
                }
            }
        }
    }
}

/// Registers with the MMU, TEX remap and the access flag on, domains 0 to 2 a client's, memory index 7 write-back.
pub fn regs(long: bool, root: u64, asid: u8) -> Regs {
    let common = Regs { sctlr: 0x3000_0001, ..Regs::default() };
    if long {
        let (ttbr0, ttbcr) = (root | u64::from(asid) << 48, 1 << 31 | 1 << 23);
        Regs { ttbr0, ttbcr, remap: [0xEEAA_0400, 0xFF00_0044], ..common }
    } else {
        let remap = [0x9C0B_82A4, 0x40E0_40E0];
        Regs { ttbr0: root, ttbcr: 1 << 5, dacr: 0x15, remap, contextidr: asid.into(), ..common }
    }
}
