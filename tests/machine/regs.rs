//! The registers that a walk obeys.

use super::leaf::{Cached, Memory, Share};

/// TTBCR.EAE: long descriptors (DDI 0406C B4.1.153).
const EAE: u32 = 1 << 31;
/// SCTLR.TRE (B4.1.130).
pub const TRE: u32 = 1 << 28;
/// SCTLR.AFE.
pub const AFE: u32 = 1 << 29;
const WXN: u32 = 1 << 19;
const UWXN: u32 = 1 << 20;

/// One CPU's translation registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Regs {
    pub ttbr0: u64,
    pub ttbr1: u64,
    pub ttbcr: u32,
    pub sctlr: u32,
    pub dacr: u32,
    /// PRRR and NMRR, or MAIR0 and MAIR1.
    pub remap: [u32; 2],
    pub contextidr: u32,
}

/// What DACR says of a domain (B3.12.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DomainAccess {
    Closed,
    /// Permissions are checked.
    Client,
    /// They are not.
    Manager,
}

impl Regs {
    /// Whether long descriptors are in use.
    pub fn long(&self) -> bool {
        self.ttbcr & EAE != 0
    }

    /// Whether {TEX[0], C, B} is an index.
    pub fn tre(&self) -> bool {
        self.sctlr & TRE != 0
    }

    /// Whether AP[0] is the access flag.
    pub fn afe(&self) -> bool {
        self.sctlr & AFE != 0
    }

    /// Whether memory that may be written is execute-never.
    pub fn wxn(&self) -> bool {
        self.sctlr & WXN != 0
    }

    /// Whether memory that user mode may write is privileged-execute-never.
    pub fn uwxn(&self) -> bool {
        self.sctlr & UWXN != 0
    }

    /// The current address space: CONTEXTIDR[7:0], or bits 55:48 of the TTBR that TTBCR.A1 names.
    pub fn asid(&self) -> u8 {
        match (self.long(), self.ttbcr >> 22 & 1) {
            (false, _) => self.contextidr as u8,
            (true, 0) => (self.ttbr0 >> 48) as u8,
            (true, _) => (self.ttbr1 >> 48) as u8,
        }
    }

    /// What DACR says of `domain`.
    pub fn domain(&self, domain: u8) -> DomainAccess {
        if self.long() {
            return DomainAccess::Client;
        }
        match self.dacr >> (2 * domain) & 0b11 {
            0b01 => DomainAccess::Client,
            0b11 => DomainAccess::Manager,
            // 0b10 is reserved; this machine closes it.
            _ => DomainAccess::Closed,
        }
    }

    /// The memory type and shareability of a short leaf with TEX remap, {TEX[0], C, B} = `index` (B3.8.3).
    pub fn remapped(&self, index: u32, s: bool) -> (Memory, Share) {
        let [prrr, nmrr] = self.remap;
        let inner = |shared: bool| match (shared, prrr >> (24 + index) & 1) {
            (false, _) => Share::Non,
            (true, 0) => Share::Outer,
            (true, _) => Share::Inner,
        };
        match prrr >> (2 * index) & 0b11 {
            0b00 => (Memory::StronglyOrdered, Share::Outer),
            0b01 => {
                let shared = prrr >> (16 + u32::from(s)) & 1 != 0;
                (Memory::Device, if shared { Share::Outer } else { Share::Non })
            }
            0b10 => {
                let memory = Memory::Normal(
                    cached(nmrr >> (2 * index) & 0b11),
                    cached(nmrr >> (16 + 2 * index) & 0b11),
                );
                (memory, inner(prrr >> (18 + u32::from(s)) & 1 != 0))
            }
            _ => (Memory::Unknown, Share::Outer),
        }
    }

    /// The memory type of a long leaf, AttrIndx = `index` (B4.1.104).
    pub fn mair(&self, index: u32) -> Memory {
        let byte = self.remap[(index >> 2) as usize] >> (8 * (index & 0b11)) & 0xFF;
        match (byte >> 4, byte & 0xF) {
            (0, 0b0000) => Memory::StronglyOrdered,
            (0, 0b0100) => Memory::Device,
            (0, _) => Memory::Unknown,
            (outer, inner) => match (mair_nibble(inner), mair_nibble(outer)) {
                (Some(inner), Some(outer)) => Memory::Normal(inner, outer),
                _ => Memory::Unknown,
            },
        }
    }
}

/// RGN, IRGN, NMRR's fields and {A, B} of TEX = 0b1BB, C B = AA: one encoding (B3.8.2).
pub fn cached(field: u32) -> Cached {
    match field & 0b11 {
        0b00 => Cached::Not,
        0b01 => Cached::WriteBackAllocate,
        0b10 => Cached::WriteThrough,
        _ => Cached::WriteBack,
    }
}

/// Half a MAIR byte of normal memory. Bit 3 and bit 2 tell write-back from write-through; bit 0 allocates
/// on writes. Transient memory (0b00RW, 0b01RW) is not used here.
fn mair_nibble(nibble: u32) -> Option<Cached> {
    Some(match nibble {
        0b0100 => Cached::Not,
        0b1000..=0b1011 => Cached::WriteThrough,
        0b1101 | 0b1111 => Cached::WriteBackAllocate,
        0b1100 | 0b1110 => Cached::WriteBack,
        _ => return None,
    })
}
