//! `cargo xtask matrix`: the machines on which both images must pass, or refuse in a sentence that is expected here.
//!
//! How they are chosen:
//!
//! - `virt`: CPU, memory, number of CPUs, worlds, interrupt controller, `highmem` and the kind of image are columns of
//!   a table. Not every row of it boots, but enough that any two columns' values meet (the quick half, where eight CPUs
//!   meet little), or any three's (all): a bug that takes two or three things at once is met whichever they are. So memory meets
//!   `highmem`, the raw image memory (its device tree moves), the secure world the number of CPUs (they all start at
//!   the entry). [`covering`] finds few such rows.
//! - `boards`: what differs from `virt` in where RAM is, in CPUs, in how they start, each by every way of loading.
//! - `reboot`: the image entered again, where other CPUs are started by firmware, and where they sleep in it.
//! - `nested`: a board whose device tree has buses.
//! - `small`: images compiled for size, in Thumb.
//! - `trees`: device trees, each damaged in one way, where r2 points or at the start of RAM (all: both).
//!
//! In every boot all self-tests pass, or say why they are skipped; all images of a format have the same number of
//! them; each passes somewhere; and QEMU notes no access that the guest should not have made (`-d guest_errors,unimp`).

mod boards;
pub mod covering;
pub mod expect;
mod nested;
mod reboot;
mod report;
mod small;
mod trees;
mod virt;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use crate::Outcome;
use crate::command::target_directory;
use crate::image::{self, Binary, Code, Format};
use crate::qemu::{self, Guest, Load};
use crate::transcript::{TestEnd, Transcript};
use crate::verdict::Counts;
use expect::{Came, Expect};

/// How many machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What `cargo xtask test` runs.
    Quick,
    /// All.
    Full,
}

/// A machine, and what is expected of it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What is special about it beyond what QEMU is told, if anything.
    pub what: Option<String>,
    /// What QEMU is told.
    pub guest: Guest,
    /// Whether the image is raw.
    pub raw: bool,
    /// What it is compiled for.
    pub code: Code,
    /// What the classic image comes to.
    pub classic: Expect,
    /// What the LPAE image comes to.
    pub lpae: Expect,
}

impl Machine {
    /// What the image of `format` comes to.
    pub fn expect(&self, format: Format) -> &Expect {
        match format {
            Format::Classic => &self.classic,
            Format::Lpae => &self.lpae,
        }
    }

    /// In a few words, for a row of the table.
    pub fn name(&self) -> String {
        let Guest { machine, cpu, memory, cpus, load, .. } = &self.guest;
        let image = match (self.raw, load) {
            (false, _) => "ELF",
            (true, Load::Kernel) => "raw",
            (true, Load::Raw { .. }) => "loader",
        };
        let what = self.what.as_ref().map(|what| format!(" ({what})")).unwrap_or_default();
        format!("{cpu:<10} {memory:>5} x{cpus} {image:<6} {machine}{what}")
    }
}

/// Every machine. Writes device trees to `directory`.
///
/// # Errors
/// QEMU does not tell its own device tree, or a file cannot be written.
pub fn machines(depth: Depth, directory: &Path) -> Outcome<Vec<Machine>> {
    let directory = directory.join("trees");
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let trees = trees::machines(depth, &directory)?;
    Ok([
        virt::machines(depth),
        boards::machines(depth),
        reboot::machines(depth),
        small::machines(depth),
        vec![nested::machine(&directory)?],
        trees,
    ]
    .concat())
}

/// Many emulated CPUs share the host's few, and those that wait spin.
const LIMIT: Duration = Duration::from_secs(300);

/// Boots the images, which are built already, on every machine, prints a table, and counts self-tests that passed.
/// Machines of one CPU run beside each other; those of several, whose CPUs spin while they wait, have the host for
/// themselves.
///
/// # Errors
/// What is red, machine by machine.
pub fn run(depth: Depth) -> Outcome<Counts> {
    let start = Instant::now();
    let directory = target_directory().join("matrix");
    let logs = directory.join("logs");
    fs::create_dir_all(&logs).map_err(|error| format!("{}: {error}", logs.display()))?;
    let mut machines = machines(depth, &directory)?;
    machines.sort_by_key(|machine| machine.guest.cpus > 1);
    let kinds = Code::ALL.into_iter().flat_map(|code| Format::ALL.map(|format| (format, code)));
    let images = kinds.map(|(format, code)| {
        let elf = Binary::Boot.place(format, code);
        image::raw(&elf).map(|raw| Images { format, code, elf, raw })
    });
    let images = images.collect::<Outcome<Vec<_>>>()?;

    let mut report = report::Report::new(&machines);
    let together = thread::available_parallelism().map_or(1, usize::from);
    for (workers, crowded) in [(together, false), (1, true)] {
        let machines = machines.iter().enumerate();
        let machines = machines.filter(|(_, machine)| (machine.guest.cpus > 1) == crowded);
        let jobs = machines.flat_map(|machine| {
            let fit = images.iter().filter(move |images| images.code == machine.1.code);
            fit.map(move |images| (machine, images))
        });
        let jobs = Mutex::new(jobs);
        let (sender, boots) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..workers {
                let (sender, jobs, logs) = (sender.clone(), &jobs, &logs);
                scope.spawn(move || {
                    loop {
                        let job = jobs.lock().ok().and_then(|mut jobs| jobs.next());
                        let Some(((at, machine), images)) = job else { break };
                        let log = logs.join(format!("{at}-{}.log", images.format));
                        if sender.send(boot(at, machine, images, log)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            boots.into_iter().for_each(|boot| report.add(boot));
        });
    }
    report.end(start.elapsed())
}

/// An image's two files.
struct Images {
    format: Format,
    code: Code,
    elf: PathBuf,
    raw: PathBuf,
}

/// What came of one image on one machine.
pub struct Boot {
    machine: usize,
    format: Format,
    came: Outcome<Came>,
    /// How each self-test ended.
    tests: Vec<(String, TestEnd)>,
    took: Duration,
    /// If red: the command, what the image said, what QEMU noted.
    evidence: String,
}

/// What QEMU noted; it makes the file at its first note.
fn notes(log: &Path) -> io::Result<String> {
    match fs::read_to_string(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

fn boot(at: usize, machine: &Machine, images: &Images, log: PathBuf) -> Boot {
    let (format, began) = (images.format, Instant::now());
    let image = if machine.raw { &images.raw } else { &images.elf };
    let limit = machine.guest.limit.max(LIMIT);
    let guest = Guest { log: Some(log.clone()), limit, ..machine.guest.clone() };
    let _ = fs::remove_file(&log);
    let (said, came, noted) = match qemu::run(&guest, image, false) {
        Ok((said, ending)) => {
            let (expect, filter) = (machine.expect(format), guest.test.as_deref());
            let noted = notes(&log).map_err(|error| format!("{}: {error}", log.display()));
            let came = noted
                .as_ref()
                .map_err(String::clone)
                .and_then(|noted| expect::judge(format, expect, &said, ending, noted, filter));
            (said, came, noted.unwrap_or_default())
        }
        Err(problem) => (String::new(), Err(problem), String::new()),
    };
    let evidence = match came.is_err() {
        true => format!("$ {}\n{said}\n{noted}", qemu::command_line(&guest, image)),
        false => String::new(),
    };
    let tests = Transcript::read(&said).ended;
    Boot { machine: at, format, came, tests, took: began.elapsed(), evidence }
}
