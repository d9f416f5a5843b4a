//! The host side of armv7a-mm: everything behind `cargo xtask`.
//!
//! ```text
//!   options      what was asked for
//!   setup        target, linker and QEMU: silent where nothing is missing
//!   image        builds target/{boot,bench,whole,hobby-kernel}/{classic,lpae}{,-small}.elf
//!   disassembly  every store of a descriptor is one instruction (reads the image by elf, instruction and inlining)
//!   qemu         boots an image, under a time limit
//!   transcript   what the guest said, line by line
//!   verdict      whether that is a success, or in one sentence why not
//!   matrix       `cargo xtask matrix`: the machines on which both images must pass, and whether they do
//!   example      `cargo xtask run hobby-kernel`: whether the example kernel's run is a success
//!   stages       `cargo xtask test`: all of it in order
//!   bench        `cargo xtask bench`: what every operation costs
//!   soak         `cargo xtask soak`: random operations, as many as one likes
//!   fuzz         `cargo xtask fuzz`: inputs that a fuzzer finds
//!   mutants      `cargo xtask mutants`: whether the tests notice a change of the library
//!   coverage     `cargo xtask coverage`: which lines they run
//!   command      child processes: right toolchain, live output, time limit
//! ```
//!
//! # What a guest says
//!
//! ```text
//! (any text: the banner)
//! running 2 tests
//! test NAME ... ok            the name is out before the test runs, so that a hang has a name
//! test NAME ... FAILED        or `skipped`
//! panic: MESSAGE, FILE:LINE   only after a panic
//! fault: WHAT, WHERE          only after a fault that nobody expected
//! classic: 1 passed, 1 failed       or `lpae: …`; `, 1 skipped` follows where some were; always the last line
//! ```
//!
//! What a test says itself may stand between its name and its end; the name may then be repeated before the end.
//!
//! It exits by SYS_EXIT_EXTENDED, so QEMU's exit status is the guest's: 0 when nothing failed. Its semihosting
//! command line is `boot`, followed by `--test NAME` when one was asked for: then those tests run whose name contains
//! NAME, and the hidden ones (`red-fail`, …) only when NAME is all of their name.

pub mod bench;
pub mod command;
pub mod coverage;
pub mod disassembly;
pub mod elf;
pub mod example;
pub mod fuzz;
pub mod image;
pub mod inlining;
pub mod instruction;
pub mod matrix;
pub mod mutants;
pub mod options;
pub mod qemu;
pub mod setup;
pub mod soak;
pub mod stages;
pub mod transcript;
pub mod verdict;

/// A result whose error is a sentence for the person at the terminal.
pub type Outcome<T> = Result<T, String>;
