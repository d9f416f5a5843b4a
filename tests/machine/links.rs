//! Which table hangs where, as stores to linked tables change it, and what is owed for tables cut off.

use super::leaf::{Inherit, Word};
use super::rules::{Debt, Stage};
use super::state::State;
use super::tables::Place;
use super::violation::Violation;
use super::walk::decode;

impl State {
    /// A linked table's entry now points to `next`.
    pub fn link(&mut self, next: u64, place: Place, depth: usize) {
        let va = place.va;
        let Some(table) = self.tables.at(next).filter(|it| self.tables.get(*it).allocated) else {
            return self.report(Violation::LinkedWrong { va, table: next });
        };
        let it = self.tables.get_mut(table);
        it.links += 1;
        match it.place {
            None => it.place = Some(place),
            Some(old) => {
                if old.va != va || it.depth != depth {
                    self.report(Violation::LinkedWrong { va, table: next });
                }
                return;
            }
        }
        if it.depth != depth {
            return self.report(Violation::LinkedWrong { va, table: next });
        }
        if it.unpublished != 0 && self.tables.is_live(place) {
            self.report(Violation::LinkedUnpublished { va, table: next });
        }
        for (below, va) in self.children(table) {
            self.link(below, Place { va, ..place }, depth + 1);
        }
    }

    /// An entry of a linked table no longer points to `next`. `stage` is how far the change has come, `None`
    /// if no CPU can know it.
    pub fn unlink(
        &mut self,
        next: u64,
        place: Place,
        (first, last): (u32, u32),
        word: usize,
        stage: Option<Stage>,
    ) {
        let Some(table) = self.tables.at(next) else { return };
        let below = self.children(table);
        let it = self.tables.get_mut(table);
        it.links = it.links.saturating_sub(1);
        if it.links != 0 {
            return;
        }
        it.place = None;
        it.cut_from = Some(place.tree);
        it.renumbered = false;
        let words = it.words.clone();
        // The table's own debt stands for what was owed in it; who waits for a store in it now waits for
        // the one that cut it off.
        let mut executable = self.has_executable(table, first);
        self.rules.debts.retain_mut(|debt| {
            let mine = words.contains(&debt.word);
            if mine {
                debt.word = word;
                executable |= debt.executable;
            }
            !mine || debt.table.is_some()
        });
        if let Some(stage) = stage {
            self.rules.debts.push(Debt {
                tree: place.tree,
                first,
                last,
                word,
                asid: self.tables.trees[place.tree].asid,
                renumbered: false,
                global: false,
                table: Some(next),
                executable,
                predicted: false,
                stage,
                by: self.cpu,
            });
        }
        for (next, _) in below {
            self.unlink(next, place, (first, last), word, stage);
        }
    }

    /// The tables that a table's entries point to, and from which address on.
    fn children(&self, table: usize) -> Vec<(u64, u32)> {
        let regs = self.reading();
        let it = self.tables.get(table);
        let shift = self.tables.shift(it.depth);
        let va = it.place.map_or(0, |place| place.va);
        // Most words are zero, which is invalid in both formats.
        let words = it.words.clone().enumerate().filter(|(_, word)| self.memory.is_written(*word));
        let words = words.map(|(index, word)| (index, self.memory.newest(word)));
        words
            .filter(|(_, raw)| *raw != 0)
            .filter_map(|(index, raw)| match decode(&regs, it.depth, raw, 0, Inherit::default()) {
                Word::Table(next, _) => Some((next, va | (index as u32) << shift)),
                _ => None,
            })
            .collect()
    }

    /// Whether code may be fetched through a table's own leaves.
    fn has_executable(&self, table: usize, va: u32) -> bool {
        let regs = self.reading();
        let it = self.tables.get(table);
        it.words.clone().any(|word| {
            let raw = self.memory.newest(word);
            // Most words are.
            if raw == 0 {
                return false;
            }
            match decode(&regs, it.depth, raw, va, Inherit::default()) {
                Word::Leaf(leaf) => leaf.kernel.execute || leaf.user.execute,
                _ => false,
            }
        })
    }

    /// A tree goes: nobody walks it any more, which its owner vouches for, and its tables will be freed.
    pub fn retire(&mut self, root: u64) {
        let Some(tree) = self.tables.tree(root) else { return };
        let live = self.tables.trees[tree].is_live();
        let stage = live.then_some(Stage::Visible);
        let Some(table) = self.tables.at(root) else { return };
        let word = self.tables.get(table).words.start;
        self.unlink(root, Place { tree, va: 0 }, (0, u32::MAX), word, stage);
        self.rules.changes += usize::from(live);
        self.tables.trees[tree].root = u64::MAX;
    }

    /// The root of an offline tree goes back, and the tree with it: nobody may remember anything of it.
    pub fn rule_free_root(&mut self, table: usize) {
        let it = self.tables.get(table);
        let (root, words) = (it.pa, it.words.clone());
        let Some(tree) = self.tables.tree(root).filter(|tree| self.tables.trees[*tree].offline)
        else {
            return;
        };
        if self.tables.trees[tree].walked != 0 {
            self.report(Violation::FreedBeforeFlush { table: root, stage: "remembered" });
        }
        self.unlink(root, Place { tree, va: 0 }, (0, u32::MAX), words.start, None);
        self.tables.trees[tree].root = u64::MAX;
    }
}
