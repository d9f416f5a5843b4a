//! All CPUs fault at once: each on stacks of its own, and each learns of its own fault alone.

use armv7a_mm::addr::{VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::FaultKind;
use armv7a_mm::table::edit::LeafSizes;

use super::super::support::{self, Space, Spare};
use super::{MOST, enter, everywhere, leave, same, with_team};
use crate::faults::{FaultRecord, Vector};
use crate::harness::Test;
use crate::probe;
use crate::team::{Outcome, Team};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "smp::all-cpus-fault-at-once", run: kernel_mode },
    Test { name: "smp::all-cpus-leave-user-mode-at-once", run: user_mode },
];

const ROUNDS: u32 = 40;

/// Where the test's user code lies.
const CODE: VirtAddr = VirtAddr(0x1_0000);
/// LDR r0, \[r0\]; SVC #0.
const LOAD: [u32; 2] = [0xE590_0000, 0xEF00_0000];

/// Whether it is the fault that was asked for.
fn is(record: FaultRecord, vector: Vector, at: VirtAddr) -> Outcome {
    same("the vector", record.vector as u32, vector as u32)?;
    same("the address", record.far, at.0)?;
    match record.kind() {
        Some(FaultKind::Translation) => Ok(()),
        _ => Err(("the status", record.fsr, 0)),
    }
}

/// Runs `fault` on every CPU at the same time, again and again.
fn together(team: &Team, fault: impl Fn(usize, u32) -> Outcome + Sync) {
    everywhere(team, |cpu| {
        let mut outcome = Ok(());
        for round in 0..ROUNDS {
            team.meet();
            outcome = outcome.and(fault(cpu, round));
        }
        outcome
    });
}

fn kernel_mode() {
    with_team(MOST, |team| {
        together(team, |cpu, round| {
            // Each at a word of its own.
            let at = VirtAddr(probe::UNMAPPED.0 + 4 * (cpu as u32 + 8 * (round & 15)));
            let read = probe::read(at).err().ok_or(("a word was read", at.0, 0))?;
            is(read, Vector::Data, at)?;
            // SAFETY: it faults.
            let stored = unsafe { probe::write(at, round) };
            is(stored.err().ok_or(("a word was stored", at.0, 0))?, Vector::Data, at)?;
            // SAFETY: it cannot be fetched.
            let fetched = unsafe { probe::execute(at) };
            is(fetched.err().ok_or(("a word was executed", at.0, 0))?, Vector::Prefetch, at)
        });
    });
}

fn user_mode() {
    with_team(MOST, |team| {
        let mut spare = Spare::new();
        let code = spare.page();
        support::write_code(code, &LOAD);
        let mut space = Space::new();
        let executes = Attrs::user(Access::ReadExecute);
        let mapped = space.map(VirtRange::page(CODE), code, executes, LeafSizes::PAGES);
        mapped.expect("a new pgd is empty");
        let root = space.root();
        everywhere(team, |_| {
            enter(root);
            Ok(())
        });
        together(team, |cpu, round| {
            let at = VirtAddr(0x2000_0000 + 4 * (cpu as u32 + 8 * round));
            // SAFETY: it loads, and the load faults.
            let record = unsafe { probe::user(CODE, at.0, VirtAddr(0)) };
            is(record, Vector::Data, at)?;
            // SAFETY: it loads its own code, and calls.
            let record = unsafe { probe::user(CODE, CODE.0, VirtAddr(0)) };
            same("the vector", record.vector as u32, Vector::Supervisor as u32)?;
            same("what it read", record.r0, LOAD[0])
        });
        everywhere(team, |_| {
            leave();
            Ok(())
        });
    });
}
