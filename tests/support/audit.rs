//! What all tables hold, who owns them, and whether that adds up.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::{Descriptor, Entry, Format, Host, Owner, PhysAddr};

/// The content of every table in use, by physical address.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<u64, Vec<u8>>);

impl Snapshot {
    /// How many tables.
    pub fn tables(&self) -> usize {
        self.0.len()
    }

    /// Where this differs from `then`: the first byte of the first table that does, or a table that is
    /// not in both.
    fn difference(&self, then: &Self) -> Option<String> {
        for (at, before) in &then.0 {
            match self.0.get(at) {
                None => return Some(format!("the table at {at:#x} is gone")),
                Some(now) if now != before => {
                    let byte = now.iter().zip(before).position(|(a, b)| a != b);
                    return Some(format!("the table at {at:#x} differs at byte {byte:?}"));
                }
                Some(_) => {}
            }
        }
        let new = self.0.keys().find(|at| !then.0.contains_key(at));
        new.map(|at| format!("the table at {at:#x} is new"))
    }
}

/// Asserts that every table is what it was, bit for bit, and that there are no others.
#[track_caller]
pub fn assert_same(now: &Snapshot, then: &Snapshot) {
    if let Some(difference) = now.difference(then) {
        panic!("{difference}");
    }
}

impl<F: Format> Host<F> {
    /// Every table in use, bit for bit.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.state.borrow();
        let used = state.links.tables.iter().enumerate().filter(|(_, table)| table.used);
        let content = |(id, table): (usize, &super::links::Table)| {
            (table.base, state.views::<F>(id)[0].to_vec())
        };
        Snapshot(used.map(content).collect())
    }

    /// The tables below `root` that swapper owns: what no pgd may ever write.
    pub fn snapshot_of(&self, root: PhysAddr) -> Snapshot {
        let mut below = BTreeSet::new();
        self.collect(root.as_u64(), 0, &mut below);
        let Snapshot(all) = self.snapshot();
        Snapshot(all.into_iter().filter(|(at, _)| below.contains(at)).collect())
    }

    /// The entries of the table at `table`.
    pub fn entries(&self, table: u64, depth: usize) -> Vec<Entry> {
        self.entries_at(table, depth, 0..F::LEVELS[depth].entries())
    }

    /// Some entries of the table at `table`.
    pub fn entries_at(&self, table: u64, depth: usize, indices: Range<usize>) -> Vec<Entry> {
        let state = self.state.borrow();
        let id = state.links.at(table).expect("a table in use");
        let [memory, _] = state.views::<F>(id);
        let words = memory.chunks_exact(size_of::<F::Raw>());
        words
            .skip(indices.start)
            .take(indices.len())
            .map(|word| {
                let mut bytes = [0; 8];
                bytes[..word.len()].copy_from_slice(word);
                F::decode(depth, F::Raw::from_u64(u64::from_le_bytes(bytes)))
            })
            .collect()
    }

    /// The tables below and including the one at `table`, marked entries followed.
    fn collect(&self, table: u64, depth: usize, found: &mut BTreeSet<u64>) {
        if !found.insert(table) || depth + 1 == F::LEVELS.len() {
            return;
        }
        for entry in self.entries(table, depth) {
            if let Entry::Table(entry) = entry {
                self.collect(entry.table.as_u64(), depth + 1, found);
            }
        }
    }

    /// Asserts that the tables in use are those of `swapper` and of the `pgds`, each in one tree and linked
    /// there once; that swapper's are marked wherever they are linked; that every tree is published, and
    /// every change of it forgotten by the TLBs.
    #[track_caller]
    pub fn audit(&self, swapper: PhysAddr, pgds: &[PhysAddr]) {
        let mut shared = BTreeSet::new();
        self.collect(swapper.as_u64(), 0, &mut shared);
        for &at in &shared {
            let depth = self.depth(at);
            for entry in self.entries(at, depth) {
                assert!(
                    !matches!(entry, Entry::Table(table) if table.owner != Owner::Swapper),
                    "an entry of swapper's has no mark"
                );
                assert_ne!(entry, Entry::Reserved, "swapper holds a word of unknown meaning");
            }
        }
        let mut own = BTreeSet::new();
        for pgd in pgds {
            self.audit_own(pgd.as_u64(), 0, &shared, &mut own);
        }
        let state = self.state.borrow();
        for (id, table) in state.links.tables.iter().enumerate().filter(|(_, table)| table.used) {
            assert!(
                shared.contains(&table.base) || own.contains(&table.base),
                "a table of depth {} leaked",
                table.depth
            );
            state.assert_published::<F>(id);
        }
        state.debts.assert_paid();
    }

    /// Asserts that the TLBs forgot every change, and that the next instruction sees it.
    #[track_caller]
    pub fn assert_paid(&self) {
        self.state.borrow().debts.assert_paid();
    }

    /// Asserts that no TLB knows a way to the memory at `frame` that was taken away.
    #[track_caller]
    pub fn assert_forgotten(&self, frame: PhysAddr) {
        self.state.borrow().debts.assert_forgotten(frame);
    }

    fn audit_own(&self, table: u64, depth: usize, shared: &BTreeSet<u64>, own: &mut BTreeSet<u64>) {
        assert!(own.insert(table), "two entries own one table");
        assert!(!shared.contains(&table), "a pgd owns a table of swapper's");
        for entry in self.entries(table, depth) {
            match entry {
                Entry::Table(entry) if entry.owner == Owner::Swapper => {
                    assert!(shared.contains(&entry.table.as_u64()), "marked, but not swapper's");
                }
                Entry::Table(entry) => {
                    self.audit_own(entry.table.as_u64(), depth + 1, shared, own);
                }
                Entry::Reserved => panic!("a pgd holds a word of unknown meaning"),
                Entry::Absent | Entry::Leaf(_) => {}
            }
        }
    }

    /// Asserts that no table that `root`'s tree made on demand is empty: those are freed at once.
    #[track_caller]
    pub fn assert_no_empty_table(&self, root: PhysAddr) {
        self.assert_used(root.as_u64(), 0);
    }

    fn assert_used(&self, table: u64, depth: usize) {
        for entry in self.entries(table, depth) {
            if let Entry::Table(entry) = entry
                && entry.owner != Owner::Swapper
            {
                let below = self.entries(entry.table.as_u64(), depth + 1);
                let empty = below.iter().all(|entry| *entry == Entry::Absent);
                assert!(!empty || entry.owner == Owner::Kernel, "an empty table stayed");
                self.assert_used(entry.table.as_u64(), depth + 1);
            }
        }
    }

    fn depth(&self, table: u64) -> usize {
        let state = self.state.borrow();
        state.links.tables[state.links.at(table).expect("a table in use")].depth
    }
}
