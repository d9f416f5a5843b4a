//! Register values of the classic format.

use super::Classic;
use crate::addr::PhysAddr;
use crate::attr::{Asid, Shareability};
use crate::format::control::{Answer, Registers};
use crate::format::memory::{EARLY, INDICES, Meaning, WALK};
use crate::format::{Fault, Format, Split};

/// PRRR: for each memory index its type, and what the S bit means (DDI 0406C B4.1).
pub const PRRR: u32 = {
    // DS0, DS1: device memory is shareable whatever S says, as it is under LPAE. NS1: normal memory is
    // where S is set; NS0 stays clear.
    let mut prrr = 1 << 16 | 1 << 17 | 1 << 19;
    let mut i = 0;
    while i < INDICES.len() {
        prrr |= match INDICES[i] {
            Meaning::StronglyOrdered => 0b00 << (2 * i),
            Meaning::Device => 0b01 << (2 * i),
            // NOSn: shareable normal memory is inner shareable.
            Meaning::Normal(_) => 0b10 << (2 * i) | 1 << (24 + i),
        };
        i += 1;
    }
    prrr
};

/// NMRR: for each memory index that is normal, how it is cached (DDI 0406C B4.1).
pub const NMRR: u32 = {
    let mut nmrr = 0;
    let mut i = 0;
    while i < INDICES.len() {
        if let Meaning::Normal(cache) = INDICES[i] {
            nmrr |= (cache as u32) << (2 * i) | (cache as u32) << (16 + 2 * i);
        }
        i += 1;
    }
    nmrr
};

/// TTBCR.PD1: a walk by TTBR1 faults. N = 0, so there is none; what TTBR1 holds never counts. Reads as zero
/// without the Security Extensions, which bring it (DDI 0406C B4.1).
const PD1: u32 = 1 << 5;

/// TTBR0's walk attributes: shareable, inner (S, NOS), cached as [`WALK`] by the outer (RGN) and inner caches
/// (IRGN, whose bits lie apart since the Multiprocessing Extensions: DDI 0406C B4.1).
pub const TTBR_WALK: u32 = {
    let cache = WALK as u32;
    let (s, nos) = (1 << 1, 1 << 5);
    cache << 3 | (cache & 1) << 6 | cache >> 1 | s | nos
};

/// DACR with domains 0, 1 and 2 open: swapper's tables, user space's, and those a tree owns for the kernel.
pub const DACR_OPEN: u32 = CLIENT | CLIENT << USER | CLIENT << 4;

/// Where DACR has user space's domain, the second of sixteen.
const USER: u32 = 2;

/// A domain's field in DACR: descriptors' permissions count (B3.7.3).
const CLIENT: u32 = 0b01;

impl Registers for Classic {
    const LPAE: bool = false;
    const TTBCR: u32 = PD1;
    const PD0: u32 = 1 << 4;
    const CLOSES_TTBR0: bool = false;
    const TTBR_WALK: u32 = TTBR_WALK;
    const REMAP: [u32; 2] = [PRRR, NMRR];
    const DACR: u32 = DACR_OPEN;
    /// Section; {TEX\[0\], C, B}, AP\[0\] as access flag, S (DDI 0406C B3.5.1).
    const EARLY_LEAF: u32 = 0b10 | (EARLY & 0b11) << 2 | (EARLY >> 2) << 12 | 1 << 10 | 1 << 16;

    fn ttbr0(root: PhysAddr, _asid: Asid) -> u64 {
        root.as_u64() | u64::from(TTBR_WALK)
    }

    #[inline]
    fn root(ttbr0: u64) -> PhysAddr {
        PhysAddr::from_u32(ttbr0 as u32 & !0x7F)
    }

    fn ttbcr(split: Option<&Split>) -> u32 {
        split.map_or(Self::TTBCR, |split| split.size)
    }

    fn ttbr1(table: PhysAddr, _split: &Split) -> u64 {
        table.as_u64() | u64::from(TTBR_WALK)
    }

    #[inline]
    fn with_user_open(dacr: u32, open: bool) -> u32 {
        dacr & !(0b11 << USER) | if open { CLIENT << USER } else { 0 }
    }

    fn decode_par(par: u64) -> Result<Answer, Fault> {
        let par = par as u32;
        if par & 1 != 0 {
            // FS[4], FS[3:0] and ExT lie in bits 5, 4:1 and 6 (DDI 0406C B4.1).
            let fsr = (par >> 1 & 0xF) | (par >> 5 & 1) << 10 | (par >> 6 & 1) << 12;
            return Err(Self::decode_fault(fsr, false));
        }
        let supersection = par & 1 << 1 != 0;
        let base = if supersection {
            u64::from(par & 0xFF00_0000) | u64::from(par >> 16 & 0xFF) << 32
        } else {
            u64::from(par & 0xFFFF_F000)
        };
        let share = match (par >> 7 & 1, par >> 10 & 1) {
            (0, _) => Shareability::Non,
            (_, 0) => Shareability::Outer,
            _ => Shareability::Inner,
        };
        Ok(Answer {
            base: PhysAddr::truncate(base),
            supersection,
            share,
            memory: (par & 0x7C) as u8,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_by_hand() {
        // TR0..7: SO, device, normal x3, SO, SO, normal; NOS of 2, 3, 4, 7.
        assert_eq!(PRRR, 0x9C0B_82A4);
        // WT at 2, WB at 3, NC at 4, WBWA at 7, inner and outer.
        assert_eq!(NMRR, 0x40E0_40E0);
        assert_eq!(TTBR_WALK, 0x6A);
        assert_eq!(DACR_OPEN, 0x15);
        assert_eq!(Classic::with_user_open(DACR_OPEN, false), 0x11);
        assert_eq!(Classic::with_user_open(0x11, true), DACR_OPEN);
        assert_eq!(Classic::with_user_open(!0, false), !0b1100);
    }

    #[test]
    fn root_comes_back() {
        let root = PhysAddr::from_u32(0x4321_8000);
        assert_eq!(Classic::root(Classic::ttbr0(root, Asid(7))), root);
        let small = PhysAddr::from_u32(0x4321_A380);
        for split in Classic::SPLITS {
            let root = small.as_u64() & !(split.root.table_bytes() as u64 - 1);
            let ttbr0 = Classic::ttbr0(PhysAddr::truncate(root), Asid(0));
            assert_eq!(Classic::root(ttbr0).as_u64(), root, "N = {}", split.size);
        }
    }

    #[test]
    fn par_of_a_supersection_has_forty_bits() {
        let answer = Classic::decode_par(0x1234_0002).unwrap();
        assert_eq!(answer.address(crate::addr::VirtAddr(0x0056_789A)).as_u64(), 0x34_1256_789A);
    }

    #[test]
    fn par_of_a_page_says_who_shares_it() {
        let answer = |par| Classic::decode_par(par).unwrap();
        let page = answer(0x8765_4000 | 0x5C);
        assert_eq!((page.base.as_u64(), page.supersection), (0x8765_4000, false));
        assert_eq!((page.share, page.memory), (Shareability::Non, 0x5C));
        assert_eq!(answer(1 << 7).share, Shareability::Outer);
        assert_eq!(answer(1 << 10 | 1 << 7).share, Shareability::Inner);
        assert_eq!(answer(1 << 10).share, Shareability::Non);
    }

    #[test]
    fn par_of_a_fault_has_its_status() {
        use crate::format::FaultKind;
        let fault = |par| Classic::decode_par(par).unwrap_err();
        assert_eq!(fault(0b0111 << 1 | 1).kind, FaultKind::Translation);
        assert_eq!(fault(0b1101 << 1 | 1).depth, Some(0));
        // FS[4] lies apart from the others, and ExT behind it.
        assert_eq!(fault(1 << 5 | 0b0110 << 1 | 1).kind, FaultKind::AsyncExternal);
        let external = fault(1 << 6 | 0b1000 << 1 | 1);
        assert_eq!((external.kind, external.ext), (FaultKind::External, true));
        assert!(!fault(0b1000 << 1 | 1).ext);
    }
}
