//! What is said while changes are tried.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::change::Change;
use crate::ledger::{Fate, Ledger};

/// How often a line says how far it is.
const PERIOD: Duration = Duration::from_secs(60);

/// Counts what was tried.
pub struct Progress<'a> {
    ledger: &'a Ledger,
    all: usize,
    start: Instant,
    state: Mutex<State>,
}

struct State {
    said: Instant,
    tried: usize,
    unnoticed: usize,
}

impl<'a> Progress<'a> {
    /// Of so many, nothing is tried.
    pub fn new(ledger: &'a Ledger, all: usize) -> Self {
        let start = Instant::now();
        let state = Mutex::new(State { said: start, tried: 0, unnoticed: 0 });
        Self { ledger, all, start, state }
    }

    /// Notes what became of a change, and who says so. It is not `last` if more will be tried on it.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn add(
        &self,
        index: usize,
        change: &Change,
        fate: Fate,
        who: &str,
        last: bool,
    ) -> Outcome<()> {
        self.ledger.note(index, change, fate, who)?;
        let mut state = self.state.lock().expect("nobody panics");
        state.tried += 1;
        if fate == Fate::Missed && last {
            state.unnoticed += 1;
            let place = change.name.strip_prefix(&change.file).unwrap_or_default();
            let place = place.splitn(4, ':').take(3).collect::<Vec<_>>().join(":");
            println!("nobody notices, of {who}: {}  ({}{place})", change.key, change.file);
        }
        if state.said.elapsed() > PERIOD {
            state.said = Instant::now();
            println!("{}", self.described(&state));
        }
        Ok(())
    }

    /// Says how it went.
    pub fn end(&self) {
        println!("{}", self.described(&self.state.lock().expect("nobody panics")));
    }

    fn described(&self, state: &State) -> String {
        let seconds = self.start.elapsed().as_secs_f64();
        let speed = state.tried as f64 / seconds.max(0.001);
        format!(
            "{} of {} changes in {seconds:.0} s, {speed:.1} a second; nobody notices {}",
            state.tried, self.all, state.unnoticed
        )
    }
}
