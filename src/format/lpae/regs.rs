//! Register values of the LPAE format.

use super::Lpae;
use crate::addr::PhysAddr;
use crate::attr::{Asid, Shareability};
use crate::format::control::{Answer, Registers};
use crate::format::memory::{Cache, EARLY, INDICES, Meaning, WALK};
use crate::format::{Fault, Format, Split};

/// MAIR1 and MAIR0 in one number: a byte for each memory index (DDI 0406C B4.1).
pub const MAIR: u64 = {
    let mut mair = 0;
    let mut i = 0;
    while i < INDICES.len() {
        let byte: u64 = match INDICES[i] {
            Meaning::StronglyOrdered => 0x00,
            Meaning::Device => 0x04,
            // Outer nibble and inner nibble alike; a read allocates wherever there is a cache.
            Meaning::Normal(Cache::Non) => 0x44,
            Meaning::Normal(Cache::WriteThrough) => 0xAA,
            Meaning::Normal(Cache::WriteBack) => 0xEE,
            Meaning::Normal(Cache::WriteBackAllocate) => 0xFF,
        };
        mair |= byte << (8 * i);
        i += 1;
    }
    mair
};

/// TTBCR: EAE; T0SZ = 0, so TTBR0 spans all 4 GiB; its walks inner shareable, cached as [`WALK`]; EPD1, so
/// that a walk by TTBR1, which nobody set, faults (DDI 0406C B4.1).
pub const TTBCR: u32 = EAE | EPD1 | WALKS << 8;

const EAE: u32 = 1 << 31;
const EPD1: u32 = 1 << 23;
/// The ASID is TTBR1's.
const A1: u32 = 1 << 22;

/// How walks are cached and shared: IRGN, ORGN and SH, bits 13:8 for TTBR0, 29:24 for TTBR1.
const WALKS: u32 = {
    let cache = WALK as u32;
    (Shareability::Inner as u32) << 4 | cache << 2 | cache
};

impl Registers for Lpae {
    const LPAE: bool = true;
    const TTBCR: u32 = TTBCR;
    const PD0: u32 = 1 << 7;
    const CLOSES_TTBR0: bool = true;
    const TTBR_WALK: u32 = 0;
    const REMAP: [u32; 2] = [MAIR as u32, (MAIR >> 32) as u32];
    const DACR: u32 = 0;
    /// Block; AttrIndx, SH, AF (DDI 0406C B3.6.2).
    const EARLY_LEAF: u32 = 0b01 | EARLY << 2 | (Shareability::Inner as u32) << 8 | 1 << 10;

    fn ttbr0(root: PhysAddr, asid: Asid) -> u64 {
        root.as_u64() | u64::from(asid.0) << 48
    }

    #[inline]
    fn root(ttbr0: u64) -> PhysAddr {
        PhysAddr::truncate(ttbr0 & !0x1F)
    }

    fn ttbcr(split: Option<&Split>) -> u32 {
        split.map_or(TTBCR, |split| EAE | WALKS << 24 | split.size << 16 | WALKS << 8)
    }

    /// The address of the first entry in use: a walk's first index counts from the border (B3.6.6).
    fn ttbr1(table: PhysAddr, split: &Split) -> u64 {
        let level = Self::level(split.depth);
        table.as_u64() + ((level.index(split.border) as u64) << level.entry_shift)
    }

    #[inline]
    fn with_user_open(ttbcr: u32, open: bool) -> u32 {
        let closed = Self::PD0 | A1;
        if open { ttbcr & !closed } else { ttbcr | closed }
    }

    fn decode_par(par: u64) -> Result<Answer, Fault> {
        if par & 1 != 0 {
            // STATUS in bits 6:1; DFSR has it in 5:0 (B4.1, PAR and DFSR).
            return Err(Self::decode_fault((par >> 1 & 0x3F) as u32, false));
        }
        let share = match par >> 7 & 0b11 {
            0b10 => Shareability::Outer,
            0b11 => Shareability::Inner,
            _ => Shareability::Non,
        };
        Ok(Answer {
            base: PhysAddr::truncate(par & !0xFFF),
            supersection: false,
            share,
            memory: (par >> 56) as u8,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_by_hand() {
        assert_eq!(Lpae::REMAP, [0xEEAA_0400, 0xFF00_0044]);
        assert_eq!(TTBCR, 0x8080_3500);
        assert_eq!(Lpae::with_user_open(0xB500_3500, false), 0xB540_3580);
        assert_eq!(Lpae::with_user_open(0xB540_3580, true), 0xB500_3500);
    }

    #[test]
    fn root_comes_back_without_the_asid() {
        let root = PhysAddr::new(0x12_3456_7820).unwrap();
        assert_eq!(Lpae::ttbr0(root, Asid(0xAB)), 0x00AB_0012_3456_7820);
        assert_eq!(Lpae::root(Lpae::ttbr0(root, Asid(0xAB))), root);
    }

    #[test]
    fn par_holds_forty_bits_and_the_mair_byte() {
        let answer = Lpae::decode_par(0xFF00_0034_5678_9B80).unwrap();
        assert_eq!(answer.base.as_u64(), 0x34_5678_9000);
        assert_eq!((answer.share, answer.memory), (Shareability::Inner, 0xFF));
    }

    #[test]
    fn par_says_who_shares_it() {
        let share = |bits: u64| Lpae::decode_par(bits << 7).unwrap().share;
        assert_eq!([0, 1, 2, 3].map(share), {
            use Shareability::{Inner, Non, Outer};
            [Non, Non, Outer, Inner]
        });
    }

    #[test]
    fn par_of_a_fault_has_its_status() {
        use crate::format::FaultKind;
        let fault = Lpae::decode_par(0b00_0110 << 1 | 1).unwrap_err();
        assert_eq!((fault.kind, fault.depth), (FaultKind::Translation, Some(1)));
        assert_eq!(Lpae::decode_par(0b10_0001 << 1 | 1).unwrap_err().kind, FaultKind::Alignment);
    }
}
