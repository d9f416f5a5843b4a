//! Which tables there are and which entries point to them: kept from the stores alone, so that it knows
//! nothing of what the library intends.

use std::collections::BTreeMap;

use armv7a_mm::addr::VirtAddr;
use armv7a_mm::format::{Descriptor, Entry, Format};

use super::arena::{BYTES, GRANULE};

/// One piece of table memory, in use or given back.
pub struct Table {
    /// Its physical address.
    pub base: u64,
    /// Its depth from the root.
    pub depth: usize,
    /// How long it is: a root may be shorter than its level says.
    pub bytes: usize,
    /// Whether it is handed out.
    pub used: bool,
    /// Whether a walk can start here: a TTBR holds it.
    pub active: bool,
    /// Whether a walk could ever get here: then it may have been cached.
    pub exposed: bool,
    /// When it was last written, cleaned or cut off.
    pub touched: u64,
    /// When a TTBR by which walks came here was last given another root.
    pub left: u64,
    /// The entries that point here, by physical address.
    pub incoming: Vec<u64>,
}

/// Every table and every link.
pub struct Links {
    /// Physical address of the arena.
    base: u64,
    /// Every table by number.
    pub tables: Vec<Table>,
    /// The table that each granule is part of.
    granules: Vec<Option<usize>>,
    /// Entries that point to a table, by physical address.
    slots: BTreeMap<u64, usize>,
}

impl Links {
    /// No table yet, in memory at `base`.
    pub fn new(base: u64) -> Self {
        let granules = vec![None; BYTES / GRANULE];
        Self { base, tables: Vec::new(), granules, slots: BTreeMap::new() }
    }

    /// A table was handed out at `base`.
    pub fn add(&mut self, base: u64, depth: usize, bytes: usize) {
        let first = (base - self.base) as usize / GRANULE;
        let table = Table {
            base,
            depth,
            bytes,
            used: true,
            active: false,
            exposed: false,
            touched: 0,
            left: 0,
            incoming: Vec::new(),
        };
        if let Some(known) = self.granules[first] {
            self.tables[known] = table;
            return;
        }
        let count = bytes.div_ceil(GRANULE);
        self.granules[first..first + count].fill(Some(self.tables.len()));
        self.tables.push(table);
    }

    /// The table in use that holds the physical address `at`.
    pub fn holder(&self, at: u64) -> Option<usize> {
        let granule = at.checked_sub(self.base)? as usize / GRANULE;
        self.granules.get(granule).copied().flatten().filter(|&id| self.tables[id].used)
    }

    /// The table in use that starts at the physical address `at`.
    pub fn at(&self, at: u64) -> Option<usize> {
        self.holder(at).filter(|&id| self.tables[id].base == at)
    }

    /// When walks could last begin to remember the table.
    pub fn remembered(&self, id: usize) -> u64 {
        self.tables[id].touched.max(self.tables[id].left)
    }

    /// Whether a walk reaches the table.
    pub fn is_live(&self, id: usize) -> bool {
        let table = &self.tables[id];
        table.active
            || table
                .incoming
                .iter()
                .any(|&slot| self.holder(slot).is_some_and(|id| self.is_live(id)))
    }

    /// The first address that the entry at `slot` translates, in a table that a walk reaches.
    pub fn va<F: Format>(&self, slot: u64) -> Option<VirtAddr> {
        let table = &self.tables[self.holder(slot)?];
        let level = &F::LEVELS[table.depth];
        let index = (slot - table.base) as u32 >> level.entry_shift;
        let base = match table.incoming.first() {
            _ if table.active => VirtAddr(0),
            Some(&parent) => self.va::<F>(parent)?,
            None => return None,
        };
        Some(VirtAddr(base.0 | index << level.shift))
    }

    /// The table and all that its entries lead to.
    pub fn subtree(&self, id: usize) -> Vec<usize> {
        let table = &self.tables[id];
        let end = table.base + table.bytes as u64;
        let below = self.slots.range(table.base..end);
        let mut all = vec![id];
        all.extend(below.flat_map(|(_, &child)| self.subtree(child)));
        all
    }

    /// No TTBR holds `root` any more; walk caches may still know its tree.
    pub fn leave(&mut self, root: usize, clock: u64) {
        for id in self.subtree(root) {
            self.tables[id].left = clock;
        }
    }

    /// Walks get to the table, and to all below.
    pub fn expose(&mut self, id: usize) {
        for below in self.subtree(id) {
            self.tables[below].exposed = true;
        }
    }

    /// An entry of table `id` was written. The table it now points to, if that is a new link.
    pub fn stored<F: Format>(
        &mut self,
        id: usize,
        slot: u64,
        new: F::Raw,
        clock: u64,
    ) -> Option<usize> {
        let (depth, live) = (self.tables[id].depth, self.is_live(id));
        self.tables[id].touched = clock;
        let child = match F::decode(depth, new) {
            Entry::Table(table) => {
                let at = table.table.as_u64();
                let child = self.at(at);
                let child = child.unwrap_or_else(|| panic!("linked {at:#x}, which is no table"));
                assert_eq!(self.tables[child].depth, depth + 1, "linked a table of another level");
                Some(child)
            }
            _ => None,
        };
        let old = self.slots.get(&slot).copied();
        if old == child {
            return None;
        }
        if let Some(old) = old {
            self.slots.remove(&slot);
            self.tables[old].incoming.retain(|&other| other != slot);
            // From what was cut off and forgotten before, no walk comes any more.
            if (live || self.tables[id].exposed) && self.tables[old].incoming.is_empty() {
                for id in self.subtree(old) {
                    self.tables[id].touched = clock;
                }
            }
        }
        if let Some(child) = child {
            self.slots.insert(slot, child);
            self.tables[child].incoming.push(slot);
            if self.tables[id].exposed {
                self.expose(child);
            }
        }
        child
    }

    /// A table was given back: its entries point nowhere.
    pub fn remove(&mut self, id: usize, bytes: usize) {
        let base = self.tables[id].base;
        let slots: Vec<u64> =
            self.slots.range(base..base + bytes as u64).map(|(&at, _)| at).collect();
        for slot in slots {
            let child = self.slots.remove(&slot).unwrap();
            self.tables[child].incoming.retain(|&other| other != slot);
        }
        self.tables[id].used = false;
        self.tables[id].active = false;
    }
}
