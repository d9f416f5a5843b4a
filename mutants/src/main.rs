//! Whether the tests notice when the library is changed: `cargo xtask mutants`.
//!
//! One copy of the library has all changes in it, each behind a question, and is compiled once; a change then costs the
//! run of the tests that come by it.
//!
//! ```text
//! change   what cargo-mutants would change        ─▶ site      where that is in the text
//! compile  the copy of all, less what is no Rust  ◀─ rewrite   the text with every change behind a question
//! suite    the tests, and which changes each meets
//! hunt     tests on a change, the likeliest first ◀─ learned   which tests noticed what
//! alone    the same, compiled for one change      ─▶ ledger    what became of each
//! verdict  what is to be thought of it
//! ```

mod alone;
mod cargo;
mod change;
mod child;
mod compile;
mod hunt;
mod learned;
mod ledger;
mod options;
mod part;
mod progress;
mod rewrite;
mod site;
mod suite;
mod tree;
mod verdict;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use compile::{Absent, Copy};
use hunt::Hunt;
use learned::Learned;
use ledger::{Fate, Ledger};
use options::Options;
use suite::Measured;

/// What a function comes to: or a sentence for the user.
pub type Outcome<T> = Result<T, String>;

fn main() -> ExitCode {
    match Options::read().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Outcome<()> {
    let Options { root, folder, jobs, .. } = options;
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let changes = change::list(root)?;
    let wanted: Vec<usize> =
        (0..changes.len()).filter(|&index| options.wants(&changes[index])).collect();
    let learned = Learned::default();
    let results = folder.join("results.txt");
    let wants = |change: &change::Change| options.wants(change);
    let known = verdict::known(root)?;
    let ledger = Ledger::open(root, &results, &changes, wants, options.believe, &known, &learned)?;

    let start = Instant::now();
    let mut copy = Copy::new(root, folder, &changes)?;
    let binaries = copy.build()?;
    println!("built in {:.0} s", start.elapsed().as_secs_f64());
    absent(&copy, &changes, &ledger)?;
    let start = Instant::now();
    let asked = folder.join("asked");
    let measured = Measured { tree: copy.tree(), folder: &asked, asks: true };
    let tests = suite::measure(measured, &binaries, *jobs, |_| true)?;
    println!("measured {} tests in {:.0} s", tests.len(), start.elapsed().as_secs_f64());

    let open = |index: &usize| ledger.fate(*index).is_none();
    let (switched, fixed): (Vec<usize>, Vec<usize>) = wanted
        .iter()
        .filter(|&index| open(index))
        .partition(|index| !copy.absent.contains_key(index));
    let hunt = Hunt {
        changes: &changes,
        wanted: &switched,
        ledger: &ledger,
        learned: &learned,
        jobs: *jobs,
    };
    let compiled = copy.compiled();
    hunt.switched(&copy, &tests, &compiled)?;

    let missed = |index: &&usize| ledger.fate(**index) == Some(Fate::Missed);
    let later = wanted.iter().filter(missed).filter(|index| compiled.contains(index));
    let alone: Vec<usize> = fixed.iter().chain(later).copied().collect();
    println!("{} changes are made while compiling: each is compiled alone", alone.len());
    Hunt { wanted: &alone, ..hunt }.alone(root, folder, &tests)?;
    verdict::judge(&changes, &wanted, &known, &ledger, options.only.is_none())
}

/// Says what is not in the copy, and notes what is no Rust.
fn absent(copy: &Copy, changes: &[change::Change], ledger: &Ledger) -> Outcome<()> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (&index, absent) in &copy.absent {
        *counts.entry(absent.to_string()).or_default() += 1;
        if matches!(absent, Absent::Unviable(_)) && ledger.fate(index).is_none() {
            ledger.note(index, &changes[index], Fate::Unviable, "the compiler")?;
        }
    }
    println!("{} of {} changes can be switched", copy.left(), changes.len());
    for (reason, count) in counts {
        println!("{count:5} {reason}");
    }
    Ok(())
}
