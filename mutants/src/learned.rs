//! What has been learned of the tests: which notice changes of which places.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::change::Change;
use crate::suite::Test;

/// Starting a program, and waiting for its end.
const START: Duration = Duration::from_millis(3);

/// How often a test was asked about changes of a place, and how often it noticed.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    asked: u32,
    noticed: u32,
}

impl Record {
    fn chance(self) -> f64 {
        f64::from(self.noticed + 1) / f64::from(self.asked + 3)
    }
}

/// The records, by test and place: a function, a file, or everywhere.
#[derive(Debug, Default)]
pub struct Learned {
    records: Mutex<BTreeMap<String, BTreeMap<String, Record>>>,
}

/// The places of a change, and how much each says.
fn places(change: &Change) -> [(String, f64); 3] {
    let function = format!("{}:{}", change.file, change.function);
    [(function, 0.6), (change.file.clone(), 0.3), (String::new(), 0.1)]
}

impl Learned {
    /// Takes in whether a test noticed a change.
    pub fn add(&self, test: &str, change: &Change, noticed: bool) {
        let mut records = self.records.lock().expect("nobody panics");
        for (place, _) in places(change) {
            let record = records.entry(place).or_default().entry(test.into()).or_default();
            record.asked += 1;
            record.noticed += u32::from(noticed);
        }
    }

    /// Takes the test that is most likely to notice a change, for each second that it takes, out of `left`, which index
    /// `tests`.
    pub fn next(&self, left: &mut Vec<usize>, tests: &[Test], change: &Change) -> Option<usize> {
        let records = self.records.lock().expect("nobody panics");
        let places = places(change).map(|(place, weight)| (records.get(&place), weight));
        let worth = |test: &Test| {
            let chances = places.iter().map(|(records, weight)| {
                let record = records.and_then(|records| records.get(&test.name));
                weight * record.copied().unwrap_or_default().chance()
            });
            chances.sum::<f64>() / (test.time + START).as_secs_f64()
        };
        let worths = left.iter().map(|&test| worth(&tests[test])).enumerate();
        let (place, _) =
            worths.max_by(|(_, a), (_, b)| a.partial_cmp(b).unwrap_or(Ordering::Equal))?;
        Some(left.swap_remove(place))
    }

    /// Whether a test noticed some change of the same file.
    pub fn noticed(&self, test: &str, change: &Change) -> bool {
        let records = self.records.lock().expect("nobody panics");
        let record = records.get(&change.file).and_then(|records| records.get(test));
        record.is_some_and(|record| record.noticed > 0)
    }
}
