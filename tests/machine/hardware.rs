//! The machine's own walk: by rows from the manual and from QEMU, and against the library's walker for foreign
//! machines, which shares no code with it, over random registers and random memory.

use crate::machine::fault::{Cause, Status};
use crate::machine::regs::Regs;
use crate::machine::rng::{Choice, Rng};
use crate::machine::walk::Begin;
use crate::machine::{long, short, walkers};

/// Where a walk starts, or `None` for a fault.
fn start(begin: Begin) -> Option<(usize, u64)> {
    match begin {
        Begin::Fault(_) => None,
        Begin::At { depth, word, .. } => Some((depth, word)),
    }
}

/// TTBCR.N and PD0, PD1 (DDI 0406C B3.5.4): TTBCR, address, where the walk starts.
#[test]
fn short_walks_start_where_ttbcr_says() {
    let (ttbr0, ttbr1) = (0x4000_4000, 0x5000_0000);
    let rows = [
        (0, 0xFFFF_FFFF, Some(0x4000_7FFC)),
        (0, 0x0010_0000, Some(0x4000_4004)),
        (1, 0x7FFF_FFFF, Some(0x4000_5FFC)),
        (1, 0x8000_0000, Some(0x5000_2000)),
        (7, 0x01FF_FFFF, Some(0x4000_407C)),
        (7, 0x0200_0000, Some(0x5000_0080)),
        (1 << 4, 0x0010_0000, None),
        (1 << 4 | 1, 0x8000_0000, Some(0x5000_2000)),
        (1 << 5 | 1, 0x8000_0000, None),
        (1 << 5, 0xFFFF_FFFF, Some(0x4000_7FFC)),
    ];
    for (ttbcr, va, expected) in rows {
        let regs = Regs { ttbr0, ttbr1, ttbcr, ..Regs::default() };
        let found = start(short::begin(&regs, va)).map(|(_, word)| word);
        assert_eq!(found, expected, "TTBCR {ttbcr:#x}, {va:#x}");
    }
}

/// T0SZ, T1SZ, EPD0 and EPD1 (B3.6.4, B3.6.6): TTBCR without EAE, address, depth and place of the first word.
#[test]
fn long_walks_start_where_ttbcr_says() {
    let (ttbr0, ttbr1) = (0x1_4000_4000, 0x1_5000_0000);
    let rows = [
        (0, 0xFFFF_FFFF, Some((0, 0x1_4000_4018))),
        (1, 0x7FFF_FFFF, Some((0, 0x1_4000_4008))),
        (1, 0x8000_0000, Some((0, 0x1_5000_0010))),
        (2, 0x3FFF_FFFF, Some((1, 0x1_4000_4FF8))),
        (2, 0x4000_0000, Some((0, 0x1_5000_0008))),
        (1 << 16, 0x7FFF_FFFF, Some((0, 0x1_4000_4008))),
        (1 << 16, 0x8000_0000, Some((0, 0x1_5000_0000))),
        (2 << 16 | 2, 0x3FFF_FFFF, Some((1, 0x1_4000_4FF8))),
        (2 << 16 | 2, 0x4000_0000, None),
        (2 << 16 | 2, 0xC000_0000, Some((1, 0x1_5000_0000))),
        (7 << 16, 0xFE00_0000, Some((1, 0x1_5000_0000))),
        (1 << 7, 0, None),
        (1 << 23 | 1 << 16, 0x8000_0000, None),
    ];
    for (ttbcr, va, expected) in rows {
        let regs = Regs { ttbr0, ttbr1, ttbcr: ttbcr | 1 << 31, ..Regs::default() };
        assert_eq!(start(long::begin(&regs, va)), expected, "TTBCR {ttbcr:#x}, {va:#x}");
    }
}

/// DFSR as QEMU showed it.
#[test]
fn fault_status_as_measured() {
    let rows = [
        (Cause::Translation, 1, 0, 0x5, 0x205),
        (Cause::Translation, 2, 0, 0x7, 0x206),
        (Cause::AccessFlag, 1, 0, 0x3, 0x209),
        (Cause::AccessFlag, 2, 0, 0x6, 0x20A),
        (Cause::Domain, 2, 5, 0x5B, 0x20E),
        (Cause::Permission, 1, 0, 0xD, 0x20D),
        (Cause::Permission, 2, 0, 0xF, 0x20E),
        (Cause::TlbConflict, 1, 0, 0x400, 0x230),
    ];
    for (cause, level, domain, short, long) in rows {
        let status = Status { cause, level, domain };
        assert_eq!(status.dfsr(false, false), short, "{status:?}");
        assert_eq!(status.dfsr(true, true), long | 1 << 11, "{status:?}");
    }
    assert_eq!(Status::new(Cause::Translation, 3).dfsr(true, false), 0x207);
    assert_eq!(Status::new(Cause::AccessFlag, 3).dfsr(true, false), 0x20B);
}

/// The word at `at` in a memory of random descriptors; tables are frequent, so that walks go deep.
fn memory(seed: u64, at: u64) -> u32 {
    let mut rng = Rng::new(seed ^ at);
    let word = rng.next() as u32;
    // A long descriptor's high word: what is reserved stays clear mostly.
    if at & 4 != 0 && rng.one_in(2) { word & 0xF870_00FF } else { word }
}

/// Random registers that the manual defines.
fn random_regs(rng: &mut Rng) -> Regs {
    let long = rng.one_in(2);
    let ttbcr = if long {
        1 << 31 | (rng.next() as u32 & 0x0087_0087)
    } else {
        rng.next() as u32 & if rng.one_in(2) { 0x37 } else { 0x07 }
    };
    Regs {
        ttbr0: rng.next() & 0xFF_FFFF_C000,
        ttbr1: rng.next() & 0xFF_FFFF_C000,
        ttbcr,
        sctlr: rng.next() as u32,
        ..Regs::default()
    }
}

/// Two walkers that share no code agree.
#[test]
fn walks_as_the_inspector_does() {
    let mut rng = Rng::new(7);
    for _ in 0..200_000 {
        let regs = random_regs(&mut rng);
        let (seed, va) = (rng.next(), rng.next() as u32);
        walkers::compare(regs, va, |at| Some(memory(seed, at.as_u64())));
    }
}
