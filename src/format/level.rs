//! The levels of a format: what they are called, and which addresses their entries translate.

use core::ops::Range;

use crate::addr::{VirtAddr, VirtRange};

/// How sixteen neighbouring equal leaves form one TLB entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Runs {
    /// Sixteen identical words, which all hold the run's base: supersection, large page
    /// (DDI 0406C B3.5.1).
    Identical,
    /// Sixteen words that step from leaf to leaf, with the contiguous hint set in each (B3.6.1).
    Stepping,
}

/// Entries in a run: 16 in every format and at every level that has runs.
pub const RUN: usize = 16;

/// A kind of table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum TableKind {
    /// The root.
    Pgd,
    /// A middle table: LPAE alone.
    Pmd,
    /// The last of a walk.
    Pte,
}

/// What is to be known of one level of a format's tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Level {
    /// The kind of table.
    pub kind: TableKind,
    /// What the kind is called: `pgd`, `pmd` or `pte`.
    pub name: &'static str,
    /// An entry spans `1 << shift` bytes.
    pub shift: u32,
    /// A table's last index: one less than a power of two.
    pub last: usize,
    /// An entry has `1 << entry_shift` bytes: 4 or 8.
    pub entry_shift: u32,
    /// Whether leaves form runs, and how.
    pub runs: Option<Runs>,
    /// Whether a leaf has a privileged-execute-never bit of its own; else its table's entry has it.
    pub leaf_pxn: bool,
}

impl Level {
    /// Entries in a table.
    #[inline]
    pub const fn entries(&self) -> usize {
        self.last + 1
    }

    /// log2 of a table's bytes.
    #[inline]
    pub const fn table_shift(&self) -> u32 {
        usize::BITS - self.last.leading_zeros() + self.entry_shift
    }

    /// Bytes of a table, which is also its alignment.
    #[inline]
    pub const fn table_bytes(&self) -> usize {
        (self.last + 1) << self.entry_shift
    }

    /// Bytes that one entry spans.
    #[inline]
    pub const fn span(&self) -> u32 {
        1 << self.shift
    }

    /// Which addresses the entries of its tables translate.
    #[inline]
    pub const fn geometry(&self) -> Geometry {
        Geometry { shift: self.shift, last: self.last }
    }

    /// See [`Geometry::index`].
    #[inline]
    pub const fn index(&self, va: VirtAddr) -> usize {
        self.geometry().index(va)
    }

    /// See [`Geometry::entry_span`].
    #[inline]
    pub const fn entry_span(&self, va: VirtAddr, index: usize) -> VirtRange {
        self.geometry().entry_span(va, index)
    }
}

/// Which addresses the entries of a table translate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Geometry {
    /// See [`Level::shift`].
    pub shift: u32,
    /// See [`Level::last`].
    pub last: usize,
}

impl Geometry {
    /// That of the level at `depth`, by arithmetic: it takes less code than to look it up.
    #[inline]
    pub(super) const fn at(levels: &[Level], depth: usize) -> Self {
        // Below the root, tables have one size.
        let (root, other) = (&levels[0], &levels[1]);
        let shift = root.shift - depth as u32 * other.last.count_ones();
        Self { shift, last: if depth == 0 { root.last } else { other.last } }
    }

    /// Whether [`at`](Self::at) is right for all of `levels`, and all that have runs have `runs`.
    pub(super) const fn is_regular(levels: &[Level], runs: Runs) -> bool {
        let mut depth = 0;
        while depth < levels.len() {
            let (at, level) = (Self::at(levels, depth), &levels[depth]);
            if at.shift != level.shift || at.last != level.last {
                return false;
            }
            if let Some(own) = level.runs
                && own as u8 != runs as u8
            {
                return false;
            }
            depth += 1;
        }
        true
    }

    /// Bytes that one entry spans.
    #[inline]
    pub(crate) const fn span(self) -> u32 {
        1 << self.shift
    }

    /// The index of the entry for `va` in its table.
    #[inline]
    pub const fn index(self, va: VirtAddr) -> usize {
        (va.0 >> self.shift) as usize & self.last
    }

    /// The indices of the entries for `range`, which lies in what one table translates.
    #[inline]
    pub(crate) const fn indices(self, range: VirtRange) -> Range<usize> {
        self.index(range.start())..self.index(range.last()) + 1
    }

    /// The addresses that entry `index` translates, in the table that translates `va`.
    #[inline]
    pub const fn entry_span(self, va: VirtAddr, index: usize) -> VirtRange {
        let around = va.0 & !((self.last as u32) << self.shift);
        VirtRange::aligned(VirtAddr(around | (index as u32) << self.shift), self.shift)
    }

    /// The addresses that entry `index` translates, one of those for `range`, and which of the range's they are.
    #[inline]
    pub(crate) const fn cut(self, range: VirtRange, index: usize) -> (VirtRange, VirtRange) {
        let span = self.entry_span(range.start(), index);
        (span, range.within(span))
    }
}
