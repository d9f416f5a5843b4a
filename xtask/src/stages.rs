//! `cargo xtask test`: every check there is, in order, up to the first that is red.

use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::command::{stream, tool};
use crate::image::{Binary, Format, TARGET};
use crate::matrix::{self, Depth};
use crate::qemu::Guest;
use crate::verdict::Counts;
use crate::{Outcome, bench, disassembly, example, setup};

/// A name and what to do; it returns what it counted.
type Stage = (String, Box<dyn Fn() -> Outcome<Counts>>);

/// A stage that is one check, and passed.
const ONE: Counts = Counts { passed: 1, failed: 0 };

/// Runs every stage. The last line on standard output is `N passed, N failed`: tests where a stage is made of tests,
/// and one for each other stage.
pub fn run_all() -> ExitCode {
    let start = Instant::now();
    let mut counts = Counts::default();
    let mut red = None;
    for (name, stage) in all() {
        println!("== {name}");
        let began = Instant::now();
        match stage() {
            Ok(more) => counts += more,
            Err(problem) => {
                counts.failed += 1;
                red = Some(format!("stage `{name}` is red: {problem}"));
                break;
            }
        }
        println!("   {:.1} s", began.elapsed().as_secs_f32());
    }
    println!("== all in {:.0} s", start.elapsed().as_secs_f32());
    if let Some(red) = &red {
        eprintln!("{red}");
    }
    println!("{} passed, {} failed", counts.passed, counts.failed);
    if red.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn all() -> Vec<Stage> {
    let mut stages =
        vec![stage("set-up", || setup::ensure().map(|()| ONE)), stage("rustfmt", format_check)];
    let both = ["host", TARGET];
    for format in Format::ALL {
        for target in both {
            stages.push(stage(&format!("clippy ({format}, {target})"), move || {
                let mut command = about_code("clippy", format, target);
                if target != TARGET {
                    command.arg("--all-targets");
                }
                command.args(["--", "-D", "warnings"]);
                passes(command)
            }));
        }
    }
    for format in Format::ALL {
        for target in both {
            stages.push(stage(&format!("rustdoc ({format}, {target})"), move || {
                let mut command = about_code("doc", format, target);
                command.arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings");
                passes(command)
            }));
        }
    }
    stages.push(stage("build both images", || {
        Format::ALL
            .into_iter()
            .try_for_each(|format| Binary::Boot.build(format).map(drop))
            .map(|()| ONE)
    }));
    stages.push(stage("disassembly", || {
        for format in Format::ALL {
            println!("   {}", disassembly::check(format, &Binary::Boot.place(format))?);
        }
        Ok(ONE)
    }));
    for format in Format::ALL {
        stages.push(stage(&format!("cargo test ({format})"), move || host_tests(format)));
    }
    stages.push(stage("QEMU, the quick half of the matrix", || matrix::run(Depth::Quick)));
    for (format, cpu, cpus) in example::MACHINES {
        stages.push(stage(&format!("hobby-kernel ({format}, {cpu}, {cpus} CPUs)"), move || {
            example::pass(format, &Guest { cpu: cpu.into(), cpus, ..Guest::default() })
        }));
    }
    stages.push(stage("instruction counts", || {
        for format in Format::ALL {
            let counted = bench::counted::measure(format, false)?;
            println!("   {}", bench::expected::check(format, &counted)?);
        }
        Ok(ONE)
    }));
    stages
}

fn stage(name: &str, run: impl Fn() -> Outcome<Counts> + 'static) -> Stage {
    (name.to_string(), Box::new(run))
}

/// Where the checkout's toolchain has no rustfmt, rustup's stable has.
fn format_check() -> Outcome<Counts> {
    let has_format = |mut command: Command| {
        command.args(["fmt", "--version"]).output().is_ok_and(|told| told.status.success())
    };
    let mut command = match has_format(tool("cargo")) {
        true => tool("cargo"),
        false => {
            let mut stable = tool("rustup");
            stable.args(["run", "stable", "cargo"]);
            stable
        }
    };
    command.args(["fmt", "--all", "--check"]);
    passes(command)
}

/// A cargo command about the packages that `target` has: on the host the library, its measurement and this tool, on the
/// target the library, the boot stub and the example.
fn about_code(subcommand: &str, format: Format, target: &str) -> Command {
    let mut command = tool("cargo");
    command.args([subcommand, "--quiet", "--package", "armv7a-mm"]);
    match target {
        TARGET => command
            .args(["--package", "boot", "--package", Binary::HobbyKernel.name()])
            .args(["--target", TARGET]),
        // These know no format: once is enough.
        _ if format == Format::Classic => {
            command.args(["--package", "bench", "--package", "devicetree", "--package", "xtask"])
        }
        _ => &mut command,
    };
    command.args(format.features());
    command
}

fn passes(command: Command) -> Outcome<Counts> {
    let program = command.get_program().display().to_string();
    let (_, ending) = stream(command, true, None)
        .map_err(|error| format!("{program} does not start: {error}"))?;
    match ending.succeeded() {
        true => Ok(ONE),
        false => Err("its messages stand above".into()),
    }
}

/// Unit, host and doc tests, counted by the lines with which each test binary ends.
fn host_tests(format: Format) -> Outcome<Counts> {
    let mut command = tool("cargo");
    command.args(["test", "--quiet", "--package", "armv7a-mm"]);
    if format == Format::Classic {
        command.args(["--package", "devicetree", "--package", "xtask"]);
    }
    command.args(format.features());
    let (said, ending) =
        stream(command, true, None).map_err(|error| format!("cargo does not start: {error}"))?;
    let mut counts = Counts::default();
    for line in said.lines().filter_map(|line| line.trim().strip_prefix("test result: ")) {
        let number = |what: &str| {
            line.split([';', '.'])
                .find_map(|part| part.trim().strip_suffix(what)?.trim().parse::<usize>().ok())
        };
        counts +=
            Counts { passed: number("passed").unwrap_or(0), failed: number("failed").unwrap_or(0) };
    }
    match (ending.succeeded(), counts.passed) {
        (false, _) => Err("its messages stand above".into()),
        (true, 0) => Err("no host test ran".into()),
        (true, _) => Ok(counts),
    }
}
