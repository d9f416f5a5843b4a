//! One table, reached: the only place that turns the address of a table into loads and stores.

use core::ops::Range;

use super::mem::TableMemory;
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::format::{Entry, Format, Level, TableEntry};

/// The greatest number of levels a format has.
pub const MAX_LEVELS: usize = 3;

/// A table at a known depth, in memory that `machine` reaches.
pub struct Node<'m, F: Format, M> {
    machine: &'m M,
    table: PhysAddr,
    entries: *mut F::Raw,
    depth: usize,
}

impl<F: Format, M> Clone for Node<'_, F, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Format, M> Copy for Node<'_, F, M> {}

// SAFETY: a node is an address. Descriptors are loaded and stored whole, and who may store is said by
// `store`'s duties, not by who holds a node.
unsafe impl<F: Format, M: Sync> Send for Node<'_, F, M> {}
// SAFETY: as above.
unsafe impl<F: Format, M: Sync> Sync for Node<'_, F, M> {}

impl<'m, F: Format, M: TableMemory> Node<'m, F, M> {
    /// The table at `table`.
    ///
    /// # Safety
    /// A table of `depth` lies there, in memory of `machine`'s, for as long as the node is used.
    #[inline]
    pub unsafe fn new(machine: &'m M, table: PhysAddr, depth: usize) -> Self {
        Self { machine, table, entries: machine.virt(table).cast(), depth }
    }

    /// The table that an entry of this one points to.
    ///
    /// # Safety
    /// `entry` was read from this table, and the tables of this tree stay allocated meanwhile.
    #[inline]
    pub unsafe fn child(&self, entry: TableEntry) -> Self {
        // SAFETY: an entry of a linked table points to a table of the next depth.
        unsafe { Self::new(self.machine, entry.table, self.depth + 1) }
    }

    /// The machine in whose memory the table lies.
    #[inline]
    pub fn machine(&self) -> &'m M {
        self.machine
    }

    /// Where the table lies.
    #[inline]
    pub fn table(&self) -> PhysAddr {
        self.table
    }

    /// Depth from the root.
    #[inline]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The geometry of the table's level.
    #[inline]
    pub fn level(&self) -> &'static Level {
        &F::LEVELS[self.depth]
    }

    /// Where entry `index` lies; the index is taken modulo the table's length, so it cannot stray.
    #[inline]
    pub(super) fn slot(&self, index: usize) -> *mut F::Raw {
        // SAFETY: the masked index lies within the table.
        unsafe { self.entries.add(index & (self.level().entries() - 1)) }
    }

    /// Reads the descriptor at `index`.
    #[inline]
    pub fn load(&self, index: usize) -> F::Raw {
        // SAFETY: the slot lies in the table, which `new`'s caller vouched for.
        unsafe { self.machine.load(self.slot(index)) }
    }

    /// Reads and decodes the entry at `index`.
    #[inline]
    pub fn entry(&self, index: usize) -> Entry {
        F::decode(self.depth, self.load(index))
    }

    /// Writes the descriptor at `index`: one store.
    ///
    /// # Safety
    /// The caller may change the table, and the new descriptor is right for it: what it maps may be
    /// mapped, what it no longer maps is not in use.
    #[inline]
    pub unsafe fn store(&self, index: usize, raw: F::Raw) {
        // SAFETY: the slot lies in the table; the caller answers for the rest.
        unsafe { self.machine.store(self.slot(index), raw) }
    }

    /// The first byte and the length of the entries in `range`, for cleaning.
    #[inline]
    pub fn bytes(&self, range: Range<usize>) -> (*const u8, usize) {
        (self.slot(range.start).cast_const().cast(), range.len() << self.level().entry_shift)
    }

    /// The index of the entry that translates `va`.
    #[inline]
    pub fn index(&self, va: VirtAddr) -> usize {
        self.level().index(va)
    }

    /// The indices of the entries that translate `range`, which lies in what one table spans.
    #[inline]
    pub fn indices(&self, range: VirtRange) -> Range<usize> {
        self.index(range.start())..self.index(range.last()) + 1
    }

    /// The addresses of entry `index`, where `va` is any address that this table translates.
    #[inline]
    pub fn span(&self, va: VirtAddr, index: usize) -> VirtRange {
        self.level().entry_span(va, index)
    }

    /// Copies the descriptors in `range` from a table of the same depth.
    ///
    /// # Safety
    /// As for [`store`](Self::store), for each of them.
    pub unsafe fn copy_from(&self, from: &Self, range: Range<usize>) {
        for index in range {
            // SAFETY: the caller answers for it.
            unsafe { self.store(index, from.load(index)) };
        }
    }
}
