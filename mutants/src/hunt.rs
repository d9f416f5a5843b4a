//! Running tests on changes that can be switched, those first that are likely to notice.

use std::collections::BTreeSet;

use crate::Outcome;
use crate::change::Change;
use crate::child::Ending;
use crate::compile::Copy;
use crate::learned::Learned;
use crate::ledger::{Fate, Ledger};
use crate::progress::Progress;
use crate::suite::{Test, work};

/// What there is to try.
#[derive(Clone, Copy)]
pub struct Hunt<'a> {
    /// All changes.
    pub changes: &'a [Change],
    /// Which to try.
    pub wanted: &'a [usize],
    /// What is known.
    pub ledger: &'a Ledger,
    /// What is known of the tests.
    pub learned: &'a Learned,
    /// How many at once.
    pub jobs: usize,
}

impl Hunt<'_> {
    /// Runs `tests` of `copy`. What is missed and in `later` is not said: it will be tried in another way.
    ///
    /// # Errors
    /// A test cannot be run, or the ledger not be written.
    pub fn switched(&self, copy: &Copy, tests: &[Test], later: &BTreeSet<usize>) -> Outcome<()> {
        let progress = Progress::new(self.ledger, self.wanted.len());
        work(self.jobs, self.wanted.len(), |next, _| {
            let index = self.wanted[next];
            let (change, number) = (&self.changes[index], copy.numbers[index]);
            let reaching = |&test: &usize| tests[test].reach.contains(&number);
            let left = (0..tests.len()).filter(reaching).collect();
            let (fate, who) = self.run(tests, left, change, |test| {
                test.run(&test.binary.file, copy.tree(), number)
            })?;
            progress.add(index, change, fate, &who, !later.contains(&index))
        })?;
        progress.end();
        Ok(())
    }

    /// Runs those of `tests` that are `left` until one notices; what became of the change, and who says so.
    ///
    /// # Errors
    /// Those of `run`.
    pub fn run(
        &self,
        tests: &[Test],
        mut left: Vec<usize>,
        change: &Change,
        run: impl Fn(&Test) -> Outcome<Ending>,
    ) -> Outcome<(Fate, String)> {
        let all = left.len();
        while let Some(next) = self.learned.next(&mut left, tests, change) {
            let test = &tests[next];
            let ending = run(test)?;
            self.learned.add(&test.name, change, ending != Ending::Green);
            match ending {
                Ending::Green => {}
                Ending::Red => return Ok((Fate::Caught, test.name.clone())),
                Ending::TooLate => return Ok((Fate::TooLate, test.name.clone())),
            }
        }
        Ok((Fate::Missed, format!("{all} tests")))
    }
}
