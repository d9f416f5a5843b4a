//! The example kernel: builds it, boots it, and reads whether that was a success.
//!
//! It judges itself, by its last line and by how it ends; what it must have said on the way is asked here, so that a kernel
//! that skips half of its work is no success.

use crate::command::Ending;
use crate::image::{Binary, Code, Format};
use crate::options::BootOptions;
use crate::qemu::{self, Guest};
use crate::verdict::Counts;
use crate::{Outcome, image};

/// Where it must run: format, code, CPU, number of CPUs.
pub const MACHINES: [(Format, Code, &str, u32); 6] = [
    (Format::Classic, Code::Fast, "cortex-a15", 1),
    (Format::Classic, Code::Fast, "cortex-a7", 4),
    (Format::Lpae, Code::Fast, "cortex-a15", 4),
    (Format::Lpae, Code::Fast, "cortex-a7", 1),
    (Format::Classic, Code::Small, "cortex-a7", 1),
    (Format::Lpae, Code::Small, "cortex-a15", 1),
];

/// What it says, whatever else: each in one line.
const SAID: [&str; 12] = [
    " addresses as the tables say",
    "Count: exited with 0",
    "Grow: exited with 0",
    "child 3 saw 2, and has 330 now",
    "Fork: exited with 0",
    "Cheat: exited with 0",
    "module: reading the clock",
    "Clock: exited with 0",
    "writing to 0x00000000, through a null pointer",
    "reading from 0xc0200000, where the kernel is",
    "Shellcode: killed: permission fault",
    "turns ended by the timer",
];

/// Builds and boots it in every format asked for, its output live.
///
/// # Errors
/// It does not build, or is red.
pub fn run(options: &BootOptions) -> Outcome<()> {
    let mut problems = Vec::new();
    if !options.guest.takes_elf() {
        let machine = &options.guest.machine;
        return Err(format!(
            "the example runs on virt alone, not on {machine}: its addresses are virt's"
        ));
    }
    if let Some(option) = starts_elsewhere(&options.guest.machine) {
        return Err(format!(
            "the example starts in SVC mode of the normal world: not with {option}"
        ));
    }
    println!("{}", image::BUILDING);
    for &format in &options.formats {
        let elf = Binary::HobbyKernel.build(format, options.code)?;
        println!("== {format}: {}", qemu::command_line(&options.guest, &elf));
        if options.guest.debugger {
            println!("   attach with: {}", qemu::debugger_command(&elf));
        }
        let (said, ending) = qemu::run(&options.guest, &elf, true)?;
        problems.extend(judge(format, &said, ending).err());
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.join("\n")),
    }
}

/// The option of virt's by which a CPU starts in another mode or world, if there is one.
fn starts_elsewhere(machine: &str) -> Option<&str> {
    machine.split(',').find(|option| {
        let on = |name| {
            option.strip_prefix(name).is_some_and(|value| matches!(value, "=on" | "=true" | "=yes"))
        };
        on("virtualization") || on("secure")
    })
}

/// Builds and boots it on one machine; what it said is shown only if it is red.
///
/// # Errors
/// It does not build, or is red.
pub fn pass(format: Format, code: Code, guest: &Guest) -> Outcome<Counts> {
    let elf = Binary::HobbyKernel.build(format, code)?;
    let (said, ending) = qemu::run(guest, &elf, false)?;
    judge(format, &said, ending).inspect_err(|_| {
        println!("{}\n{}", image::shown(&elf), said.trim_end());
    })
}

/// Builds it and has it count instructions; what it said.
///
/// # Errors
/// It does not build, or is red.
pub fn measure(format: Format) -> Outcome<String> {
    let elf = Binary::HobbyKernel.build(format, Code::Fast)?;
    let guest = Guest { counting: true, words: vec!["bench".into()], ..Guest::default() };
    let (said, ending) = qemu::run(&guest, &elf, false)?;
    match verdict(&said, ending, format) {
        Ok(_) => Ok(said),
        Err(problem) => {
            println!("{}\n{}", image::shown(&elf), said.trim_end());
            Err(format!("hobby-kernel, {format}: {problem}"))
        }
    }
}

/// Judges a run of the programs by all that it said and how it ended; counts the programs.
///
/// # Errors
/// The first thing that is wrong.
pub fn judge(format: Format, said: &str, ending: Ending) -> Outcome<Counts> {
    let judged = verdict(said, ending, format).and_then(|counts| {
        let missing = SAID.iter().find(|line| !said.contains(**line));
        missing.map_or(Ok(counts), |line| Err(format!("it never said \"{line}\"")))
    });
    judged.map_err(|problem| format!("hobby-kernel, {format}: {problem}"))
}

/// What it says of itself, and whether that is consistent.
fn verdict(said: &str, ending: Ending, format: Format) -> Outcome<Counts> {
    if let Some(line) = said.lines().find(|line| line.starts_with("panic: ")) {
        return Err(line.into());
    }
    match ending {
        Ending::Exited(_) => {}
        Ending::TimedOut(limit) => return Err(format!("no end within {} s", limit.as_secs())),
        Ending::Flooded => return Err("it would not stop talking".into()),
    }
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim_end();
    let Some(verdict) = last.strip_prefix(&format!("hobby-kernel {format}: ")) else {
        return Err(format!("no verdict; its last line was \"{last}\""));
    };
    let (right, rest) = verdict.split_once(" programs ended as they should, ").unwrap_or_default();
    let passed = right.parse().unwrap_or(0);
    if rest != "0 did not; memory balanced; preemption seen" || passed == 0 {
        return Err(verdict.into());
    }
    let used = |when: &str| said.lines().find_map(|line| line.strip_prefix(when)).map(str::trim);
    let (before, after) = (used("in use before:"), used("in use after:"));
    if before.is_none() || before != after {
        return Err(format!("memory in use: {before:?} before, {after:?} after"));
    }
    match ending {
        Ending::Exited(Some(0)) => Ok(Counts { passed, failed: 0 }),
        Ending::Exited(Some(status)) => {
            Err(format!("all went well, but it ended with exit status {status}"))
        }
        _ => Err("all went well, but a signal ended it".into()),
    }
}
