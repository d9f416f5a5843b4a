//! The library's switch on shuttle's atomics: CPUs switch among a few spaces, which one thread edits; each access is a point
//! where another may go on. A failure prints the schedule that repeats it.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use armv7a_mm::mm::asid::{Asids, Atomic};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Arc;
use shuttle::sync::atomic::AtomicU64;
use shuttle::thread;
use spin::relax::RelaxStrategy;

use super::system::{Edit, NOBODY, State};
use super::tlbs::{All, Tlbs};

const CPUS: usize = 3;
const ASIDS: usize = CPUS + 2;
/// More than there are numbers: rollovers happen.
const SPACES: usize = ASIDS + 1;

/// Orders of steps that are tried.
const SCHEDULES: usize = 6000;
const SWITCHES: usize = 8;
const EDITS: usize = 5;

/// The system with all its TLBs.
type Whole = State<CPUS, ASIDS, SPACES, All<CPUS, ASIDS>>;

struct Cell(AtomicU64);

/// Lets the others go on.
struct Yield;

impl RelaxStrategy for Yield {
    fn relax() {
        thread::yield_now();
    }
}

impl Atomic for Cell {
    type Relax = Yield;

    fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }

    fn exchange(&self, old: u64, new: u64, done: Ordering) -> bool {
        self.0.compare_exchange(old, new, done, Ordering::Relaxed).is_ok()
    }
}

/// What is shared: the library's ASIDs, and what CPUs walk and remember.
struct World {
    asids: Asids<CPUS, ASIDS, Cell>,
    ids: [Cell; SPACES],
    state: Mutex<Whole>,
}

impl World {
    fn new() -> Self {
        let ids = std::array::from_fn(|_| Cell::new(0));
        Self { asids: Asids::new(), ids, state: Mutex::new(State::new()) }
    }

    /// Something happens at once, and nothing is wrong behind it.
    fn happens(&self, what: impl FnOnce(&mut Whole)) {
        let mut state = self.state.lock().expect("no thread panics in here");
        what(&mut state);
        state.refill();
        if let Some(wrong) = state.wrong() {
            panic!("{wrong}: {state:x?}");
        }
        drop(state);
        thread::yield_now();
    }

    fn switch(&self, cpu: usize, to: u8) {
        let id = self.ids.get(usize::from(to));
        self.asids.switch(cpu, id, |asid, forget| {
            thread::yield_now();
            if forget {
                self.happens(|state| state.tlbs.forget_all(cpu));
            }
            self.happens(|state| {
                (state.cpus[cpu].space, state.cpus[cpu].number) = (to, asid.0);
                if to != NOBODY {
                    state.ids[usize::from(to)] = asid.0.into();
                }
            });
        });
    }

    /// As `Flush` does: store, read the identifier, invalidate.
    fn edit(&self, space: u8) {
        self.happens(|state| {
            state.tlbs.store(space);
            state.edit = Edit::Stored { space };
        });
        let number = self.ids[usize::from(space)].load(Ordering::Acquire) as u8;
        self.happens(|state| state.edit = Edit::Read { space, number });
        self.happens(State::complete_edit);
    }
}

#[test]
fn b22_b23_b24_switches_and_edits() {
    let run = || {
        let world = Arc::new(World::new());
        let cpus: Vec<_> = (0..CPUS)
            .map(|cpu| {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    // The last one switches seldom, and misses rollovers.
                    let switches = if cpu + 1 == CPUS { 2 } else { SWITCHES };
                    for _ in 0..switches {
                        let to = thread_rng().gen_range(0..=SPACES as u8);
                        world.switch(cpu, if to == SPACES as u8 { NOBODY } else { to });
                    }
                })
            })
            .collect();
        for _ in 0..EDITS {
            world.edit(thread_rng().gen_range(0..SPACES as u8));
        }
        cpus.into_iter().for_each(|cpu| cpu.join().expect("it ends"));
    };
    shuttle::check_random(run, SCHEDULES);
    shuttle::check_pct(run, SCHEDULES, 4);
}
