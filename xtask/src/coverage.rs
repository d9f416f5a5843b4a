//! `cargo xtask coverage`: which lines of `format`, `table` and `mm` no host test runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::command::{find, root, stream, target_directory, tool};

/// The modules that are measured.
const MODULES: [&str; 3] = ["src/format", "src/table", "src/mm"];

/// Runs the host tests, prints the share of lines run for each file, and the lines that were not.
///
/// # Errors
/// The LLVM tools are missing; a test is red; the report cannot be read.
pub fn run() -> Outcome<()> {
    let (profdata, cov) = (llvm("llvm-profdata")?, llvm("llvm-cov")?);
    let target = target_directory().join("coverage");
    let profiles = target.join("profiles");
    let _ = fs::remove_dir_all(&profiles);
    let binaries = test(&target, &profiles)?;

    let merged = target.join("merged.profdata");
    let mut merge = Command::new(profdata);
    merge.args(["merge", "--sparse", "-o"]).arg(&merged).arg(&profiles);
    succeeds(merge)?;

    let mut export = Command::new(cov);
    export.args(["export", "--format=lcov", "--instr-profile"]).arg(&merged);
    for (number, binary) in binaries.iter().enumerate() {
        if number > 0 {
            export.arg("--object");
        }
        export.arg(binary);
    }
    let files = lines_run(&succeeds(export)?);
    print!("{}", report(&files));
    match files.is_empty() {
        true => Err("no line of the library was counted".into()),
        false => Ok(()),
    }
}

/// Builds the tests so that they count, and runs them; the test binaries.
fn test(target: &Path, profiles: &Path) -> Outcome<Vec<PathBuf>> {
    let mut command = tool("cargo");
    command.args(["test", "--package", "armv7a-mm", "--tests", "--target-dir"]).arg(target);
    command.env("RUSTFLAGS", "-C instrument-coverage");
    // Counting is slow, and random sequences soon meet every line that they ever meet.
    command.env("ARMV7A_MM_OPERATIONS", "40000");
    // The counters need none.
    command.env("CARGO_PROFILE_DEV_DEBUG", "0");
    command.env("LLVM_PROFILE_FILE", profiles.join("%p-%m.profraw"));
    let (said, ending) =
        stream(command, true, None).map_err(|error| format!("cargo does not start: {error}"))?;
    if !ending.succeeded() {
        return Err("a test is red: its messages stand above".into());
    }
    // `Running tests/host/main.rs (target/coverage/debug/deps/host-0123456789abcdef)`
    let running = said.lines().filter(|line| line.trim_start().starts_with("Running "));
    let named = running.filter_map(|line| line.rsplit_once('(')?.1.strip_suffix(')'));
    Ok(named.map(|file| root().join(file)).collect())
}

/// A tool of LLVM's, as Debian or a toolchain names it.
fn llvm(name: &str) -> Outcome<PathBuf> {
    let versions = (19..=24).rev().map(|version| format!("{name}-{version}"));
    versions.chain([name.to_string()]).find_map(|name| find(&name)).ok_or_else(|| {
        format!("{name} is not installed: it comes with the package llvm, as new as rustc's LLVM")
    })
}

fn succeeds(mut command: Command) -> Outcome<String> {
    let program = command.get_program().display().to_string();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// How often each line of the measured files ran, by file.
type Lines = BTreeMap<String, BTreeMap<u32, u64>>;

/// Reads LCOV's records: `SF:file`, and `DA:line,count` for each line with code. A line of a generic function counts
/// once, whatever it was made for.
fn lines_run(lcov: &str) -> Lines {
    let root = format!("{}/", root().display());
    let mut files = Lines::new();
    let mut file = None;
    for record in lcov.lines() {
        if let Some(name) = record.strip_prefix("SF:") {
            let name = name.strip_prefix(&root).unwrap_or(name).to_string();
            let measured = MODULES.iter().any(|module| name.starts_with(module));
            file = measured.then_some(name);
        } else if let (Some(name), Some((line, count))) =
            (&file, record.strip_prefix("DA:").and_then(|data| data.split_once(',')))
            && let (Ok(line), Ok(count)) = (line.parse(), count.parse::<u64>())
        {
            let most = files.entry(name.clone()).or_default().entry(line).or_default();
            *most = count.max(*most);
        }
    }
    files
}

/// A line a file, the lines that no test ran, and all of it.
fn report(files: &Lines) -> String {
    let mut text = String::new();
    let (mut all, mut ran) = (0, 0);
    for (file, lines) in files {
        let run = lines.values().filter(|&&count| count > 0).count();
        (all, ran) = (all + lines.len(), ran + run);
        text += &format!("{:5.1} %  {file}\n", share(run, lines.len()));
        let source = fs::read_to_string(root().join(file)).unwrap_or_default();
        for (&line, _) in lines.iter().filter(|&(_, &count)| count == 0) {
            let code = source.lines().nth(line as usize - 1).unwrap_or_default();
            text += &format!("         {line:4} {}\n", code.trim());
        }
    }
    text + &format!("{:5.1} %  all: {ran} of {all} lines\n", share(ran, all))
}

fn share(part: usize, all: usize) -> f64 {
    100.0 * part as f64 / all.max(1) as f64
}
