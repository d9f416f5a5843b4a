//! Which table is where: allocated or free, and for which addresses of which tree it is linked.

use std::ops::Range;

use super::rng::{Choice, Rng};
use super::state::Setup;

/// A tree of tables.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    pub root: u64,
    /// The only address space that runs on it; `None` if that is not known.
    pub asid: Option<u8>,
    /// Whether other trees hold copies of its entries, so that it is always in use.
    pub shared: bool,
    /// CPUs that may remember something of it, a bit each.
    pub walked: u32,
    /// No CPU walks it while it is edited, and whoever enters it forgets everything first: translations may
    /// change as they like, but tables go as ever.
    pub offline: bool,
}

impl Tree {
    /// Whether a CPU may walk it or remember something of it.
    pub fn is_live(&self) -> bool {
        self.shared || self.walked != 0
    }
}

/// Where a linked table stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Which tree links it, the first if several do.
    pub tree: usize,
    /// The first address that it translates.
    pub va: u32,
}

/// One table's memory.
#[derive(Clone, Debug)]
pub struct Table {
    pub pa: u64,
    pub words: Range<usize>,
    pub allocated: bool,
    pub depth: usize,
    pub place: Option<Place>,
    /// The tree that it was cut off from last.
    pub cut_from: Option<usize>,
    /// That tree got another identifier when every walker read that the table was cut off: what is remembered by the old one
    /// is out of reach until all is forgotten, and by the new one nothing can be.
    pub renumbered: bool,
    /// Entries of linked tables that point to it.
    pub links: u32,
    /// Words that no barrier has made visible to every walker yet.
    pub unpublished: usize,
    /// Whether there was a time when there were none.
    pub published: bool,
}

/// Equal pieces of memory.
struct Pool {
    first: usize,
    words: usize,
    tables: Range<usize>,
    free: Vec<usize>,
}

/// All tables' memory.
pub struct Tables {
    pools: Vec<Pool>,
    all: Vec<Table>,
    pub trees: Vec<Tree>,
    long: bool,
    cut: u32,
    base: u64,
    words: usize,
}

/// Entries and number of the pieces of each pool, the largest first.
fn pools(setup: &Setup) -> Vec<(usize, usize)> {
    match (setup.long, setup.small, setup.cut) {
        (false, true, _) => vec![(4096, 1), (256, 4)],
        (false, false, 0) => vec![(4096, 16), (256, 320)],
        // Swapper's, and one to switch by.
        (false, false, cut) => vec![(4096, 2), (4096 >> cut, 16), (256, 320)],
        (true, true, _) => vec![(512, 4), (4, 2)],
        (true, false, _) => vec![(512, 224), (4, 32)],
    }
}

impl Tables {
    /// No table allocated. `base` is where memory starts.
    pub fn new(setup: &Setup, base: u64) -> Self {
        let Setup { long, cut, .. } = *setup;
        let (mut pools, mut all, mut word) = (Vec::new(), Vec::new(), 0);
        let shift = if long { 3 } else { 2 };
        for (words, count) in self::pools(setup) {
            let start = all.len();
            pools.push(Pool {
                first: word,
                words,
                tables: start..start + count,
                free: (start..start + count).collect(),
            });
            for _ in 0..count {
                all.push(Table {
                    pa: base + ((word as u64) << shift),
                    words: word..word + words,
                    allocated: false,
                    depth: 0,
                    place: None,
                    cut_from: None,
                    renumbered: false,
                    links: 0,
                    unpublished: 0,
                    published: false,
                });
                word += words;
            }
        }
        Self { pools, all, trees: Vec::new(), long, cut, base, words: word }
    }

    /// Words of memory for a format.
    pub fn words(setup: &Setup) -> usize {
        pools(setup).iter().map(|(words, count)| words * count).sum()
    }

    /// The depth of a kind of table, and its entries, from the manual and not from the library. A root that is to
    /// have `entries` may have as many as TTBCR.N leaves.
    pub fn kind(&self, name: &str, entries: usize) -> Option<(usize, usize)> {
        match (self.long, name) {
            (false, "pgd") if entries == 4096 >> self.cut => Some((0, entries)),
            (false, "pgd") => Some((0, 4096)),
            (false, "pte") => Some((1, 256)),
            (true, "pgd") => Some((0, 4)),
            (true, "pmd") => Some((1, 512)),
            (true, "pte") => Some((2, 512)),
            _ => None,
        }
    }

    /// Addresses that an entry at `depth` spans, as a shift.
    pub fn shift(&self, depth: usize) -> u32 {
        if self.long { [30, 21, 12][depth] } else { [20, 12][depth] }
    }

    /// The table that a word lies in.
    pub fn of_word(&self, word: usize) -> usize {
        let pool = self.pools.iter().rev().find(|pool| word >= pool.first);
        let pool = pool.expect("the first pool starts at 0");
        pool.tables.start + (word - pool.first) / pool.words
    }

    /// The table at `pa`.
    pub fn at(&self, pa: u64) -> Option<usize> {
        let word = (pa.checked_sub(self.base)? >> if self.long { 3 } else { 2 }) as usize;
        let table = (word < self.words).then(|| self.of_word(word))?;
        (self.all[table].pa == pa).then_some(table)
    }

    /// A table by number.
    pub fn get(&self, table: usize) -> &Table {
        &self.all[table]
    }

    /// A table by number, to change.
    pub fn get_mut(&mut self, table: usize) -> &mut Table {
        &mut self.all[table]
    }

    /// Tables in use.
    pub fn allocated(&self) -> impl Iterator<Item = &Table> {
        self.all.iter().filter(|table| table.allocated)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.allocated().count()
    }

    /// The first address that entry `word` of a linked table translates, and its shift.
    pub fn span(&self, table: usize, word: usize) -> Option<(Place, u32, u32)> {
        let table = &self.all[table];
        let place = table.place?;
        let shift = self.shift(table.depth);
        Some((place, place.va | ((word - table.words.start) as u32) << shift, shift))
    }

    /// Takes a piece of `entries` words: mostly the one freed last, which is where stale pointers point.
    pub fn take(&mut self, depth: usize, entries: usize, rng: &mut Rng) -> Option<usize> {
        let pool = self.pools.iter_mut().find(|pool| pool.words == entries)?;
        if pool.free.is_empty() {
            return None;
        }
        let last = pool.free.len() - 1;
        let at = if rng.one_in(3) { rng.index(last + 1) } else { last };
        let table = pool.free.swap_remove(at);
        let it = &mut self.all[table];
        it.allocated = true;
        it.depth = depth;
        it.unpublished = it.words.len();
        it.published = false;
        Some(table)
    }

    /// The tables that were cut off from a tree and are still allocated.
    pub fn cut_from(&mut self, tree: usize) -> impl Iterator<Item = &mut Table> {
        self.all.iter_mut().filter(move |it| it.allocated && it.cut_from == Some(tree))
    }

    /// Gives a piece back.
    pub fn give(&mut self, table: usize) {
        let it = &mut self.all[table];
        it.allocated = false;
        it.place = None;
        it.cut_from = None;
        it.renumbered = false;
        it.links = 0;
        let words = it.words.len();
        if let Some(pool) = self.pools.iter_mut().find(|pool| pool.words == words) {
            pool.free.push(table);
        }
    }

    /// The tree with `root`.
    pub fn tree(&self, root: u64) -> Option<usize> {
        self.trees.iter().position(|tree| tree.root == root)
    }

    /// Whether a linked table may be walked or remembered by some CPU.
    pub fn is_live(&self, place: Place) -> bool {
        self.trees[place.tree].is_live()
    }
}
