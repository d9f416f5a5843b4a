//! The registers that switch a format on, as values: no instruction, so that hosts can test them.
//!
//! [`Registers`] has one shape for both formats, so code that programs the MMU never asks which it is.

use crate::addr::PhysAddr;
use crate::attr::{Asid, Shareability};
use crate::format::{Fault, Format, Split};

/// SCTLR bits (DDI 0406C B4.1).
pub mod sctlr {
    /// M: the MMU is on.
    pub const M: u32 = 0b1;
    /// A: unaligned accesses fault.
    pub const A: u32 = 1 << 1;
    /// C: data and unified caches are on.
    pub const C: u32 = 1 << 2;
    /// Z: branch prediction is on.
    pub const Z: u32 = 1 << 11;
    /// I: instruction caches are on.
    pub const I: u32 = 1 << 12;
    /// V: exception vectors at 0xFFFF_0000.
    pub const V: u32 = 1 << 13;
    /// HA: the hardware sets access flags; optional, and we count faults instead.
    pub const HA: u32 = 1 << 17;
    /// WXN: writable memory cannot be executed.
    pub const WXN: u32 = 1 << 19;
    /// UWXN: memory that PL0 can write cannot be executed at PL1.
    pub const UWXN: u32 = 1 << 20;
    /// EE: exceptions are taken big-endian, and tables are walked so.
    pub const EE: u32 = 1 << 25;
    /// TRE: {TEX\[0\], C, B} index PRRR and NMRR.
    pub const TRE: u32 = 1 << 28;
    /// AFE: AP\[0\] is the access flag.
    pub const AFE: u32 = 1 << 29;
    /// TE: exceptions are taken in Thumb state.
    pub const TE: u32 = 1 << 30;

    /// What a running kernel has set, in both formats. LPAE implies TRE and AFE; set, they mean the same
    /// in either (B4.1).
    pub const ON: u32 = M | C | Z | I | TRE | AFE;
    /// What must be clear when the MMU goes on, whatever ran before: WXN and UWXN would take execution
    /// from the early map, the others change how exceptions and tables are read.
    pub const CLEAR: u32 = A | V | HA | WXN | UWXN | EE | TE;
}

/// What the hardware answered when it was asked to translate (ATS1C**, then PAR).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Answer {
    /// The base of the page, or of the 16 MiB where `supersection` is set.
    pub base: PhysAddr,
    /// Whether `base` is a supersection's: the low 24 bits of the address are the offset, not the low 12.
    pub supersection: bool,
    /// Who sees writes in order, where PAR says so.
    pub share: Shareability,
    /// The memory's attributes as PAR has them: Inner and Outer of the 32-bit format (bits 6:2, not
    /// shifted), a MAIR byte in the 64-bit one.
    pub memory: u8,
}

impl Answer {
    /// Where `va` lies, given that this is the answer for it.
    pub const fn address(&self, va: crate::addr::VirtAddr) -> PhysAddr {
        let offset = va.0 & if self.supersection { 0x00FF_FFFF } else { 0xFFF };
        PhysAddr::truncate(self.base.as_u64() | offset as u64)
    }
}

/// A format's register values. All pure.
pub trait Registers: Format {
    /// Whether the CPU must implement the Large Physical Address Extension, and TTBR0 and PAR are 64 bits.
    const LPAE: bool;
    /// TTBCR: one table for the whole address space, found by TTBR0; walks by TTBR1 fault.
    const TTBCR: u32;
    /// TTBCR.PD0, or EPD0: where TTBR0 translates, what no TLB holds faults (DDI 0406C B4.1).
    const PD0: u32;
    /// Whether the kernel has nothing of TTBR0's while [user space is closed](Self::with_user_open): under LPAE. In the
    /// classic format tables of its own there stay open.
    const CLOSES_TTBR0: bool;
    /// The bits of TTBR0 beside the address and the ASID: how walks are cached, where TTBR0 says so.
    const TTBR_WALK: u32;
    /// PRRR and NMRR, or MAIR0 and MAIR1: the same two CP15 registers (DDI 0406C B4.1).
    const REMAP: [u32; 2];
    /// DACR: every domain that the format uses is a client's, so permissions are checked. Not read under
    /// LPAE.
    const DACR: u32;

    /// The low word of a leaf of an early map, but for its frame: a section, or under LPAE a 2 MiB block, whose high word is
    /// 0 below 4 GiB. Normal memory, for the kernel to read, write and execute, which no [`Entry`](crate::format::Entry)
    /// says: it lasts from reset until swapper's tables.
    const EARLY_LEAF: u32;

    /// TTBR0 for the root table at `root`, which is aligned to its size. `asid` counts under LPAE only;
    /// classic holds it in CONTEXTIDR.
    fn ttbr0(root: PhysAddr, asid: Asid) -> u64;

    /// The root table that a TTBR0 value points to, whatever the split: what lies below the address of a larger
    /// root was written as zero.
    fn root(ttbr0: u64) -> PhysAddr;

    /// TTBCR with the address space shared so; [`Registers::TTBCR`] without.
    fn ttbcr(split: Option<&Split>) -> u32;

    /// TTBR1 for walks that start in the table at `table`, which lies at `split.depth` in swapper's tree.
    fn ttbr1(table: PhysAddr, split: &Split) -> u64;

    /// `value`, of DACR or under LPAE of TTBCR, with user space open to privileged accesses or closed, and nothing
    /// else changed.
    ///
    /// - classic: user space's domain has no access (B3.7.3). A TLB remembers the domain, not what DACR says of it.
    /// - LPAE: walks by TTBR0 fault (EPD0), and the ASID is TTBR1's (A1), which is no address space's: what a TLB
    ///   holds of user space does not match (B3.10.1).
    fn with_user_open(value: u32, open: bool) -> u32;

    /// What PAR says after an address translation operation.
    ///
    /// # Errors
    /// The fault that the access would have taken; [`Fault::write`] is never set, PAR does not hold it.
    fn decode_par(par: u64) -> Result<Answer, Fault>;
}
