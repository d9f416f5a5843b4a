//! Any registers over any memory: the walker of foreign machines never panics, its answers hold for all of the range
//! that they name, and another walker that shares no code says the same.
#![no_main]

#[path = "bytes.rs"]
mod bytes;
#[path = "../../tests/machine/mod.rs"]
mod machine;

use armv7a_mm::addr::{PhysAddr, VirtAddr};
use armv7a_mm::table::inspect::{Inspector, Regs, Request};
use libfuzzer_sys::fuzz_target;

use bytes::Bytes;
use machine::{regs, walkers};

/// A word that stands for a hole in memory.
const HOLE: u32 = 0xDEAD_0000;

fuzz_target!(|input: &[u8]| {
    let mut from = Bytes(input);
    let [sctlr, ttbcr, dacr, mair0, mair1, id_mmfr0] = [(); 6].map(|()| from.number(4) as u32);
    let [ttbr0, ttbr1] = [(); 2].map(|()| from.number(8));
    let (va, within) = (from.number(4) as u32, from.number(4));
    let words: Vec<u32> = from.0.chunks(4).map(|word| Bytes(word).number(4) as u32).collect();
    // Every table is made of the same words, each from another one on.
    let memory = |at: PhysAddr| {
        let at = at.as_u64();
        let index = (at >> 2) ^ (at >> 12);
        let word = *words.get((index % words.len().max(1) as u64) as usize)?;
        (word != HOLE).then_some(word)
    };
    let regs = Regs { sctlr, ttbcr, ttbr0, ttbr1, dacr, mair0, mair1, id_mmfr0 };
    let inspector = Inspector::new(regs, memory);
    let found = inspector.walk(VirtAddr(va));
    let range = match found {
        Ok(leaf) => leaf.range,
        Err(fault) => fault.range,
    };
    assert!(range.contains(VirtAddr(va)));
    let other = VirtAddr((u64::from(range.start().0) + within % range.bytes()) as u32);
    assert_eq!(inspector.walk(other), found);
    for request in Request::ALL {
        let _ = inspector.translate(VirtAddr(va), request);
    }
    // All of the address space takes long.
    if within & 0xFF == 0x5A {
        let _ = inspector.leaves().take(8).count();
    }
    let defined = regs::Regs {
        ttbr0: ttbr0 & 0xFF_FFFF_C000,
        ttbr1: ttbr1 & 0xFF_FFFF_C000,
        ttbcr: ttbcr & if ttbcr >> 31 != 0 { 0x8087_0087 } else { 0x37 },
        sctlr,
        ..regs::Regs::default()
    };
    walkers::compare(defined, va, memory);
});
