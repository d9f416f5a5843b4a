//! Registers, as a kernel writes them: switching the MMU on, switching address spaces.

use armv7a_mm::table::mem::Maintenance;

use super::regs::Regs;
use super::sim::Sim;
use super::state::{Event, State, base};
use super::tlb::Forget;
use super::violation::Violation;

impl Sim {
    /// Writes registers of `cpu`; an ISB on it makes sure that walks obey.
    pub fn write_regs(&self, cpu: usize, change: impl FnOnce(&mut Regs)) {
        self.with(|state| {
            let it = &mut state.cpus[cpu];
            it.before.get_or_insert(it.regs);
            change(&mut it.regs);
            let regs = it.regs;
            let Regs { ttbr0, contextidr, .. } = regs;
            state.note(Event::Regs { cpu, ttbr0, contextidr });
            state.enter(cpu, base(&regs));
        });
    }

    /// Switches the MMU of `cpu` on, with `regs` and empty TLBs.
    pub fn start(&self, cpu: usize, regs: Regs) {
        self.write_regs(cpu, |mine| *mine = regs);
        self.with(|state| {
            state.cpus[cpu].tlb = Default::default();
            state.cpus[cpu].before = None;
        });
    }

    /// Switches `cpu` to the tree at `root`, which runs as `asid`. In the short format by way of the tree at
    /// `transit`, which has no user mappings, so that none is ever remembered under the wrong identifier
    /// (DDI 0406C B3.10.4); in the long one by one write.
    pub fn switch(&self, cpu: usize, root: u64, asid: u8, transit: u64) {
        let was = self.run_on(cpu);
        let walk = self.state().cpus[cpu].regs.ttbr0 & 0x7F;
        if self.setup().long {
            self.write_regs(cpu, |regs| regs.ttbr0 = root | u64::from(asid) << 48);
        } else {
            self.write_regs(cpu, |regs| regs.ttbr0 = transit | walk);
            self.isb();
            self.write_regs(cpu, |regs| regs.contextidr = asid.into());
            self.isb();
            self.write_regs(cpu, |regs| regs.ttbr0 = root | walk);
        }
        self.isb();
        self.run_on(was);
    }

    /// Makes `cpu`, alone, forget everything: TLBIALL, DSB, ISB.
    pub fn flush_local(&self, cpu: usize) {
        let was = self.run_on(cpu);
        self.with(|state| {
            state.invalidate(Forget::All, 1 << cpu);
            state.complete_invalidations();
            state.rest(Forget::All, 1 << cpu);
            state.come_to_rest();
        });
        self.isb();
        self.run_on(was);
    }
}

impl State {
    /// A CPU may walk the tree at `root` from here on.
    fn enter(&mut self, cpu: usize, root: u64) {
        let Some(tree) = self.tables.tree(root) else {
            return self.report(Violation::LinkedWrong { va: 0, table: root });
        };
        let was_live = self.tables.trees[tree].is_live();
        self.tables.trees[tree].walked |= 1 << cpu;
        if was_live {
            return;
        }
        let unpublished = self
            .tables
            .allocated()
            .find(|it| !it.published && it.place.is_some_and(|place| place.tree == tree));
        if let Some(table) = unpublished.map(|it| it.pa) {
            self.report(Violation::LinkedUnpublished { va: 0, table });
        }
    }

    /// An invalidation was issued: of trees that it covers and that a CPU has left, that CPU will remember
    /// nothing.
    pub fn rest(&mut self, what: Forget, mask: u32) {
        for tree in 0..self.tables.trees.len() {
            let it = self.tables.trees[tree];
            let covered = match what {
                Forget::All => true,
                Forget::Space(asid) => it.asid == Some(asid),
                _ => false,
            };
            if covered {
                let left = (0..self.cpus.len()).filter(|cpu| !self.cpus[*cpu].walks(it.root));
                let left: u32 = left.map(|cpu| 1 << cpu).sum();
                self.resting.push((tree, left & mask, self.cpu));
            }
        }
    }

    /// A DSB completes that.
    pub fn come_to_rest(&mut self) {
        let by = self.cpu;
        for (tree, mask, _) in self.resting.extract_if(.., |(_, _, cpu)| *cpu == by) {
            self.tables.trees[tree].walked &= !mask;
        }
    }
}
