//! Child processes, and what they may take.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;

/// A change may allocate without end: there is this much address space.
const MOST_MEMORY: u64 = 8 << 30;

/// How a test came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All is well.
    Green,
    /// Something is not.
    Red,
    /// It was killed.
    TooLate,
}

/// A command that runs in `folder` as if typed there, but with the toolchain that was chosen for this one.
pub fn tool(program: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    let passed_down = |name: &str| {
        ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
            || name == "OUT_DIR"
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(passed_down) {
            command.env_remove(name);
        }
    }
    command
}

/// What a test may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the CPUs' time: what others do there is not its fault.
    pub busy: Duration,
    /// Of the clock's: it may wait for itself.
    pub wall: Duration,
}

/// Limits what a command may take; it is killed if it is busy for longer.
pub fn limit(command: &mut Command, busy: Duration) {
    let busy = busy.as_secs() + 1;
    // SAFETY: between fork and exec, it makes system calls and touches no memory but its own.
    unsafe {
        command.pre_exec(move || {
            for (resource, most) in
                [(libc::RLIMIT_AS, MOST_MEMORY), (libc::RLIMIT_CPU, busy), (libc::RLIMIT_CORE, 0)]
            {
                libc::setrlimit(resource, &libc::rlimit { rlim_cur: most, rlim_max: most + 1 });
            }
            Ok(())
        });
    }
}

/// Runs a test; what it says is nobody's interest. How it ended, and how long it was busy.
///
/// # Errors
/// It cannot be started.
pub fn judge(mut command: Command, limits: Limits) -> Outcome<(Ending, Duration)> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    limit(&mut command, limits.busy);
    let program = command.get_program().display().to_string();
    let failed = |error| format!("{program}: {error}");
    let start = Instant::now();
    let mut child = command.spawn().map_err(failed)?;
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some((status, busy)) = ended(&child).map_err(failed)? {
            let ending = match (status.success(), status.signal()) {
                (true, _) => Ending::Green,
                (false, Some(libc::SIGXCPU)) => Ending::TooLate,
                (false, _) => Ending::Red,
            };
            return Ok((ending, busy));
        }
        if start.elapsed() > limits.wall {
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
            return Ok((Ending::TooLate, limits.busy));
        }
        thread::sleep(pause);
        pause = (pause * 5 / 4).min(Duration::from_millis(10));
    }
}

/// How a child ended if it has, and how long it was busy.
fn ended(child: &Child) -> io::Result<Option<(ExitStatus, Duration)>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both are valid for writes, and the child is ours and not waited for yet.
    let pid = unsafe {
        libc::wait4(child.id() as libc::pid_t, &mut status, libc::WNOHANG, usage.as_mut_ptr())
    };
    match pid {
        0 => return Ok(None),
        -1 => return Err(io::Error::last_os_error()),
        _ => {}
    }
    // SAFETY: all zeros are one, and the kernel wrote another over it.
    let usage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    Ok(Some((ExitStatus::from_raw(status), time(usage.ru_utime) + time(usage.ru_stime))))
}
