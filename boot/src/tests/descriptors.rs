//! Descriptors on the target: the same laws that hosts test, by the code that the target runs.

use armv7a_mm::addr::PhysAddr;
use armv7a_mm::attr::{Access, Attrs, Marks, MemoryType, Shareability};
use armv7a_mm::format::{Active, Descriptor, EncodeError, Entry, Format, Leaf, Owner, TableEntry};

use super::kinds::Kind;
use super::support::Random;
use crate::harness::Test;
use crate::{check, check_eq};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "descriptors::leaves-come-back", run: leaves },
    Test { name: "descriptors::tables-come-back", run: tables },
    Test { name: "descriptors::any-word-has-one-meaning", run: words },
];

/// Every combination of attributes.
fn all_attrs() -> impl Iterator<Item = Attrs> {
    let shares = [Shareability::Non, Shareability::Outer, Shareability::Inner];
    MemoryType::ALL.into_iter().flat_map(move |memory| {
        Access::ALL.into_iter().flat_map(move |access| {
            shares.into_iter().flat_map(move |share| {
                (0..32).map(move |bits: u8| Attrs {
                    memory,
                    access,
                    share,
                    user: bits & 1 != 0,
                    global: bits & 2 != 0,
                    young: bits & 4 != 0,
                    marks: Marks::from_bits_truncate(bits >> 3),
                })
            })
        })
    })
}

fn leaves() {
    let frames = [0, 0x40_0000_0000, 0xFE00_0000, 0x7E00_0000, 0xFF_FE00_0000];
    let (mut good, mut refused) = (0, 0);
    for Kind { depth, run } in Kind::all() {
        for (i, attrs) in all_attrs().enumerate() {
            let frame = PhysAddr::truncate(frames[i % frames.len()]);
            for pxn in [false, true] {
                let entry = Entry::Leaf(Leaf { frame, attrs, run, pxn });
                match Active::encode(depth, entry) {
                    Ok(raw) => {
                        check_eq!(Active::decode(depth, raw), entry, "{raw:#x} at depth {depth}");
                        good += 1;
                    }
                    Err(EncodeError::ExecutableDevice(memory)) => {
                        check!(!memory.is_normal() && attrs.access == Access::ReadExecute);
                        refused += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    }
    check!(good > 1000 && refused > 1000, "{good} encoded, {refused} refused");
}

fn tables() {
    for depth in 0..Active::LEVELS.len() - 1 {
        let shift = Active::LEVELS[depth + 1].table_bytes().trailing_zeros();
        for owner in [Owner::Swapper, Owner::User, Owner::Kernel] {
            for bit in shift..32 {
                for pxn in [false, true] {
                    let table = PhysAddr::truncate(1 << bit);
                    let entry = Entry::Table(TableEntry { table, owner, pxn });
                    let raw = Active::encode(depth, entry);
                    check_eq!(raw.map(|raw| Active::decode(depth, raw)), Ok(entry));
                }
            }
        }
    }
}

fn words() {
    let mut random = Random::new();
    let mut met = [0_u32; 3];
    for depth in 0..Active::LEVELS.len() {
        check_eq!(Active::decode(depth, Descriptor::from_u64(0)), Entry::Absent);
        for _ in 0..20_000 {
            // Most words mean nothing: those with few bits set, and only where a format has some, mean more.
            let high = random.of(&[0, 0xFF, 0x01E0_00FF]) & random.next() & random.next();
            let low = random.of(&[0xFFFF_F003, !0]) & random.next() & random.next();
            let word = u64::from(high) << 32 | u64::from(low);
            let raw = <Active as Format>::Raw::from_u64(word);
            let entry = Active::decode(depth, raw);
            met[match entry {
                Entry::Table(_) => 0,
                Entry::Leaf(_) => 1,
                _ => 2,
            }] += 1;
            if entry != Entry::Reserved {
                check_eq!(Active::encode(depth, entry), Ok(raw), "{word:#x} at depth {depth}");
            }
        }
    }
    check!(met.iter().all(|&count| count > 100), "tables, leaves, others: {met:?}");
}
