//! `cargo xtask fuzz`: the targets of `fuzz/`, one after another.

use std::path::Path;

use crate::Outcome;
use crate::command::{root, stream, tool};
use crate::options::FuzzOptions;

/// Every target.
pub const TARGETS: [&str; 4] = ["decode", "devicetree", "inspect", "operations"];

/// Runs what is asked for.
///
/// # Errors
/// Nightly or cargo-fuzz is missing, something does not build, or a target found something.
pub fn run(options: &FuzzOptions) -> Outcome<()> {
    if !answers(&["+nightly", "--version"]) {
        return Err(
            "no nightly compiler: `rustup toolchain install nightly --profile minimal`".into()
        );
    }
    if !answers(&["+nightly", "fuzz", "--version"]) {
        return Err("no cargo-fuzz: `cargo install cargo-fuzz`".into());
    }
    for target in TARGETS.into_iter().filter(|it| options.target.is_none_or(|only| only == *it)) {
        println!("== {target}, {} s", options.seconds);
        fuzz(target, options.seconds)?;
    }
    Ok(())
}

/// What is found goes to a corpus in `fuzz/target`, which no commit takes along; the one that is checked in seeds it.
fn fuzz(target: &str, seconds: u32) -> Outcome<()> {
    let found = Path::new("fuzz/target/corpus").join(target);
    std::fs::create_dir_all(root().join(&found))
        .map_err(|error| format!("{}: {error}", found.display()))?;
    let mut command = tool("cargo");
    command
        .args(["+nightly", "fuzz", "run", target])
        .arg(&found)
        .arg(Path::new("fuzz/corpus").join(target));
    command.args(["--", &format!("-max_total_time={seconds}"), "-print_final_stats=1"]);
    // Scripts are long from the start; what is longer than this says nothing new.
    command.args(match target {
        "operations" => ["-max_len=1500", "-len_control=0"],
        _ => ["-max_len=4096", "-len_control=100"],
    });
    let (_, ending) =
        stream(command, true, None).map_err(|error| format!("cargo does not start: {error}"))?;
    match ending.succeeded() {
        true => Ok(()),
        false => Err(format!("{target} is red: fuzz/artifacts/{target} has the input")),
    }
}

/// Whether cargo has an answer.
fn answers(arguments: &[&str]) -> bool {
    tool("cargo").args(arguments).output().is_ok_and(|told| told.status.success())
}
