//! Many random scripts, and of the first that fails a short test.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{panic, thread};

use crate::machine::rng::Rng;

use super::generate::Generator;
use super::script::{Failure, Kind, Script};
use super::shrink::shrink;
use super::tally::Tally;

/// Steps after which a new machine is taken.
const SEQUENCE: u64 = 400;

/// Operations that are enough to meet everything.
const ENOUGH: u64 = 30_000;

/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// Runs at least `operations` steps on one kind of machine, from the sequence of `seed` on.
///
/// # Panics
/// At the first failure, with the source of a test that shows it; or if many operations left something out.
pub fn run(kind: Kind, seed: u64, operations: u64) {
    let mut tally = Tally::default();
    for seed in seed..seed + operations.div_ceil(SEQUENCE) {
        if let Err((script, failure)) = one(kind, seed, &mut tally) {
            panic!("{}", explain(script, &failure));
        }
    }
    judge(&tally, operations);
}

/// Shows what happened; many operations must have met everything.
fn judge(tally: &Tally, operations: u64) {
    println!("{tally}");
    assert!(operations < ENOUGH || tally.missing().is_empty(), "never met {:?}", tally.missing());
}

/// Runs the sequence of `seed`.
fn one(kind: Kind, seed: u64, tally: &mut Tally) -> Result<(), (Script, Failure)> {
    let mut script = Script::new(kind, seed);
    let number = Kind::ALL.iter().position(|it| *it == kind).unwrap_or_default() as u64;
    let steps = Generator::new(Rng::new(seed << 3 | number), SEQUENCE);
    script.run(steps, tally).map_err(|failure| (script, failure))
}

/// The failure, and the source of a short test that shows it.
pub fn explain(script: Script, failure: &Failure) -> String {
    let Script { kind, seed, ref steps } = script;
    let (name, count) = (kind.name, steps.len());
    let same =
        |script: &Script| script.replay().is_err_and(|other| other.signature == failure.signature);
    let short = shrink(script, same);
    let message = short.replay().err().map_or(String::new(), |failure| failure.message);
    let left = short.steps.len();
    format!(
        "{message}\n{}\n{name}, seed {seed}: {count} steps, of which {left} show it, for tests/simulated/regressions.rs:\n\n{short}",
        failure.signature
    )
}

/// Runs sequences of all `kinds` in turn on `threads` threads, until `operations` steps are done, and says how far it
/// is now and then.
///
/// # Panics
/// As [`run`].
pub fn long(kinds: &[Kind], seed: u64, operations: u64, threads: usize) {
    let (next, stop, start) = (AtomicU64::new(0), AtomicBool::new(false), Instant::now());
    let sequences = operations.div_ceil(SEQUENCE);
    let work = || {
        let mut tally = Tally::default();
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= sequences {
                break;
            }
            let count = kinds.len() as u64;
            let (kind, seed) = (kinds[(number % count) as usize], seed + number / count);
            if let Err((script, failure)) = one(kind, seed, &mut tally)
                && !stop.swap(true, Ordering::Relaxed)
            {
                panic!("{}", explain(script, &failure));
            }
        }
        tally
    };
    let progress = || {
        let done = next.load(Ordering::Relaxed).min(sequences);
        let (steps, last) = (done * SEQUENCE, seed + done / kinds.len() as u64);
        let rate = steps as f64 / start.elapsed().as_secs_f64();
        println!("{steps:>12} of {operations} operations, {rate:.0}/s, seeds {seed} to {last}");
    };
    let mut all = Tally::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut said = Instant::now();
        while workers.iter().any(|worker| !worker.is_finished()) {
            thread::sleep(Duration::from_millis(100));
            if said.elapsed() >= PROGRESS {
                progress();
                said = Instant::now();
            }
        }
        for worker in workers {
            match worker.join() {
                Ok(tally) => all.merge(&tally),
                Err(problem) => panic::resume_unwind(problem),
            }
        }
    });
    progress();
    judge(&all, operations);
}
