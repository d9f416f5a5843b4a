//! `inspect` against the manual (Arm ARM DDI 0406C), against a real Linux as QEMU translated it, and
//! against tables that mean harm.
//!
//! The words of `short` and `long` are worked out by hand from the descriptor drawings in B3.5.1 and
//! B3.6.1; no encoder is used.

mod encoders;
mod hostile;
mod linux;
mod long;
mod memory_types;
mod short;

use std::cell::RefCell;
use std::collections::BTreeMap;

use armv7a_mm::addr::{PhysAddr, VirtAddr};
use armv7a_mm::format::FaultKind;
use armv7a_mm::table::inspect::{Inspector, Leaf, Regs, Request, Rights, WalkFault};

/// SCTLR bits.
const M: u32 = 1;
const EE: u32 = 1 << 25;
const TRE: u32 = 1 << 28;
const AFE: u32 = 1 << 29;

/// A machine with a few words of memory; the rest of it reads as `fill`.
struct Machine {
    regs: Regs,
    words: BTreeMap<u64, u32>,
    fill: Option<u32>,
    /// Where it was read, in order.
    trace: RefCell<Vec<u64>>,
}

impl Machine {
    /// Memory reads as zero, and the MMU is on.
    fn new(regs: Regs) -> Self {
        let regs = Regs { sctlr: regs.sctlr | M, ..regs };
        Self { regs, words: BTreeMap::new(), fill: Some(0), trace: RefCell::default() }
    }

    fn word(mut self, at: u64, word: u32) -> Self {
        self.words.insert(at, word);
        self
    }

    fn long(self, at: u64, descriptor: u64) -> Self {
        self.word(at, descriptor as u32).word(at + 4, (descriptor >> 32) as u32)
    }

    fn read(&self, at: PhysAddr) -> Option<u32> {
        assert!(at.is_aligned(2), "{at} is not a word's address");
        self.trace.borrow_mut().push(at.as_u64());
        self.words.get(&at.as_u64()).copied().or(self.fill)
    }

    fn inspector(&self) -> Inspector<impl Fn(PhysAddr) -> Option<u32>> {
        Inspector::new(self.regs, |at| self.read(at))
    }

    fn walk(&self, va: u32) -> Result<Leaf, WalkFault> {
        self.inspector().walk(VirtAddr(va))
    }

    /// The leaf, which must be there.
    fn leaf(&self, va: u32) -> Leaf {
        self.walk(va).unwrap_or_else(|fault| panic!("{va:#x}: {fault}"))
    }

    /// Where an access goes, or kind and level of its fault.
    fn ask(&self, va: u32, request: Request) -> Result<u64, (FaultKind, usize)> {
        match self.inspector().translate(VirtAddr(va), request) {
            Ok(answer) => Ok(answer.pa.as_u64()),
            Err(fault) => Err((fault.kind, fault.depth + 1)),
        }
    }

    /// What passes, as `kernel/user`.
    fn rights(&self, va: u32) -> String {
        let of = |user| {
            let passes = |r: &&Request| r.user == user && self.ask(va, **r).is_ok();
            let rights: Rights =
                Request::ALL.iter().filter(passes).map(|r| Rights::from(r.intent)).collect();
            rights.to_string()
        };
        format!("{}/{}", of(false), of(true))
    }
}
