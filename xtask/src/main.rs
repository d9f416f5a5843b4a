//! `cargo xtask boot | run | test | matrix | build | bench | soak | fuzz | mutants | coverage`: see [`xtask::options::HELP`].

use std::process::ExitCode;

use xtask::image::{self, Binary, Code, Format};
use xtask::options::{self, BootOptions, Report, Task};
use xtask::{Outcome, bench, coverage, example, fuzz, matrix, mutants, qemu, setup, soak, stages};

fn main() -> ExitCode {
    let task = match options::parse(std::env::args_os().skip(1)) {
        Ok(task) => task,
        Err(problem) => {
            eprintln!("xtask: {problem} (`cargo xtask --help` lists the options)");
            return ExitCode::from(2);
        }
    };
    let done = match task {
        Task::Help => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Task::Boot(options) => setup::ensure(&[options.code]).and_then(|()| boot(&options)),
        // Whatever the kernel is, its programs are ARM code.
        Task::Run(options) => {
            let codes = if options.code == Code::Fast { &[Code::Fast][..] } else { &Code::ALL };
            setup::ensure(codes).and_then(|()| example::run(&options))
        }
        Task::Build => setup::ensure(&[Code::Fast]).and_then(|()| build()),
        Task::Matrix(depth) => {
            let built = setup::ensure(&Code::ALL).and_then(|()| build());
            let built = built.and_then(|()| Binary::Boot.build_all(Code::Small));
            built.and_then(|()| matrix::run(depth)).map(drop)
        }
        Task::Bench(options) => {
            let codes = match options.report {
                Report::Size => &Code::ALL[..],
                _ => &[Code::Fast],
            };
            setup::ensure(codes).and_then(|()| bench::run(&options))
        }
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Mutants(options) => mutants::run(&options),
        Task::Coverage => coverage::run(),
        Task::Soak(options) => soak::run(&options),
        Task::Test => return stages::run_all(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Outcome<()> {
    let code = Code::Fast;
    Binary::Boot.build_all(code)?;
    for format in Format::ALL {
        println!("{format}: {}", image::shown(&Binary::Boot.place(format, code)));
    }
    Ok(())
}

/// Boots every format asked for, also after one of them was red: the second may tell why.
fn boot(options: &BootOptions) -> Outcome<()> {
    let mut problems = Vec::new();
    println!("{}", image::BUILDING);
    if options.formats.len() > 1 {
        Binary::Boot.build_all(options.code)?;
    }
    for &format in &options.formats {
        let booted = Binary::Boot.build(format, options.code).and_then(|elf| {
            let image = if options.guest.takes_elf() { elf.clone() } else { image::raw(&elf)? };
            println!("== {format}: {}", qemu::command_line(&options.guest, &image));
            if options.guest.debugger {
                println!("   attach with: {}", qemu::debugger_command(&elf));
            }
            qemu::boot(format, &options.guest, &image, qemu::Show::Live)
        });
        problems.extend(booted.err());
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.join("\n")),
    }
}
