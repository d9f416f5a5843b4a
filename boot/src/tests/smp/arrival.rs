//! CPUs come, one by one and all, and go, and come again.

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use armv7a_mm::addr::VirtAddr;
use armv7a_mm::armv7::cp15::MPIDR;
use armv7a_mm::armv7::mmu::{self, WalkState};
use armv7a_mm::armv7::vectors;

use super::super::support::Balance;
use super::{everywhere, same, with_team};
use crate::devicetree::MAX_CPUS;
use crate::harness::{self, Test};
use crate::kernel::kernel;
use crate::team::{Outcome, Team};
use crate::{check, check_eq, cpus, image, percpu, println};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "smp::all-cpus-come", run: all },
    Test { name: "smp::cpus-come-and-go-again", run: again },
];

/// SP of a mode other than SVC.
macro_rules! stack_of {
    ($mode:literal) => {{
        let sp: u32;
        // SAFETY: back in SVC mode when it ends; r0 is the same in all modes.
        unsafe {
            asm!(
                concat!("cps #", $mode),
                "mov r0, sp",
                "cps #0x13",
                out("r0") sp,
                options(nostack, preserves_flags),
            );
        }
        sp
    }};
}

/// Whether each stack pointer of this CPU lies on the stack that is meant for it, or at its top.
fn has_own_stacks(cpu: usize) -> Outcome {
    let here = 0_u32;
    let here = &raw const here as u32;
    let found = [
        ("SVC", here),
        ("abort", stack_of!("0x17")),
        ("undefined", stack_of!("0x1B")),
        ("IRQ", stack_of!("0x12")),
        ("FIQ", stack_of!("0x11")),
    ];
    for ((mode, sp), (wanted, stack)) in found.into_iter().zip(image::stacks_of(cpu)) {
        if mode != wanted || !stack.contains(VirtAddr(sp - 1)) {
            return Err(("a stack is not its own", sp, stack.last().0));
        }
    }
    Ok(())
}

/// Whether this CPU is who it should be, and translates addresses as the first does.
fn is_in_order(team: &Team, cpu: usize, first: &WalkState) -> Outcome {
    same("its number", percpu::number() as u32, cpu as u32)?;
    same("its affinity", MPIDR::read() & 0xFF_FFFF, team.affinities()[cpu])?;
    has_own_stacks(cpu)?;
    let here = WalkState::read();
    same("TTBCR", here.ttbcr, first.ttbcr)?;
    same("SCTLR", here.sctlr, first.sctlr)?;
    same("PRRR or MAIR0", here.remap[0], first.remap[0])?;
    same("NMRR or MAIR1", here.remap[1], first.remap[1])?;
    same("TTBR1", here.ttbr1 as u32, first.ttbr1 as u32)?;
    same("the tables", mmu::root().as_u64() as u32, kernel().view.node().table().as_u64() as u32)?;
    same("the vectors", vectors::base().0, vectors::HIGH.0)
}

/// Every CPU of the team does its part, ten times.
fn works(team: &Team) {
    let first = WalkState::read();
    let (sum, turns) = (AtomicU32::new(0), 10);
    for _ in 0..turns {
        everywhere(team, |cpu| {
            sum.fetch_add(1 << (4 * cpu), Relaxed);
            is_in_order(team, cpu, &first)
        });
    }
    let wanted = (0..team.size()).map(|cpu| turns << (4 * cpu)).sum::<u32>();
    check_eq!(sum.load(Relaxed), wanted, "who worked");
}

fn all() {
    with_team(MAX_CPUS, |team| {
        harness::break_line();
        println!("    {} CPUs, started {}", team.size(), cpus::way());
        works(team);
    });
}

/// Alone and together, twice each: the second time they find what the first left.
fn again() {
    let _balance = Balance::new();
    for most in [2, MAX_CPUS, 2, 3, MAX_CPUS] {
        let before = crate::memory::machine().memory().used();
        with_team(most, |team| {
            check!(team.size() <= most);
            works(team);
        });
        check_eq!(crate::memory::machine().memory().used(), before, "bytes of tables in use");
    }
}
