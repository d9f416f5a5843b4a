//! Whose translations an edit changes: the identifier of an address space, as every CPU sees it.
//!
//! An address space does not keep its ASID. Numbers run out, and are then dealt anew by whichever CPU needs one,
//! while another holds the space's tables to edit them. So an edit takes no ASID along: its [`Flush`] reads the
//! [`Context`] when it invalidates, behind the stores and a DSB. The other side is [`switch`]: a CPU that runs
//! a space writes the identifier first, then has a DSB, and then walks.
//!
//! ```text
//! edit:    store descriptor ─▶ DSB ─▶ read the identifier ─▶ TLBI
//! switch:  write the identifier ─▶ DSB ─▶ TTBR0 ─▶ walks read descriptors
//! ```
//!
//! Whichever comes first, a walk that finds the old descriptor is by an identifier that the edit reads.
//!
//! [`Flush`]: super::flush::Flush
//! [`switch`]: super::switch

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::addr::PhysAddr;
use crate::attr::Asid;

/// An address space as CPUs switch to it: where its root lies, and its identifier.
///
/// It lies where CPUs can read it while one of them holds the space's tables to edit them: beside the lock, in
/// the kernel's structure for a process.
pub struct Context {
    root: PhysAddr,
    /// The generation and, in the low 8 bits, the ASID; 0 before any CPU ran the space.
    id: AtomicU64,
}

impl Context {
    /// The space whose root is `root`, which no CPU has run.
    pub const fn new(root: PhysAddr) -> Self {
        Self { root, id: AtomicU64::new(0) }
    }

    /// Where the root lies.
    #[inline]
    pub const fn root(&self) -> PhysAddr {
        self.root
    }

    /// The ASID that translations of the space have in TLBs just now, `None` before any CPU ran it. It changes.
    #[inline]
    pub fn asid(&self) -> Option<Asid> {
        let id = self.id.load(Ordering::Acquire);
        (id != 0).then_some(Asid(id as u8))
    }

    /// The identifier, for who deals them out.
    #[inline]
    pub(crate) const fn id(&self) -> &AtomicU64 {
        &self.id
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("root", &self.root).field("asid", &self.asid()).finish()
    }
}

/// Whose translations an edit changes.
#[derive(Clone, Copy, Debug, Default)]
pub enum Whose<'m> {
    /// Every address space's, or one's of unknown identifier.
    #[default]
    Everyone,
    /// Those of an ASID that stays.
    Asid(Asid),
    /// Those of an address space, whatever its ASID is when they are forgotten.
    Context(&'m Context),
}

impl Whose<'_> {
    /// What has to forget them just now: read it behind the stores and a DSB.
    #[inline]
    pub(super) fn reach(self) -> Reach {
        match self {
            Self::Everyone => Reach::Everyone,
            Self::Asid(asid) => Reach::Asid(asid),
            Self::Context(context) => context.asid().map_or(Reach::Nobody, Reach::Asid),
        }
    }

    /// Whether both mean the same.
    pub(super) fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Everyone, Self::Everyone) => true,
            (Self::Asid(mine), Self::Asid(theirs)) => mine == theirs,
            (Self::Context(mine), Self::Context(theirs)) => core::ptr::eq(mine, theirs),
            _ => false,
        }
    }
}

/// What TLBs know translations by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// Any identifier.
    Everyone,
    /// This one.
    Asid(Asid),
    /// None: no CPU ran the space.
    Nobody,
}
