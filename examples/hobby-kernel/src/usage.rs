//! What memory is in use: the same before the first program and after the last, or some was lost.

use core::fmt;

use armv7a_mm::table::heap::TableCounts;

use crate::frames::FRAMES;
use crate::memory::machine;
use crate::swapper::swapper;

/// What is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    free_frames: usize,
    tables: TableCounts,
    table_bytes: usize,
}

impl Usage {
    /// Now. Address spaces that swapper keeps for the next program are given back first.
    pub fn now() -> Self {
        swapper().lock().shrink();
        let heap = machine().memory();
        let free_frames = FRAMES.lock().left();
        Self { free_frames, tables: heap.counts(), table_bytes: heap.used() }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TableCounts { pgd, pmd, pte } = self.tables;
        write!(
            f,
            "{} frames free; {pgd} pgd, {pmd} pmd, {pte} pte in {} bytes",
            self.free_frames, self.table_bytes
        )
    }
}
