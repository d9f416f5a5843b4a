//! Tables taken from the allocator before an edit commits, so that the commit cannot fail.

use core::iter;

use super::mem::{OutOfMemory, TableMemory};
use super::node::MAX_LEVELS;
use crate::addr::PhysAddr;
use crate::format::{Format, Level};

/// A list of unlinked tables of one depth, chained through their own first eight bytes.
///
/// The chain does no harm where a stale walk may still read a table: the address of a table has its low
/// bits clear, and such a word is an invalid descriptor in both formats (DDI 0406C B3.5.1, B3.6.1).
#[derive(Clone, Copy, Default)]
pub(crate) struct Chain {
    head: Option<PhysAddr>,
}

impl Chain {
    /// Puts `table` in front.
    ///
    /// # Safety
    /// The table is `memory`'s, nobody else writes it, and no entry points to it.
    #[inline]
    pub(crate) unsafe fn push<F: Format, M: TableMemory>(&mut self, memory: &M, table: PhysAddr) {
        let word = self.head.map_or(0, PhysAddr::as_u64);
        Self::set_next::<F, M>(memory, table, word);
        self.head = Some(table);
    }

    /// Takes the first. Most lists are empty, and say so without a call.
    #[inline]
    pub(crate) fn pop<F: Format, M: TableMemory>(&mut self, memory: &M) -> Option<PhysAddr> {
        self.head.map(|table| self.take::<F, M>(memory, table))
    }

    /// Takes `table`, the first.
    #[inline]
    fn take<F: Format, M: TableMemory>(&mut self, memory: &M, table: PhysAddr) -> PhysAddr {
        let next = Self::next::<F, M>(memory, table);
        self.head = if next == 0 { None } else { Some(PhysAddr::truncate(next)) };
        table
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
        let mut chain = core::mem::take(self);
        if chain.head.is_some() {
            // SAFETY: the caller answers for it.
            unsafe { memory.free_all(iter::from_fn(move || chain.pop::<F, M>(memory)), level) };
        }
    }

    /// Moves all of `other` to the front.
    #[inline(never)]
    pub(crate) fn append<F: Format, M: TableMemory>(&mut self, memory: &M, mut other: Self) {
        while let Some(table) = other.pop::<F, M>(memory) {
            // SAFETY: it was in a list, so it is unlinked and ours.
            unsafe { self.push::<F, M>(memory, table) };
        }
    }

    fn next<F: Format, M: TableMemory>(memory: &M, table: PhysAddr) -> u64 {
        use crate::format::Descriptor;
        // SAFETY: `push` put the table into the list, so it is the list's alone and has this word. In the
        // classic format tables lie below 4 GiB, so a descriptor's 32 bits hold an address.
        unsafe { memory.load(memory.virt(table).cast::<F::Raw>()) }.as_u64()
    }

    fn set_next<F: Format, M: TableMemory>(memory: &M, table: PhysAddr, next: u64) {
        use crate::format::Descriptor;
        // SAFETY: `push`'s caller vouches for the table.
        unsafe { memory.store(memory.virt(table).cast::<F::Raw>(), F::Raw::from_u64(next)) }
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
