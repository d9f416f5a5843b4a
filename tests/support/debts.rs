//! What TLBs may still remember, as an automaton over the operations that the machine sees.
//!
//! A changed translation is a debt that goes through store → DSB → TLBI of it (→ BPIALL, if code was
//! reached) → DSB ISH (DDI 0406C B3.10.1, A3.8.3). A valid entry may not be stored over one that is still
//! owed where the manual wants a break before the make.

use std::collections::BTreeMap;

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::Access;
use armv7a_mm::format::{Entry, Format, Leaf};

/// How far a changed translation is from being forgotten.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    Stored,
    Completed,
    Invalidated,
}

struct Debt {
    /// What the entry translated, the whole run of a leaf in one.
    span: VirtRange,
    /// A table went: walk caches may hold it under any address.
    wide: bool,
    /// Code was reached, and no BPIALL came since the TLBI.
    predicted: bool,
    stage: Stage,
    /// The old entry is still what a TLB may use.
    old: Entry,
}

/// Everything owed, by physical address of the entry.
#[derive(Default)]
pub struct Debts {
    owed: BTreeMap<u64, Debt>,
    /// A live entry was stored after the last ISB.
    unsynchronised: bool,
}

/// Whether the hardware uses the entry, so that a TLB may hold it.
fn is_valid(entry: Entry) -> bool {
    match entry {
        Entry::Table(_) => true,
        Entry::Leaf(leaf) => leaf.attrs.access != Access::None,
        Entry::Absent | Entry::Reserved => false,
    }
}

fn executes(entry: Entry) -> bool {
    matches!(entry, Entry::Leaf(leaf) if leaf.attrs.access == Access::ReadExecute)
}

/// Whether one valid entry may follow another without a moment of nothing in between: only permissions and
/// bookkeeping may change (DDI 0406C B3.10.1).
fn may_follow(old: Entry, new: Entry) -> bool {
    let essence =
        |leaf: Leaf| (leaf.frame, leaf.run, leaf.attrs.memory, leaf.attrs.share, leaf.attrs.global);
    match (old, new) {
        (Entry::Leaf(old), Entry::Leaf(new)) => essence(old) == essence(new),
        (Entry::Table(old), Entry::Table(new)) => old.table == new.table,
        _ => false,
    }
}

impl Debts {
    /// The entry at `slot`, which translates from `va` on, was changed while walks reach it.
    pub fn stored<F: Format>(
        &mut self,
        slot: u64,
        depth: usize,
        va: VirtAddr,
        [old, new]: [F::Raw; 2],
    ) {
        if old == new {
            return;
        }
        self.unsynchronised = true;
        let [old, new] = [old, new].map(|raw| F::decode(depth, raw));
        if is_valid(new) {
            if let Some(debt) = self.owed.get(&slot) {
                assert!(
                    is_valid(old) && may_follow(debt.old, new),
                    "{va}: {new:?} stored while TLBs may hold {:?} ({:?})",
                    debt.old,
                    debt.stage
                );
            }
            assert!(
                !is_valid(old) || may_follow(old, new),
                "{va}: {old:?} became {new:?} with no break before make"
            );
        }
        if is_valid(old) {
            let run = matches!(old, Entry::Leaf(leaf) if leaf.run);
            let span = VirtRange::aligned(va, F::LEVELS[depth].shift + if run { 4 } else { 0 });
            let predicted = executes(old) || executes(new);
            let wide = matches!(old, Entry::Table(_));
            self.owed.insert(slot, Debt { span, wide, predicted, stage: Stage::Stored, old });
        }
    }

    /// A DSB: stores and cleans so far are complete.
    pub fn dsb(&mut self) {
        for debt in self.owed.values_mut() {
            debt.stage = debt.stage.max(Stage::Completed);
        }
    }

    /// A DSB ISH: invalidations so far are complete, too.
    pub fn dsb_ish(&mut self) {
        self.owed.retain(|_, debt| debt.stage != Stage::Invalidated || debt.predicted);
        self.dsb();
    }

    /// A TLBI of the page at `va`, or of everything.
    pub fn tlbi(&mut self, va: Option<VirtAddr>) {
        for debt in self.owed.values_mut() {
            let hit = va.is_none_or(|va| !debt.wide && debt.span.contains(va));
            if hit && debt.stage == Stage::Completed {
                debt.stage = Stage::Invalidated;
            }
        }
    }

    /// A BPIALL.
    pub fn bpiall(&mut self) {
        for debt in self.owed.values_mut() {
            debt.predicted &= debt.stage != Stage::Invalidated;
        }
    }

    /// An ISB.
    pub fn isb(&mut self) {
        self.unsynchronised = false;
    }

    /// A table's memory at `range` was given back.
    pub fn forget(&mut self, range: std::ops::Range<u64>) {
        let mut owed = self.owed.range(range);
        assert!(owed.next().is_none(), "a table was freed while TLBs may hold its entries");
    }

    /// No TLB holds a changed translation to the memory at `frame`.
    ///
    /// # Panics
    /// If one may.
    pub fn assert_forgotten(&self, frame: PhysAddr) {
        for Debt { span, old, stage, .. } in self.owed.values() {
            let Entry::Leaf(leaf) = old else { continue };
            let offset = frame.as_u64().wrapping_sub(leaf.frame.as_u64());
            assert!(offset >= span.bytes(), "{span:?} is owed: {stage:?} was {old:?}");
        }
    }

    /// Everything was paid.
    ///
    /// # Panics
    /// If a TLB may still hold what changed, or a later instruction need not see it.
    pub fn assert_paid(&self) {
        if let Some(debt) = self.owed.values().next() {
            panic!("{:?} is owed: {:?} was {:?}", debt.span, debt.stage, debt.old);
        }
        assert!(!self.unsynchronised, "no ISB after the last store");
    }
}
