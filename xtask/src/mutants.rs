//! `cargo xtask mutants`: whether the host tests notice when the library is changed. The package in `mutants/` does it.

use std::path::PathBuf;
use std::process::Command;

use crate::command::{find, root, stream, target_directory, tool};
use crate::verdict::Counts;
use crate::{Outcome, stages};

/// The options of `cargo xtask mutants`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MutantsOptions {
    /// One part of the library; `None` for all.
    pub part: Option<String>,
    /// Only changes whose name has this in it.
    pub only: Option<String>,
    /// What to believe of the last run; `None` for nothing.
    pub believe: Option<Believe>,
    /// How many are tried at once; `None` for one a CPU.
    pub jobs: Option<u32>,
}

/// What to believe of the last run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Believe {
    /// What was caught: `--again`.
    Caught,
    /// All: `--resume`.
    All,
}

/// Runs.
///
/// # Errors
/// cargo-mutants is missing or fails; too few changes are caught; a survivor is not known.
pub fn run(options: &MutantsOptions) -> Outcome<()> {
    if find("cargo-mutants").is_none() {
        return Err("cargo-mutants is not installed: `cargo install --locked cargo-mutants`".into());
    }
    let mut command = package("run");
    command.args(["--", "--root"]).arg(root()).arg("--folder").arg(folder());
    for (name, value) in [("--part", &options.part), ("--only", &options.only)] {
        if let Some(value) = value {
            command.args([name, value]);
        }
    }
    if let Some(jobs) = options.jobs {
        command.args(["--jobs", &jobs.to_string()]);
    }
    match options.believe {
        Some(Believe::Caught) => command.arg("--again"),
        Some(Believe::All) => command.arg("--resume"),
        None => &mut command,
    };
    let (_, ending) =
        stream(command, true, None).map_err(|error| format!("cargo does not start: {error}"))?;
    match ending.succeeded() {
        true => Ok(()),
        false => Err("a change goes unnoticed: which stands above".into()),
    }
}

/// Runs the tests of the tool itself.
///
/// # Errors
/// One is red.
pub fn tool_tests() -> Outcome<Counts> {
    stages::tests(package("test"))
}

/// Where copies, builds and results are kept.
fn folder() -> PathBuf {
    target_directory().join("mutants")
}

/// A cargo command about the tool.
fn package(subcommand: &str) -> Command {
    let mut command = tool("cargo");
    command.args([subcommand, "--quiet", "--manifest-path", "mutants/Cargo.toml", "--target-dir"]);
    command.arg(folder().join("tool"));
    command
}
