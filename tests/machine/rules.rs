//! The trace automaton: what the order of operations guarantees, whatever chance made of it.
//!
//! Every descriptor has a stage of publication; every change of a live translation leaves a debt, which
//! barriers and invalidations carry from stage to stage. What is left when an operation ends, or when a table
//! is linked or freed, is a broken rule. The rules are those of DDI 0406C A3.8.3, B3.10.1, and B3.10.2.

use super::leaf::{Inherit, Word, last};
use super::state::State;
use super::tables::Place;
use super::tlb::Forget;
use super::violation::Violation;
use super::walk::decode;

/// How far a descriptor's last store has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Published {
    Never,
    Stored,
    Cleaned,
    Done,
}

/// How far the invalidation of what changed has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// Stored; walkers may read the old descriptor.
    Stored,
    /// Every walker reads the new one; TLBs may hold the old.
    Visible,
    /// An invalidation that covers it was issued to every CPU.
    Invalidated,
    /// A DSB completed that.
    Complete,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Visible => "visible",
            Self::Invalidated => "invalidated, not complete",
            Self::Complete => "complete",
        }
    }
}

/// A translation, or a pointer to a table, that was taken away.
#[derive(Clone, Copy, Debug)]
pub struct Debt {
    pub tree: usize,
    pub first: u32,
    pub last: u32,
    pub word: usize,
    /// The only address space that may remember it.
    pub asid: Option<u8>,
    /// That address space got another identifier when every walker read the new descriptor: what is remembered by the
    /// old one is out of reach, and by the new one nothing can be. An edit may have read either.
    pub renumbered: bool,
    pub global: bool,
    /// The table that the descriptor pointed to, or a table below that.
    pub table: Option<u64>,
    pub executable: bool,
    pub predicted: bool,
    pub stage: Stage,
    pub by: usize,
}

impl Debt {
    fn is_covered_by(&self, what: Forget) -> bool {
        let holds = |va: u32| self.table.is_none() && self.first <= va && va <= self.last;
        let mine = |asid: u8| self.renumbered || self.asid == Some(asid);
        match what {
            Forget::All => true,
            Forget::Space(asid) => !self.global && mine(asid),
            Forget::PageOfAll(va) => holds(va),
            Forget::Page(va, asid) => holds(va) && (self.global || mine(asid)),
        }
    }
}

/// The automaton's state.
pub struct Rules {
    words: Vec<Published>,
    /// Words on their way, and who stored them.
    open: Vec<(usize, usize)>,
    pub debts: Vec<Debt>,
    /// CPUs whose last barrier no ISB has followed.
    isb_owed: Vec<bool>,
    /// In the current operation: invalidations, and changes that called for one.
    pub invalidations: usize,
    pub changes: usize,
    inserts_only: bool,
}

impl Rules {
    pub fn new(words: usize, cpus: usize) -> Self {
        Self {
            words: vec![Published::Never; words],
            open: Vec::new(),
            debts: Vec::new(),
            isb_owed: vec![false; cpus],
            invalidations: 0,
            changes: 0,
            inserts_only: false,
        }
    }

    /// An operation begins. `inserts_only` says that it has nothing to invalidate.
    pub fn begin(&mut self, inserts_only: bool) {
        self.invalidations = 0;
        self.changes = 0;
        self.inserts_only = inserts_only;
    }
}

impl State {
    /// A store of `new` over `old`.
    pub fn rule_store(&mut self, word: usize, old: u64, new: u64) {
        let table = self.tables.of_word(word);
        let at = self.memory.phys(word);
        if !self.tables.get(table).allocated {
            return self.report(Violation::StoredOutside { at });
        }
        let Some((place, va, shift)) = self.tables.span(table, word) else {
            return self.rule_open(table, word);
        };
        if old == new {
            return;
        }
        let depth = self.tables.get(table).depth;
        let regs = self.reading();
        let read = |raw| decode(&regs, depth, raw, va, Inherit::default());
        let (was, now) = (read(old), read(new));
        // One invalid word is as good as another.
        if was == Word::Invalid && now == Word::Invalid {
            return;
        }
        let remembered = self.tables.is_live(place);
        let live = remembered && !self.tables.trees[place.tree].offline;
        if live && matches!(self.rules.words[word], Published::Stored | Published::Cleaned) {
            self.report(Violation::StoredTwice { va });
        }
        self.rule_open(table, word);
        let last = last(va, shift);
        if live && was != Word::Invalid {
            self.rules.changes += 1;
            let replaces = match (was, now) {
                (Word::Leaf(was), Word::Leaf(now)) => now.may_replace(&was),
                (Word::Table(was, _), Word::Table(now, _)) => was == now,
                (_, now) => now == Word::Invalid,
            };
            if !replaces {
                self.report(Violation::NoBreakBeforeMake { va });
            }
        }
        if live && was == Word::Invalid {
            let owed = |debt: &Debt| {
                debt.stage < Stage::Complete
                    && debt.tree == place.tree
                    && debt.first <= last
                    && va <= debt.last
            };
            if self.rules.debts.iter().any(owed) {
                self.report(Violation::NoBreakBeforeMake { va });
            }
        }
        if let (true, Word::Leaf(leaf)) = (live, was) {
            self.rules.debts.push(Debt {
                tree: place.tree,
                first: va,
                last,
                word,
                asid: self.tables.trees[place.tree].asid,
                renumbered: false,
                global: leaf.global,
                table: None,
                executable: leaf.kernel.execute || leaf.user.execute,
                predicted: false,
                stage: Stage::Stored,
                by: self.cpu,
            });
        }
        match (was, now) {
            (Word::Table(was, _), Word::Table(now, _)) if was == now => {}
            (was, now) => {
                if let Word::Table(next, _) = was {
                    // Where no walk starts, nobody needs to see the store.
                    let stage = if live { Stage::Stored } else { Stage::Visible };
                    let stage = remembered.then_some(stage);
                    self.unlink(next, place, (va, last), word, stage);
                }
                if let Word::Table(next, _) = now {
                    self.link(next, Place { tree: place.tree, va }, depth + 1);
                }
            }
        }
    }

    /// The word's last store is on its way.
    fn rule_open(&mut self, table: usize, word: usize) {
        let stage = &mut self.rules.words[word];
        if matches!(stage, Published::Never | Published::Done) {
            self.rules.open.push((word, self.cpu));
        }
        if *stage == Published::Done {
            self.tables.get_mut(table).unpublished += 1;
        }
        *stage = Published::Stored;
    }

    /// DCCMVAU of the words of whole lines.
    pub fn rule_clean(&mut self, words: std::ops::Range<usize>) {
        for stage in &mut self.rules.words[words] {
            if *stage == Published::Stored {
                *stage = Published::Cleaned;
            }
        }
    }

    /// DSB; `full` if it waits for maintenance too.
    pub fn rule_dsb(&mut self, full: bool) {
        let (cpu, coherent) = (self.cpu, self.setup.coherent);
        let (rules, tables) = (&mut self.rules, &mut self.tables);
        rules.open.retain(|&(word, by)| {
            let done = by == cpu && (coherent || rules.words[word] == Published::Cleaned);
            if done {
                rules.words[word] = Published::Done;
                let table = tables.of_word(word);
                let it = tables.get_mut(table);
                it.unpublished -= 1;
                it.published |= it.unpublished == 0;
                rules.isb_owed[cpu] |= it.place.is_some();
            }
            !done
        });
        for debt in rules.debts.iter_mut().filter(|debt| debt.by == cpu) {
            let published = rules.words[debt.word] == Published::Done;
            match debt.stage {
                Stage::Stored if published => debt.stage = Stage::Visible,
                Stage::Invalidated if full && (debt.predicted || !debt.executable) => {
                    debt.stage = Stage::Complete;
                    rules.isb_owed[cpu] = true;
                }
                _ => {}
            }
        }
    }

    /// TLBI to the CPUs in `mask`.
    pub fn rule_tlbi(&mut self, what: Forget, mask: u32) {
        if mask != self.everyone() {
            return;
        }
        for debt in &mut self.rules.debts {
            let waits = matches!(debt.stage, Stage::Visible | Stage::Invalidated);
            if waits && debt.is_covered_by(what) {
                debt.stage = Stage::Invalidated;
                debt.by = self.cpu;
            }
        }
    }

    /// BPIALL to the CPUs in `mask`.
    pub fn rule_bpiall(&mut self, mask: u32) {
        if mask == self.everyone() {
            for debt in &mut self.rules.debts {
                debt.predicted |= debt.stage >= Stage::Visible;
            }
        }
    }

    /// ISB.
    pub fn rule_isb(&mut self) {
        let cpu = self.cpu;
        self.rules.isb_owed[cpu] = false;
        self.rules.debts.retain(|debt| debt.stage != Stage::Complete || debt.by != cpu);
    }

    /// A table's memory goes back.
    pub fn rule_free(&mut self, table: usize) {
        self.rule_free_root(table);
        let it = self.tables.get(table);
        let (pa, words, linked) = (it.pa, it.words.clone(), it.place.is_some());
        if linked {
            self.report(Violation::FreedLinked { table: pa });
        }
        let early = self
            .rules
            .debts
            .iter()
            .find(|debt| debt.table == Some(pa) && debt.stage < Stage::Complete);
        if let Some(stage) = early.map(|debt| debt.stage.name()) {
            self.report(Violation::FreedBeforeFlush { table: pa, stage });
        }
        self.rules.debts.retain(|debt| debt.table != Some(pa));
        self.rules.open.retain(|(word, _)| !words.contains(word));
        self.rules.words[words].fill(Published::Never);
    }

    /// An operation ends. `paid` says that nothing is put off.
    pub fn rule_end(&mut self, paid: bool) {
        if self.rules.inserts_only && self.rules.invalidations != 0 && self.rules.changes == 0 {
            self.report(Violation::NeedlessInvalidation);
        }
        if !paid {
            return;
        }
        for (word, _) in self.rules.open.clone() {
            let table = self.tables.of_word(word);
            let Some((_, va, _)) = self.tables.span(table, word) else { continue };
            let cleaned = self.setup.coherent || self.rules.words[word] == Published::Cleaned;
            self.report(if cleaned {
                Violation::NoBarrier { va }
            } else {
                Violation::NotCleaned { va }
            });
        }
        for debt in std::mem::take(&mut self.rules.debts) {
            let va = debt.first;
            if debt.stage == Stage::Invalidated && debt.executable && !debt.predicted {
                self.report(Violation::NoBranchInvalidation { va });
            } else if debt.stage < Stage::Complete {
                self.report(Violation::NotInvalidated { va, stage: debt.stage.name() });
            }
        }
        if self.rules.isb_owed.iter().any(|owed| *owed) {
            self.rules.isb_owed.fill(false);
            self.report(Violation::NoIsb);
        }
    }
}
