//! Counting instructions: the cycle counter, which under QEMU's `-icount shift=0` counts exactly those.

use core::arch::asm;

use armv7a_mm::armv7::barrier::isb;
use armv7a_mm::armv7::cp15::{PMCCNTR, PMCNTENSET, PMCR};
use stub::{harness, println};

/// PMCR.E: counters count. D, which would count every 64th cycle, stays clear.
const ENABLE: u32 = 1 << 0;
/// PMCNTENSET.C: the cycle counter is one of them.
const CYCLES: u32 = 1 << 31;

/// Starts the counter (DDI 0406C C12.8).
///
/// # Panics
/// It does not count instructions.
pub fn start() {
    // SAFETY: nobody else uses the performance monitors.
    unsafe {
        PMCNTENSET::write(CYCLES);
        PMCR::write(ENABLE);
    }
    isb();
    let (before, after): (u32, u32);
    // SAFETY: reads of PMCCNTR, two instructions apart.
    unsafe {
        asm!(
            "mrc p15, 0, {}, c9, c13, 0",
            "nop",
            "mrc p15, 0, {}, c9, c13, 0",
            out(reg) before,
            out(reg) after,
            options(nostack, preserves_flags),
        );
    }
    assert_eq!(after.wrapping_sub(before), 2, "counts something else: run under -icount shift=0");
}

/// Instructions spent on one kind of operation.
pub struct Tally {
    instructions: u64,
}

impl Tally {
    /// None so far.
    pub const fn new() -> Self {
        Self { instructions: 0 }
    }

    /// Adds the instructions that `run` takes, until its result is in memory.
    #[inline(always)]
    pub fn count<R>(&mut self, run: impl FnOnce() -> R) -> R {
        // A read of a system register stays where it is among volatile accesses and assembly.
        let before = PMCCNTR::read();
        let result = run();
        if size_of::<R>() > 0 {
            // SAFETY: no instruction; whoever looks at the result may not put it off until after this.
            unsafe {
                asm!("/* {} */", in(reg) &raw const result, options(nostack, preserves_flags))
            };
        }
        let after = PMCCNTR::read();
        // The second look counts itself.
        self.instructions += u64::from(after.wrapping_sub(before) - 1);
        result
    }

    /// Adds what `other` counted.
    pub fn add(&mut self, other: &Self) {
        self.instructions += other.instructions;
    }

    /// Takes off what `other` counted: what is around the operation, without it.
    pub fn less(&mut self, other: &Self) {
        self.instructions -= other.instructions;
    }

    /// Says what `units` of the operation took together, for `cargo xtask bench` to divide.
    pub fn report(&self, key: &str, units: u32) {
        harness::break_line();
        println!("    count {key} {} {units}", self.instructions);
    }
}
