//! Can this compiler link programs for the images' targets?

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Outcome;
use crate::command::{target_directory, tool};
use crate::image::Code;

/// Needs `core`, `alloc`, the memory functions of `compiler_builtins`, and a linker. The images are optimised at link
/// time, which takes the libraries' bitcode; the thin kind takes it too, and is quick.
const PROGRAM: &str = r#"
#![no_std]
#![no_main]
extern crate alloc;
use core::alloc::{GlobalAlloc, Layout};
struct None;
unsafe impl GlobalAlloc for None {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 { core::ptr::null_mut() }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
#[global_allocator]
static NONE: None = None;
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _start(to: *mut u8, from: *const u8, count: usize) {
    unsafe { core::ptr::copy_nonoverlapping(from, to, count) }
}
"#;

/// Links the probe with `rustc` as the checkout would, for the target of each of `codes`.
///
/// # Errors
/// The first target that it does not link for, and what the compiler said.
pub fn link(rustc: impl AsRef<OsStr>, codes: &[Code]) -> Result<(), (&'static str, String)> {
    let mut targets = codes.iter().map(|code| code.target());
    targets.try_for_each(|target| {
        link_for(rustc.as_ref(), target).map_err(|problem| (target, problem))
    })
}

fn link_for(rustc: &OsStr, target: &str) -> Outcome<()> {
    let directory = target_directory().join("setup");
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    // Tests look at the same time, in one process and in several.
    static PROBES: AtomicU32 = AtomicU32::new(0);
    let number = PROBES.fetch_add(1, Ordering::Relaxed);
    let program = directory.join(format!("probe-{}-{number}.elf", std::process::id()));
    let mut child = tool(rustc)
        .args([
            "--target",
            target,
            "--edition",
            "2024",
            "--crate-name",
            "probe",
            "-Cpanic=abort",
            "-Clto=thin",
            "-o",
        ])
        .arg(&program)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("rustc does not start: {error}"))?;
    if let Some(mut source) = child.stdin.take() {
        // A compiler that stops reading has its reasons, and tells them.
        let _ = source.write_all(PROGRAM.as_bytes());
    }
    let done = child.wait_with_output().map_err(|error| format!("rustc: {error}"))?;
    let _ = fs::remove_file(&program);
    match done.status.success() {
        true => Ok(()),
        false => Err(first_error(&String::from_utf8_lossy(&done.stderr))),
    }
}

/// The one line of a compiler's message that says what is wrong.
fn first_error(message: &str) -> String {
    let lines = || message.lines().map(str::trim).filter(|line| !line.is_empty());
    lines()
        .find(|line| line.starts_with("error"))
        .or(lines().next())
        .unwrap_or("rustc failed")
        .to_string()
}
