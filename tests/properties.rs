//! Random sequences of everything, on the machine that forgives nothing, against a plain model.
//!
//! `ARMV7A_MM_OPERATIONS` is the number of steps for each kind of machine, `ARMV7A_MM_SEED` the seed of the first
//! sequence; a failure prints the seed of its own.

mod machine;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{Classic, Lpae};
use armv7a_mm::mm::{Layout, LayoutSpec, Pmds, Vectors, Window};
use machine::Setup;
use machine::model::system::System;

/// Steps after which a new machine is taken.
const SEQUENCE: u64 = 120;
/// Steps for each kind of machine, if nobody asks for more.
const OPERATIONS: u64 = 1800;

fn number(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")),
        Err(_) => default,
    }
}

/// The memory maps, one by the seed.
fn layout(seed: u64) -> Layout {
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
    Layout::new(spec).expect("a layout")
}

fn sequence<F: Registers>(setup: Setup) {
    let pxn = (setup.seed / 6).is_multiple_of(2);
    let mut system = System::<F>::new(setup, layout(setup.seed), pxn).with_intruders();
    let mut steps = String::new();
    let run = catch_unwind(AssertUnwindSafe(|| {
        // Most kernels; swapper is not sealed yet.
        if !setup.seed.is_multiple_of(4) {
            system.map_lowmem();
        }
        for step in 0..SEQUENCE {
            system.step();
            steps = format!("step {step}");
            system.sim.assert_clean(&steps);
        }
        system.check_everything();
        system.sim.assert_clean("at the end");
    }));
    if let Err(cause) = run {
        let trace = system.sim.trace();
        // What is left of the system is in no state to be dropped.
        std::mem::forget(system);
        eprintln!("{trace}after {steps}\n{setup:?}: repeat with ARMV7A_MM_SEED={}", setup.seed);
        resume_unwind(cause);
    }
    system.scrap();
}

fn sequences<F: Registers>(cpus: usize, coherent: bool) {
    let first = number("ARMV7A_MM_SEED", 1);
    let count = number("ARMV7A_MM_OPERATIONS", OPERATIONS).div_ceil(SEQUENCE);
    for seed in first..first + count {
        sequence::<F>(Setup::new(F::LPAE, cpus, coherent, seed));
    }
}

macro_rules! machines {
    ($( $name:ident: $format:ty, $cpus:expr, $coherent:expr; )*) => {$(
        #[test]
        fn $name() {
            sequences::<$format>($cpus, $coherent);
        }
    )*};
}

machines! {
    classic_up_coherent: Classic, 1, true;
    classic_up_not_coherent: Classic, 1, false;
    classic_smp_coherent: Classic, 4, true;
    classic_smp_not_coherent: Classic, 4, false;
    lpae_up_coherent: Lpae, 1, true;
    lpae_up_not_coherent: Lpae, 1, false;
    lpae_smp_coherent: Lpae, 4, true;
    lpae_smp_not_coherent: Lpae, 4, false;
}
