//! Measures the library on the host, in one process and in turns with the published page-table libraries, on memory
//! from one pool, every result checked.
//!
//! Prints a line `time OPERATION CONTENDER NANOSECONDS` for each: per unit, the median of many rounds; `partly` follows
//! where the library leaves some of the work undone. Under callgrind, with `--once`, each operation runs once, in a
//! region that callgrind tells apart by its function ([`region::bench_region`]); the lines then say
//! `units OPERATION CONTENDER UNITS`, in the order of callgrind's dumps. `cargo xtask bench --host` makes tables of both.

mod aarch64_paging;
mod contender;
mod floor;
mod operations;
mod ours;
mod page_table_multiarch;
mod pool;
mod region;
mod x86_64;

use armv7a_mm::format::{Classic, Lpae};

use contender::Contender;
use operations::{Done, OPERATIONS, Operation};
use region::Region;

#[global_allocator]
static ALLOCATOR: pool::Routed = pool::Routed;

/// Rounds whose median counts.
const ROUNDS: usize = 41;

/// A contender with its kernel.
trait Entrant {
    fn run(&mut self, operation: Operation, region: &mut Region) -> Done;
    fn name(&self) -> &'static str;
}

struct Entered<C: Contender>(C::Kernel);

impl<C: Contender> Entrant for Entered<C> {
    fn run(&mut self, operation: Operation, region: &mut Region) -> Done {
        operation.run::<C>(&mut self.0, region)
    }

    fn name(&self) -> &'static str {
        C::NAME
    }
}

fn enter<C: Contender + 'static>() -> Box<dyn Entrant> {
    Box::new(Entered::<C>(C::kernel()))
}

fn main() {
    pool::fill();
    let mut entrants = [
        enter::<floor::Floor>(),
        enter::<ours::Ours<Lpae>>(),
        enter::<ours::Ours<Classic>>(),
        enter::<aarch64_paging::Peer>(),
        enter::<page_table_multiarch::Peer>(),
        enter::<x86_64::Peer>(),
    ];
    let once = std::env::args().any(|argument| argument == "--once");
    for (name, operation) in OPERATIONS {
        match once {
            true => count(name, operation, &mut entrants),
            false => time(name, operation, &mut entrants),
        }
    }
}

/// Runs the operation once for each.
fn count(name: &str, operation: Operation, entrants: &mut [Box<dyn Entrant>]) {
    for entrant in entrants {
        let done = entrant.run(operation, &mut Region::default());
        println!("units {name} {} {}", entrant.name(), done.units);
    }
}

/// Runs the operation for each in turn, many times over.
fn time(name: &str, operation: Operation, entrants: &mut [Box<dyn Entrant>]) {
    let mut times = vec![Vec::new(); entrants.len()];
    let mut whole = vec![true; entrants.len()];
    for _ in 0..ROUNDS {
        for (i, entrant) in entrants.iter_mut().enumerate() {
            // Peers share their frames, and so find them in the caches as the one before left them; ours have memory of
            // their own. Whose turn it is warms the caches for itself.
            entrant.run(operation, &mut Region::default());
            let mut region = Region::default();
            let done = entrant.run(operation, &mut region);
            times[i].push(region.nanoseconds() / done.units as f64);
            whole[i] = done.whole;
        }
    }
    for ((entrant, mut times), whole) in entrants.iter().zip(times).zip(whole) {
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        let partly = if whole { "" } else { " partly" };
        println!("time {name} {} {median:.3}{partly}", entrant.name());
    }
}
