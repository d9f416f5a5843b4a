//! `cargo xtask test`: every check there is, in order, up to the first that is red.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;
use std::{fs, io};

use crate::command::{root, stream, tool};
use crate::image::{Binary, Code, Format, TARGET};
use crate::matrix::{self, Depth};
use crate::qemu::Guest;
use crate::verdict::Counts;
use crate::{Outcome, bench, disassembly, example, mutants, setup};

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
    let mut stages = vec![
        stage("set-up", || setup::ensure(&Code::ALL).map(|()| ONE)),
        stage("rustfmt", format_check),
    ];
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
    for code in Code::ALL {
        stages.push(stage(&format!("build both images ({code})"), move || {
            Binary::Boot.build_all(code).map(|()| ONE)
        }));
    }
    stages.push(stage("disassembly", || {
        for code in Code::ALL {
            for format in Format::ALL {
                println!("   {}", disassembly::check(format, code)?);
            }
        }
        Ok(ONE)
    }));
    for format in Format::ALL {
        stages.push(stage(&format!("cargo test ({format})"), move || host_tests(format)));
    }
    stages.push(stage("cargo test (the mutants tool)", mutants::tool_tests));
    stages.push(stage("QEMU, the quick half of the matrix", || matrix::run(Depth::Quick)));
    for (format, code, cpu, cpus) in example::MACHINES {
        let name = format!("hobby-kernel ({format}, {code}, {cpu}, {cpus} CPUs)");
        stages.push(stage(&name, move || {
            example::pass(format, code, &Guest { cpu: cpu.into(), cpus, ..Guest::default() })
        }));
    }
    stages.push(stage("bytes of code", || {
        for format in Format::ALL {
            println!("   {}", bench::size::check(format)?);
        }
        Ok(ONE)
    }));
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
    let rustups = || {
        let mut stable = tool("rustup");
        stable.args(["run", "stable", "cargo"]);
        stable
    };
    let mut command = if has_format(tool("cargo")) {
        tool("cargo")
    } else if has_format(rustups()) {
        rustups()
    } else {
        return Err("no rustfmt: `rustup component add rustfmt`, or install it".into());
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

/// Unit, host and doc tests. Nearly all of them are about both formats, whatever the feature says, and run once; with
/// the other setting those run that name the format which it chooses.
fn host_tests(format: Format) -> Outcome<Counts> {
    let mut command = tool("cargo");
    command.args(["test", "--quiet", "--package", "armv7a-mm"]).args(format.features());
    if format == Format::Classic {
        command.args(["--package", "devicetree", "--package", "xtask"]);
        return tests(command);
    }
    command.arg("--lib");
    for name in about_active(&root().join("tests"))? {
        command.args(["--test", &name]);
    }
    let mut counts = tests(command)?;
    let mut command = tool("cargo");
    command.args(["test", "--quiet", "--package", "armv7a-mm", "--doc"]).args(format.features());
    counts += tests(command)?;
    Ok(counts)
}

/// The test binaries of `directory` whose source names `Active`.
fn about_active(directory: &Path) -> Outcome<Vec<String>> {
    let failed = |error| format!("{}: {error}", directory.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !names_active(&path).map_err(failed)? {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !path.join("main.rs").exists() {
            return Err(format!("tests/{name} is part of many tests, and names `Active`"));
        }
        names.push(name);
    }
    names.sort();
    Ok(names)
}

fn names_active(path: &Path) -> io::Result<bool> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            if names_active(&entry?.path())? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    let is_source = path.extension().is_some_and(|it| it == "rs");
    Ok(is_source && fs::read_to_string(path)?.contains("Active"))
}

/// Runs tests, counted by the lines with which each test binary ends.
///
/// # Errors
/// One failed, or there was none.
pub fn tests(command: Command) -> Outcome<Counts> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_of_both_formats_run_once() {
        let names = about_active(&root().join("tests")).unwrap();
        assert!(names.iter().any(|name| name == "properties"), "{names:?}");
        assert!(names.iter().all(|name| name != "formats" && name != "host"), "{names:?}");
    }
}
