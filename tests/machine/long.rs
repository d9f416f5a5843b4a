//! Long descriptors as the hardware reads them (DDI 0406C B3.6.1, B3.6.2).

use super::fault::{Cause, Status};
use super::leaf::{Allowed, Inherit, Leaf, Share, Word};
use super::regs::Regs;
use super::short::never;
use super::walk::Begin;

/// Addresses translated by an entry of each level, as shifts.
pub const SHIFTS: [u32; 3] = [30, 21, 12];

/// Where a walk starts: T0SZ and T1SZ cut a part for TTBR0 from the bottom and one for TTBR1 from the top
/// (B3.6.4), and set the level that it starts at (B3.6.6).
pub fn begin(regs: &Regs, va: u32) -> Begin {
    let fault = Begin::Fault(Status::new(Cause::Translation, 1));
    let (t0, t1) = (regs.ttbcr & 0b111, regs.ttbcr >> 16 & 0b111);
    let at = u64::from(va);
    let low_end = match (t0, t1) {
        (0, 0) => 1 << 32,
        (0, _) => (1 << 32) - (1u64 << (32 - t1)),
        _ => 1u64 << (32 - t0),
    };
    let high_start = match (t0, t1) {
        (0, 0) => 1 << 32,
        (_, 0) => low_end,
        _ => (1 << 32) - (1u64 << (32 - t1)),
    };
    let (disabled, ttbr, size) = if at < low_end {
        (1 << 7, regs.ttbr0, t0)
    } else if at >= high_start {
        (1 << 23, regs.ttbr1, t1)
    } else {
        return fault;
    };
    if regs.ttbcr & disabled != 0 {
        return fault;
    }
    // Up to two bits are resolved at level 1, else level 2 is first.
    let depth = usize::from(size > 1);
    let index_bits = 32 - size - SHIFTS[depth];
    let base = (ttbr & 0xFF_FFFF_FFFF) >> (index_bits + 3) << (index_bits + 3);
    let index = va >> SHIFTS[depth] & ((1 << index_bits) - 1);
    Begin::At { depth, word: base | u64::from(index) << 3, table: base }
}

/// What `raw` at `depth` means for the entry that translates `va`.
pub fn decode(depth: usize, raw: u64, va: u32, inherit: Inherit, regs: &Regs) -> Word {
    match (depth, raw & 0b11) {
        (0 | 1, 0b11) => Word::Table(
            raw & 0xFF_FFFF_F000,
            Inherit {
                domain: 0,
                pxn: inherit.pxn || bit(raw, 59),
                xn: inherit.xn || bit(raw, 60),
                // APTable[0] takes PL0's access, APTable[1] all writing.
                no_user: inherit.no_user || bit(raw, 61),
                read_only: inherit.read_only || bit(raw, 62),
            },
        ),
        (0 | 1, 0b01) | (2, 0b11) => Word::Leaf(leaf(depth, raw, va, inherit, regs)),
        // Level 3 has no 0b01.
        _ => Word::Invalid,
    }
}

fn bit(raw: u64, at: u32) -> bool {
    raw >> at & 1 != 0
}

fn leaf(depth: usize, raw: u64, va: u32, inherit: Inherit, regs: &Regs) -> Leaf {
    let step = SHIFTS[depth];
    let base = (raw & 0xFF_FFFF_FFFF) >> step << step;
    let readers = bit(raw, 6) && !inherit.no_user;
    let writers = !bit(raw, 7) && !inherit.read_only;
    let (xn, pxn) = (bit(raw, 54) || inherit.xn, bit(raw, 53) || inherit.pxn);
    let mut kernel = Allowed { read: true, write: writers, execute: !xn && !pxn };
    let mut user = Allowed { read: readers, write: readers && writers, execute: readers && !xn };
    never(&mut kernel, &mut user, regs);
    Leaf {
        // The run's parts step, so all have the same offset.
        offset: base.wrapping_sub(u64::from(va >> step << step)),
        shift: step + if bit(raw, 52) { 4 } else { 0 },
        step,
        level: depth as u32 + 1,
        global: !bit(raw, 11),
        young: bit(raw, 10),
        domain: 0,
        kernel,
        user,
        memory: regs.mair((raw >> 2 & 0b111) as u32),
        share: match raw >> 8 & 0b11 {
            0b00 => Share::Non,
            0b11 => Share::Inner,
            // 0b01 is unpredictable.
            _ => Share::Outer,
        },
    }
}
