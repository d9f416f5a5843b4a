//! The LPAE format: long descriptors, three levels (DDI 0406C B3.6).
//!
//! | kind | span | table | leaf | run of 16 |
//! |---|---|---|---|---|
//! | pgd | 1 GiB | 4 × 8 bytes, aligned to 32 bytes | block | – |
//! | pmd | 2 MiB | 512 × 8 bytes, aligned to 4 KiB | block | contiguous hint, 32 MiB |
//! | pte | 4 KiB | 512 × 8 bytes, aligned to 4 KiB | page | contiguous hint, 64 KiB |

mod descriptor;
pub mod fault;
pub mod regs;

use crate::addr::VirtAddr;
use crate::format::{
    EncodeError, Entry, Fault, Format, Geometry, Leaf, Level, Runs, Split, TableEntry, TableKind,
    Walk,
};

/// The LPAE 3-level format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lpae;

const fn level(
    kind: TableKind,
    name: &'static str,
    shift: u32,
    last: usize,
    runs: Option<Runs>,
) -> Level {
    Level { kind, name, shift, last, entry_shift: 3, runs, leaf_pxn: true }
}

const PGD: Level = level(TableKind::Pgd, "pgd", 30, 3, None);

/// TTBCR.T1SZ = `t1sz`, T0SZ = 0: TTBR1 translates the upper 4 GiB >> t1sz, and where that is 1 GiB or less its walks
/// start at the pmd (DDI 0406C B3.6.4, B3.6.6). Roots have their four entries, of which TTBR0 uses the lower ones.
const fn split(t1sz: u32) -> Split {
    let border = VirtAddr(0_u32.wrapping_sub(1 << (32 - t1sz)));
    Split { border, size: t1sz, root: PGD, depth: (t1sz > 1) as usize }
}

const _: () = assert!(Geometry::is_regular(Lpae::LEVELS, Lpae::RUNS));

impl Format for Lpae {
    const NAME: &'static str = "lpae";

    const LEVELS: &'static [Level] = &[
        PGD,
        level(TableKind::Pmd, "pmd", 21, 511, Some(Runs::Stepping)),
        level(TableKind::Pte, "pte", 12, 511, Some(Runs::Stepping)),
    ];

    const RUNS: Runs = Runs::Stepping;

    const SPLITS: &'static [Split] =
        &[split(1), split(2), split(3), split(4), split(5), split(6), split(7)];

    type Raw = u64;

    #[inline]
    fn encode_table(depth: usize, table: TableEntry) -> Result<u64, EncodeError> {
        descriptor::encode_table(depth, table)
    }

    #[inline]
    fn encode_leaf(depth: usize, leaf: Leaf) -> Result<u64, EncodeError> {
        descriptor::encode_leaf(depth, leaf)
    }

    #[inline(never)]
    fn decode(depth: usize, raw: u64) -> Entry {
        descriptor::decode(depth, raw)
    }

    #[inline]
    fn decode_table(depth: usize, raw: u64) -> Option<TableEntry> {
        descriptor::decode_table(depth, raw)
    }

    #[inline]
    fn walk(depth: usize, raw: u64) -> Walk {
        descriptor::walk(depth, raw)
    }

    #[inline]
    fn is_marked(raw: u64) -> bool {
        descriptor::is_marked(raw)
    }

    #[inline]
    fn leaves_by_common_bits(common: u64) -> Option<bool> {
        descriptor::leaves_by_common_bits(common)
    }

    #[inline]
    fn alone(_depth: usize, raw: u64) -> Option<u64> {
        descriptor::alone(raw)
    }

    #[inline]
    fn frame_mask(depth: usize, _run: bool) -> u64 {
        descriptor::frame_mask(depth)
    }

    #[inline]
    fn decode_fault(fsr: u32, instruction: bool) -> Fault {
        fault::decode(fsr, instruction)
    }
}
