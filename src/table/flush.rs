//! The debt an edit leaves: what TLBs may still remember, and the tables that may only be freed once they
//! have forgotten.
//!
//! The recipe is the manual's (DDI 0406C B3.10.1) and stands here alone:
//!
//! ```text
//! stores ─▶ where walks do not snoop: clean lines, DSB ISH ─▶ DSB ISHST ─▶ TLBI … ─▶ BPIALL, where code went
//!        ─▶ DSB ISH ─▶ ISB ─▶ free the tables
//! ```
//!
//! The cleans have a DSB of their own, as an ISHST waits for stores alone (A3.8.3).

use core::fmt;
use core::marker::PhantomData;

use super::context::{Reach, Whose};
use super::mem::Machine;
use super::node::{MAX_LEVELS, Node};
use super::reserve::{Chain, Link};
use crate::addr::{PAGE_SHIFT, PAGE_SIZE, PhysAddr, VirtAddr, VirtRange};
use crate::format::Format;

/// From this many pages on, one operation that forgets everything is cheaper than one a page. More than
/// the 16 of a run of pages, so that one such leaf is still forgotten alone.
const MANY_PAGES: u32 = 32;

/// Completes stores to linked tables that only made absent entries present.
///
/// No TLB remembers a fault, so nothing needs to be forgotten (DDI 0406C B3.10.1).
#[inline]
pub(crate) fn publish<M: Machine>(machine: &M) {
    machine.dsb_ishst();
    machine.isb();
}

/// Makes every CPU forget an address space that mapped nothing: what walk caches know of its tables.
#[inline]
pub(crate) fn forget_space<M: Machine>(machine: &M, whose: Whose<'_>) {
    machine.dsb_ishst();
    match whose.reach() {
        Reach::Everyone => machine.tlbiall(),
        Reach::Asid(asid) => machine.tlbiasid(asid),
        Reach::Nobody => return,
    }
    machine.dsb_ish();
    machine.isb();
}

/// What an edit owes before its effects may be relied on, and the tables it took out of the tree.
///
/// It is paid by [`pay`](Self::pay), or when dropped, which may free tables: it can only be put off or
/// [merged](Self::merge). Until then other CPUs, and this one, may still use the old translations.
///
/// While it is put off:
/// - Map nothing near what was unmapped: walk caches may still lead to a table that the edit cut off, and the
///   new mapping would fault, up to all that one entry of the root translates.
/// - Let the CPU that made the edit pay, or have a DSB on it first, as kernels do when a thread moves: a DSB completes
///   the stores of its own CPU alone (DDI 0406C A3.8.3).
#[must_use = "old translations stay in use until the flush is paid"]
pub struct Flush<'m, F: Format, M: Machine> {
    machine: &'m M,
    whose: Whose<'m>,
    range: Option<VirtRange>,
    everything: bool,
    /// TLBs may know the range under any of its addresses, or its tables in walk caches.
    wide: bool,
    executable: bool,
    tables: [Chain; MAX_LEVELS],
    format: PhantomData<F>,
}

impl<'m, F: Format, M: Machine> Flush<'m, F, M> {
    /// No debt yet, about translations of `whose`.
    pub(crate) fn new(machine: &'m M, whose: Whose<'m>) -> Self {
        Self {
            machine,
            whose,
            range: None,
            everything: false,
            wide: false,
            executable: false,
            tables: Default::default(),
            format: PhantomData,
        }
    }

    /// Translations of `range` changed; `executable` if code could be fetched through them.
    #[inline(never)]
    pub(crate) fn add(&mut self, range: VirtRange, executable: bool) {
        self.range = Some(self.range.map_or(range, |old| old.hull(range)));
        self.executable |= executable;
    }

    /// Translations of `range` changed size or place.
    pub(crate) fn add_wide(&mut self, range: VirtRange) {
        self.wide = true;
        self.add(range, true);
    }

    /// All translations of all address spaces are to be forgotten.
    pub(crate) fn add_everything(&mut self) {
        self.everything = true;
        self.executable = true;
        self.whose = Whose::Everyone;
    }

    /// Takes over a table that no entry points to any more.
    ///
    /// # Safety
    /// The table came from the machine's allocator for `depth`, the tree no longer refers to it, and the
    /// addresses it translated are [added](Self::add).
    #[inline]
    pub(crate) unsafe fn add_table(&mut self, table: PhysAddr, depth: usize) {
        // SAFETY: the caller answers for it.
        unsafe { self.add_tables(core::iter::once(table), depth) }
    }

    /// Takes over a table and all tables below that are not swapper's.
    ///
    /// # Safety
    /// As for [`add_table`](Self::add_table), for each of them.
    #[inline(never)]
    pub(crate) unsafe fn add_tree(&mut self, top: &Node<'m, F, M>) {
        let depth = top.depth();
        if !Chain::has_trees::<F>(depth) {
            // SAFETY: the caller answers for it; so for all of these.
            return unsafe { self.add_table(top.table(), depth) };
        }
        // The first entry becomes the list's.
        // SAFETY: as above; the tree's tables stay until the flush is paid.
        unsafe {
            if let Some(first) = top.own(top.load(0)) {
                self.add_table(first.table(), first.depth());
            }
        }
        // What it translated is too much to be forgotten page by page: walk caches forget the tables with it.
        if let Some(chain) = self.tables.get_mut(depth) {
            // SAFETY: as above.
            unsafe { chain.push::<F, M>(self.machine, Link::to_tree(top.table())) };
        }
    }

    /// Takes over all tables below a root that are not swapper's.
    ///
    /// # Safety
    /// As for [`add_table`](Self::add_table), for each of them; the flush covers all that the tree translated.
    pub(crate) unsafe fn add_below(&mut self, root: &Node<'m, F, M>) {
        for index in root.all() {
            // SAFETY: the caller answers for it; the tree's tables stay until the flush is paid.
            unsafe {
                if let Some(top) = root.own(root.load(index)) {
                    self.add_tree(&top);
                }
            }
        }
    }

    /// Takes over many of them.
    ///
    /// # Safety
    /// As for [`add_table`](Self::add_table), for each of them.
    #[inline]
    pub(crate) unsafe fn add_tables(
        &mut self,
        tables: impl Iterator<Item = PhysAddr>,
        depth: usize,
    ) {
        // Walk caches may hold the tables under any address that they translated.
        self.wide = true;
        if let Some(place) = self.tables.get_mut(depth) {
            let mut chain = *place;
            for table in tables {
                // SAFETY: the caller answers for it.
                unsafe { chain.push::<F, M>(self.machine, Link::to(table)) };
            }
            *place = chain;
        }
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.range.is_none() && !self.everything
    }

    /// The addresses whose translations changed, as one range that holds them all.
    pub fn range(&self) -> Option<VirtRange> {
        if self.everything { Some(VirtRange::ALL) } else { self.range }
    }

    /// Takes over the debt of `other`, so that both are paid with one set of barriers. That of another machine is paid at
    /// once.
    #[inline(never)]
    pub fn merge(&mut self, mut other: Self) {
        if !core::ptr::eq(self.machine, other.machine) {
            return other.pay();
        }
        if !self.whose.is_same(other.whose) {
            self.whose = Whose::Everyone;
        }
        if let Some(range) = other.range.take() {
            self.add(range, other.executable);
        }
        if core::mem::take(&mut other.everything) {
            self.add_everything();
        }
        self.wide |= other.wide;
        for (mine, theirs) in self.tables.iter_mut().zip(&mut other.tables) {
            mine.append::<F, M>(self.machine, core::mem::take(theirs));
        }
    }

    /// Makes every CPU forget what changed, then frees the tables.
    pub fn pay(self) {}

    /// Makes every CPU forget what changed so far, and keeps the tables.
    #[inline(never)]
    pub(crate) fn settle(&mut self) {
        let Some(range) = self.range() else { return };
        let many = self.everything
            || self.wide
            || range.last().0 - range.start().0 >= MANY_PAGES * PAGE_SIZE;
        (self.range, self.everything, self.wide) = (None, false, false);
        let machine = self.machine;
        machine.dsb_ishst();
        // Behind the DSB, and no sooner: another CPU may just have begun to run the space by a new ASID.
        match self.whose.reach() {
            Reach::Asid(asid) if many => machine.tlbiasid(asid),
            Reach::Everyone if many => machine.tlbiall(),
            Reach::Nobody => {}
            reach => {
                let mut va = range.start().align_down(PAGE_SHIFT);
                loop {
                    match reach {
                        Reach::Asid(asid) => machine.tlbimva(va, asid),
                        _ => machine.tlbimvaa(va),
                    }
                    match va.0.checked_add(PAGE_SIZE) {
                        Some(next) if next <= range.last().0 => va = VirtAddr(next),
                        _ => break,
                    }
                }
            }
        }
        if core::mem::take(&mut self.executable) {
            machine.bpiall();
        }
        machine.dsb_ish();
        machine.isb();
    }
}

impl<F: Format, M: Machine> Drop for Flush<'_, F, M> {
    #[inline(never)]
    fn drop(&mut self) {
        self.settle();
        for depth in 1..F::LEVELS.len() {
            if let Some(chain) = self.tables.get_mut(depth) {
                // SAFETY: unlinked by the edit, forgotten by `settle`.
                unsafe { chain.free::<F, M>(self.machine, depth) };
            }
        }
    }
}

impl<F: Format, M: Machine> fmt::Debug for Flush<'_, F, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flush")
            .field("whose", &self.whose)
            .field("range", &self.range())
            .field("executable", &self.executable)
            .finish_non_exhaustive()
    }
}
