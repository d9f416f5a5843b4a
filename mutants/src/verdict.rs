//! What is to be thought of it all: enough is caught, and what survives is known.

use std::collections::BTreeSet;
use std::path::Path;

use crate::Outcome;
use crate::change::Change;
use crate::ledger::{Fate, Ledger};
use crate::part::{PARTS, part_of};

/// The survivors that are known, a line each: the change, ` | `, and why no test can or need notice it.
pub const SURVIVORS: &str = "tests/expected/mutants.txt";

/// Of a hundred changes that compile, so many must be caught.
const CAUGHT: usize = 97;

/// What became of the changes of a part.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    caught: usize,
    late: usize,
    unviable: usize,
    missed: usize,
    unknown: usize,
}

impl Count {
    fn add(&mut self, fate: Option<Fate>) {
        let count = match fate {
            Some(Fate::Caught) => &mut self.caught,
            Some(Fate::TooLate) => &mut self.late,
            Some(Fate::Unviable) => &mut self.unviable,
            Some(Fate::Missed) => &mut self.missed,
            None => &mut self.unknown,
        };
        *count += 1;
    }

    /// How many were caught, and how many compile.
    fn share(self) -> (usize, usize) {
        (self.caught + self.late, self.caught + self.late + self.missed)
    }

    fn described(self) -> String {
        let (caught, viable) = self.share();
        let percent = 100.0 * caught as f64 / viable.max(1) as f64;
        let mut text = format!("{caught} of {viable} changes caught, {percent:.1} %");
        for (count, what) in [
            (self.late, "of these tests without an end"),
            (self.unviable, "more do not compile"),
            (self.unknown, "more were not tried"),
        ] {
            if count > 0 {
                text += &format!("; {count} {what}");
            }
        }
        text
    }
}

/// Prints how many changes of each part were caught. `wanted` are those that were to be tried, `whole` if these are all
/// of a part.
///
/// # Errors
/// Too few are caught; a survivor is not `known`.
pub fn judge(
    changes: &[Change],
    wanted: &[usize],
    known: &BTreeSet<String>,
    ledger: &Ledger,
    whole: bool,
) -> Outcome<()> {
    let mut problems = Vec::new();
    for part in PARTS {
        let mut count = Count::default();
        for &index in wanted.iter().filter(|&&index| part_of(&changes[index].file) == part) {
            let (key, fate) = (&changes[index].key, ledger.fate(index));
            count.add(fate);
            match (fate, known.contains(key)) {
                (Some(Fate::Missed), false) => problems.push(format!("nobody notices: {key}")),
                (Some(Fate::Missed), true) | (_, false) => {}
                (_, true) => println!("it does not survive, as {SURVIVORS} says it does: {key}"),
            }
        }
        let (caught, viable) = count.share();
        if viable + count.unknown + count.unviable > 0 {
            println!("{part}: {}", count.described());
        }
        if whole && caught * 100 < CAUGHT * viable {
            problems.push(format!("{part}: fewer than {CAUGHT} in a hundred are caught"));
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{}\nadd a test that notices, or the reason to {SURVIVORS}",
            problems.join("\n")
        )),
    }
}

/// The survivors that are known.
///
/// # Errors
/// One has no reason; they cannot be read.
pub fn known(root: &Path) -> Outcome<BTreeSet<String>> {
    let text = std::fs::read_to_string(root.join(SURVIVORS))
        .map_err(|error| format!("{SURVIVORS}: {error}"))?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match line.rsplit_once(" | ") {
            Some((change, reason)) if !reason.is_empty() => Ok(change.trim().to_string()),
            _ => Err(format!("{SURVIVORS}: `{line}` gives no reason")),
        })
        .collect()
}
