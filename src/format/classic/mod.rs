//! The classic format: short descriptors, two levels (DDI 0406C B3.5).
//!
//! | kind | span | table | leaf | run of 16 |
//! |---|---|---|---|---|
//! | pgd | 1 MiB | 4096 × 4 bytes, aligned to 16 KiB | section | supersection, 16 MiB, 40-bit |
//! | pte | 4 KiB | 256 × 4 bytes, aligned to 1 KiB | small page | large page, 64 KiB |

mod descriptor;
pub mod fault;
pub mod regs;

use crate::addr::VirtAddr;
use crate::format::{
    EncodeError, Entry, Fault, Format, Geometry, Leaf, Level, Runs, Split, TableEntry, TableKind,
    Walk,
};

/// The classic 2-level format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Classic;

const PGD: Level = Level {
    kind: TableKind::Pgd,
    name: "pgd",
    shift: 20,
    last: 4095,
    entry_shift: 2,
    runs: Some(Runs::Identical),
    leaf_pxn: true,
};

/// TTBCR.N = `n`: TTBR0 translates below 4 GiB >> n with a root of 16 KiB >> n, TTBR1 all above with a whole one
/// (DDI 0406C B3.5.4).
const fn split(n: u32) -> Split {
    let border = VirtAddr(1 << (32 - n));
    Split { border, size: n, root: Level { last: PGD.last >> n, ..PGD }, depth: 0 }
}

const _: () = assert!(Geometry::is_regular(Classic::LEVELS, Classic::RUNS));

impl Format for Classic {
    const NAME: &'static str = "classic";

    const LEVELS: &'static [Level] = &[
        PGD,
        Level {
            kind: TableKind::Pte,
            name: "pte",
            shift: 12,
            last: 255,
            entry_shift: 2,
            runs: Some(Runs::Identical),
            leaf_pxn: false,
        },
    ];

    const RUNS: Runs = Runs::Identical;

    const SPLITS: &'static [Split] =
        &[split(1), split(2), split(3), split(4), split(5), split(6), split(7)];

    type Raw = u32;

    #[inline]
    fn encode_table(depth: usize, table: TableEntry) -> Result<u32, EncodeError> {
        descriptor::encode_table(depth, table)
    }

    #[inline]
    fn encode_leaf(depth: usize, leaf: Leaf) -> Result<u32, EncodeError> {
        descriptor::encode_leaf(depth, leaf)
    }

    #[inline(never)]
    fn decode(depth: usize, raw: u32) -> Entry {
        descriptor::decode(depth, raw)
    }

    #[inline]
    fn decode_table(depth: usize, raw: u32) -> Option<TableEntry> {
        descriptor::decode_table(depth, raw)
    }

    #[inline]
    fn walk(depth: usize, raw: u32) -> Walk {
        descriptor::walk(depth, raw)
    }

    #[inline]
    fn is_marked(raw: u32) -> bool {
        descriptor::is_marked(raw)
    }

    #[inline]
    fn leaves_by_common_bits(common: u32) -> Option<bool> {
        descriptor::leaves_by_common_bits(common)
    }

    #[inline]
    fn alone(depth: usize, raw: u32) -> Option<u32> {
        descriptor::alone(depth, raw)
    }

    #[inline]
    fn frame_mask(depth: usize, run: bool) -> u32 {
        descriptor::frame_mask(depth, run)
    }

    #[inline]
    fn decode_fault(fsr: u32, instruction: bool) -> Fault {
        fault::decode(fsr, instruction)
    }
}
