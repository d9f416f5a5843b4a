//! Any script of operations on the machine that forgives nothing. What fails is shortened and printed as a test.
#![no_main]

#[path = "bytes.rs"]
mod bytes;
#[path = "../../tests/machine/mod.rs"]
mod machine;

use libfuzzer_sys::fuzz_target;

use bytes::Bytes;
use machine::model::generate::Generator;
use machine::model::script::{Kind, SEEDS, Script};
use machine::model::soak::explain;
use machine::model::tally::Tally;
use machine::rng::Choice;

/// Bytes that a step takes, about.
const STEP: u64 = 12;

fuzz_target!(|input: &[u8]| {
    let mut from = Bytes(input);
    let (kind, seed) = (from.pick(&Kind::ALL), from.below(SEEDS));
    let mut script = Script::new(kind, seed);
    let steps = Generator::new(from, input.len() as u64 / STEP);
    if let Err(failure) = script.run(steps, &mut Tally::default()) {
        panic!("{}", explain(script, &failure));
    }
});
