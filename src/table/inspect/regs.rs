//! The registers that decide what a machine's addresses mean.

/// A machine's registers, as a debugger or a crash dump shows them.
///
/// Of banked registers (DDI 0406C B3.15.3) it is the copy of the security state that ran. What a dump
/// lacks may stay at its [`Default`]: zero, which for `sctlr` means that the MMU is off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Regs {
    /// SCTLR: M, I, HA, WXN, UWXN, EE, TRE and AFE are looked at (B4.1).
    pub sctlr: u32,
    /// TTBCR: the format, and which table serves which addresses (B4.1).
    pub ttbcr: u32,
    /// TTBR0; only the low word counts with short descriptors (B4.1).
    pub ttbr0: u64,
    /// TTBR1, likewise (B4.1).
    pub ttbr1: u64,
    /// DACR: two bits for each domain; unused with long descriptors (B4.1).
    pub dacr: u32,
    /// MAIR0, which is PRRR with short descriptors (B4.1, MAIR0 and PRRR).
    pub mair0: u32,
    /// MAIR1, which is NMRR with short descriptors (B4.1, NMRR; B3.8.3).
    pub mair1: u32,
    /// ID_MMFR0: its low nibble says whether the CPU has PXN (4) and LPAE (5, the default) (B4.1).
    pub id_mmfr0: u32,
}

impl Default for Regs {
    fn default() -> Self {
        Self { sctlr: 0, ttbcr: 0, ttbr0: 0, ttbr1: 0, dacr: 0, mair0: 0, mair1: 0, id_mmfr0: 5 }
    }
}

impl Regs {
    /// SCTLR.M: the MMU is on.
    #[inline]
    pub const fn mmu_is_on(&self) -> bool {
        self.sctlr & 1 != 0
    }

    /// TTBCR.EAE, where the CPU has LPAE: the tables hold long descriptors.
    #[inline]
    pub const fn is_long(&self) -> bool {
        self.has_lpae() && self.ttbcr >> 31 != 0
    }

    /// Whether the CPU has LPAE.
    pub(super) const fn has_lpae(&self) -> bool {
        self.id_mmfr0 & 0xf >= 5
    }

    /// Whether short descriptors have a PXN bit; without it, type 0b11 is reserved at the first level.
    pub(super) const fn has_pxn(&self) -> bool {
        self.id_mmfr0 & 0xf >= 4
    }

    /// SCTLR.I: the instruction cache is on.
    pub(super) const fn icache(&self) -> bool {
        self.sctlr >> 12 & 1 != 0
    }

    /// SCTLR.HA: the hardware sets access flags and never faults for them. RAZ where it cannot.
    pub(super) const fn sets_access_flags(&self) -> bool {
        self.sctlr >> 17 & 1 != 0 && !self.is_long()
    }

    /// SCTLR.WXN: what may be written cannot be executed.
    pub(super) const fn wxn(&self) -> bool {
        self.sctlr >> 19 & 1 != 0
    }

    /// SCTLR.UWXN: what user mode may write cannot be executed by the kernel.
    pub(super) const fn uwxn(&self) -> bool {
        self.sctlr >> 20 & 1 != 0
    }

    /// SCTLR.EE: table walks read big-endian descriptors.
    pub(super) const fn big_endian(&self) -> bool {
        self.sctlr >> 25 & 1 != 0
    }

    /// SCTLR.TRE: short descriptors index PRRR and NMRR.
    pub(super) const fn tre(&self) -> bool {
        self.sctlr >> 28 & 1 != 0
    }

    /// SCTLR.AFE: AP\[0\] of short descriptors is an access flag.
    pub(super) const fn afe(&self) -> bool {
        self.sctlr >> 29 & 1 != 0
    }
}
