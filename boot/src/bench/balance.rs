//! An eye on the tables in use: what an operation takes, it gives back.

use armv7a_mm::table::heap::TableCounts;
use stub::memory::machine;

/// Tables and bytes in use at some moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Balance {
    /// Tables by kind.
    pub tables: TableCounts,
    /// Bytes in all of them.
    pub bytes: usize,
}

impl Balance {
    /// Now.
    pub fn now() -> Self {
        let heap = machine().memory();
        Self { tables: heap.counts(), bytes: heap.used() }
    }
}
