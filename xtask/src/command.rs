//! Child processes: with the right toolchain, their output live and kept, and under a time limit.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// A child that says more than this is killed: it will not come to an end.
const MOST_OUTPUT: usize = 16 << 20;

/// How often a child that closed its output is asked whether it has ended.
const POLL: Duration = Duration::from_millis(5);

/// How a child came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this status; none if a signal ended it.
    Exited(Option<i32>),
    /// It was killed after this time.
    TimedOut(Duration),
    /// It was killed because it would not stop talking.
    Flooded,
}

impl Ending {
    /// Whether the child says itself that all went well.
    pub fn succeeded(self) -> bool {
        self == Ending::Exited(Some(0))
    }
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    // `cargo run` and `cargo test` say where the package is now; the other is where it was compiled.
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .filter(|package| package.ends_with("xtask"))
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    package.parent().map(Path::to_path_buf).unwrap_or(package)
}

/// Where builds go.
pub fn target_directory() -> PathBuf {
    // A relative one is relative to where the command was given, as cargo has it.
    let chosen =
        std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| root().join("target").into());
    std::path::absolute(&chosen).unwrap_or_else(|_| chosen.into())
}

/// A command that runs in the checkout as if typed there.
///
/// `cargo run` passes down which toolchain it is itself; the child must choose by where it runs instead, as set-up
/// may have changed that choice a moment ago.
pub fn tool(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let passed_down = name.to_str().is_some_and(|name| {
            matches!(
                name,
                "CARGO"
                    | "RUSTC"
                    | "RUSTDOC"
                    | "RUSTUP_TOOLCHAIN"
                    | "RUSTUP_TOOLCHAIN_SOURCE"
                    | "OUT_DIR"
            ) || name == "RUST_RECURSION_COUNT"
                || [
                    "CARGO_MANIFEST_",
                    "CARGO_PKG_",
                    "CARGO_BIN_",
                    "CARGO_CRATE_",
                    "CARGO_PRIMARY_",
                    "CARGO_CFG_",
                ]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        });
        if passed_down {
            command.env_remove(name);
        }
    }
    // Cargo puts its own toolchain's libraries first; another toolchain's compiler must not find them.
    if let Some(paths) = std::env::var_os("LD_LIBRARY_PATH") {
        let built = target_directory();
        let kept = std::env::split_paths(&paths).filter(|path| {
            !path.starts_with(&built)
                && !path.components().any(|part| part.as_os_str() == "toolchains")
        });
        match std::env::join_paths(kept) {
            Ok(kept) if !kept.is_empty() => command.env("LD_LIBRARY_PATH", kept),
            _ => command.env_remove("LD_LIBRARY_PATH"),
        };
    }
    command
}

/// Where the program of this name is, if anywhere on PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// Runs `command` with its standard output and error in one stream, in the order written; shows the stream while
/// it runs if `live`, and returns all of it.
///
/// # Errors
/// The program cannot be started.
pub fn stream(
    mut command: Command,
    live: bool,
    limit: Option<Duration>,
) -> io::Result<(String, Ending)> {
    let (mut reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let start = Instant::now();
    let mut child = command.spawn()?;
    // It holds our copies of the pipe's writing end, and the pipe ends when the last is closed.
    drop(command);

    let (sender, chunks) = mpsc::channel::<Vec<u8>>();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });

    let mut output = Vec::new();
    let left = || limit.map(|limit| limit.saturating_sub(start.elapsed()));
    let ending = loop {
        let next = match left() {
            Some(left) => chunks.recv_timeout(left),
            None => chunks.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(chunk) => {
                if live {
                    show(&chunk);
                }
                output.extend(chunk);
                if output.len() > MOST_OUTPUT {
                    break kill(&mut child, Ending::Flooded)?;
                }
            }
            Err(RecvTimeoutError::Disconnected) => break end_of(&mut child, limit, left)?,
            Err(RecvTimeoutError::Timeout) => {
                break kill(&mut child, Ending::TimedOut(limit.unwrap_or_default()))?;
            }
        }
    };
    Ok((String::from_utf8_lossy(&output).into_owned(), ending))
}

/// Waits for a child that has closed its output.
fn end_of(
    child: &mut Child,
    limit: Option<Duration>,
    left: impl Fn() -> Option<Duration>,
) -> io::Result<Ending> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Ending::Exited(status.code()));
        }
        if left() == Some(Duration::ZERO) {
            return kill(child, Ending::TimedOut(limit.unwrap_or_default()));
        }
        thread::sleep(POLL);
    }
}

fn kill(child: &mut Child, why: Ending) -> io::Result<Ending> {
    child.kill()?;
    child.wait()?;
    Ok(why)
}

/// A closed standard output is no reason to stop: the verdict is still wanted.
fn show(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}
