//! Boots an image on QEMU, under a time limit, and has it judged.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Outcome;
use crate::command::{self, Ending, tool};
use crate::image::{Format, shown};
use crate::verdict::{self, Counts};

/// The emulator.
pub const QEMU: &str = "qemu-system-arm";

/// How an image gets into memory, and CPUs to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Load {
    /// As QEMU's `-kernel` has it: an ELF file by its addresses; a raw image 64 KiB above the start of RAM, r2 at a
    /// device tree if there is one.
    #[default]
    Kernel,
    /// As a boot loader may have it: a raw image at `image`, and every CPU starts at `entry` at once.
    Raw {
        /// Where it lies.
        image: u32,
        /// Where CPUs start.
        entry: u32,
    },
}

/// A machine to boot on, and what to ask of the guest.
#[derive(Clone, Debug, PartialEq)]
pub struct Guest {
    /// QEMU's `-M`.
    pub machine: String,
    /// QEMU's `-cpu`.
    pub cpu: String,
    /// QEMU's `-m`.
    pub memory: String,
    /// QEMU's `-smp`.
    pub cpus: u32,
    /// How the image is loaded.
    pub load: Load,
    /// A filter on the names of self-tests.
    pub test: Option<String>,
    /// What else the guest is told, word by word.
    pub words: Vec<String>,
    /// Every instruction takes a nanosecond, so that the guest can count them.
    pub counting: bool,
    /// Wait for a debugger, without a time limit.
    pub debugger: bool,
    /// Where QEMU writes what the guest did wrong, and what QEMU lacks.
    pub log: Option<PathBuf>,
    /// How long the guest may take.
    pub limit: Duration,
    /// More arguments for QEMU.
    pub extra: Vec<OsString>,
}

impl Default for Guest {
    fn default() -> Self {
        Guest {
            machine: "virt".into(),
            cpu: "cortex-a15".into(),
            memory: "128M".into(),
            cpus: 1,
            load: Load::Kernel,
            test: None,
            words: Vec::new(),
            counting: false,
            debugger: false,
            log: None,
            limit: Duration::from_secs(60),
            extra: Vec::new(),
        }
    }
}

impl Guest {
    /// Whether the machine has RAM where the ELF images are linked to lie: `virt`, whatever its version. Others take
    /// raw images.
    pub fn takes_elf(&self) -> bool {
        let name = self.machine.split(',').next().unwrap_or_default();
        name == "virt" || name.starts_with("virt-")
    }
}

/// What to show of a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Everything, as it comes.
    Live,
    /// Everything, once it turns out red.
    WhenRed,
}

/// Boots `image` and judges what it says.
///
/// # Errors
/// One sentence that says what is red: see [`verdict::judge`].
pub fn boot(format: Format, guest: &Guest, image: &Path, show: Show) -> Outcome<Counts> {
    listen(format, guest, image, show).map(|(counts, _)| counts)
}

/// As [`boot`]; returns what it said, too.
///
/// # Errors
/// As [`boot`].
pub fn listen(
    format: Format,
    guest: &Guest,
    image: &Path,
    show: Show,
) -> Outcome<(Counts, String)> {
    let (said, ending) =
        run(guest, image, show == Show::Live).map_err(|error| format!("{format}: {error}"))?;
    if show == Show::Live && !said.is_empty() && !said.ends_with('\n') {
        println!();
    }
    let verdict = verdict::judge(format, &said, ending, guest.test.as_deref());
    if verdict.is_err() && show == Show::WhenRed {
        println!("{}", said.trim_end());
    }
    verdict.map(|counts| (counts, said))
}

/// Boots `image`; returns what it said, and how it ended.
///
/// # Errors
/// QEMU cannot be started.
pub fn run(guest: &Guest, image: &Path, live: bool) -> Outcome<(String, Ending)> {
    let mut command = tool(QEMU);
    command.args(arguments(guest, image));
    // Some machines have a sound chip, and QEMU complains where there is no sound.
    command.env("QEMU_AUDIO_DRV", "none");
    if !guest.extra.is_empty() && live && std::io::stdin().is_terminal() {
        // Arguments of one's own may put the monitor here.
        command.stdin(Stdio::inherit());
    }
    let limit = (!guest.debugger).then_some(guest.limit);
    command::stream(command, live, limit).map_err(|error| format!("{QEMU} does not start: {error}"))
}

/// The command that [`boot`] runs, to be shown and typed.
pub fn command_line(guest: &Guest, image: &Path) -> String {
    let mut line = QEMU.to_string();
    for argument in arguments(guest, Path::new(&shown(image))) {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// The command that attaches a debugger to a waiting guest.
pub fn debugger_command(image: &Path) -> String {
    let known = ["gdb-multiarch", "arm-none-eabi-gdb"];
    let debugger = known.into_iter().find(|name| command::find(name).is_some()).unwrap_or(known[0]);
    format!("{debugger} {} -ex 'target remote :1234'", shown(image))
}

fn arguments(guest: &Guest, image: &Path) -> Vec<OsString> {
    let mut command = Command::new(QEMU);
    command.args(["-M", &guest.machine, "-cpu", &guest.cpu, "-m", &guest.memory]);
    command.args(["-smp", &guest.cpus.to_string()]);
    // Serial port on standard output; no network, which would want a ROM file that Debian packs elsewhere.
    command.args(["-nographic", "-nic", "none", "-semihosting-config"]);
    let mut semihosting = "enable=on,target=native,arg=boot".to_string();
    if let Some(test) = &guest.test {
        // QEMU takes a doubled comma for a comma.
        semihosting.push_str(&format!(",arg=--test,arg={}", test.replace(',', ",,")));
    }
    for word in &guest.words {
        semihosting.push_str(&format!(",arg={}", word.replace(',', ",,")));
    }
    command.arg(semihosting);
    if guest.counting {
        command.args(["-icount", "shift=0"]);
    }
    if guest.debugger {
        command.args(["-s", "-S"]);
    }
    match guest.load {
        Load::Kernel => {
            command.arg("-kernel").arg(image);
        }
        Load::Raw { image: at, entry } => {
            // QEMU takes a doubled comma for a comma.
            let file = image.display().to_string().replace(',', ",,");
            command.args(["-device", &format!("loader,file={file},addr={at:#x},force-raw=on")]);
            for cpu in 0..guest.cpus {
                command.args(["-device", &format!("loader,addr={entry:#x},cpu-num={cpu}")]);
            }
        }
    }
    if let Some(log) = &guest.log {
        command.args(["-d", "guest_errors,unimp", "-D"]).arg(log);
    }
    command.args(&guest.extra);
    command.get_args().map(OsString::from).collect()
}
