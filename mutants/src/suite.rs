//! The tests: how long each takes, and which changes it asks for.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crate::Outcome;
use crate::cargo::Binary;
use crate::child::{Ending, Limits, judge, tool};
use crate::ledger::digest;
use crate::tree;

/// Binaries and modules of tests that look at the sources, which are written anew.
const OF_SOURCES: [&str; 3] = ["layering::", "host::rows::readme::", "host::rows::source::"];

/// No test needs more while no change is made.
const MOST: Limits = Limits { busy: Duration::from_secs(600), wall: Duration::from_secs(900) };

/// One test.
#[derive(Clone, Debug)]
pub struct Test {
    /// Its binary and its name: `edit::pages::classic`.
    pub name: String,
    /// Its binary.
    pub binary: Binary,
    own_name: String,
    /// How long it takes.
    pub time: Duration,
    /// The numbers of the changes that it asks for.
    pub reach: BTreeSet<u32>,
}

impl Test {
    fn command(&self, file: &Path, tree: &Path, mode: &str) -> Command {
        let mut command = tool(file, tree);
        command.args(["--exact", &self.own_name, "--test-threads", "1"]);
        command.env("ARMV7A_MM_MUTANT", mode).env("RUST_BACKTRACE", "0");
        // As many as tell a wrong library from a right one.
        command.env("ARMV7A_MM_OPERATIONS", "30000");
        // What fails has failed: nobody reads how.
        command.env("PROPTEST_MAX_SHRINK_ITERS", "0");
        command
    }

    /// Runs it from `file`, with the change of this number made.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&self, file: &Path, tree: &Path, number: u32) -> Outcome<Ending> {
        // While others are busy too, the clock says little.
        let limits = Limits {
            busy: self.time * 4 + Duration::from_secs(2),
            wall: self.time * 20 + Duration::from_secs(20),
        };
        judge(self.command(file, tree, &number.to_string()), limits).map(|(ending, _)| ending)
    }

    /// Runs it without a change, to see how long it takes, and what it asks for. That stands in the folder for the next
    /// time, as long as the binary is the same.
    fn measure(&mut self, copy: &Measured, binary: u64) -> Outcome<()> {
        let Measured { tree, folder, asks } = copy;
        let memory = folder.join(self.name.replace("::", "."));
        let old = std::fs::read_to_string(&memory).unwrap_or_default();
        if let Some((head, asked)) = old.split_once('\n')
            && let Some((of, time)) = head.split_once(' ')
            && of == format!("{binary:016x}")
            && let Ok(time) = time.parse()
        {
            self.time = Duration::from_micros(time);
            self.reach = numbers(asked);
            return Ok(());
        }
        let mut asked = String::new();
        if *asks {
            let record = memory.with_added_extension("asked");
            let _ = std::fs::remove_file(&record);
            self.green(tree, &format!("record:{}", record.display()))?;
            // One that never asks leaves no record.
            asked = std::fs::read_to_string(&record).unwrap_or_default();
            let _ = std::fs::remove_file(&record);
        }
        self.reach = numbers(&asked);
        self.time = self.green(tree, "0")?;
        let text = format!("{binary:016x} {}\n{asked}", self.time.as_micros());
        tree::write(&memory, text.as_bytes())
    }

    fn green(&self, tree: &Path, mode: &str) -> Outcome<Duration> {
        match judge(self.command(&self.binary.file, tree, mode), MOST)? {
            (Ending::Green, time) => Ok(time),
            _ => Err(format!("{} is red though nothing is changed", self.name)),
        }
    }
}

fn numbers(lines: &str) -> BTreeSet<u32> {
    lines.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Where tests are measured.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// The copy that they are built of.
    pub tree: &'a Path,
    /// Where it is kept what was measured.
    pub folder: &'a Path,
    /// Whether the library asks which change is made.
    pub asks: bool,
}

/// Finds those tests of `binaries` that are `wanted`, and measures each, so many at once; quickest first.
///
/// # Errors
/// A test cannot be run, or is red.
pub fn measure(
    copy: Measured,
    binaries: &[Binary],
    jobs: usize,
    wanted: impl Fn(&str) -> bool,
) -> Outcome<Vec<Test>> {
    let mut tests = Vec::new();
    for binary in binaries {
        let text = std::fs::read(&binary.file);
        let of = digest(&text.map_err(|error| format!("{}: {error}", binary.file.display()))?);
        let ignored = names(binary, copy.tree, &["--list", "--ignored"])?;
        for own_name in names(binary, copy.tree, &["--list"])? {
            let name = format!("{}::{own_name}", binary.name);
            let of_sources = OF_SOURCES.iter().any(|part| name.contains(part));
            if !of_sources && !ignored.contains(&own_name) && wanted(&name) {
                let (binary, time, reach) = (binary.clone(), Duration::ZERO, BTreeSet::new());
                tests.push((Mutex::new(Test { name, binary, own_name, time, reach }), of));
            }
        }
    }
    std::fs::create_dir_all(copy.folder)
        .map_err(|error| format!("{}: {error}", copy.folder.display()))?;
    work(jobs, tests.len(), |index, _| {
        let (test, of) = &tests[index];
        test.lock().expect("nobody panics").measure(&copy, *of)
    })?;
    let mut tests: Vec<Test> =
        tests.into_iter().map(|(test, _)| test.into_inner().expect("nobody panics")).collect();
    tests.sort_by_key(|test| test.time);
    Ok(tests)
}

fn names(binary: &Binary, tree: &Path, arguments: &[&str]) -> Outcome<Vec<String>> {
    let mut command = tool(&binary.file, tree);
    let output = command.args(arguments).args(["--format", "terse"]).output();
    let output = output.map_err(|error| format!("{}: {error}", binary.name))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| Some(line.strip_suffix(": test")?.to_string())).collect())
}

/// Does `0..count`, so many at once, and says which of these each is. Stops at the first error.
///
/// # Errors
/// Those of `act`.
pub fn work(
    jobs: usize,
    count: usize,
    act: impl Fn(usize, usize) -> Outcome<()> + Sync,
) -> Outcome<()> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Ok(())));
    thread::scope(|scope| {
        for job in 0..jobs {
            let (next, failed, act) = (&next, &failed, &act);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Relaxed);
                    if index >= count {
                        break;
                    }
                    if let Err(error) = act(index, job) {
                        next.store(count, Relaxed);
                        *failed.lock().expect("nobody panics") = Err(error);
                    }
                }
            });
        }
    });
    failed.into_inner().expect("nobody panics")
}
