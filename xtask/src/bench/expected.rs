//! The counts that are checked in: `tests/expected/counts-FORMAT.txt`, a key and a number a line.
//!
//! Counts depend on the compiler, so the first line names it: under another one, what rose is said, not held against
//! the library.

use std::fs;
use std::path::PathBuf;

use super::counted::{Counted, decimal};
use super::{rows::ROWS, versions};
use crate::Outcome;
use crate::command::root;
use crate::image::{Format, shown};

/// How much a count may rise.
const ROOM: f64 = 1.03;

/// What refreshes them.
const BLESS: &str = "cargo xtask bench --bless";

/// The file of `format`.
fn place(format: Format) -> PathBuf {
    root().join("tests").join("expected").join(format!("counts-{format}.txt"))
}

/// Checks in what was counted.
///
/// # Errors
/// An operation was not counted; the file cannot be written.
pub fn bless(format: Format, counted: &Counted) -> Outcome<PathBuf> {
    let mut text = format!("# {}; {BLESS}\n", versions::compiler()?);
    for row in &ROWS {
        let count = counted.get(row.key);
        let count = count.ok_or_else(|| format!("{format}: {} was not counted", row.key))?;
        text.push_str(&format!("{} {}\n", row.key, decimal(count)));
    }
    let file = place(format);
    let complain = |error| format!("{}: {error}", shown(&file));
    fs::create_dir_all(file.parent().unwrap_or(&file)).map_err(complain)?;
    fs::write(&file, text).map_err(complain)?;
    Ok(file)
}

/// Holds what was counted against what is checked in, and says in a line what it found.
///
/// # Errors
/// A count rose by more than 3 %, under the same compiler; or the file is missing, or makes no sense.
pub fn check(format: Format, counted: &Counted) -> Outcome<String> {
    let file = place(format);
    let text =
        fs::read_to_string(&file).map_err(|error| format!("{}: {error}; {BLESS}", shown(&file)))?;
    let risen = risen(&text, counted).map_err(|problem| format!("{}: {problem}", shown(&file)))?;
    if risen.is_empty() {
        return Ok(format!("{format}: no count rose"));
    }
    let (told, compiler) = (risen.join(", "), versions::compiler()?);
    match names(&text, &compiler) {
        true => Err(format!("{format}: rose by more than 3 %: {told} (if it must be: {BLESS})")),
        false => Ok(format!("{format}: under {compiler}, another compiler, rose: {told}")),
    }
}

/// Whether the counts in `text` are of `compiler`.
fn names(text: &str, compiler: &str) -> bool {
    text.lines().next().is_some_and(|first| first.contains(&format!(" {compiler};")))
}

/// Whether the counts that are checked in for `format` are of the compiler that is there.
///
/// # Errors
/// There are none, or the compiler does not say.
pub fn is_their_compiler(format: Format) -> Outcome<bool> {
    let file = place(format);
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", shown(&file)))?;
    Ok(names(&text, &versions::compiler()?))
}

/// The counts that rose too much, each in a few words.
///
/// # Errors
/// A line of `text` makes no sense, or what it names is not counted any more, or what is counted has no line.
pub fn risen(text: &str, counted: &Counted) -> Outcome<Vec<String>> {
    let mut risen = Vec::new();
    let mut keys = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (key, number) = line.split_once(' ').unwrap_or((line, ""));
        let before: f64 = number.parse().map_err(|_| format!("`{line}` makes no sense"))?;
        let now = counted.get(key).ok_or_else(|| format!("{key} is not counted any more"))?;
        keys.push(key);
        if now > before * ROOM {
            risen.push(format!("{key} from {number} to {}", decimal(now)));
        }
    }
    match ROWS.iter().find(|row| !keys.contains(&row.key)) {
        Some(row) => Err(format!("{} is missing; {BLESS}", row.key)),
        None => Ok(risen),
    }
}
