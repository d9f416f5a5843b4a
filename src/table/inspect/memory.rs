//! Memory types as a foreign machine may define them: any that the manual knows, not only ours.

use core::fmt;

use super::regs::Regs;
use crate::attr::Shareability;

/// How a cache treats normal memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Cacheability {
    /// Not at all.
    NonCacheable,
    /// Writes go through to memory.
    WriteThrough(Allocate),
    /// Writes stay until the line is evicted.
    WriteBack(Allocate),
}

/// When a cache takes in a line: hints, which a CPU may ignore.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Allocate {
    /// On a read that misses.
    pub read: bool,
    /// On a write that misses.
    pub write: bool,
    /// The line is expected to be of use for a short time only.
    pub transient: bool,
}

/// A memory type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Memory {
    /// Strongly ordered.
    StronglyOrdered,
    /// Device.
    Device,
    /// Normal, with its inner and outer caches.
    Normal {
        /// The caches nearest to the CPU.
        inner: Cacheability,
        /// Those beyond.
        outer: Cacheability,
    },
    /// The implementation defines it.
    ImplementationDefined,
    /// An encoding that the manual reserves: the effect is unpredictable.
    Reserved,
}

/// Reads allocate, writes do not: what the short formats call "no write-allocate".
const READ: Allocate = Allocate { read: true, write: false, transient: false };

impl Memory {
    const NON_CACHEABLE: Self =
        Self::Normal { inner: Cacheability::NonCacheable, outer: Cacheability::NonCacheable };

    /// What an instruction fetch sees with the MMU off (DDI 0406C B3.2.1): normal memory, cached only
    /// where SCTLR.I says so.
    pub(super) fn fetch_unmapped(regs: &Regs) -> Self {
        if !regs.icache() {
            return Self::NON_CACHEABLE;
        }
        let cache = Cacheability::WriteThrough(READ);
        Self::Normal { inner: cache, outer: cache }
    }

    /// {TEX, C, B} and S of a short descriptor, by SCTLR.TRE.
    pub(super) fn short(regs: &Regs, texcb: u32, s: bool) -> (Self, Shareability) {
        let (memory, share) = if regs.tre() { remapped(regs, texcb, s) } else { plain(texcb, s) };
        // A CPU with LPAE has no other kind of device memory (A3.5.7).
        let outer = regs.has_lpae() && memory == Self::Device;
        (memory, if outer { Shareability::Outer } else { share })
    }

    /// AttrIndx and SH of a long descriptor (B3.8.4, B4.1).
    pub(super) fn long(regs: &Regs, index: u32, sh: u32) -> (Self, Shareability) {
        let mair = if index & 4 == 0 { regs.mair0 } else { regs.mair1 };
        let byte = mair >> (8 * (index & 3)) & 0xff;
        let memory = match (byte >> 4, byte & 0xf) {
            (0, 0) => Self::StronglyOrdered,
            (0, 4) => Self::Device,
            (0, _) | (_, 0) => Self::Reserved,
            (outer, inner) => Self::Normal { inner: nibble(inner), outer: nibble(outer) },
        };
        // What no cache holds is outer shareable whatever SH says; SH = 0b01 is reserved.
        let share = match sh {
            _ if !matches!(memory, Self::Normal { .. }) => Shareability::Outer,
            _ if memory == Self::NON_CACHEABLE => Shareability::Outer,
            0b10 => Shareability::Outer,
            0b11 => Shareability::Inner,
            _ => Shareability::Non,
        };
        (memory, share)
    }
}

/// A nibble of a MAIR byte, other than 0: policy in the upper half, hints in the lower.
const fn nibble(bits: u32) -> Cacheability {
    let (read, write) = (bits & 2 != 0, bits & 1 != 0);
    match bits >> 2 {
        0b00 => Cacheability::WriteThrough(Allocate { read, write, transient: true }),
        0b01 if !read && !write => Cacheability::NonCacheable,
        0b01 => Cacheability::WriteBack(Allocate { read, write, transient: true }),
        0b10 => Cacheability::WriteThrough(Allocate { read, write, transient: false }),
        _ => Cacheability::WriteBack(Allocate { read, write, transient: false }),
    }
}

/// The 2-bit policy of NMRR, and of TEX\[1:0\] and {C, B} where TEX\[2\] = 1 (B3.8.2).
const fn policy(bits: u32) -> Cacheability {
    match bits & 3 {
        0b00 => Cacheability::NonCacheable,
        0b01 => Cacheability::WriteBack(Allocate { write: true, ..READ }),
        0b10 => Cacheability::WriteThrough(READ),
        _ => Cacheability::WriteBack(READ),
    }
}

/// SCTLR.TRE = 0: the fixed meaning of {TEX, C, B} (DDI 0406C B3.8.2).
fn plain(texcb: u32, s: bool) -> (Memory, Shareability) {
    // Shareable is outer shareable: there is no bit that would tell.
    let by_s = if s { Shareability::Outer } else { Shareability::Non };
    let same = |bits| Memory::Normal { inner: policy(bits), outer: policy(bits) };
    match (texcb >> 2 & 7, texcb & 3) {
        (0b000, 0b00) => (Memory::StronglyOrdered, Shareability::Outer),
        (0b000, 0b01) => (Memory::Device, Shareability::Outer),
        (0b000, cb @ 0b10..) | (0b001, cb @ 0b00) => (same(cb), by_s),
        (0b001, 0b10) => (Memory::ImplementationDefined, by_s),
        // With write-allocate: the policy that {C, B} = 0b11 alone cannot say.
        (0b001, 0b11) => (same(0b01), by_s),
        (0b010, 0b00) => (Memory::Device, Shareability::Non),
        (tex @ 0b100.., cb) => (Memory::Normal { inner: policy(cb), outer: policy(tex) }, by_s),
        _ => (Memory::Reserved, by_s),
    }
}

/// SCTLR.TRE = 1: {TEX\[0\], C, B} is an index into PRRR and NMRR (B3.8.3, B4.1).
fn remapped(regs: &Regs, texcb: u32, s: bool) -> (Memory, Shareability) {
    let (prrr, nmrr) = (regs.mair0, regs.mair1);
    let n = texcb & 7;
    // DS0, DS1 and NS0, NS1 say what S means; NOSn, which shareable domain it is.
    let share = |pair: u32| match (prrr >> (pair + u32::from(s)) & 1, prrr >> (24 + n) & 1) {
        (0, _) => Shareability::Non,
        (_, 0) => Shareability::Outer,
        _ => Shareability::Inner,
    };
    if n == 6 {
        return (Memory::ImplementationDefined, share(18));
    }
    match prrr >> (2 * n) & 3 {
        0b00 => (Memory::StronglyOrdered, Shareability::Outer),
        0b01 => (Memory::Device, share(16)),
        0b10 => {
            let (inner, outer) = (policy(nmrr >> (2 * n)), policy(nmrr >> (16 + 2 * n)));
            (Memory::Normal { inner, outer }, share(18))
        }
        _ => (Memory::Reserved, share(18)),
    }
}

impl fmt::Display for Cacheability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, allocate) = match self {
            Self::NonCacheable => return f.write_str("nc"),
            Self::WriteThrough(allocate) => ("wt", allocate),
            Self::WriteBack(allocate) => ("wb", allocate),
        };
        f.write_str(name)?;
        f.write_str(match (allocate.read, allocate.write) {
            (false, false) => "",
            (true, false) => "-ra",
            (false, true) => "-wa",
            (true, true) => "-rwa",
        })?;
        f.write_str(if allocate.transient { "-tr" } else { "" })
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StronglyOrdered => f.write_str("strongly-ordered"),
            Self::Device => f.write_str("device"),
            Self::Normal { inner, outer } if inner == outer => write!(f, "normal {inner}"),
            Self::Normal { inner, outer } => write!(f, "normal {inner}/{outer}"),
            Self::ImplementationDefined => f.write_str("implementation defined"),
            Self::Reserved => f.write_str("reserved"),
        }
    }
}
