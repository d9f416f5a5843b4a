//! A kind of machine, a memory map, and steps on it: run, and replayed as a test.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{Classic, Lpae};
use armv7a_mm::mm::{Layout, LayoutSpec, Pmds, Vectors, Window};

use crate::machine::state::Setup;

use super::op::Step;
use super::system::System;
use super::tally::{COPIED, Outcome, Tally};

/// A kind of machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    pub name: &'static str,
    /// Long descriptors.
    pub long: bool,
    pub cpus: usize,
    /// Whether walks snoop the data cache.
    pub coherent: bool,
}

impl Kind {
    const fn new(name: &'static str, long: bool, cpus: usize, coherent: bool) -> Self {
        Self { name, long, cpus, coherent }
    }

    pub const ALL: [Self; 8] = [
        Self::new("classic_up_coherent", false, 1, true),
        Self::new("classic_up_not_coherent", false, 1, false),
        Self::new("classic_smp_coherent", false, 4, true),
        Self::new("classic_smp_not_coherent", false, 4, false),
        Self::new("lpae_up_coherent", true, 1, true),
        Self::new("lpae_up_not_coherent", true, 1, false),
        Self::new("lpae_smp_coherent", true, 4, true),
        Self::new("lpae_smp_not_coherent", true, 4, false),
    ];

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name == name)
    }
}

/// A script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    pub kind: Kind,
    /// Chooses the memory map, and whether the CPU has PXN.
    pub seed: u64,
    pub steps: Vec<Step>,
}

/// Seeds that differ by this choose the same.
pub const SEEDS: u64 = 18;

/// How a script failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    pub message: String,
    /// What makes two failures the same: where it panicked, and the first violation's name.
    pub signature: String,
}

/// Where steps come from.
pub trait Source {
    /// The next step for a system in this state.
    fn next<F: Registers>(&mut self, system: &System<F>) -> Option<Step>;
}

impl Source for std::slice::Iter<'_, Step> {
    fn next<F: Registers>(&mut self, _: &System<F>) -> Option<Step> {
        Iterator::next(self).copied()
    }
}

impl Script {
    /// No steps yet.
    pub fn new(kind: Kind, seed: u64) -> Self {
        Self { kind, seed, steps: Vec::new() }
    }

    /// Takes steps from `source`, notes and executes them, and checks everything at the end.
    ///
    /// # Errors
    /// The first failure; the script then ends with the step that failed.
    pub fn run(&mut self, source: impl Source, tally: &mut Tally) -> Result<(), Failure> {
        if self.kind.long {
            self.run_as::<Lpae>(source, tally)
        } else {
            self.run_as::<Classic>(source, tally)
        }
    }

    /// Executes its own steps.
    ///
    /// # Errors
    /// The first failure.
    pub fn replay(&self) -> Result<(), Failure> {
        let mut run = Self::new(self.kind, self.seed);
        run.run(self.steps.iter(), &mut Tally::default())
    }

    fn run_as<F: Registers>(
        &mut self,
        mut source: impl Source,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let Kind { long, cpus, coherent, .. } = self.kind;
        let (layout, pxn) = memory_map(self.seed, long);
        let cut = match layout.spec().ttbr1 {
            Some(border) if !long => 32 - border.ilog2(),
            _ => 0,
        };
        let setup = Setup { cut, ..Setup::new(long, cpus, coherent, self.seed % SEEDS) };
        let mut system = System::<F>::new(setup, layout, pxn).with_intruders();
        let run = noting_panics(|| {
            while let Some(step) = source.next(&system) {
                self.steps.push(step);
                system.step(&step);
                system.sim.assert_clean("");
            }
            system.check_everything();
            system.sim.assert_clean("at the end");
        });
        tally.merge(&system.tally);
        let copied = system.watch.try_borrow().map_or(0, |watch| watch.copied.get());
        (0..copied).for_each(|_| tally.add(COPIED, "", Outcome::Done));
        let Err((place, message)) = run else {
            system.scrap();
            return Ok(());
        };
        let violation = system.sim.try_violation().map(|it| format!("{it:?}")).unwrap_or_default();
        let name = violation.split([' ', '{']).next().unwrap_or_default();
        system.abandon();
        Err(Failure { message, signature: format!("{place} {name}") })
    }
}

/// Executes steps; for regression tests.
///
/// # Panics
/// If they fail.
pub fn replay(kind: &str, seed: u64, steps: &[Step]) {
    let kind = Kind::named(kind).unwrap_or_else(|| panic!("there is no kind of machine {kind}"));
    if let Err(failure) = (Script { kind, seed, steps: steps.to_vec() }).replay() {
        panic!("{}\n{}", failure.signature, failure.message);
    }
}

/// The memory maps, one by the seed, and whether the CPU has PXN.
fn memory_map(seed: u64, long: bool) -> (Layout, bool) {
    match seed % SEEDS {
        seed @ 0..12 => whole_map(seed),
        seed => (shared_map(seed % 3, long), seed < 15),
    }
}

/// The maps of which TTBR1 has a part, each with another part of what it is spared.
fn shared_map(which: u64, long: bool) -> Layout {
    let spec = match (which, long) {
        (0, _) => LayoutSpec::linux(0x8000_0000).split_at(0x8000_0000),
        (1, _) => LayoutSpec::modules_at_border(0x8000_0000).split_at(0x8000_0000),
        (_, true) => LayoutSpec {
            vectors: Vectors::Low,
            ..LayoutSpec::linux(0xC000_0000).split_at(0xC000_0000)
        },
        (_, false) => LayoutSpec {
            vectors: Vectors::Low,
            ..LayoutSpec::linux(0x4000_0000).split_at(0x4000_0000)
        },
    };
    Layout::new(spec).expect("a layout")
}

/// The maps that are all TTBR0's.
fn whole_map(seed: u64) -> (Layout, bool) {
    let linux = LayoutSpec::linux(0xC000_0000);
    let middle = LayoutSpec::linux(0x8000_0000);
    let spec = match seed % 6 {
        0 => linux,
        1 => LayoutSpec { vectors: Vectors::Low, ..linux },
        2 => LayoutSpec { pmds: Pmds::Always, ..linux },
        3 => LayoutSpec::modules_at_border(0xC000_0000),
        4 => LayoutSpec { vmalloc: Window { eager: true, ..linux.vmalloc }, ..linux },
        _ => LayoutSpec {
            modules: middle.modules.eager(),
            vectors: Vectors::Low,
            pmds: Pmds::Always,
            ..middle
        },
    };
    (Layout::new(spec).expect("a layout"), (seed / 6).is_multiple_of(2))
}

thread_local! {
    /// Whether panics of this thread are noted instead of printed.
    static NOTING: Cell<bool> = const { Cell::new(false) };
    /// The first one's place.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs something that may panic. A panic is its place and its message, and prints nothing.
fn noting_panics(act: impl FnOnce()) -> Result<(), (String, String)> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !NOTING.get() {
                return others(info);
            }
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            PLACE.with_borrow_mut(|noted| {
                if noted.is_empty() {
                    *noted = place;
                }
            });
        }));
    });
    NOTING.set(true);
    PLACE.take();
    let run = catch_unwind(AssertUnwindSafe(act));
    NOTING.set(false);
    run.map_err(|cause| {
        let text = cause.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        (PLACE.take(), text.to_string())
    })
}
