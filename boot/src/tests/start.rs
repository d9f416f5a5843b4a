//! What head.S and linker.ld left: the image's parts and the registers.

use armv7a_mm::addr::VirtAddr;
use armv7a_mm::armv7::cp15::ID_PFR1;
use armv7a_mm::armv7::mmu::{self, Query, WalkState};
use armv7a_mm::armv7::offline;
use armv7a_mm::format::Active;
use armv7a_mm::format::control::{Registers, sctlr};

use crate::harness::Test;
use crate::{check, check_eq, image};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "start::image-parts-are-pages-in-order", run: parts },
    Test { name: "start::every-stack-has-a-guard-page", run: stacks },
    Test { name: "start::registers-are-the-format's", run: registers },
    Test { name: "start::memory-is-where-it-was-loaded", run: linear },
];

fn parts() {
    let parts =
        [image::text(), image::rodata(), image::data(), image::early_tables(), image::heap()];
    for part in parts {
        check!(part.is_aligned(12), "{part}");
        check!(image::whole().encloses(part), "{part}");
    }
    check!(parts.windows(2).all(|pair| pair[0].last() < pair[1].start()));
    for inner in [image::vectors(), image::idmap()] {
        check!(inner.is_aligned(12) && image::text().encloses(inner), "{inner}");
    }
    check!(image::idmap().contains(offline::routine()));
}

fn stacks() {
    let mut below = image::data().last();
    for (mode, stack) in image::stacks() {
        check!(stack.is_aligned(12), "{mode}: {stack}");
        check!(stack.start().0 > below.0 + 4096, "no guard below the {mode} stack at {stack}");
        below = stack.last();
    }
    let here = &raw const below as u32;
    let first = image::stacks().next().map(|(_, stack)| stack);
    check!(first.is_some_and(|stack| stack.contains(VirtAddr(here))), "{here:#x}");
}

fn registers() {
    let state = WalkState::read();
    // Without the Security Extensions ARMv7's classic TTBCR holds N alone, which is 0. ARMv8's holds all.
    let may_lack = !Active::LPAE && ID_PFR1::read() >> 4 & 0xF == 0;
    check!(state.ttbcr == Active::TTBCR || may_lack && state.ttbcr == 0, "{:#x}", state.ttbcr);
    check_eq!(state.remap, Active::REMAP);
    check_eq!(state.sctlr & sctlr::ON, sctlr::ON);
    check_eq!(state.sctlr & sctlr::CLEAR & !sctlr::V, 0);
    if !Active::LPAE {
        check_eq!(state.dacr, Active::DACR);
    }
    check_eq!(state.ttbr0, Active::ttbr0(mmu::root(), armv7a_mm::attr::Asid(0)));
}

fn linear() {
    let start = image::whole().start();
    let here = mmu::translate(start, Query::KernelRead);
    for part in [image::text(), image::rodata(), image::data(), image::heap()] {
        let there = mmu::translate(part.last(), Query::KernelRead);
        check_eq!(
            there.map(|pa| pa.as_u64() - u64::from(part.last().0 - start.0)),
            here.map(|pa| pa.as_u64()),
            "{part}"
        );
    }
}
