//! An eye on the tables in use: what an operation takes, it gives back.

use armv7a_mm::table::heap::TableCounts;
use stub::kernel::kernel;
use stub::memory::machine;

use crate::space;

/// Tables and bytes in use at some moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Balance {
    /// Tables by kind.
    pub tables: TableCounts,
    /// Bytes in all of them.
    pub bytes: usize,
}

impl Balance {
    /// Now; address spaces that were freed and are kept do not count.
    pub fn now() -> Self {
        let heap = machine().memory();
        let (mut tables, mut bytes) = (heap.counts(), heap.used());
        let spare = kernel().swapper.lock().spare_pgds();
        tables.pgd -= spare;
        if space::has_private_table() {
            tables.pmd -= spare;
        }
        bytes -= spare * space::empty_bytes();
        Self { tables, bytes }
    }
}
