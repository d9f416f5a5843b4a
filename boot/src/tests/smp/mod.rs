//! Several CPUs: they come and go, fault, forget what is unmapped, and make and free address spaces, all at once.

mod arrival;

use crate::skip;
use crate::team::Team;

pub use arrival::TESTS as ARRIVAL;

/// Runs the test's body with a team of several CPUs, or skips it.
fn with_team(most: usize, body: impl FnOnce(&Team)) {
    let team = match Team::gather(most) {
        Ok(team) => team,
        Err(why) => skip!("{why}"),
    };
    body(&team);
}

/// Runs a job on all CPUs; fails the running test if one complains.
fn everywhere(team: &Team, job: impl Fn(usize) -> crate::team::Outcome + Sync) -> bool {
    let ran = team.run(job);
    if let Err((cpu, what, a, b)) = ran {
        crate::harness::fail(format_args!("CPU {cpu}: {what}: {a:#x}, {b:#x}"), file!(), line!());
    }
    ran.is_ok()
}
