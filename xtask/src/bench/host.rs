//! `cargo xtask bench --host`: ours beside the published libraries, in nanoseconds, and in instructions where valgrind
//! is. Package `bench` does the work; its lines are read here.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::versus;
use crate::Outcome;
use crate::command::{find, stream, target_directory, tool};

/// Package, program, and directory of what it leaves.
const BENCH: &str = "bench";

/// Has glibc zero and copy by stores, whatever the size, for all libraries alike. Of `rep stosb`, which it may take for a
/// table, callgrind counts an instruction a byte, and the time depends on the CPU's maker.
const STORES: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.cpu.x86_rep_stosb_threshold=1000000000:glibc.cpu.x86_rep_movsb_threshold=1000000000",
);

/// What one library needs for one operation, per unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// The operation.
    pub operation: String,
    /// The library.
    pub contender: String,
    /// Nanoseconds, or instructions.
    pub amount: f64,
    /// Whether it does all of the work.
    pub whole: bool,
}

/// Measures and prints.
///
/// # Errors
/// The bench does not build, or is red.
pub fn report() -> Outcome<()> {
    let mut build = tool("cargo");
    build.args(["build", "--quiet", "--release", "--package", BENCH, "--target-dir"]);
    run(build.arg(target_directory()), "the bench does not build")?;
    let program = target_directory().join("release").join(BENCH);
    let times = read(&run(tool(&program).env(STORES.0, STORES.1), "the bench is red")?, "time")?;
    print!("{}", versus::table("nanoseconds (median)", &times));
    match find("valgrind") {
        Some(valgrind) => {
            print!(
                "\n{}",
                versus::table("instructions (callgrind)", &counts(&valgrind, &program, &times)?)
            );
        }
        None => println!("\nno valgrind on PATH: instructions are not counted"),
    }
    Ok(())
}

/// Runs the bench under callgrind: a dump each time that the measured function is left.
fn counts(valgrind: &Path, program: &Path, times: &[Cost]) -> Outcome<Vec<Cost>> {
    let directory = target_directory().join(BENCH).join("callgrind");
    let complain = |error: std::io::Error| format!("{}: {error}", directory.display());
    if directory.exists() {
        fs::remove_dir_all(&directory).map_err(complain)?;
    }
    fs::create_dir_all(&directory).map_err(complain)?;
    let out = directory.join("dump");
    let mut command = tool(valgrind);
    command.args([
        "--tool=callgrind",
        "--toggle-collect=bench_region",
        "--dump-after=bench_region",
    ]);
    command.arg(format!("--callgrind-out-file={}", out.display())).arg(program).arg("--once");
    command.env(STORES.0, STORES.1);
    let mut costs = read(&run(&mut command, "the bench is red under callgrind")?, "units")?;
    for (index, cost) in costs.iter_mut().enumerate() {
        let dump = out.with_file_name(format!("dump.{}", index + 1));
        let text =
            fs::read_to_string(&dump).map_err(|error| format!("{}: {error}", dump.display()))?;
        let total =
            text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse::<f64>().ok());
        let total = total.ok_or_else(|| format!("{}: no totals", dump.display()))?;
        cost.amount = total / cost.amount;
        cost.whole = times.iter().all(|time| {
            time.whole || (&time.operation, &time.contender) != (&cost.operation, &cost.contender)
        });
    }
    Ok(costs)
}

/// Runs a command to its good end; what it said.
fn run(command: &mut Command, complaint: &str) -> Outcome<String> {
    let command = std::mem::replace(command, Command::new(""));
    let (said, ending) =
        stream(command, false, None).map_err(|error| format!("{complaint}: {error}"))?;
    match ending.succeeded() {
        true => Ok(said),
        false => Err(format!("{complaint}:\n{said}")),
    }
}

/// Reads lines of the given kind.
///
/// # Errors
/// One makes no sense.
pub fn read(said: &str, kind: &str) -> Outcome<Vec<Cost>> {
    let mut costs = Vec::new();
    for line in said.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [first, operation, contender, amount, ref rest @ ..] = words[..] else { continue };
        if first != kind {
            continue;
        }
        let amount =
            amount.parse().map_err(|_| format!("the bench's line makes no sense: {line}"))?;
        let (operation, contender) = (operation.to_string(), contender.to_string());
        costs.push(Cost { operation, contender, amount, whole: rest.is_empty() });
    }
    Ok(costs)
}
