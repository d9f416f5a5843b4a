//! The kinds of leaves, for tests that want one of each.

use armv7a_mm::addr::VirtRange;
use armv7a_mm::format::{Active, Format, RUN};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::walk::Translation;

use super::scratch::HERE;
use super::support::PTE;

/// A kind of leaf: one of a level's, or a run of sixteen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// Its depth.
    pub depth: usize,
    /// Whether it is a run.
    pub run: bool,
}

impl Kind {
    /// The format's kinds that fit in RAM, the smallest first: all but the 1 GiB block.
    pub fn all() -> impl Iterator<Item = Self> {
        let levels = Active::LEVELS.iter().enumerate().rev();
        levels.filter(|(_, level)| level.shift < 30).flat_map(|(depth, level)| {
            let run = level.runs.map(|_| Self { depth, run: true });
            [Some(Self { depth, run: false }), run].into_iter().flatten()
        })
    }

    /// A page.
    pub const PAGE: Self = Self { depth: PTE, run: false };

    /// What maps an address.
    pub fn of(found: &Translation<Active>) -> Self {
        Self { depth: found.depth, run: found.leaf().is_some_and(|leaf| leaf.run) }
    }

    /// log2 of its size.
    pub fn shift(self) -> u32 {
        Active::LEVELS[self.depth].shift + if self.run { RUN.trailing_zeros() } else { 0 }
    }

    /// Its size.
    pub fn bytes(self) -> u64 {
        1 << self.shift()
    }

    /// What has a map of this size and alignment use this kind.
    pub fn sizes(self) -> LeafSizes {
        match self {
            Self { run: true, .. } => LeafSizes::LARGEST,
            Self { depth: PTE, .. } => LeafSizes::PAGES,
            _ => LeafSizes::BLOCKS,
        }
    }

    /// Room for one at [`HERE`].
    pub fn range(self) -> VirtRange {
        VirtRange::aligned(HERE, self.shift())
    }
}
