//! Set-up: Arm targets that link, and QEMU.
//!
//! Nothing is remembered from one run to the next: `probe` links a small Arm program with whatever toolchain this
//! checkout has now. That takes a fraction of a second, is right after an upgrade and after a set-up that was killed
//! half-way, and is all that happens where nothing is missing.

use std::fs::File;

use crate::Outcome;
use crate::command::{find, tool};
use crate::image::Code;
use crate::qemu::QEMU;

mod advice;
mod debian;
mod probe;

/// What this machine lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// A target for which the checkout's toolchain cannot link a program, and why.
    pub target: Option<(&'static str, String)>,
    /// QEMU is not on PATH.
    pub qemu: bool,
}

impl Missing {
    /// Looks for what images compiled for `codes` need, and changes nothing.
    pub fn survey(codes: &[Code]) -> Self {
        Missing { target: probe::link("rustc", codes).err(), qemu: find(QEMU).is_none() }
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

/// Brings what is missing for images compiled for `codes`, by the gentlest way that works.
///
/// # Errors
/// Something is still missing after that: says what, and what to type.
pub fn ensure(codes: &[Code]) -> Outcome<()> {
    if Missing::survey(codes).is_nothing() {
        return Ok(());
    }
    let _turn = wait_for_turn();
    let mut missing = Missing::survey(codes);
    let targets: Vec<_> = codes.iter().map(|code| code.target()).collect();
    if missing.target.is_some() && rustup_may_install() {
        say(&format!("rustup target add {}", targets.join(" ")));
        // Its own message says why if it cannot; the survey says whether it did.
        let _ = tool("rustup").args(["target", "add"]).args(&targets).status();
        missing = Missing::survey(codes);
    }
    let tried = match missing.is_nothing() {
        true => return Ok(()),
        false => debian::provide(&missing, codes),
    };
    let missing = Missing::survey(codes);
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
