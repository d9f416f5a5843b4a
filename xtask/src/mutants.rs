//! `cargo xtask mutants`: whether the host tests notice when the library is changed.
//!
//! cargo-mutants changes one thing at a time in `format`, `table` and `mm`, and runs tests. Most changes are caught by the
//! few quick tests that are about what was changed, so these go first; what they let pass goes to those that take longer
//! to build or to run. What survives these too stands in `tests/expected/mutants.txt`, with the reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::Outcome;
use crate::command::{find, root, stream, target_directory, tool};
use crate::image::shown;

/// A part of the library, and the tests that are about it.
struct Part {
    name: &'static str,
    files: &'static [&'static str],
    /// Built and run in seconds.
    quick: &'static [&'static str],
    /// For what these let pass.
    thorough: &'static [&'static str],
}

const PARTS: [Part; 4] = [
    Part {
        name: "format",
        files: &["src/format/**"],
        quick: &["algebra", "fault_status", "golden", "shortcuts"],
        thorough: &["edit", "laws", "layout", "messages", "thread"],
    },
    Part {
        name: "inspect",
        files: &["src/table/inspect/**"],
        quick: &["inspect"],
        thorough: &["adversary", "laws"],
    },
    Part {
        name: "table",
        files: &["src/table/*.rs", "src/table/edit/**"],
        quick: &["cuts", "edges", "edit", "exhaustion", "flush"],
        thorough: &[
            "heap",
            "messages",
            "properties",
            "rows",
            "sequences",
            "shortcuts",
            "spare",
            "thread",
            "trace_rules",
        ],
    },
    Part {
        name: "mm",
        files: &["src/mm/**"],
        quick: &["edges", "exhaustion", "identity", "layout", "spare", "thread"],
        thorough: &["edit", "flush", "messages", "properties", "rows", "sequences", "trace_rules"],
    },
];

/// The survivors that are known, a line each: the change, without its place in the file, then ` | ` and why no test can
/// or need notice it.
const SURVIVORS: &str = "tests/expected/mutants.txt";

/// Of a hundred changes that compile, so many must be caught.
const CAUGHT: usize = 97;

/// The options of `cargo xtask mutants`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MutantsOptions {
    /// One part of the library; `None` for all.
    pub part: Option<String>,
    /// `K/N`: the Kth of N shares of the changes.
    pub shard: Option<String>,
    /// How many builds at once.
    pub jobs: Option<u32>,
}

/// Runs, and compares the survivors with the known ones.
///
/// # Errors
/// cargo-mutants is missing or fails; too few changes are caught; a survivor is not known.
pub fn run(options: &MutantsOptions) -> Outcome<()> {
    if find("cargo-mutants").is_none() {
        return Err("cargo-mutants is not installed: `cargo install --locked cargo-mutants`".into());
    }
    let parts: Vec<&Part> = match &options.part {
        Some(name) => PARTS.iter().filter(|part| part.name == name).collect(),
        None => PARTS.iter().collect(),
    };
    if parts.is_empty() {
        let names: Vec<_> = PARTS.iter().map(|part| part.name).collect();
        return Err(format!("there is no such part: {}", names.join(", ")));
    }
    let known = known()?;
    let mut problems = Vec::new();
    for part in parts {
        mutate(part, options, part.quick)?;
        mutate(part, options, part.thorough)?;
        let found = Found::read(part)?;
        println!("{}: {}", part.name, found.described());
        problems.extend(found.problem(part.name));
        let unknown = found.survivors.difference(&known);
        problems.extend(unknown.map(|survivor| format!("nobody noticed: {survivor}")));
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{}\nadd a test that notices, or the reason to {SURVIVORS}",
            problems.join("\n")
        )),
    }
}

/// Where cargo-mutants keeps what it finds about `part`.
fn output(part: &Part) -> PathBuf {
    target_directory().join("mutants").join(part.name)
}

/// Runs `tests` on every change of `part` that was not caught before.
fn mutate(part: &Part, options: &MutantsOptions, tests: &[&str]) -> Outcome<()> {
    let output = output(part);
    fs::create_dir_all(&output).map_err(|error| format!("{}: {error}", shown(&output)))?;
    let again = output.join("mutants.out").exists();
    let mut command = tool("cargo");
    command.args(["mutants", "--package", "armv7a-mm", "--colors", "never", "--no-times"]);
    command.arg("--output").arg(&output).args(["--timeout", "120"]);
    for files in part.files {
        command.args(["--file", files]);
    }
    if part.name == "table" {
        command.args(["--exclude", "src/table/inspect/**"]);
    }
    if again {
        command.arg("--iterate");
    }
    if let Some(shard) = &options.shard {
        // Not neighbours: a share is a sample of all.
        command.args(["--sharding", "round-robin", "--shard", shard]);
    }
    if let Some(jobs) = options.jobs {
        command.args(["--jobs", &jobs.to_string()]);
    }
    command.arg("--cargo-arg=--lib");
    for test in tests {
        command.arg(format!("--cargo-arg=--test={test}"));
    }
    // Fields of a word do not overlap: there `|` and `^` are the same.
    command.args(["--exclude-re", r"replace \| with \^"]);
    // Builds are most of it, and nobody debugs them.
    command.env("CARGO_PROFILE_DEV_DEBUG", "0");
    // What does not change is built once for all runs. Builds at once would wait for each other.
    if options.jobs.is_none_or(|jobs| jobs == 1) {
        command.env("CARGO_TARGET_DIR", target_directory().join("mutants/build"));
    }
    command.env("ARMV7A_MM_OPERATIONS", "30000");
    let (_, ending) = stream(command, true, None)
        .map_err(|error| format!("cargo-mutants does not start: {error}"))?;
    // 2: some were missed; 3: some took too long.
    match ending {
        crate::command::Ending::Exited(Some(0 | 2 | 3)) => Ok(()),
        _ => Err("cargo-mutants failed: its messages stand above".into()),
    }
}

/// What became of the changes of one part.
struct Found {
    caught: usize,
    survivors: BTreeSet<String>,
    missed: usize,
}

impl Found {
    fn read(part: &Part) -> Outcome<Self> {
        let directory = output(part).join("mutants.out");
        let lines = |name: &str| -> Vec<String> {
            let text = fs::read_to_string(directory.join(name)).unwrap_or_default();
            text.lines().map(str::to_string).collect()
        };
        let missed = lines("missed.txt");
        let caught = ["caught.txt", "timeout.txt", "previously_caught.txt"];
        Ok(Self {
            caught: caught.into_iter().map(|name| lines(name).len()).sum(),
            missed: missed.len(),
            survivors: missed.iter().map(|line| placeless(line)).collect(),
        })
    }

    fn described(&self) -> String {
        format!("{} of {} changes caught", self.caught, self.caught + self.missed)
    }

    fn problem(&self, part: &str) -> Option<String> {
        let few = self.caught * 100 < CAUGHT * (self.caught + self.missed);
        few.then(|| format!("{part}: {}, fewer than {CAUGHT} in a hundred", self.described()))
    }
}

/// A change without its line and column, which move with every edit: `file:line:column: change` as `file: change`.
fn placeless(line: &str) -> String {
    let mut parts = line.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(file), Some(_), Some(_), Some(change)) => format!("{file}:{change}"),
        _ => line.to_string(),
    }
}

/// The known survivors.
fn known() -> Outcome<BTreeSet<String>> {
    let text = fs::read_to_string(root().join(SURVIVORS))
        .map_err(|error| format!("{SURVIVORS}: {error}"))?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match line.split_once(" | ") {
            Some((change, reason)) if !reason.is_empty() => Ok(change.trim().to_string()),
            _ => Err(format!("{SURVIVORS}: `{line}` gives no reason")),
        })
        .collect()
}
