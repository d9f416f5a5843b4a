//! Set-up: Arm targets that link, and QEMU.
//!
//! Nothing is remembered from one run to the next: `probe` links a small Arm program with whatever toolchain this
//! checkout has now. That takes a fraction of a second, is right after an upgrade and after a set-up that was killed
//! half-way, and is all that happens where nothing is missing.

use std::fs::File;

use crate::Outcome;
use crate::command::{find, tool};
use crate::image::TARGETS;
use crate::qemu::QEMU;

mod advice;
mod debian;
mod probe;

/// What this machine lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Why the checkout's toolchain cannot link Arm programs.
    pub target: Option<String>,
    /// QEMU is not on PATH.
    pub qemu: bool,
}

impl Missing {
    /// Looks, and changes nothing.
    pub fn survey() -> Self {
        Missing { target: probe::link_arm_programs("rustc").err(), qemu: find(QEMU).is_none() }
    }

    /// Nothing to do.
    pub fn is_nothing(&self) -> bool {
        self.target.is_none() && !self.qemu
    }

    /// What is missing, and the exact commands that bring it.
    pub fn advice(&self) -> String {
        advice::text(self)
    }
}

/// Brings what is missing, by the gentlest way that works.
///
/// # Errors
/// Something is still missing after that: says what, and what to type.
pub fn ensure() -> Outcome<()> {
    if Missing::survey().is_nothing() {
        return Ok(());
    }
    let _turn = wait_for_turn();
    let mut missing = Missing::survey();
    if missing.target.is_some() && rustup_may_install() {
        say(&format!("rustup target add {}", TARGETS.join(" ")));
        // Its own message says why if it cannot; the survey says whether it did.
        let _ = tool("rustup").args(["target", "add"]).args(TARGETS).status();
        missing = Missing::survey();
    }
    let tried = match missing.is_nothing() {
        true => return Ok(()),
        false => debian::provide(&missing),
    };
    let missing = Missing::survey();
    match (missing.is_nothing(), tried) {
        (true, _) => {
            say("done");
            Ok(())
        }
        (false, Err(problem)) => Err(format!("set-up: {problem}\n{}", missing.advice())),
        (false, Ok(())) => Err(missing.advice()),
    }
}

/// RUSTUP_AUTO_INSTALL=0 is how a user says that rustup shall fetch nothing unasked.
fn rustup_may_install() -> bool {
    std::env::var_os("RUSTUP_AUTO_INSTALL").is_none_or(|value| value != "0")
        && find("rustup").is_some()
}

/// Set-ups of other checkouts change the same machine. Where locks do not work, the renames inside still do.
fn wait_for_turn() -> Option<File> {
    let turn = File::create(std::env::temp_dir().join("armv7a-mm-setup.lock")).ok()?;
    turn.lock().ok()?;
    Some(turn)
}

fn say(what: &str) {
    eprintln!("set-up: {what}");
}
