//! Any word at any depth: decoding never panics, means what the manual says, and encodes to the same word.
#![no_main]

#[path = "../../tests/machine/mod.rs"]
mod machine;

use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{Classic, Descriptor, Entry, Format, Lpae};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u64)| {
    let (depth, word) = input;
    check::<Classic>(depth, word & 0xFFFF_FFFF);
    check::<Lpae>(depth, word);
    // Status registers may hold anything, too.
    let _ = (Classic::decode_fault(word as u32, depth & 1 != 0), Classic::decode_par(word));
    let _ = (Lpae::decode_fault(word as u32, depth & 1 != 0), Lpae::decode_par(word));
});

fn check<F: Registers>(depth: u8, word: u64) {
    let depth = usize::from(depth) % F::LEVELS.len();
    let raw = F::Raw::from_u64(word);
    machine::decoders::compare::<F>(depth, word);
    let entry = F::decode(depth, raw);
    if entry != Entry::Reserved {
        assert_eq!(F::encode(depth, entry), Ok(raw), "{entry:x?}");
    }
    let table = match entry {
        Entry::Table(table) => Some(table),
        _ => None,
    };
    assert_eq!(F::decode_table(depth, raw), table, "{word:#x}");
    let _ = (F::walk(depth, raw), F::is_marked(raw));
}
