//! What is measured: the time spent in one function, which callgrind can be told to look at alone.

use std::time::{Duration, Instant};

/// Time spent in the measured part of an operation.
#[derive(Debug, Default)]
pub struct Region(Duration);

impl Region {
    /// Runs what is measured.
    pub fn run(&mut self, mut what: impl FnMut()) {
        let start = Instant::now();
        bench_region(&mut what);
        self.0 += start.elapsed();
    }

    /// The time so far.
    pub fn nanoseconds(&self) -> f64 {
        self.0.as_nanos() as f64
    }
}

/// Calls `what`. Never inlined, under a name of its own: callgrind collects in here, and dumps when it is left.
// SAFETY: no other symbol has the name.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn bench_region(what: &mut dyn FnMut()) {
    what();
}
