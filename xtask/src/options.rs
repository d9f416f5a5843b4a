//! The command line.

use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::Outcome;
use crate::fuzz::TARGETS;
use crate::image::{Binary, Code, Format};
use crate::matrix::Depth;
use crate::mutants::{Believe, MutantsOptions};
use crate::qemu::Guest;

/// What `cargo xtask --help` prints.
pub const HELP: &str = include_str!("help.txt");

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// Print [`HELP`].
    Help,
    /// Build and boot.
    Boot(BootOptions),
    /// Build and boot the example kernel.
    Run(BootOptions),
    /// Build, check and boot everything.
    Test,
    /// Boot on many machines.
    Matrix(Depth),
    /// Build both images.
    Build,
    /// Measure.
    Bench(BenchOptions),
    /// Random operations, many.
    Soak(SoakOptions),
    /// Inputs that a fuzzer finds.
    Fuzz(FuzzOptions),
    /// Changes that tests should notice.
    Mutants(MutantsOptions),
    /// Lines that tests run.
    Coverage,
}

/// The options of `cargo xtask boot`, and of `run`.
#[derive(Clone, Debug, PartialEq)]
pub struct BootOptions {
    /// The formats to boot, in order.
    pub formats: Vec<Format>,
    /// What the images are compiled for.
    pub code: Code,
    /// The machine to boot them on.
    pub guest: Guest,
}

/// The options of `cargo xtask bench`.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchOptions {
    /// The formats to measure, in order.
    pub formats: Vec<Format>,
    /// Leave out what takes long.
    pub quick: bool,
    /// What is wanted.
    pub report: Report,
}

/// The options of `cargo xtask soak`.
#[derive(Clone, Debug, PartialEq)]
pub struct SoakOptions {
    /// How many operations.
    pub operations: u64,
    /// The seed of the first sequence.
    pub seed: u64,
    /// One kind of machine; `None` for all.
    pub machine: Option<String>,
    /// Threads; `None` for one a CPU.
    pub threads: Option<u32>,
}

impl Default for SoakOptions {
    fn default() -> Self {
        Self { operations: 100_000_000, seed: 1, machine: None, threads: None }
    }
}

/// The options of `cargo xtask fuzz`.
#[derive(Clone, Debug, PartialEq)]
pub struct FuzzOptions {
    /// One of [`TARGETS`]; `None` for all.
    pub target: Option<&'static str>,
    /// How long each runs.
    pub seconds: u32,
}

/// What `cargo xtask bench` is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Count, and print tables.
    Table,
    /// Count, and print the README's table.
    Markdown,
    /// Count, and check the counts in.
    Bless,
    /// Measure on the host, beside other libraries.
    Host,
    /// Print how large the code is.
    Size,
}

/// Reads the arguments that follow the program's name.
///
/// # Errors
/// An unknown command or option, a missing or unusable value.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Outcome<Task> {
    let mut ours: Vec<OsString> = arguments.into_iter().collect();
    let for_qemu = match ours.iter().position(|argument| argument == "--") {
        Some(border) => ours.split_off(border).split_off(1),
        None => Vec::new(),
    };
    let task = match ours.first().and_then(|command| command.to_str()) {
        Some(name @ ("bench" | "matrix" | "soak" | "fuzz" | "mutants")) if !for_qemu.is_empty() => {
            Err(format!("`{name}` hands nothing to QEMU").into())
        }
        Some("bench") => parse_bench(ours.split_off(1)),
        Some("matrix") => parse_matrix(ours.split_off(1)),
        Some("soak") => parse_soak(ours.split_off(1)),
        Some("fuzz") => parse_fuzz(ours.split_off(1)),
        Some("mutants") => parse_mutants(ours.split_off(1)),
        _ => parse_ours(ours, for_qemu),
    };
    task.map_err(|error| error.to_string())
}

fn parse_bench(ours: Vec<OsString>) -> Result<Task, lexopt::Error> {
    let mut parser = Parser::from_args(ours);
    let mut bench =
        BenchOptions { formats: Format::ALL.to_vec(), quick: false, report: Report::Table };
    while let Some(argument) = parser.next()? {
        let report = match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Task::Help),
            Arg::Long("format") => {
                bench.formats = vec![parser.value()?.parse()?];
                continue;
            }
            Arg::Long("quick") => {
                bench.quick = true;
                continue;
            }
            Arg::Long("markdown") => Report::Markdown,
            Arg::Long("bless") => Report::Bless,
            Arg::Long("host") => Report::Host,
            Arg::Long("size") => Report::Size,
            other => return Err(other.unexpected()),
        };
        if std::mem::replace(&mut bench.report, report) != Report::Table {
            return Err("`bench` does one thing at a time".into());
        }
    }
    match bench.quick && bench.report == Report::Bless {
        true => Err("--bless needs every count: leave --quick out".into()),
        false => Ok(Task::Bench(bench)),
    }
}

fn parse_soak(ours: Vec<OsString>) -> Result<Task, lexopt::Error> {
    let mut parser = Parser::from_args(ours);
    let mut soak = SoakOptions::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Task::Help),
            Arg::Long("operations") => {
                soak.operations = parser.value()?.parse_with(at_least_one)?;
            }
            Arg::Long("seed") => soak.seed = parser.value()?.parse()?,
            Arg::Long("machine") => soak.machine = Some(parser.value()?.string()?),
            Arg::Long("threads") => soak.threads = Some(parser.value()?.parse_with(at_least_one)?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Task::Soak(soak))
}

fn parse_mutants(ours: Vec<OsString>) -> Result<Task, lexopt::Error> {
    let mut parser = Parser::from_args(ours);
    let mut mutants = MutantsOptions::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Task::Help),
            Arg::Long("part") => mutants.part = Some(parser.value()?.string()?),
            Arg::Long("only") => mutants.only = Some(parser.value()?.string()?),
            Arg::Long("again") => mutants.believe = Some(Believe::Caught),
            Arg::Long("resume") => mutants.believe = Some(Believe::All),
            Arg::Long("jobs") => mutants.jobs = Some(parser.value()?.parse_with(at_least_one)?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Task::Mutants(mutants))
}

fn parse_matrix(ours: Vec<OsString>) -> Result<Task, lexopt::Error> {
    let mut parser = Parser::from_args(ours);
    let mut depth = Depth::Full;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Task::Help),
            Arg::Long("quick") => depth = Depth::Quick,
            other => return Err(other.unexpected()),
        }
    }
    Ok(Task::Matrix(depth))
}

fn parse_fuzz(ours: Vec<OsString>) -> Result<Task, lexopt::Error> {
    let mut parser = Parser::from_args(ours);
    let mut fuzz = FuzzOptions { target: None, seconds: 600 };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Task::Help),
            Arg::Long("seconds") => fuzz.seconds = parser.value()?.parse_with(at_least_one)?,
            Arg::Value(name) if fuzz.target.is_none() => {
                let known = TARGETS.into_iter().find(|target| name == *target);
                fuzz.target = Some(known.ok_or_else(|| {
                    format!("there is no target {name:?}: {}", TARGETS.join(", "))
                })?);
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Task::Fuzz(fuzz))
}

fn parse_ours(ours: Vec<OsString>, for_qemu: Vec<OsString>) -> Result<Task, lexopt::Error> {
    let mut parser = Parser::from_args(ours);
    let mut command = None;
    let mut example = None;
    let mut boot = BootOptions {
        formats: Format::ALL.to_vec(),
        code: Code::Fast,
        guest: Guest { extra: for_qemu, ..Guest::default() },
    };
    let mut optioned = !boot.guest.extra.is_empty();
    while let Some(argument) = parser.next()? {
        let guest = &mut boot.guest;
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Task::Help),
            Arg::Value(name) if command.is_none() => {
                command = Some(name.string()?);
                continue;
            }
            Arg::Value(name) if command.as_deref() == Some("run") && example.is_none() => {
                example = Some(name.string()?);
                continue;
            }
            Arg::Long("format") => boot.formats = vec![parser.value()?.parse()?],
            Arg::Long("small") => boot.code = Code::Small,
            Arg::Long("cpu") => guest.cpu = parser.value()?.string()?,
            Arg::Long("memory") => guest.memory = parser.value()?.string()?,
            Arg::Long("smp") => guest.cpus = parser.value()?.parse_with(at_least_one)?,
            Arg::Long("machine") => guest.machine = machine(parser.value()?.string()?),
            Arg::Long("test") => guest.test = Some(parser.value()?.string()?),
            Arg::Long("gdb") => guest.debugger = true,
            Arg::Long("timeout") => {
                guest.limit = Duration::from_secs(parser.value()?.parse_with(at_least_one)?);
            }
            other => return Err(other.unexpected()),
        }
        optioned = true;
    }
    match command.as_deref() {
        Some("boot" | "run") if boot.guest.debugger && boot.formats.len() != 1 => {
            Err("--gdb debugs one image: add --format classic or --format lpae".into())
        }
        Some("boot") => Ok(Task::Boot(boot)),
        Some("run") => match example.as_deref() {
            Some(name) if name == Binary::HobbyKernel.name() => match boot.guest.test {
                Some(_) => Err("--test belongs to `boot`: the example has no self-tests".into()),
                None => Ok(Task::Run(boot)),
            },
            Some(name) => Err(format!("there is no example `{name}`: hobby-kernel").into()),
            None => Err("which example? `cargo xtask run hobby-kernel`".into()),
        },
        Some(name @ ("test" | "build" | "coverage")) if optioned => {
            Err(format!("`{name}` takes no options: they belong to `boot` and `run`").into())
        }
        Some("test") => Ok(Task::Test),
        Some("build") => Ok(Task::Build),
        Some("coverage") => Ok(Task::Coverage),
        None if optioned => Err("the options belong to a command: `cargo xtask boot …`".into()),
        None | Some("help") => Ok(Task::Help),
        Some(other) => Err(format!(
            "there is no command `{other}`: boot, run, test, matrix, build, bench, soak, fuzz, mutants or coverage"
        )
        .into()),
    }
}

fn at_least_one<N: FromStr + Default + PartialEq>(text: &str) -> Result<N, String> {
    match text.parse() {
        Ok(number) if number != N::default() => Ok(number),
        _ => Err(format!("`{text}` is not a whole number from 1")),
    }
}

/// `virtualization=on` speaks of the default machine, `vexpress-a15` or `virt,secure=on` name one themselves.
fn machine(options: String) -> String {
    let first = options.split(',').next().unwrap_or_default();
    match first.contains('=') {
        true => format!("virt,{options}"),
        false => options,
    }
}
