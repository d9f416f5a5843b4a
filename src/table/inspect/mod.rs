//! Walks a foreign machine's tables: a crash dump, a guest, another kernel.
//!
//! It needs no more than that machine's [`Regs`] and a function that reads a word of its physical memory,
//! and answers as the machine would. It is driven by the registers alone: either format, TEX remap and
//! access flag on or off, both TTBRs, domains. None of this crate's conventions is assumed, and none of
//! its encoders and decoders is used.
//!
//! ```
//! use armv7a_mm::addr::VirtAddr;
//! use armv7a_mm::table::inspect::{Inspector, Intent, Regs, Request};
//!
//! // MMU on, one domain, client; the table at 0x4000, with one section: 0xC000_0000 to 0x8000_0000.
//! let regs = Regs { sctlr: 1, ttbr0: 0x4000, dacr: 1, ..Regs::default() };
//! let memory = |at: armv7a_mm::addr::PhysAddr| match at.as_u64() {
//!     0x7000 => Some(0x8000_0402),
//!     0x4000..0x8000 => Some(0),
//!     _ => None,
//! };
//! let machine = Inspector::new(regs, memory);
//!
//! let answer = machine.translate(VirtAddr(0xC000_1234), Request::kernel(Intent::Write))?;
//! assert_eq!(answer.pa.as_u64(), 0x8000_1234);
//! let fault = machine.translate(VirtAddr(0xC000_1234), Request::user(Intent::Read)).unwrap_err();
//! assert_eq!(
//!     fault.to_string(),
//!     "permission fault at level 1 for 0xc0000000..=0xc00fffff by the descriptor at 0x0000007000",
//! );
//! # Ok::<(), armv7a_mm::table::inspect::WalkFault>(())
//! ```
//!
//! # Limits
//! The PL1&0 translation regime's first stage: no Hyp mode, no second stage, no FCSE (DDI 0406C B3.1).
//! What the manual leaves unpredictable gets the answer that faults, or grants nothing.

mod bits;
mod leaf;
mod long;
mod memory;
mod regs;
mod rights;
mod short;
mod spans;

pub use leaf::{Leaf, LeafKind, Translation, WalkFault};
pub use memory::{Allocate, Cacheability, Memory};
pub use regs::Regs;
pub use rights::{Domain, DomainAccess, Intent, Request, Rights};
pub use spans::{Regions, Spans};

use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::attr::Shareability;
use crate::format::FaultKind;

/// A machine to ask.
#[derive(Clone, Debug)]
pub struct Inspector<R> {
    regs: Regs,
    read: R,
}

impl<R: Fn(PhysAddr) -> Option<u32>> Inspector<R> {
    /// The machine with these registers and this memory.
    ///
    /// `read` gets an address aligned to 4 and returns the four bytes there as a little-endian number, or
    /// `None` where there is no memory: walks that need it then fault, as the machine's would.
    pub const fn new(regs: Regs, read: R) -> Self {
        Self { regs, read }
    }

    /// The machine's registers.
    pub const fn regs(&self) -> &Regs {
        &self.regs
    }

    /// What maps `va`, whoever may use it.
    ///
    /// # Errors
    /// A [`WalkFault`] of kind [`Translation`](FaultKind::Translation) where nothing does, and of kind
    /// [`WalkExternal`](FaultKind::WalkExternal) where a descriptor cannot be read.
    pub fn walk(&self, va: VirtAddr) -> Result<Leaf, WalkFault> {
        if !self.regs.mmu_is_on() {
            Ok(flat())
        } else if self.regs.is_long() {
            long::walk(&self.regs, |at| self.long_word(at), va)
        } else {
            short::walk(&self.regs, |at| self.word(at), va)
        }
    }

    /// Where an access to `va` goes.
    ///
    /// # Errors
    /// What the machine would raise, checked in its order (DDI 0406C B3.12): as [`walk`](Self::walk), then
    /// access flag, domain, permission.
    pub fn translate(&self, va: VirtAddr, request: Request) -> Result<Translation, WalkFault> {
        let mut leaf = self.walk(va)?;
        let Some(depth) = leaf.kind.depth() else {
            if request.intent == Intent::Execute {
                leaf.memory = Memory::fetch_unmapped(&self.regs);
            }
            return Ok(Translation { pa: PhysAddr::from_u32(va.as_u32()), leaf });
        };
        let refusal = if !leaf.young && !self.regs.sets_access_flags() {
            Some(FaultKind::AccessFlag)
        } else if leaf.domain.is_some_and(|domain| domain.is_closed()) {
            Some(FaultKind::Domain)
        } else if !leaf.rights(request.user).contains(request.intent.into()) {
            Some(FaultKind::Permission)
        } else {
            None
        };
        let fault = |kind| WalkFault {
            kind,
            depth,
            entry: leaf.entry,
            range: leaf.range,
            // The field is unknown for permission faults (B4.1).
            domain: leaf.domain.filter(|_| kind != FaultKind::Permission).map(|d| d.number),
        };
        match (refusal, leaf.locate(va)) {
            (None, Some(pa)) => Ok(Translation { pa, leaf }),
            (kind, _) => Err(fault(kind.unwrap_or(FaultKind::Translation))),
        }
    }

    /// The whole address space, upwards and without a gap: what is mapped, and why the rest is not.
    pub const fn spans(&self) -> Spans<'_, R> {
        Spans::new(self)
    }

    /// All that is mapped, one [`Leaf`] for each descriptor, upwards.
    pub fn leaves(&self) -> impl Iterator<Item = Leaf> {
        self.spans().filter_map(Result::ok)
    }

    /// All that is mapped, upwards, with neighbours joined that go on in physical memory with the same
    /// attributes: the lines of a drawing.
    pub const fn regions(&self) -> Regions<'_, R> {
        Regions::new(self)
    }

    /// A word as a table walk sees it.
    fn word(&self, at: PhysAddr) -> Option<u32> {
        let word = (self.read)(at)?;
        Some(if self.regs.big_endian() { word.swap_bytes() } else { word })
    }

    /// A doubleword as a table walk sees it.
    fn long_word(&self, at: PhysAddr) -> Option<u64> {
        let second = PhysAddr::truncate(at.as_u64() + 4);
        let (first, second) = (u64::from(self.word(at)?), u64::from(self.word(second)?));
        Some(if self.regs.big_endian() { first << 32 | second } else { second << 32 | first })
    }
}

/// The MMU is off: every address is itself, and data is strongly ordered (DDI 0406C B3.2.1).
const fn flat() -> Leaf {
    Leaf {
        range: VirtRange::ALL,
        frame: PhysAddr::from_u32(0),
        kind: LeafKind::Flat,
        entry: None,
        memory: Memory::StronglyOrdered,
        share: Shareability::Outer,
        kernel: Rights::all(),
        user: Rights::all(),
        global: true,
        young: true,
        contiguous: false,
        non_secure: false,
        domain: None,
    }
}
