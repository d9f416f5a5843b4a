//! The command line.

use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::Outcome;
use crate::fuzz::TARGETS;
use crate::image::Format;
use crate::matrix::Depth;
use crate::qemu::Guest;

/// What `cargo xtask --help` prints.
pub const HELP: &str = "\
armv7a-mm: kernel memory management for 32-bit Arm

cargo xtask boot [OPTIONS] [-- QEMU ARGS]
    Builds the boot images, boots each on QEMU and shows what they say.

    --format classic|lpae   page-table format to boot                     [both]
    --cpu CPU               QEMU's -cpu: cortex-a15, cortex-a7, …         [cortex-a15]
    --memory SIZE           QEMU's -m: 64M, 1G, 8G, …                     [128M]
    --smp N                 number of CPUs                                [1]
    --machine OPTIONS       options of -M virt, as `virtualization=on` or
                            `secure=on`, or another machine altogether, as
                            vexpress-a9: it gets a raw image              [virt]
    --test NAME             run the self-tests whose name contains NAME   [all]
    --gdb                   wait for a debugger; prints how to attach (needs --format)
    --timeout SECONDS       kill a guest that has no verdict by then      [60]
    -- QEMU ARGS            all that follows is handed to QEMU

cargo xtask test
    Everything: rustfmt, clippy, rustdoc, host and doc tests, the disassembly
    of the images, both images on the quick half of the matrix, and no
    instruction count more than 3 % above the one checked in.

cargo xtask matrix [--quick]
    Boots both images on every QEMU machine that they must pass on, or refuse in
    an expected sentence, and prints a table. With --quick, on fewer.

cargo xtask build
    Leaves target/boot/classic.elf and target/boot/lpae.elf.

cargo xtask bench [OPTIONS]
    Counts the instructions of every operation on QEMU, beside the plain loop
    that nothing can be faster than, Linux, and the best peer. A copy goes to
    target/bench/guest.json.

    --format classic|lpae   page-table format to measure                  [both]
    --quick                 leave out what takes long
    --markdown              print the table of the README
    --bless                 check the counts in: tests/expected/counts-*.txt
    --host                  instead: on this machine, beside published libraries,
                            in nanoseconds, and in instructions with valgrind
    --size                  instead: the library's code, module by module

cargo xtask soak [OPTIONS]
    Random operations on a simulated machine that forgives nothing, on the host.
    What fails is shortened and printed as a test.

    --operations N          how many                                      [100000000]
    --seed N                of the first sequence                         [1]
    --machine NAME          one kind of machine: classic_smp_not_coherent, …  [all 8]
    --threads N             how many run at once                          [one a CPU]

cargo xtask fuzz [TARGET] [--seconds N]
    Fuzzes decode, devicetree, inspect and operations, or one of them, for N
    seconds each [600]. Needs a nightly compiler and cargo-fuzz.

Each command first sets up what is missing (Arm target, linker, QEMU): silently
where nothing is, never without being root where root is needed, and without
rustup downloads where RUSTUP_AUTO_INSTALL=0. Exit status: 0 when all is well,
1 when something is red, 2 for a command line that makes no sense.
";

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// Print [`HELP`].
    Help,
    /// Build and boot.
    Boot(BootOptions),
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
}

/// The options of `cargo xtask boot`.
#[derive(Clone, Debug, PartialEq)]
pub struct BootOptions {
    /// The formats to boot, in order.
    pub formats: Vec<Format>,
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
        Some(name @ ("bench" | "matrix" | "soak")) if !for_qemu.is_empty() => {
            Err(format!("`{name}` hands nothing to QEMU").into())
        }
        Some("bench") => parse_bench(ours.split_off(1)),
        Some("matrix") => parse_matrix(ours.split_off(1)),
        Some("soak") => parse_soak(ours.split_off(1)),
        Some("fuzz") => parse_fuzz(ours.split_off(1)),
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
    let mut boot = BootOptions {
        formats: Format::ALL.to_vec(),
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
            Arg::Long("format") => boot.formats = vec![parser.value()?.parse()?],
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
        Some("boot") if boot.guest.debugger && boot.formats.len() != 1 => {
            Err("--gdb debugs one image: add --format classic or --format lpae".into())
        }
        Some("boot") => Ok(Task::Boot(boot)),
        Some(name @ ("test" | "build")) if optioned => {
            Err(format!("`{name}` takes no options: they belong to `boot`").into())
        }
        Some("test") => Ok(Task::Test),
        Some("build") => Ok(Task::Build),
        None if optioned => Err("the options belong to a command: `cargo xtask boot …`".into()),
        None | Some("help") => Ok(Task::Help),
        Some(other) => Err(format!(
            "there is no command `{other}`: boot, test, matrix, build, bench, soak or fuzz"
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
