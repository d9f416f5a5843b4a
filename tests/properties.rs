//! Random sequences of everything, on the machine that forgives nothing, against a plain model.
//!
//! `ARMV7A_MM_OPERATIONS` is the number of steps in all, `ARMV7A_MM_SEED` the seed of the first sequence. A failure
//! prints a short test that shows it. `cargo xtask soak` runs as long as one likes.

mod machine;

use std::env;
use std::thread::available_parallelism;

use armv7a_mm::format::Active;
use armv7a_mm::format::control::Registers;
use machine::model::script::Kind;
use machine::model::soak;

/// Steps, if nobody asks for more: of a test run with either setting of the feature, of a long run.
const OPERATIONS: [u64; 2] = [500_000, 100_000_000];

/// The seed of the first sequence: tests run with either setting of the feature, and need not repeat each other.
fn first_seed() -> u64 {
    number("ARMV7A_MM_SEED", if Active::LPAE { 1 << 20 } else { 1 })
}

fn number(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")),
        Err(_) => default,
    }
}

fn sequences(name: &str) {
    let kind = Kind::named(name).expect("a kind of machine");
    let operations = number("ARMV7A_MM_OPERATIONS", OPERATIONS[0]).div_ceil(Kind::ALL.len() as u64);
    soak::run(kind, first_seed(), operations);
}

macro_rules! machines {
    ($( $name:ident )*) => {$(
        #[test]
        fn $name() {
            sequences(stringify!($name));
        }
    )*};
}

machines! {
    classic_up_coherent
    classic_up_not_coherent
    classic_smp_coherent
    classic_smp_not_coherent
    lpae_up_coherent
    lpae_up_not_coherent
    lpae_smp_coherent
    lpae_smp_not_coherent
}

/// What `cargo xtask soak` runs. `ARMV7A_MM_MACHINE` names one kind of machine, `ARMV7A_MM_THREADS` how many run.
#[test]
#[ignore = "an hour or more: cargo xtask soak"]
fn soak() {
    let kinds = match env::var("ARMV7A_MM_MACHINE") {
        Ok(name) => vec![Kind::named(&name).unwrap_or_else(|| panic!("no kind of machine {name}"))],
        Err(_) => Kind::ALL.to_vec(),
    };
    let threads = available_parallelism().map_or(1, usize::from) as u64;
    let threads = number("ARMV7A_MM_THREADS", threads) as usize;
    let operations = number("ARMV7A_MM_OPERATIONS", OPERATIONS[1]);
    soak::long(&kinds, first_seed(), operations, threads);
}
