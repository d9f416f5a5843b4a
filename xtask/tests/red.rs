//! `cargo xtask boot` is green for a good image, and red with the right sentence for every way to be bad.
//!
//! The images keep self-tests that do their worst when named: `red-fail`, `red-panic`, `red-fault`, `red-hang`.
//! For a guest that never says a word this test brings an image of its own.

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use xtask::image::{Code, Format};
use xtask::setup::Missing;

/// What a run of `cargo xtask boot` came to.
struct Run {
    green: bool,
    said: String,
    complaint: String,
}

/// Runs `cargo xtask boot --format FORMAT ARGUMENTS`.
fn boot(format: Format, arguments: &[&str]) -> Run {
    // Tests install nothing. That is for the one who types the command.
    let missing = Missing::survey(&[Code::Fast]);
    assert!(
        missing.is_nothing(),
        "this test boots the images, and something is missing: type `cargo xtask boot` once, which sets it up\n{}",
        missing.advice()
    );
    let run = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["boot", "--format", format.name()])
        .args(arguments)
        .output()
        .expect("xtask starts");
    Run {
        green: run.status.success(),
        said: String::from_utf8_lossy(&run.stdout).into_owned(),
        complaint: String::from_utf8_lossy(&run.stderr).into_owned(),
    }
}

/// Boots both images with `arguments`: each must be red, and say all of `words` on standard error.
fn is_red(arguments: &[&str], words: &[&str]) {
    let check = &|format: Format| {
        let Run { green, said, complaint } = boot(format, arguments);
        assert!(!green, "{format} {arguments:?} was green:\n{said}");
        let named = format!("{format}: ");
        for word in words.iter().chain([&named.as_str()]) {
            assert!(
                complaint.contains(word),
                "{format} {arguments:?} does not say `{word}`:\n{complaint}\n{said}"
            );
        }
    };
    // At once, as most of this is waiting.
    thread::scope(|scope| {
        for format in Format::ALL {
            scope.spawn(move || check(format));
        }
    });
}

#[test]
fn a_good_image_is_green() {
    for format in Format::ALL {
        let run = boot(format, &[]);
        assert!(run.green, "{format} is red: {}\n{}", run.complaint, run.said);
        let last = run.said.lines().last().unwrap_or_default();
        assert!(
            last.starts_with(&format!("{format}: ")) && last.contains(", 0 failed"),
            "{format} ends with: {last}"
        );
    }
}

#[test]
fn a_failed_test_is_red() {
    is_red(&["--test", "red-fail"], &["1 test failed: `red-fail`"]);
}

#[test]
fn a_panic_is_red_and_says_where() {
    is_red(&["--test", "red-panic"], &["panicked in test `red-panic`", ".rs:"]);
}

#[test]
fn an_unexpected_fault_is_red() {
    is_red(&["--test", "red-fault"], &["fault nobody expected in test `red-fault`"]);
}

#[test]
fn a_hang_is_red_and_names_the_test() {
    is_red(
        &["--test", "red-hang", "--timeout", "10"],
        &["hung: no verdict within 10 s", "`red-hang`"],
    );
}

#[test]
fn a_filter_that_matches_nothing_is_red() {
    is_red(&["--test", "no-test-has-this-name"], &["no test passed", "`no-test-has-this-name`"]);
}

#[test]
fn silence_is_red() {
    let image = silent_image();
    // QEMU takes the last -kernel it is given.
    is_red(
        &["--timeout", "2", "--", "-kernel", image.to_str().expect("a plain path")],
        &["hung: no output within 2 s"],
    );
}

#[test]
fn a_machine_that_does_not_exist_is_red() {
    is_red(&["--cpu", "cortex-a1"], &["QEMU did not start the guest", "cortex-a1"]);
}

/// An ELF image whose only instruction branches to itself.
fn silent_image() -> PathBuf {
    const LOAD: u32 = 0x4020_0000;
    const HEADERS: u32 = 52 + 32;
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // Executable for Arm, version 1; entry, program headers, no sections; EABI 5; sizes and counts.
    file.extend([2u16, 40].map(u16::to_le_bytes).concat());
    file.extend([1, LOAD, 52, 0, 0x0500_0000].map(u32::to_le_bytes).concat());
    file.extend([52u16, 32, 1, 40, 0, 0].map(u16::to_le_bytes).concat());
    // One segment to load: offset, virtual and physical address, sizes, readable and executable.
    file.extend([1, HEADERS, LOAD, LOAD, 4, 4, 5, 4].map(u32::to_le_bytes).concat());
    file.extend(0xeaff_fffe_u32.to_le_bytes());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("silent.elf");
    // A name of its own while it is written: another run of this test may be booting it.
    let fresh = path.with_extension(std::process::id().to_string());
    std::fs::write(&fresh, file)
        .and_then(|()| std::fs::rename(&fresh, &path))
        .expect("the image can be written");
    path
}
