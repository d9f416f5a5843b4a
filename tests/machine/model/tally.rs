//! What happened, counted: a run that never met a case says nothing about it.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// What came of a step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    Done,
    /// By a typed error; nothing changed.
    Refused,
    /// Names a space that is not there.
    Skipped,
}

/// Counts by what it was and where.
#[derive(Clone, Debug, Default)]
pub struct Tally(BTreeMap<(&'static str, &'static str), [u64; 3]>);

/// What every long run must have met.
const ALL: [(&str, &str); 24] = [
    ("map", "kernel, not sealed"),
    ("unmap", "kernel, not sealed"),
    ("protect", "kernel, not sealed"),
    ("map", "kernel, sealed"),
    ("unmap", "kernel, sealed"),
    ("clear", "kernel, sealed"),
    ("protect", "kernel, sealed"),
    ("modify", "kernel, sealed"),
    ("map", "user"),
    ("map kernel's code", "user"),
    ("unmap", "user"),
    ("clear", "user"),
    ("protect", "user"),
    ("modify", "user"),
    ("pgd_alloc", ""),
    ("pgd_free", ""),
    ("pgd_free, kept", ""),
    ("shrink", ""),
    ("switch", ""),
    ("spaces pass", ""),
    ("identity add and del", ""),
    ("fault on nothing", ""),
    (LEAF_CUT, ""),
    (COPIED, ""),
];

/// A change that cut a leaf or a run.
pub const LEAF_CUT: &str = "leaf cut";
/// A fault that copied an entry of swapper's.
pub const COPIED: &str = "fault, entry copied";
/// An operation that found no memory.
pub const NO_MEMORY: &str = "no memory";

impl Tally {
    /// Counts one.
    pub fn add(&mut self, what: &'static str, place: &'static str, outcome: Outcome) {
        self.0.entry((what, place)).or_default()[outcome as usize] += 1;
    }

    /// Counts all of another's.
    pub fn merge(&mut self, other: &Self) {
        for (key, counts) in &other.0 {
            let mine = self.0.entry(*key).or_default();
            mine.iter_mut().zip(counts).for_each(|(mine, count)| *mine += count);
        }
    }

    /// What never was done, of what should have been.
    pub fn missing(&self) -> Vec<(&'static str, &'static str)> {
        let done = |key: &(_, _)| self.0.get(key).is_some_and(|it| it[Outcome::Done as usize] > 0);
        let mut missing: Vec<_> = ALL.into_iter().filter(|key| !done(key)).collect();
        let refused = |it: &[u64; 3]| it[Outcome::Refused as usize] > 0;
        if !self.0.get(&(NO_MEMORY, "")).is_some_and(refused) {
            missing.push((NO_MEMORY, ""));
        }
        missing
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24}{:<20}{:>12}{:>12}{:>12}", "", "", "done", "refused", "skipped")?;
        for ((what, place), [done, refused, skipped]) in &self.0 {
            writeln!(f, "{what:<24}{place:<20}{done:>12}{refused:>12}{skipped:>12}")?;
        }
        Ok(())
    }
}
