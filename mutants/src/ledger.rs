//! What became of each change, kept from one run to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use crate::Outcome;
use crate::change::Change;
use crate::learned::Learned;

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A test was red.
    Caught,
    /// A test did not come to its end.
    TooLate,
    /// It does not compile.
    Unviable,
    /// No test noticed.
    Missed,
}

const FATES: [(Fate, &str); 4] = [
    (Fate::Caught, "caught"),
    (Fate::TooLate, "late"),
    (Fate::Unviable, "unviable"),
    (Fate::Missed, "missed"),
];

/// What is believed of what was found the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Believe {
    /// All is tried anew.
    Nothing,
    /// But for what no test noticed, and nobody knows to be so: there may be new tests.
    Caught,
    /// The last run was stopped.
    All,
}

/// The fates, a line each: the fate, a number for the text of the file that is changed, the change, and who says so.
pub struct Ledger {
    file: Mutex<File>,
    fates: Mutex<Vec<Option<Fate>>>,
    texts: Vec<u64>,
}

impl Ledger {
    /// Opens it. `known` are those that no test notices, and with a reason. What it says of changes that are not
    /// `wanted` is kept; nothing of a file whose text is another now. The tests that noticed go to `learned`.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn open(
        root: &Path,
        path: &Path,
        changes: &[Change],
        wanted: impl Fn(&Change) -> bool,
        believe: Believe,
        known: &BTreeSet<String>,
        learned: &Learned,
    ) -> Outcome<Self> {
        let failed = |error| format!("{}: {error}", path.display());
        let mut texts = BTreeMap::new();
        for change in changes {
            if !texts.contains_key(&change.file) {
                let text = fs::read(root.join(&change.file));
                let text = text.map_err(|error| format!("{}: {error}", change.file))?;
                texts.insert(change.file.clone(), digest(&text));
            }
        }
        let texts: Vec<u64> = changes.iter().map(|change| texts[&change.file]).collect();
        let by_key: BTreeMap<&str, usize> = changes
            .iter()
            .enumerate()
            .map(|(index, change)| (change.key.as_str(), index))
            .collect();
        let mut fates = vec![None; changes.len()];
        let mut lines = vec![String::new(); changes.len()];
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            let parts: Vec<&str> = line.split('\t').collect();
            let &[word, text, key, who] = &parts[..] else { continue };
            let fate = FATES.iter().find(|(_, it)| *it == word).map(|&(fate, _)| fate);
            let (Some(fate), Some(&index)) = (fate, by_key.get(key)) else { continue };
            if matches!(fate, Fate::Caught | Fate::TooLate) {
                learned.add(who, &changes[index], true);
            }
            let keep = !wanted(&changes[index])
                || match believe {
                    Believe::Nothing => false,
                    Believe::Caught => fate != Fate::Missed || known.contains(key),
                    Believe::All => true,
                };
            let same = text == format!("{:016x}", texts[index]);
            fates[index] = (keep && same).then_some(fate);
            lines[index] = if keep && same { format!("{line}\n") } else { String::new() };
        }
        fs::write(path, lines.concat()).map_err(failed)?;
        let file = OpenOptions::new().append(true).open(path).map_err(failed)?;
        Ok(Self { file: Mutex::new(file), fates: Mutex::new(fates), texts })
    }

    /// What is known of a change.
    pub fn fate(&self, index: usize) -> Option<Fate> {
        self.fates.lock().expect("nobody panics")[index]
    }

    /// Writes down what became of a change, and who says so.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn note(&self, index: usize, change: &Change, fate: Fate, who: &str) -> Outcome<()> {
        self.fates.lock().expect("nobody panics")[index] = Some(fate);
        let word = FATES.iter().find(|(it, _)| *it == fate).map_or("", |(_, word)| word);
        let line = format!("{word}\t{:016x}\t{}\t{who}\n", self.texts[index], change.key);
        let mut file = self.file.lock().expect("nobody panics");
        file.write_all(line.as_bytes()).map_err(|error| format!("the results: {error}"))
    }
}

/// A number for a text.
pub fn digest(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
