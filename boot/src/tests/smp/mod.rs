//! Several CPUs: they come and go, fault, forget what is unmapped, and make and free address spaces, all at once.

mod arrival;
mod faults;
mod sealed;
mod shootdown;
mod storm;

use core::panic::Location;

use armv7a_mm::addr::PhysAddr;
use armv7a_mm::armv7::barrier::{ISH, dsb, isb};
use armv7a_mm::armv7::mmu;
use armv7a_mm::armv7::tlb::{self, Reach};

use crate::harness;
use crate::kernel::kernel;
use crate::skip;
use crate::team::{Outcome, Team};

pub use arrival::TESTS as ARRIVAL;
pub use faults::TESTS as FAULTS;
pub use sealed::TESTS as SEALED;
pub use shootdown::TESTS as SHOOTDOWN;
pub use storm::TESTS as STORM;

/// CPUs that most of the tests use: more of them take more time than they find bugs.
const MOST: usize = 4;

/// Runs a test's body with a team of up to `most` CPUs, or skips the test.
fn with_team(most: usize, body: impl FnOnce(&Team)) {
    let team = match Team::gather(most) {
        Ok(team) => team,
        Err(why) => skip!("{why}"),
    };
    body(&team);
}

/// Runs `job` on all CPUs; if one complains, the running test fails.
#[track_caller]
fn everywhere(team: &Team, job: impl Fn(usize) -> Outcome + Sync) {
    let at = Location::caller();
    if let Err((cpu, what, is, wanted)) = team.run(job) {
        let what = format_args!("CPU {cpu}: {what}: {is:#x}, expected {wanted:#x}");
        harness::fail(what, at.file(), at.line());
    }
}

/// A complaint unless both are equal.
fn same(what: &'static str, is: u32, wanted: u32) -> Outcome {
    if is == wanted { Ok(()) } else { Err((what, is, wanted)) }
}

/// This CPU walks the tables at `root` from here on, with an empty TLB.
fn enter(root: PhysAddr) {
    // SAFETY: swapper and pgds map the kernel alike; what the old tables had under ASID 0 goes at once.
    unsafe { mmu::set_root(root) };
    tlb::all(Reach::Local);
    tlb::predictions(Reach::Local);
    dsb(ISH);
    isb();
}

/// This CPU walks swapper from here on.
fn leave() {
    enter(kernel().view.node().table());
}
