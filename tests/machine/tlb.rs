//! What one CPU remembers: translations and walk cache entries, kept until something makes it forget.

use super::leaf::{Leaf, first, last};
use super::rng::{Choice, Rng};
use super::violation::Holder;
use super::walk::Partial;

/// One remembered translation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The address space; `None` is global.
    pub asid: Option<u8>,
    pub first: u32,
    pub last: u32,
    pub leaf: Leaf,
    /// The table that held the leaf.
    pub source: u64,
}

impl Entry {
    /// Whether it translates `va` in an address space.
    pub fn serves(&self, va: u32, asid: u8) -> bool {
        self.asid.is_none_or(|mine| mine == asid) && self.first <= va && va <= self.last
    }
}

/// What a maintenance operation makes a TLB forget (DDI 0406C B3.18.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forget {
    /// TLBIMVA: a page of an address space, or global.
    Page(u32, u8),
    /// TLBIMVAA: a page of all.
    PageOfAll(u32),
    /// TLBIASID: what an address space does not share.
    Space(u8),
    /// TLBIALL.
    All,
}

impl Forget {
    /// Whether it reaches a translation of `first..=last` of `asid`, `None` for a global one.
    pub fn reaches(&self, asid: Option<u8>, first: u32, last: u32) -> bool {
        let holds = |va: u32| first <= va && va <= last;
        match *self {
            Self::Page(va, mine) => holds(va) && asid.is_none_or(|asid| asid == mine),
            Self::PageOfAll(va) => holds(va),
            Self::Space(mine) => asid == Some(mine),
            Self::All => true,
        }
    }

    /// Whether it reaches the walk cache entries of `asid`, `None` for all address spaces'. Here an operation
    /// by address does not: a table serves more than the one address.
    pub fn reaches_tables(&self, asid: Option<u8>) -> bool {
        match *self {
            Self::Page(..) | Self::PageOfAll(_) => false,
            Self::Space(mine) => asid == Some(mine),
            Self::All => true,
        }
    }
}

/// More entries than real TLBs have, few enough to search.
const ENTRIES: usize = 96;
const PARTIALS: usize = 48;

/// A TLB with its walk cache.
#[derive(Clone, Debug, Default)]
pub struct Tlb {
    pub entries: Vec<Entry>,
    pub partials: Vec<Partial>,
    /// Tables that were freed while it knew them by an identifier out of reach: to be forgotten before its CPU runs
    /// under that.
    pub lost: Vec<(u8, u64)>,
}

impl Tlb {
    /// Remembers a translation of `va`. Of a run, it may remember all or the part that it walked.
    pub fn insert(&mut self, va: u32, asid: u8, leaf: Leaf, source: u64, rng: &mut Rng) {
        let shift = if rng.one_in(2) { leaf.step } else { leaf.shift };
        let entry = Entry {
            asid: if leaf.global { None } else { Some(asid) },
            first: first(va, shift),
            last: last(va, shift),
            leaf,
            source,
        };
        keep(&mut self.entries, entry, ENTRIES, rng);
    }

    /// Remembers a pointer to a table.
    pub fn insert_partial(&mut self, partial: Partial, rng: &mut Rng) {
        keep(&mut self.partials, partial, PARTIALS, rng);
    }

    /// Forgets.
    pub fn forget(&mut self, what: Forget) {
        self.entries.retain(|entry| !what.reaches(entry.asid, entry.first, entry.last));
        self.partials.retain(|partial| !what.reaches_tables(Some(partial.asid)));
        if what == Forget::All {
            self.lost.clear();
        }
    }

    /// Whether it knows a table by an identifier that is one of those `by` names: in its walk cache, or by a leaf of it.
    pub fn knows(&self, table: u64, by: impl Fn(u8) -> bool) -> Option<Holder> {
        if self.partials.iter().any(|it| it.table == table && by(it.asid)) {
            Some(Holder::WalkCache)
        } else if self.entries.iter().any(|it| it.source == table && it.asid.is_some_and(&by)) {
            Some(Holder::Tlb)
        } else {
            None
        }
    }

    /// The translations that match an address.
    pub fn matches(&self, va: u32, asid: u8) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.serves(va, asid))
    }

    /// Whether an access would hit entries of different meaning at once.
    pub fn conflicts(&self, va: u32, asid: u8) -> bool {
        let mut matches = self.matches(va, asid);
        let Some(one) = matches.next() else { return false };
        matches.any(|other| !other.leaf.may_replace(&one.leaf))
    }
}

/// Adds what is not there yet, in place of something else when full.
fn keep<T: PartialEq>(list: &mut Vec<T>, new: T, limit: usize, rng: &mut Rng) {
    if list.contains(&new) {
        return;
    }
    if list.len() < limit {
        list.push(new);
    } else {
        let victim = rng.index(limit);
        list[victim] = new;
    }
}
