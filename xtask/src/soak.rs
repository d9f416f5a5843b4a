//! `cargo xtask soak`: random operations on the machine that forgives nothing, for as long as one likes.
//!
//! The work is done by the test `soak` of `tests/properties.rs`, built with the profile `soak`; a failure prints a short
//! test that shows it.

use crate::Outcome;
use crate::command::tool;
use crate::options::SoakOptions;
use crate::stages;

/// Runs, and shows what it says.
///
/// # Errors
/// It does not build, or something failed.
pub fn run(options: &SoakOptions) -> Outcome<()> {
    let mut command = tool("cargo");
    command.args(["test", "--quiet", "--profile", "soak", "--package", "armv7a-mm"]);
    command.args(["--test", "properties", "--", "--ignored", "--exact", "soak", "--nocapture"]);
    command.env("ARMV7A_MM_OPERATIONS", options.operations.to_string());
    command.env("ARMV7A_MM_SEED", options.seed.to_string());
    match options.threads {
        Some(threads) => command.env("ARMV7A_MM_THREADS", threads.to_string()),
        None => command.env_remove("ARMV7A_MM_THREADS"),
    };
    match &options.machine {
        Some(machine) => command.env("ARMV7A_MM_MACHINE", machine),
        None => command.env_remove("ARMV7A_MM_MACHINE"),
    };
    stages::tests(command).map(drop).map_err(|problem| format!("the soak is red: {problem}"))
}
