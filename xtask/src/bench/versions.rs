//! The versions that counts depend on.

use crate::Outcome;
use crate::command::tool;
use crate::qemu::QEMU;

/// The compiler's, as `rustc 1.96.0`.
///
/// # Errors
/// It does not say.
pub fn compiler() -> Outcome<String> {
    first_words("rustc", 2)
}

/// The emulator's and the compiler's, in a line.
///
/// # Errors
/// One of them does not say.
pub fn told() -> Outcome<String> {
    let emulator = first_words(QEMU, 4)?;
    Ok(format!("{emulator}, cortex-a15, -icount shift=0; {}, release", compiler()?))
}

/// The first words that `program --version` says.
fn first_words(program: &str, count: usize) -> Outcome<String> {
    let told = tool(program)
        .arg("--version")
        .output()
        .map_err(|error| format!("{program} does not start: {error}"))?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let words: Vec<_> = told.split_whitespace().take(count).collect();
    match words.len() == count {
        true => Ok(words.join(" ")),
        false => Err(format!("{program} does not say its version: {told}")),
    }
}
