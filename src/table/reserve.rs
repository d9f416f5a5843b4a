//! Tables taken from the allocator before an edit commits, so that the commit cannot fail.

use core::iter;

use super::mem::{OutOfMemory, TableMemory};
use super::node::MAX_LEVELS;
use crate::addr::PhysAddr;
use crate::format::{Descriptor, Format, Level};

/// A table or none, in a word that tables hold to form a list: they are chained through their own first entries.
///
/// Such a word does no harm where a walk still reads the table: its bits 1:0 are clear, which makes it an invalid
/// descriptor in both formats (DDI 0406C B3.5.1, B3.6.1).
#[derive(Clone, Copy, Default)]
pub(crate) struct Link(u64);

impl Link {
    /// Set for a table, as one may lie at address 0. No table's address has this bit.
    const SOME: u64 = 1 << 2;

    /// To `table`.
    #[inline]
    pub(crate) fn to(table: PhysAddr) -> Self {
        Self(table.as_u64() | Self::SOME)
    }

    /// The table.
    #[inline]
    pub(crate) fn table(self) -> Option<PhysAddr> {
        if self.0 == 0 { None } else { Some(PhysAddr::truncate(self.0 & !Self::SOME)) }
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
    /// Puts `table` in front.
    ///
    /// # Safety
    /// The table is `memory`'s, nobody else writes it, and no entry points to it.
    #[inline]
    pub(crate) unsafe fn push<F: Format, M: TableMemory>(&mut self, memory: &M, table: PhysAddr) {
        let entry = memory.virt(table).cast::<F::Raw>();
        // SAFETY: the caller vouches for the table.
        unsafe { memory.store(entry, self.first.entry()) };
        self.first = Link::to(table);
    }

    /// Takes the first.
    #[inline]
    pub(crate) fn pop<F: Format, M: TableMemory>(&mut self, memory: &M) -> Option<PhysAddr> {
        let table = self.first.table()?;
        let entry = memory.virt(table).cast::<F::Raw>();
        // SAFETY: `push` put the table into the list, so it is the list's alone and has this word.
        self.first = Link::read(unsafe { memory.load(entry) });
        Some(table)
    }

    /// Gives all of them back.
    ///
    /// # Safety
    /// As for [`TableMemory::free`], for each of them.
    #[inline]
    pub(crate) unsafe fn free<F: Format, M: TableMemory>(
        &mut self,
        memory: &M,
        level: &'static Level,
    ) {
        let chain = core::mem::take(self);
        if chain.first.table().is_some() {
            // SAFETY: the caller answers for it.
            unsafe { chain.free_some::<F, M>(memory, level) };
        }
    }

    /// [Gives back](Self::free) all of them, of which there are some.
    #[inline(never)]
    unsafe fn free_some<F: Format, M: TableMemory>(mut self, memory: &M, level: &'static Level) {
        // SAFETY: the caller answers for it.
        unsafe { memory.free_all(iter::from_fn(move || self.pop::<F, M>(memory)), level) };
    }

    /// Moves all of `other` to the front.
    #[inline(never)]
    pub(crate) fn append<F: Format, M: TableMemory>(&mut self, memory: &M, mut other: Self) {
        while let Some(table) = other.pop::<F, M>(memory) {
            // SAFETY: it was in a list, so it is unlinked and ours.
            unsafe { self.push::<F, M>(memory, table) };
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
    /// Takes as many tables as `need` says, or none.
    #[inline(never)]
    pub(crate) fn new(machine: &'m M, need: &Need) -> Result<Self, OutOfMemory> {
        let mut reserve =
            Self { machine, chains: Default::default(), format: core::marker::PhantomData };
        for ((&need, level), chain) in need.iter().zip(F::LEVELS).zip(&mut reserve.chains) {
            for _ in 0..need {
                let table = machine.allocate(level)?;
                // SAFETY: it is fresh from the allocator.
                unsafe { chain.push::<F, M>(machine, table) };
            }
        }
        Ok(reserve)
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
        for (chain, level) in self.chains.iter_mut().zip(F::LEVELS) {
            // SAFETY: they were never linked.
            unsafe { chain.free::<F, M>(self.machine, level) };
        }
    }
}
