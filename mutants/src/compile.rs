//! The copy with all its changes, made to compile: what does not is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Outcome;
use crate::cargo::{Binary, Cargo};
use crate::change::Change;
use crate::ledger::digest;
use crate::rewrite::{Origin, Rewritten, Writer};
use crate::site::{self, Found, Place, Reason, Site};
use crate::tree;

/// Why a change is not in the copy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Absent {
    /// It compiles nowhere: the compiler's code.
    Unviable(String),
    /// It does not compile beside the old text, and may in its place: the compiler's code.
    Beside(String),
    /// It cannot be switched.
    Fixed(Reason),
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unviable(code) => write!(f, "do not compile: {code}"),
            Self::Beside(code) => write!(f, "do not compile beside the old text: {code}"),
            Self::Fixed(Reason::Constant) => write!(f, "are in constants"),
            Self::Fixed(Reason::Chain) => write!(f, "are in chains of `let`"),
            Self::Fixed(Reason::Nothing) => write!(f, "are in macros"),
        }
    }
}

struct File {
    name: String,
    source: String,
    sites: Vec<Site>,
    rewritten: Rewritten,
}

/// The copy.
pub struct Copy<'a> {
    cargo: Cargo,
    /// Says of which text it is the copy.
    of: String,
    changes: &'a [Change],
    files: Vec<File>,
    /// The number by which the environment names each change.
    pub numbers: Vec<u32>,
    /// The changes that are not in it.
    pub absent: BTreeMap<usize, Absent>,
}

/// Rounds of leaving out. Each takes what one phase of the compiler finds.
const ROUNDS: usize = 30;

impl<'a> Copy<'a> {
    /// Copies the checkout in `root`, and finds the places of all changes. The copy and what is built from it are kept
    /// in `folder`.
    ///
    /// # Errors
    /// A file cannot be read or written, or is no Rust.
    pub fn new(root: &Path, folder: &Path, changes: &'a [Change]) -> Outcome<Self> {
        let mut by_file: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, change) in changes.iter().enumerate() {
            by_file.entry(&change.file).or_default().push(index);
        }
        let cargo = Cargo {
            tree: folder.join("tree"),
            built: folder.join("built"),
            level: "1",
            // Many changes break a rule of style.
            flags: "--cap-lints=allow",
        };
        tree::copy_switched(root, &cargo.tree, &by_file.keys().copied().collect())?;
        let mut copy = Self {
            cargo,
            of: String::new(),
            changes,
            files: Vec::new(),
            numbers: vec![0; changes.len()],
            absent: BTreeMap::new(),
        };
        // Those of one site are neighbours.
        let mut next = 1;
        for (name, wanted) in by_file {
            let source = std::fs::read_to_string(root.join(name))
                .map_err(|error| format!("{name}: {error}"))?;
            let Found { sites, unplaced } = site::find(&source, changes, &wanted)
                .map_err(|error| format!("{name}: {error}"))?;
            for &index in sites.iter().flat_map(|site| &site.changes) {
                copy.numbers[index] = next;
                next += 1;
            }
            let fixed = unplaced.into_iter().map(|(index, reason)| (index, Absent::Fixed(reason)));
            copy.absent.extend(fixed);
            let rewritten = Rewritten::default();
            copy.files.push(File { name: name.into(), source, sites, rewritten });
        }
        copy.of = format!("{:016x}", digest(&tree::all_text(&root.join("src"))?));
        copy.recall(&std::fs::read_to_string(copy.memory()).unwrap_or_default());
        Ok(copy)
    }

    /// Where it stands what did not compile the last time: a copy that is the same need not be built again.
    fn memory(&self) -> PathBuf {
        self.cargo.tree.with_file_name("absent.txt")
    }

    /// A line for the text, and one for each change: why it is absent, and the compiler's code.
    fn remember(&self) -> Outcome<()> {
        let mut text = format!("{}\n", self.of);
        for (&index, absent) in &self.absent {
            let (word, code) = match absent {
                Absent::Unviable(code) => ("unviable", code),
                Absent::Beside(code) => ("beside", code),
                Absent::Fixed(_) => continue,
            };
            text += &format!("{word}\t{code}\t{}\n", self.changes[index].name);
        }
        tree::write(&self.memory(), text.as_bytes())
    }

    fn recall(&mut self, text: &str) {
        let Some((of, lines)) = text.split_once('\n') else { return };
        let by_name: BTreeMap<&str, usize> =
            self.changes.iter().enumerate().map(|(index, it)| (it.name.as_str(), index)).collect();
        for line in lines.lines().filter(|_| of == self.of) {
            let mut parts = line.splitn(3, '\t').map(str::to_string);
            let (Some(word), Some(code), Some(name)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            if let Some(&index) = by_name.get(name.as_str()) {
                let absent =
                    if word == "unviable" { Absent::Unviable(code) } else { Absent::Beside(code) };
                self.absent.entry(index).or_insert(absent);
            }
        }
    }

    /// Builds the library and its tests, and leaves out what does not compile.
    ///
    /// # Errors
    /// Something else does not compile.
    pub fn build(&mut self) -> Outcome<Vec<Binary>> {
        for arguments in [&["build", "--lib"][..], &["test", "--no-run", "--lib", "--tests"]] {
            for round in 0.. {
                self.write()?;
                let before = self.absent.len();
                let built = self.cargo.run(arguments)?;
                if built.succeeded {
                    self.remember()?;
                    if arguments[0] == "test" {
                        return Ok(built.binaries());
                    }
                    break;
                }
                for error in built.errors() {
                    self.leave_out(error)?;
                }
                let gone = self.absent.len() - before;
                if gone == 0 || round == ROUNDS {
                    return Err("the copy with all changes does not compile".into());
                }
                println!("{gone} changes do not compile, {} are left", self.left());
            }
        }
        Ok(Vec::new())
    }

    /// How many changes are in it.
    pub fn left(&self) -> usize {
        self.changes.len() - self.absent.len()
    }

    /// The changes that may be made while compiling, where the copy never makes them.
    pub fn compiled(&self) -> BTreeSet<usize> {
        let sites = self.files.iter().flat_map(|file| &file.sites).filter(|site| site.compiled);
        sites.flat_map(|site| &site.changes).copied().collect()
    }

    /// Where the tests run.
    pub fn tree(&self) -> &Path {
        &self.cargo.tree
    }

    fn write(&mut self) -> Outcome<()> {
        let absent: BTreeSet<usize> = self.absent.keys().copied().collect();
        for file in &mut self.files {
            for site in &mut file.sites {
                site.changes.retain(|index| !absent.contains(index));
            }
            let writer =
                Writer { source: &file.source, changes: self.changes, numbers: &self.numbers };
            file.rewritten = writer.write(&file.sites);
            tree::write(&self.cargo.tree.join(&file.name), file.rewritten.text.as_bytes())?;
        }
        Ok(())
    }

    /// Leaves out what an error is about.
    fn leave_out(&mut self, message: &Value) -> Outcome<()> {
        let code = message["code"]["code"].as_str().unwrap_or("no code").to_string();
        let (mut primary, mut others) = (Vec::new(), Vec::new());
        for span in message["spans"].as_array().into_iter().flatten() {
            let kind = if span["is_primary"] == true { &mut primary } else { &mut others };
            places(span, kind);
        }
        let mut changes = BTreeMap::new();
        for (file, span) in primary.iter().chain(&others) {
            changes = self.guilty(file, span, &code);
            if !changes.is_empty() {
                break;
            }
        }
        if changes.is_empty() {
            let text = message["rendered"].as_str().unwrap_or_default();
            return Err(format!("the copy with all changes does not compile:\n{text}"));
        }
        self.absent.extend(changes);
        Ok(())
    }

    /// The changes that are to blame for an error there.
    fn guilty(&self, name: &str, span: &Range<usize>, code: &str) -> BTreeMap<usize, Absent> {
        let Some(file) = self.files.iter().find(|file| file.name == name) else {
            return BTreeMap::new();
        };
        let at = match file.rewritten.origin(span) {
            Some(Origin::Change(index)) if is_about_types(code) => {
                return BTreeMap::from([(index, Absent::Unviable(code.into()))]);
            }
            Some(Origin::Change(index)) => {
                return BTreeMap::from([(index, Absent::Beside(code.into()))]);
            }
            Some(Origin::Source(at) | Origin::Added(at)) => at,
            None => return BTreeMap::new(),
        };
        // An arm that may not be taken does not count.
        let arms = code == "E0004";
        let around = |site: &&Site| {
            !site.changes.is_empty()
                && (site.cover.contains(&at) || site.cover.end == at)
                && (!arms || site.place == Place::Pattern)
        };
        let smallest = file.sites.iter().filter(around).min_by_key(|site| site.cover.len());
        let blamed = |site: &&Site| {
            smallest.is_some_and(|smallest| match arms {
                true => site.place == Place::Pattern && site.cover == smallest.cover,
                false => site.range == smallest.range && site.place == smallest.place,
            })
        };
        let changes = file.sites.iter().filter(blamed).flat_map(|site| &site.changes);
        changes.map(|&index| (index, Absent::Beside(code.into()))).collect()
    }
}

/// Whether an error of this code would be there in place of the old text too: of names and types, not of borrows.
fn is_about_types(code: &str) -> bool {
    code.strip_prefix('E').and_then(|number| number.parse().ok()).is_some_and(
        |number: u32| !matches!(number, 381..=384 | 492..=510 | 515..=521 | 592..=597 | 700..=720),
    )
}

/// Where a span is, and where the macros that made it were called.
fn places(span: &Value, found: &mut Vec<(String, Range<usize>)>) {
    let byte = |name: &str| span[name].as_u64().unwrap_or_default() as usize;
    let file = span["file_name"].as_str().unwrap_or_default().to_string();
    found.push((file, byte("byte_start")..byte("byte_end")));
    if span["expansion"].is_object() {
        places(&span["expansion"]["span"], found);
    }
}
