//! The table: a row for each machine, a column for each format, printed as far as it is known.

use std::collections::BTreeMap;
use std::time::Duration;

use super::expect::Came;
use super::{Boot, Machine};
use crate::Outcome;
use crate::image::Format;
use crate::transcript::TestEnd;
use crate::verdict::Counts;

/// What came of the machines, so far.
pub struct Report<'a> {
    machines: &'a [Machine],
    /// Boots of machines whose row is not printed yet.
    waiting: BTreeMap<usize, Vec<Boot>>,
    next: usize,
    width: usize,
    boots: usize,
    passed: usize,
    refused: usize,
    /// How many self-tests the image of a format has.
    tests: BTreeMap<&'static str, usize>,
    /// Self-tests that passed on some machine in some format, and those that did not yet.
    names: BTreeMap<String, bool>,
    problems: Vec<String>,
}

impl<'a> Report<'a> {
    /// Prints the head of the table.
    pub fn new(machines: &'a [Machine]) -> Self {
        let width = machines.iter().map(|machine| machine.name().len()).max().unwrap_or(0);
        println!("   {:<width$}  {:<20} lpae", "machine", "classic");
        Report {
            machines,
            waiting: BTreeMap::new(),
            next: 0,
            width,
            boots: 0,
            passed: 0,
            refused: 0,
            tests: BTreeMap::new(),
            names: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Takes a boot in, and prints the rows that are whole.
    pub fn add(&mut self, boot: Boot) {
        self.boots += 1;
        for (name, end) in &boot.tests {
            *self.names.entry(name.clone()).or_default() |= *end == TestEnd::Ok;
        }
        self.waiting.entry(boot.machine).or_default().push(boot);
        while self.waiting.get(&self.next).is_some_and(|boots| boots.len() == Format::ALL.len()) {
            let mut boots = self.waiting.remove(&self.next).unwrap_or_default();
            boots.sort_by_key(|boot| boot.format.name());
            let name = self.machines[self.next].name();
            let cells: Vec<_> = boots.into_iter().map(|boot| self.cell(&name, boot)).collect();
            println!("   {name:<width$}  {}", cells.concat().trim_end(), width = self.width);
            self.next += 1;
        }
    }

    fn cell(&mut self, name: &str, boot: Boot) -> String {
        let seconds = boot.took.as_secs_f32();
        let all = self.machines[boot.machine].guest.test.is_none();
        let came = boot.came.and_then(|came| match came {
            Came::Passed { of, .. } if all => {
                match *self.tests.entry(boot.format.name()).or_insert(of) {
                    had if had == of => Ok(came),
                    had => Err(format!("{}: {of} tests, and {had} before", boot.format)),
                }
            }
            came => Ok(came),
        });
        let told = match came {
            Ok(Came::Passed { passed, .. }) => {
                self.passed += passed;
                format!("{passed} passed")
            }
            Ok(Came::Refused) => {
                self.refused += 1;
                "refused".into()
            }
            Err(problem) => {
                println!("{}", boot.evidence);
                self.problems.push(format!("{problem} (on {})", name.trim_end()));
                "RED".into()
            }
        };
        format!("{told:<12}{seconds:>5.1} s  ")
    }

    /// Prints the sums.
    ///
    /// # Errors
    /// What is red, a line for each boot.
    pub fn end(mut self, took: Duration) -> Outcome<Counts> {
        let never = self.names.iter().filter(|(_, passed)| !**passed);
        self.problems.extend(never.map(|(name, _)| format!("`{name}` passes on no machine")));
        println!(
            "   {} machines, {} boots: {} self-tests passed, {} refusals as expected, {} red, {:.0} s",
            self.machines.len(),
            self.boots,
            self.passed,
            self.refused,
            self.problems.len(),
            took.as_secs_f32()
        );
        match self.problems.is_empty() {
            true => Ok(Counts { passed: self.passed, failed: 0 }),
            false => Err(self.problems.join("\n")),
        }
    }
}
