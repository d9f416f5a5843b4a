//! Memory: ranges in order, none of which touch or overlap.

use crate::DtError;

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
}

/// Ranges of memory: at least one, in order of address, none of which touch or overlap.
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
        if self.used == MAX_RANGES {
            return Err(DtError::TooMany);
        }
        self.ranges.copy_within(at..self.used, at + 1);
        self.ranges[at] = range;
        self.used += 1;
        Ok(())
    }
}
