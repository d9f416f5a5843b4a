//! One table, reached: the only place that turns the address of a table into loads and stores.

use core::ops::Range;

use super::bulk;
use super::mem::{Machine, TableMemory};
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::format::{Entry, Format, Geometry, Level, Owner, TableEntry, Walk};

/// The greatest number of levels a format has.
pub(crate) const MAX_LEVELS: usize = 3;

/// A table at a known depth, in memory that `machine` reaches.
pub struct Node<'m, F: Format, M> {
    machine: &'m M,
    table: PhysAddr,
    entries: *mut F::Raw,
    depth: u16,
    /// The last index. Where TTBR1 takes over, a root is shorter than its level says.
    last: u16,
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
        let entries = machine.virt(table).cast();
        Self { machine, table, entries, depth: depth as u16, last: last::<F>(depth) }
    }

    /// The root at `table` whose last entry is `last`. If a whole one has more, it translates the lowest addresses alone,
    /// and for all others has no entry.
    ///
    /// # Safety
    /// As for [`new`](Self::new); `last` is one less than a power of two.
    #[inline]
    pub unsafe fn short_root(machine: &'m M, table: PhysAddr, last: u16) -> Self {
        // SAFETY: the caller answers for it.
        Self { last, ..unsafe { Self::new(machine, table, 0) } }
    }

    /// The same table as if it were whole, in code with constants.
    ///
    /// # Safety
    /// It has this depth. Of a [short root](Self::short_root), only entries that it has are used.
    #[inline(always)]
    pub(crate) unsafe fn at_depth(self, depth: usize) -> Self {
        debug_assert_eq!(self.depth(), depth);
        Self { depth: depth as u16, last: last::<F>(depth), ..self }
    }

    /// The table that an entry of this one points to.
    ///
    /// # Safety
    /// `entry` was read from this table, and the tables of this tree stay allocated meanwhile.
    #[inline]
    pub unsafe fn child(&self, entry: TableEntry) -> Self {
        // SAFETY: an entry of a linked table points to a table of the next depth.
        unsafe { Self::new(self.machine, entry.table, self.depth() + 1) }
    }

    /// The table that the entry at `index` points to, if it does.
    ///
    /// # Safety
    /// The tables of this tree stay allocated meanwhile.
    #[inline]
    pub(crate) unsafe fn below(&self, index: usize) -> Option<Self> {
        // SAFETY: the entry was just read from this table; the caller answers for the rest.
        unsafe { self.linked(self.load(index)) }
    }

    /// The table that `raw` points to, if it is an entry for one that is not swapper's.
    ///
    /// # Safety
    /// As for [`linked`](Self::linked).
    #[inline]
    pub(crate) unsafe fn own(&self, raw: F::Raw) -> Option<Self> {
        let entry = F::decode_table(self.depth(), raw)?;
        // SAFETY: the caller answers for it.
        if entry.owner == Owner::Swapper { None } else { Some(unsafe { self.child(entry) }) }
    }

    /// The table that `raw` points to, if it does.
    ///
    /// # Safety
    /// `raw` was read from this table, and the tables of this tree stay allocated meanwhile.
    #[inline]
    pub(crate) unsafe fn linked(&self, raw: F::Raw) -> Option<Self> {
        match F::walk(self.depth(), raw) {
            // SAFETY: an entry of a linked table points to a table of the next depth.
            Walk::Table(table) => Some(unsafe { Self::new(self.machine, table, self.depth() + 1) }),
            _ => None,
        }
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
        self.depth.into()
    }

    /// How many entries the table has.
    #[inline]
    pub fn count(&self) -> usize {
        usize::from(self.last) + 1
    }

    /// The indices of all entries.
    #[inline]
    pub fn all(&self) -> Range<usize> {
        0..self.count()
    }

    /// Whether the table has an entry for `va`, given that a walk for it gets there: not if a
    /// [short root](Self::short_root) ends below.
    #[inline]
    pub fn translates(&self, va: VirtAddr) -> bool {
        self.index(va) < self.count()
    }

    /// The geometry of the table's level.
    #[inline]
    pub fn level(&self) -> &'static Level {
        F::level(self.depth())
    }

    /// Which addresses the entries translate.
    #[inline]
    pub(crate) fn geometry(&self) -> Geometry {
        F::geometry(self.depth())
    }

    /// Where entry `index` lies; the index is taken modulo the table's length, so it cannot stray.
    #[inline]
    fn slot(&self, index: usize) -> *mut F::Raw {
        // SAFETY: the masked index lies within the table.
        unsafe { self.entries.add(index & usize::from(self.last)) }
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
        F::decode(self.depth(), self.load(index))
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

    /// The index of the entry that translates `va`.
    #[inline]
    pub fn index(&self, va: VirtAddr) -> usize {
        self.geometry().index(va)
    }

    /// The indices of the entries that translate `range`, which lies in what one table spans; those that the
    /// table has.
    #[inline]
    pub fn indices(&self, range: VirtRange) -> Range<usize> {
        let all = self.geometry().indices(range);
        all.start..all.end.min(self.count())
    }

    /// The addresses of entry `index`, where `va` is any address that this table translates.
    #[inline]
    pub fn span(&self, va: VirtAddr, index: usize) -> VirtRange {
        self.geometry().entry_span(va, index)
    }

    /// The addresses of entry `index`, one of those for `range`, and which of the range's they are.
    #[inline]
    pub(crate) fn cut(&self, range: VirtRange, index: usize) -> (VirtRange, VirtRange) {
        self.geometry().cut(range, index)
    }

    /// The entries in `range`, as far as the table has them: where they begin, and how many they are.
    #[inline]
    fn part(&self, range: Range<usize>) -> (*mut F::Raw, usize) {
        let end = range.end.min(self.count());
        (self.slot(range.start), end.saturating_sub(range.start))
    }

    /// Whether `range`, which lies in what the table spans, is all of that.
    #[inline]
    pub(crate) fn is_all(&self, range: VirtRange) -> bool {
        // Modulo 4 GiB, which a root may translate.
        let bytes = (self.count() as u32) << self.geometry().shift;
        range.last().0 - range.start().0 == bytes.wrapping_sub(1)
    }

    /// Whether every entry in `range` is absent.
    #[inline]
    pub fn is_absent(&self, range: Range<usize>) -> bool {
        let (at, count) = self.part(range);
        // SAFETY: the entries lie in the table.
        unsafe { self.machine.are_zero(at, count) }
    }

    /// Whether every entry outside `range` is absent. Looks next to `range` first: neighbours are what a
    /// table that is still in use most likely holds.
    pub(crate) fn is_empty_outside(&self, range: Range<usize>) -> bool {
        let entries = self.count();
        let after = range.end..entries.min(range.end + NEAR);
        let before = range.start.saturating_sub(NEAR)..range.start;
        self.is_absent(after.clone())
            && self.is_absent(before.clone())
            && self.is_absent(after.end..entries)
            && self.is_absent(0..before.start)
    }

    /// The bits that all entries in `range` have set; all ones for no entries.
    #[inline]
    pub fn common_bits(&self, range: Range<usize>) -> F::Raw {
        let (at, count) = self.part(range);
        // SAFETY: the entries lie in the table.
        unsafe { self.machine.common_bits(at, count) }
    }

    /// Whether the entries in `range` agree with `model` in all bits but those of `frame`. May say no where
    /// frames lie on both sides of a 4 GiB border.
    #[inline]
    pub fn is_uniform(&self, range: Range<usize>, model: F::Raw, frame: F::Raw) -> bool {
        let (at, count) = self.part(range);
        // SAFETY: the entries lie in the table.
        unsafe { self.machine.is_uniform(at, count, model, frame) }
    }

    /// Inverts the bits of `flip` in each entry in `range`: one store each.
    ///
    /// # Safety
    /// As for [`store`](Self::store), for each of them.
    #[inline]
    pub unsafe fn flip(&self, range: Range<usize>, flip: F::Raw) {
        let (at, count) = self.part(range);
        // SAFETY: the entries lie in the table; the caller answers for the new descriptors.
        unsafe { self.machine.flip(at, count, flip) }
    }

    /// Writes `raw` and its successors, each `step` further, to the entries in `range`: one store each.
    ///
    /// # Safety
    /// As for [`store`](Self::store), for each of them.
    #[inline]
    pub unsafe fn fill(&self, range: Range<usize>, raw: F::Raw, step: F::Raw) {
        let (at, count) = self.part(range);
        // SAFETY: the entries lie in the table; the caller answers for the descriptors.
        unsafe { self.machine.fill(at, count, raw, step) }
    }

    /// As [`fill`](Self::fill), where there are so few that a call would cost more.
    ///
    /// # Safety
    /// As for [`store`](Self::store), for each of them.
    #[inline]
    pub(crate) unsafe fn fill_few(&self, range: Range<usize>, raw: F::Raw, step: F::Raw) {
        let (at, count) = self.part(range);
        // SAFETY: the entries lie in the table; the caller answers for the descriptors.
        unsafe { bulk::fill(self.machine, at, count, raw, step) }
    }

    /// Writes zero, the absent entry, to the entries in `range`: one store each.
    ///
    /// # Safety
    /// As for [`store`](Self::store), for each of them.
    #[inline]
    pub unsafe fn zero(&self, range: Range<usize>) {
        // SAFETY: the caller answers for it.
        unsafe { self.fill(range, F::Raw::default(), F::Raw::default()) }
    }

    /// Writes zero to the entries in `range` of a table that no walk reaches.
    ///
    /// # Safety
    /// As for [`store`](Self::store), for each of them.
    #[inline]
    pub unsafe fn zero_unlinked(&self, range: Range<usize>) {
        let (at, count) = self.part(range);
        // SAFETY: the entries lie in the table; the caller answers for the rest.
        unsafe { self.machine.zero_unlinked(at, count) }
    }

    /// Copies the descriptors in `range` from a table of the same depth to this one, which no walk reaches.
    ///
    /// # Safety
    /// As for [`store`](Self::store), for each of them; the other table has them.
    #[inline]
    pub unsafe fn copy_unlinked(&self, from: &Self, range: Range<usize>) {
        let (at, count) = self.part(range.clone());
        // SAFETY: the entries lie in two tables of one size; the caller answers for the descriptors.
        unsafe { self.machine.copy_unlinked(from.slot(range.start).cast_const(), at, count) }
    }
}

impl<F: Format, M: Machine> Node<'_, F, M> {
    /// Copies the descriptors in `range`, which are few, from a table of the same depth, one store each, for all walks to
    /// see behind a DSB.
    ///
    /// # Safety
    /// As for [`store`](Self::store), for each of them.
    #[inline(never)]
    pub(crate) unsafe fn copy_few(&self, from: &Self, range: Range<usize>) {
        let (at, count) = self.part(range.clone());
        // SAFETY: the entries lie in two tables of one size; the caller answers for the descriptors.
        unsafe { bulk::copy(self.machine, from.slot(range.start).cast_const(), at, count) };
        self.clean(range);
    }

    /// Cleans the entries in `range` for walks that do not snoop the data cache.
    #[inline]
    pub fn clean(&self, range: Range<usize>) {
        let bytes = range.len() * size_of::<F::Raw>();
        self.machine.clean(self.slot(range.start).cast_const().cast(), bytes);
    }

    /// [Cleans](Self::clean) one entry.
    #[inline(always)]
    pub(crate) fn clean_one(&self, index: usize) {
        self.machine.clean(self.slot(index).cast_const().cast(), size_of::<F::Raw>());
    }
}

/// The last index of a whole table at `depth`.
#[inline]
fn last<F: Format>(depth: usize) -> u16 {
    F::geometry(depth).last as u16
}

/// How many entries on each side of a range [`Node::is_empty_outside`] looks at first.
const NEAR: usize = 8;
