//! What a fault status register says, in words that both formats share.
//!
//! The formats differ in how they write the status; [`Classic`](super::Classic) and [`Lpae`](super::Lpae)
//! each read their own. What stands beside the status (DFSR's WnR, ExT, CM) is the same in both, and is
//! read here.

use core::fmt;

use crate::addr::VirtAddr;

/// DFSR.WnR: the access was a write (DDI 0406C B4.1).
const WNR: u32 = 1 << 11;
/// ExT: which of the implementation's two kinds of external abort it was.
const EXT: u32 = 1 << 12;
/// DFSR.CM: a cache maintenance operation faulted.
const CM: u32 = 1 << 13;

/// What kind of fault it was (DDI 0406C B3.13).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum FaultKind {
    /// The address was not aligned as the access requires.
    Alignment,
    /// A debug event.
    Debug,
    /// A leaf whose access flag is clear was used.
    AccessFlag,
    /// Nothing is mapped there.
    Translation,
    /// The domain is closed (classic only).
    Domain,
    /// The leaf forbids the access.
    Permission,
    /// An output or table address is wider than the CPU supports (ARMv8; reserved in ARMv7).
    AddressSize,
    /// Maintenance of the instruction cache by address hit a fault, which IFSR describes (classic only).
    CacheMaintenance,
    /// The memory system answered with an error.
    External,
    /// The memory system answered a table walk with an error.
    WalkExternal,
    /// A parity or ECC error.
    Parity,
    /// A parity or ECC error on a table walk.
    WalkParity,
    /// Two TLB entries match one address.
    TlbConflict,
    /// An error that belongs to no instruction just executed.
    AsyncExternal,
    /// A parity or ECC error that belongs to no instruction just executed.
    AsyncParity,
    /// Implementation defined: lockdown.
    Lockdown,
    /// Implementation defined: coprocessor.
    Coprocessor,
    /// A status that the manual reserves, in this register or at all.
    Reserved(u8),
}

impl FaultKind {
    /// Whether IFSR never holds it (DDI 0406C B3.13.3: "DFSR only").
    const fn is_data_only(self) -> bool {
        matches!(self, Self::CacheMaintenance) || self.is_asynchronous()
    }

    /// Whether it belongs to no instruction just executed.
    #[inline]
    pub const fn is_asynchronous(self) -> bool {
        matches!(self, Self::AsyncExternal | Self::AsyncParity)
    }

    /// Whether ExT describes it.
    const fn is_external(self) -> bool {
        matches!(self, Self::External | Self::WalkExternal | Self::AsyncExternal)
    }

    /// Whether the register with the address is written (DDI 0406C B3.12.2). After a debug event it is
    /// only where the CPU has v7.1 debug and the event was a watchpoint, so it counts as not.
    const fn has_address(self) -> bool {
        !self.is_asynchronous()
            && !matches!(self, Self::Debug | Self::Lockdown | Self::Coprocessor | Self::Reserved(_))
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alignment => "alignment fault",
            Self::Debug => "debug event",
            Self::AccessFlag => "access flag fault",
            Self::Translation => "translation fault",
            Self::Domain => "domain fault",
            Self::Permission => "permission fault",
            Self::AddressSize => "address size fault",
            Self::CacheMaintenance => "instruction cache maintenance fault",
            Self::External => "external abort",
            Self::WalkExternal => "external abort on a table walk",
            Self::Parity => "parity error",
            Self::WalkParity => "parity error on a table walk",
            Self::TlbConflict => "TLB conflict",
            Self::AsyncExternal => "asynchronous external abort",
            Self::AsyncParity => "asynchronous parity error",
            Self::Lockdown => "lockdown abort",
            Self::Coprocessor => "coprocessor abort",
            Self::Reserved(status) => return write!(f, "fault of reserved status {status:#04x}"),
        })
    }
}

/// A decoded fault status.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Fault {
    /// What kind it was.
    pub kind: FaultKind,
    /// At which depth of the walk, where the status says: 0 is the pgd.
    pub depth: Option<usize>,
    /// Whether the access would have written (DFSR.WnR). Never for cache maintenance, which reports
    /// itself as a write (DDI 0406C B4.1), nor where the bit is unknown: asynchronous errors, debug
    /// events.
    pub write: bool,
    /// Whether a cache maintenance operation faulted: DFSR.CM, or the status says so.
    pub maintenance: bool,
    /// Whether an instruction fetch faulted (IFSR).
    pub instruction: bool,
    /// ExT: which of the implementation's two kinds of external abort it was. Clear for other faults.
    pub ext: bool,
    /// Whether DFAR or IFAR holds the address: not after asynchronous errors, and not always after
    /// debug events (B3.12.2).
    pub address_valid: bool,
    /// The domain, where the status has one (classic DFSR). Not for permission faults: the field is
    /// unknown there on CPUs with LPAE (B4.1).
    pub domain: Option<u8>,
}

impl Fault {
    /// The fault of `status`, which the format decoded as `kind` and `depth`, with what the rest of `fsr` says.
    #[inline]
    pub(super) const fn new(
        fsr: u32,
        instruction: bool,
        status: u8,
        (kind, depth): (FaultKind, Option<usize>),
    ) -> Self {
        let kind =
            if instruction && kind.is_data_only() { FaultKind::Reserved(status) } else { kind };
        let maintenance =
            !instruction && (fsr & CM != 0 || matches!(kind, FaultKind::CacheMaintenance));
        let wnr_known = !kind.is_asynchronous() && !matches!(kind, FaultKind::Debug);
        Self {
            kind,
            depth,
            write: !instruction && !maintenance && wnr_known && fsr & WNR != 0,
            maintenance,
            instruction,
            ext: kind.is_external() && fsr & EXT != 0,
            address_valid: kind.has_address(),
            domain: None,
        }
    }

    /// The address in `far` (DFAR, or IFAR for an instruction fetch), if the fault has one.
    #[inline]
    pub const fn address(&self, far: u32) -> Option<VirtAddr> {
        if self.address_valid { Some(VirtAddr(far)) } else { None }
    }

    /// The fault with its address, to print: `permission fault at level 2, writing to 0xc0001000`.
    pub fn at(self, far: u32) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            self.describe(f)?;
            match self.address(far) {
                Some(addr) => write!(f, " {} {addr}", self.verb().1),
                None => f.write_str(", address unknown"),
            }
        })
    }

    /// What the CPU was doing, and the preposition of its address.
    const fn verb(&self) -> (&'static str, &'static str) {
        if self.instruction {
            ("executing", "at")
        } else if self.maintenance {
            ("maintaining a cache", "at")
        } else if self.write {
            ("writing", "to")
        } else {
            ("reading", "from")
        }
    }

    /// Everything but the address.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)?;
        if let Some(depth) = self.depth {
            write!(f, " at level {}", depth + 1)?;
        }
        if let Some(domain) = self.domain {
            write!(f, " in domain {domain}")?;
        }
        if self.kind.is_asynchronous() {
            return Ok(());
        }
        write!(f, ", {}", self.verb().0)
    }
}

/// What and which level, in the manual's numbers: `translation fault at level 2, reading`.
/// [`Fault::at`] adds where.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f)
    }
}
