//! head.S, and the constants that it is assembled with.

use core::arch::global_asm;

use armv7a_mm::format::control::{Registers, sctlr};
use armv7a_mm::format::{Active, Level};

use crate::memory::{IMAGE, PAGE_OFFSET, PHYS_OFFSET, RAM_BYTES};

/// The level whose leaves make the early map: sections of 1 MiB, blocks of 2 MiB.
const LEVEL: &Level = &<Active as armv7a_mm::format::Format>::LEVELS[EARLY];
const EARLY: usize = <Active as armv7a_mm::format::Format>::LEVELS.len() - 2;

/// Where the entry for `address` lies, in bytes from the early tables' start. The tables of three levels are the pgd, a
/// pmd for the second GiB, a pmd for the fourth.
const fn entry(address: u32) -> u32 {
    let tables = match (Active::LPAE, address >> 30) {
        (false, _) => 0,
        (true, 1) => 0x1000,
        (true, _) => 0x2000,
    };
    let index = address >> LEVEL.shift & LEVEL.last as u32;
    tables + (index << LEVEL.entry_shift)
}

global_asm!(
    include_str!("head.S"),
    LPAE = const Active::LPAE as u32,
    OFFSET = const PAGE_OFFSET - PHYS_OFFSET,
    PHYS_OFFSET = const PHYS_OFFSET,
    KERNEL_ENTRIES = const entry(PAGE_OFFSET),
    LEAVES = const RAM_BYTES >> LEVEL.shift,
    IDENTITY = const IMAGE,
    IDENTITY_ENTRY = const entry(IMAGE),
    LEAF = const Active::EARLY_LEAF,
    TABLE = const 0b11,
    ENTRY_BYTES = const 1 << LEVEL.entry_shift,
    SHIFT = const LEVEL.shift,
    TTBCR = const Active::TTBCR,
    TTBR_WALK = const Active::TTBR_WALK,
    DACR = const Active::DACR,
    REMAP0 = const Active::REMAP[0],
    REMAP1 = const Active::REMAP[1],
    SCTLR_CLEAR = const sctlr::CLEAR,
    SCTLR_ON = const sctlr::ON,
    MAIN = sym crate::main,
);
