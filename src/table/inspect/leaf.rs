//! What a walk ends at: a leaf, or a fault.

use core::fmt;

use super::memory::Memory;
use super::rights::{Domain, Intent, Request, Rights};
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::attr::Shareability;
use crate::format::{Fault, FaultKind};

/// The kind of a leaf, which is its level and its size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum LeafKind {
    /// No leaf: the MMU is off, and all 4 GiB are themselves.
    Flat,
    /// Short: 1 MiB.
    Section,
    /// Short: 16 MiB, up to 40 bits of physical address.
    Supersection,
    /// Short: 4 KiB.
    SmallPage,
    /// Short: 64 KiB.
    LargePage,
    /// Long: 1 GiB.
    Block1G,
    /// Long: 2 MiB.
    Block2M,
    /// Long: 4 KiB.
    Page,
}

impl LeafKind {
    /// The depth of the leaf's descriptor, 0 for a first-level one.
    pub const fn depth(self) -> Option<usize> {
        match self {
            Self::Flat => None,
            Self::Section | Self::Supersection | Self::Block1G => Some(0),
            Self::SmallPage | Self::LargePage | Self::Block2M => Some(1),
            Self::Page => Some(2),
        }
    }

    /// What it is called in a drawing.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Section => "section",
            Self::Supersection => "supersection",
            Self::SmallPage => "small page",
            Self::LargePage => "large page",
            Self::Block1G => "1G block",
            Self::Block2M => "2M block",
            Self::Page => "page",
        }
    }
}

/// Memory that a machine's tables map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Leaf {
    /// The addresses that its descriptor answers for. Supersections and large pages are sixteen
    /// descriptors, and each answers for its own sixteenth.
    pub range: VirtRange,
    /// Where the first byte of `range` lies.
    pub frame: PhysAddr,
    /// Level and size.
    pub kind: LeafKind,
    /// Where the descriptor lies; none with the MMU off.
    pub entry: Option<PhysAddr>,
    /// The memory type, through TEX, PRRR and NMRR or MAIR. SCTLR.C is not applied to it.
    pub memory: Memory,
    /// Who sees writes in order.
    pub share: Shareability,
    /// What the kernel (PL1) may do, domain and SCTLR.WXN included.
    pub kernel: Rights,
    /// What user mode (PL0) may do, likewise.
    pub user: Rights,
    /// nG = 0: it holds in every address space.
    pub global: bool,
    /// The access flag is set, or the descriptor has none.
    pub young: bool,
    /// The contiguous hint of long descriptors.
    pub contiguous: bool,
    /// The NS bit, tables' included: it counts in Secure state only.
    pub non_secure: bool,
    /// The domain of a short descriptor.
    pub domain: Option<Domain>,
}

impl Leaf {
    /// Where `va` lies, if it is in `range`.
    pub const fn locate(&self, va: VirtAddr) -> Option<PhysAddr> {
        if !self.range.contains(va) {
            return None;
        }
        let offset = va.as_u32() - self.range.start().as_u32();
        Some(PhysAddr::truncate(self.frame.as_u64() + offset as u64))
    }

    /// The rights of one privilege level.
    pub const fn rights(&self, user: bool) -> Rights {
        if user { self.user } else { self.kernel }
    }

    /// Takes in `next` where it goes on in both address spaces with the same attributes.
    pub(super) fn absorb(&mut self, next: &Self) -> bool {
        let wanted = Self { range: next.range, frame: next.frame, entry: next.entry, ..*self };
        let adjoins = self.range.last().as_u32().checked_add(1)
            == Some(next.range.start().as_u32())
            && self.frame.checked_add(self.range.bytes()) == Some(next.frame);
        let absorbed = adjoins && wanted == *next;
        if absorbed {
            self.range = self.range.hull(next.range);
        }
        absorbed
    }
}

/// One line of a drawing.
impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = match self.share {
            Shareability::Non => "unshared",
            Shareability::Outer => "outer",
            Shareability::Inner => "inner",
        };
        write!(
            f,
            "{} -> {} {:12} kernel {} user {} {} {share}",
            self.range,
            self.frame,
            self.kind.name(),
            self.kernel,
            self.user,
            self.memory,
        )?;
        f.write_str(if self.global { " global" } else { "" })?;
        f.write_str(if self.young { "" } else { " old" })?;
        if let Some(domain) = self.domain {
            write!(f, " domain {}", domain.number)?;
        }
        Ok(())
    }
}

/// The answer to an access that the machine would let pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Translation {
    /// Where the address lies.
    pub pa: PhysAddr,
    /// What maps it there.
    pub leaf: Leaf,
}

/// The answer to an access at which the machine would fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct WalkFault {
    /// What kind. [`FaultKind::WalkExternal`] says that the memory of a descriptor could not be read.
    pub kind: FaultKind,
    /// The depth that the fault status would name: 0 for a first-level descriptor.
    pub depth: usize,
    /// Where the descriptor lies that decided; none where no table is looked at.
    pub entry: Option<PhysAddr>,
    /// The addresses around that fault in the same way.
    pub range: VirtRange,
    /// The domain that the fault status would name.
    pub domain: Option<u8>,
}

impl WalkFault {
    /// What the machine's fault status registers would say of `request`.
    pub const fn status(&self, request: Request) -> Fault {
        let instruction = matches!(request.intent, Intent::Execute);
        Fault {
            kind: self.kind,
            depth: Some(self.depth),
            write: matches!(request.intent, Intent::Write),
            maintenance: false,
            instruction,
            ext: false,
            address_valid: true,
            domain: if instruction { None } else { self.domain },
        }
    }
}

impl fmt::Display for WalkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at level {} for {}", self.kind, self.depth + 1, self.range)?;
        match self.entry {
            Some(entry) => write!(f, " by the descriptor at {entry}"),
            None => f.write_str(", where no table serves"),
        }
    }
}

impl core::error::Error for WalkFault {}
