//! Tables taken from the allocator before an edit commits, so that the commit cannot fail.

use core::iter;

use super::mem::{OutOfMemory, TableMemory};
use super::node::{MAX_LEVELS, Node};
use crate::addr::PhysAddr;
use crate::format::{Descriptor, Format};

/// A table or none, in a word that tables hold to form a list: they are chained through their own first entries.
///
/// Such a word does no harm where a walk still reads the table: its bits 1:0 are clear, which makes it an invalid
/// descriptor in both formats (DDI 0406C B3.5.1, B3.6.1).
#[derive(Clone, Copy, Default)]
pub(crate) struct Link(u64);

impl Link {
    /// Set for a table, as one may lie at address 0. No table's address has this bit.
    const SOME: u64 = 1 << 2;
    /// Set for a table that is the top of a tree: its address does not have this bit either.
    const TREE: u64 = 1 << 3;

    /// To `table`.
    #[inline]
    pub(crate) fn to(table: PhysAddr) -> Self {
        Self(table.as_u64() | Self::SOME)
    }

    /// To `table` and to all that its entries but the first point to, where that is not swapper's.
    #[inline]
    pub(crate) fn to_tree(table: PhysAddr) -> Self {
        Self(table.as_u64() | Self::SOME | Self::TREE)
    }

    /// The table.
    #[inline]
    pub(crate) fn table(self) -> Option<PhysAddr> {
        let bits = Self::SOME | Self::TREE;
        if self.0 == 0 { None } else { Some(PhysAddr::truncate(self.0 & !bits)) }
    }

    /// Whether more than the table is meant.
    #[inline]
    fn is_tree(self) -> bool {
        self.0 & Self::TREE != 0
    }

    /// What the first entry of a table holds. In the classic format tables lie below 4 GiB, so it has room.
    #[inline]
    pub(crate) fn read<D: Descriptor>(entry: D) -> Self {
        Self(entry.as_u64())
    }

    /// What is written there.
    #[inline]
    pub(crate) fn entry<D: Descriptor>(self) -> D {
        D::from_u64(self.0)
    }
}

/// A list of unlinked tables of one depth.
#[derive(Clone, Copy, Default)]
pub(crate) struct Chain {
    first: Link,
}

impl Chain {
    /// Puts what `link` points to in front.
    ///
    /// # Safety
    /// The table is `memory`'s, nobody else writes it, and no entry points to it.
    #[inline]
    pub(crate) unsafe fn push<F: Format, M: TableMemory>(&mut self, memory: &M, link: Link) {
        let Some(table) = link.table() else { return };
        let entry = memory.virt(table).cast::<F::Raw>();
        // SAFETY: the caller vouches for the table.
        unsafe { memory.store(entry, self.first.entry()) };
        self.first = link;
    }

    /// Takes the first.
    #[inline]
    fn pop_link<F: Format, M: TableMemory>(&mut self, memory: &M) -> Option<(Link, PhysAddr)> {
        let link = self.first;
        let table = link.table()?;
        let entry = memory.virt(table).cast::<F::Raw>();
        // SAFETY: `push` put the table into the list, so it is the list's alone and has this word.
        self.first = Link::read(unsafe { memory.load(entry) });
        Some((link, table))
    }

    /// Takes the first, which is a table alone.
    #[inline]
    pub(crate) fn pop<F: Format, M: TableMemory>(&mut self, memory: &M) -> Option<PhysAddr> {
        self.pop_link::<F, M>(memory).map(|(_, table)| table)
    }

    /// Gives all of them back.
    ///
    /// # Safety
    /// As for [`TableMemory::free`], for each of them and all that their links say.
    #[inline]
    pub(crate) unsafe fn free<F: Format, M: TableMemory>(&mut self, memory: &M, depth: usize) {
        let chain = core::mem::take(self);
        if chain.first.table().is_none() {
            return;
        }
        // SAFETY: the caller answers for it.
        unsafe {
            match Self::has_trees::<F>(depth) {
                true => chain.free_trees::<F, M>(memory, depth),
                false => chain.free_tables::<F, M>(memory, depth),
            }
        }
    }

    /// Whether tables of this depth, which is no root's, have tables below.
    pub(crate) const fn has_trees<F: Format>(depth: usize) -> bool {
        F::LEVELS.len() > 2 && depth + 1 < F::LEVELS.len()
    }

    /// [Gives back](Self::free) all of them, each alone.
    #[inline(never)]
    unsafe fn free_tables<F: Format, M: TableMemory>(mut self, memory: &M, depth: usize) {
        let tables = iter::from_fn(move || self.pop::<F, M>(memory));
        // SAFETY: the caller answers for it.
        unsafe { memory.free_all(tables, F::level(depth)) };
    }

    /// [Gives back](Self::free) all of them, some with the tables below.
    #[inline(never)]
    unsafe fn free_trees<F: Format, M: TableMemory>(mut self, memory: &M, depth: usize) {
        while let Some((link, table)) = self.pop_link::<F, M>(memory) {
            // SAFETY: the caller answers for it; below are tables of ptes alone.
            unsafe {
                if link.is_tree() {
                    let top = Node::<F, M>::new(memory, table, depth);
                    let below = (1..top.count()).filter_map(|index| {
                        let table = top.own(top.load(index))?.table();
                        // No table goes while an entry points to it.
                        top.store(index, F::Raw::default());
                        Some(table)
                    });
                    memory.free_all(below, F::level(depth + 1));
                }
                memory.free(table, F::level(depth));
            }
        }
    }

    /// Moves all of `other` to the front.
    #[inline(never)]
    pub(crate) fn append<F: Format, M: TableMemory>(&mut self, memory: &M, mut other: Self) {
        while let Some((link, _)) = other.pop_link::<F, M>(memory) {
            // SAFETY: it was in a list, so it is unlinked and ours.
            unsafe { self.push::<F, M>(memory, link) };
        }
    }
}

/// What a plan made sure of, for a commit that has nowhere to fail to.
#[inline]
pub(crate) fn planned<T>(value: Option<T>) -> Option<T> {
    debug_assert!(value.is_some(), "the plan allowed for this");
    value
}

/// How many tables of each depth an edit will need.
pub(crate) type Need = [usize; MAX_LEVELS];

/// Adds `count` tables of `depth` to what is needed.
#[inline]
pub(crate) fn add(need: &mut Need, depth: usize, count: usize) {
    if let Some(need) = need.get_mut(depth) {
        *need += count;
    }
}

/// Tables reserved for one edit. What is left goes back when it is dropped.
pub(crate) struct Reserve<'m, F: Format, M: TableMemory> {
    machine: &'m M,
    chains: [Chain; MAX_LEVELS],
    format: core::marker::PhantomData<F>,
}

impl<'m, F: Format, M: TableMemory> Reserve<'m, F, M> {
    /// None yet.
    #[inline]
    pub(crate) fn new(machine: &'m M) -> Self {
        Self { machine, chains: Default::default(), format: core::marker::PhantomData }
    }

    /// Takes as many tables as `need` says; if there are not so many, what was taken goes back with the reserve.
    #[inline(never)]
    pub(crate) fn fill(&mut self, need: &Need) -> Result<(), OutOfMemory> {
        for ((&need, level), chain) in need.iter().zip(F::LEVELS).zip(&mut self.chains) {
            for _ in 0..need {
                let table = self.machine.allocate(level)?;
                // SAFETY: it is fresh from the allocator.
                unsafe { chain.push::<F, M>(self.machine, Link::to(table)) };
            }
        }
        Ok(())
    }

    /// A table for `depth`, with any content. `None` only if the plan counted wrong.
    #[inline(never)]
    pub(crate) fn take(&mut self, depth: usize) -> Option<PhysAddr> {
        let chain = self.chains.get_mut(depth)?;
        planned(chain.pop::<F, M>(self.machine))
    }
}

impl<F: Format, M: TableMemory> Drop for Reserve<'_, F, M> {
    #[inline(never)]
    fn drop(&mut self) {
        for depth in 1..F::LEVELS.len() {
            if let Some(chain) = self.chains.get_mut(depth) {
                // SAFETY: they were never linked.
                unsafe { chain.free::<F, M>(self.machine, depth) };
            }
        }
    }
}
