//! Memory: ranges in order, and pieces of them.

use crate::{DtError, PAGE};

/// Ranges of memory that are told apart.
pub const MAX_RANGES: usize = 8;

/// A range of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Range {
    /// Its first byte, on a page.
    pub base: u64,
    /// Whole pages, at least one.
    pub bytes: u64,
}

impl Range {
    /// One past its last byte, at most 2^40.
    pub const fn end(&self) -> u64 {
        self.base + self.bytes
    }

    /// Whether it has a byte of `other`.
    pub const fn overlaps(&self, other: &Range) -> bool {
        self.base < other.end() && other.base < self.end()
    }

    /// Its largest piece of whole pages that have nothing of `holes`.
    pub fn largest_outside(self, holes: &[Range]) -> Option<Range> {
        let pages = || holes.iter().map(|h| (h.base & !(PAGE - 1), h.end().next_multiple_of(PAGE)));
        let starts = pages().map(|(_, behind)| behind).chain([self.base]);
        starts
            .filter(|at| self.base <= *at && !pages().any(|(from, to)| from <= *at && *at < to))
            .filter_map(|base| {
                let next = pages().map(|(from, _)| from).filter(|from| *from > base).min();
                let end = next.unwrap_or(self.end()).min(self.end());
                (base < end).then(|| Range { base, bytes: end - base })
            })
            .max_by_key(|piece| piece.bytes)
    }
}

/// Ranges of memory: at least one, in order of address; none overlap, and those that touch are one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ranges {
    ranges: [Range; MAX_RANGES],
    used: usize,
}

impl Ranges {
    /// One range alone.
    pub const fn one(range: Range) -> Self {
        let mut ranges = [Range { base: 0, bytes: 0 }; MAX_RANGES];
        ranges[0] = range;
        Self { ranges, used: 1 }
    }

    /// The ranges.
    pub fn as_slice(&self) -> &[Range] {
        &self.ranges[..self.used]
    }

    /// Bytes in all of them.
    pub fn bytes(&self) -> u64 {
        self.as_slice().iter().map(|range| range.bytes).sum()
    }

    /// None yet.
    pub(crate) const fn none() -> Self {
        Self { ranges: [Range { base: 0, bytes: 0 }; MAX_RANGES], used: 0 }
    }

    pub(crate) fn insert(&mut self, range: Range) -> Result<(), DtError> {
        let at =
            self.as_slice().iter().position(|other| range.base < other.end()).unwrap_or(self.used);
        if self.as_slice().get(at).is_some_and(|other| other.base < range.end()) {
            return Err(DtError::Overlap(range));
        }
        let (mut whole, mut replaced) = (range, at..at);
        if let Some(left) = at.checked_sub(1).map(|left| self.ranges[left])
            && left.end() == whole.base
        {
            whole = Range { base: left.base, bytes: left.bytes + whole.bytes };
            replaced.start -= 1;
        }
        if let Some(right) = self.as_slice().get(at)
            && whole.end() == right.base
        {
            whole.bytes += right.bytes;
            replaced.end += 1;
        }
        if self.used == MAX_RANGES && replaced.is_empty() {
            return Err(DtError::TooMany);
        }
        self.ranges.copy_within(replaced.end..self.used, replaced.start + 1);
        self.ranges[replaced.start] = whole;
        self.used = self.used + 1 - replaced.len();
        Ok(())
    }
}
