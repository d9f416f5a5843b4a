//! Changes that are made while compiling: the library and its tests are compiled for each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Outcome;
use crate::cargo::Cargo;
use crate::change::Change;
use crate::hunt::Hunt;
use crate::ledger::Fate;
use crate::progress::Progress;
use crate::suite::{self, Measured, Test, work};
use crate::tree;

/// Nothing is optimised here, so that it is soon compiled. A test that takes longer in the other copy is asked only where
/// it noticed another change of the same file.
const LONG: Duration = Duration::from_secs(1);

impl Hunt<'_> {
    /// Compiles each change alone, in copies of `root` in `folder`, and runs tests. `switched` are those of the other
    /// copy, with their times there.
    ///
    /// # Errors
    /// A copy cannot be made, does not compile or is red without a change; the ledger cannot be written.
    pub fn alone(&self, root: &Path, folder: &Path, switched: &[Test]) -> Outcome<()> {
        let jobs = self.jobs.min(self.wanted.len());
        let mut copies = Vec::new();
        let mut tests = Vec::new();
        for job in 0..jobs {
            let cargo = Cargo {
                tree: folder.join(format!("alone-{job}")),
                built: folder.join(format!("built-{job}")),
                level: "0",
                // One rule ends constants that are computed without end.
                flags: "",
            };
            tree::copy(root, &cargo.tree)?;
            let built = cargo.run(&["test", "--no-run", "--lib", "--tests"])?;
            if !built.succeeded {
                return Err(format!("the library does not compile:\n{}", built.first_error()));
            }
            if job == 0 {
                let times: BTreeMap<&str, Duration> =
                    switched.iter().map(|test| (test.name.as_str(), test.time)).collect();
                let short = |name: &str| times.get(name).is_none_or(|&time| time <= LONG);
                let times = folder.join("times");
                let copy = Measured { tree: &cargo.tree, folder: &times, asks: false };
                tests = suite::measure(copy, &built.binaries(), self.jobs, short)?;
                tests.extend(switched.iter().filter(|test| test.time > LONG).cloned());
            }
            copies.push(cargo);
        }
        let progress = Progress::new(self.ledger, self.wanted.len());
        work(jobs, self.wanted.len(), |next, job| {
            let index = self.wanted[next];
            let change = &self.changes[index];
            let source = std::fs::read_to_string(root.join(&change.file))
                .map_err(|error| format!("{}: {error}", change.file))?;
            let file = copies[job].tree.join(&change.file);
            tree::write(&file, change.made(&source).as_bytes())?;
            let found = self.compiled(&copies[job], change, &tests);
            tree::write(&file, source.as_bytes())?;
            let (fate, who) = found?;
            progress.add(index, change, fate, &who, true)
        })?;
        progress.end();
        Ok(())
    }

    /// Compiles and runs one binary after another, that of the likeliest test first.
    fn compiled(&self, cargo: &Cargo, change: &Change, tests: &[Test]) -> Outcome<(Fate, String)> {
        let asked = |index: &usize| {
            let test = &tests[*index];
            test.time <= LONG || self.learned.noticed(&test.name, change)
        };
        let mut left: Vec<usize> = (0..tests.len()).filter(asked).collect();
        let all = left.len();
        while let Some(first) = self.learned.next(&mut left, tests, change) {
            left.push(first);
            let name = &tests[first].binary.name;
            let (own, others) = left.iter().partition(|&&index| tests[index].binary.name == *name);
            left = others;
            let Some(file) = binary(cargo, name)? else {
                return Ok((Fate::Unviable, "the compiler".into()));
            };
            let (fate, who) =
                self.run(tests, own, change, |test| test.run(&file, &cargo.tree, 0))?;
            if fate != Fate::Missed {
                return Ok((fate, who));
            }
        }
        Ok((Fate::Missed, format!("{all} tests")))
    }
}

/// Compiles the binary of tests of this name, unless the library or the tests do not compile.
fn binary(cargo: &Cargo, name: &str) -> Outcome<Option<PathBuf>> {
    let built = match name {
        "armv7a_mm" => cargo.run(&["test", "--no-run", "--lib"])?,
        test => cargo.run(&["test", "--no-run", "--test", test])?,
    };
    let file = built.binaries().into_iter().next().map(|binary| binary.file);
    match built.succeeded {
        true => Ok(file),
        false if built.errors().next().is_some() => Ok(None),
        false => Err("cargo fails, and not for the change".into()),
    }
}
