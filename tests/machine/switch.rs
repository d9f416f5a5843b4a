//! Registers, as a kernel writes them: switching the MMU on, switching address spaces.

use armv7a_mm::addr::PhysAddr;
use armv7a_mm::attr::Asid;
use armv7a_mm::format::{Classic, Lpae};
use armv7a_mm::table::switch::{self, Mmu};

use super::regs::Regs;
use super::rules::Stage;
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
            state.enter(cpu, base(&regs), regs.asid());
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

    /// Switches `cpu` to the tree at `root`, which runs as `asid`, by way of the tree at `parking`, as the library has it.
    pub fn switch(&self, cpu: usize, root: u64, asid: u8, parking: u64) {
        let was = self.run_on(cpu);
        let at = |root| PhysAddr::new(root).expect("40 bits");
        let (root, asid, parking) = (at(root), Asid(asid), at(parking));
        // SAFETY: nothing real runs on it.
        unsafe {
            if self.setup().long {
                switch::switch::<Lpae, _>(self, root, asid, parking);
            } else {
                switch::switch::<Classic, _>(self, root, asid, parking);
            }
        }
        self.run_on(was);
    }

    /// Makes `cpu`, alone, forget everything.
    pub fn flush_local(&self, cpu: usize) {
        let was = self.run_on(cpu);
        switch::forget_all(self);
        self.run_on(was);
    }
}

// SAFETY: the model does what it is told.
unsafe impl Mmu for Sim {
    unsafe fn set_ttbr0(&self, value: u64) {
        let cpu = self.state().cpu;
        self.write_regs(cpu, |regs| regs.ttbr0 = value);
        self.tick();
    }

    unsafe fn set_contextidr(&self, asid: Asid) {
        let cpu = self.state().cpu;
        self.write_regs(cpu, |regs| regs.contextidr = asid.0.into());
        self.tick();
    }

    fn tlbiall_local(&self) {
        let cpu = self.state().cpu;
        self.tlbi_on(Forget::All, 1 << cpu);
    }

    fn bpiall_local(&self) {
        let cpu = self.state().cpu;
        self.bpi_on(1 << cpu);
    }
}

impl State {
    /// A CPU may walk the tree at `root` as `asid` from here on.
    fn enter(&mut self, cpu: usize, root: u64, asid: u8) {
        let Some(tree) = self.tables.tree(root) else {
            return self.report(Violation::LinkedWrong { va: 0, table: root });
        };
        self.run_as(tree, asid);
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

    /// A tree whose identifier is known runs under `asid`. What walks that started under another one may remember of
    /// changes is out of reach until their CPUs forget everything; walks from here on remember as `asid` what they
    /// may still read.
    fn run_as(&mut self, tree: usize, asid: u8) {
        let it = &mut self.tables.trees[tree];
        if it.asid.is_some_and(|old| old != asid) {
            it.asid = Some(asid);
            let debts = &self.rules.debts;
            let may_be_read = |table: u64| {
                debts.iter().any(|debt| debt.stage == Stage::Stored && debt.table == Some(table))
            };
            for table in self.tables.cut_from(tree) {
                table.renumbered |= !may_be_read(table.pa);
            }
            for debt in self.rules.debts.iter_mut().filter(|debt| debt.tree == tree) {
                match debt.stage {
                    Stage::Stored => debt.asid = Some(asid),
                    Stage::Visible => debt.renumbered = true,
                    Stage::Invalidated | Stage::Complete => {}
                }
            }
        }
    }

    /// A CPU translates as its registers say: what it remembers under its ASID is its tree's, or everybody's.
    pub fn check_remembered(&mut self, cpu: usize) {
        let it = &mut self.cpus[cpu];
        let (root, asid) = (base(&it.regs), it.regs.asid());
        let lost: Vec<_> = it.tlb.lost.extract_if(.., |(by, _)| *by == asid).collect();
        let known = lost.into_iter().find(|(_, at)| it.tlb.knows(*at, |by| by == asid).is_some());
        if let Some((_, table)) = known {
            self.report(Violation::AnothersAsid { cpu, asid, table });
        }
        let it = &self.cpus[cpu];
        let Some(mine) = self.tables.tree(root) else { return };
        // On its way to another space, by tables that map nothing under it.
        if asid != 0 && self.tables.trees[mine].shared {
            return;
        }
        let foreign = |at: u64| {
            let table = self.tables.at(at).map(|table| self.tables.get(table));
            table.is_none_or(|table| {
                let tree = table.place.map(|place| place.tree);
                let anothers = |tree: usize| tree != mine && !self.tables.trees[tree].shared;
                !table.allocated || tree.is_some_and(anothers)
            })
        };
        let partials = it.tlb.partials.iter().filter(|it| it.asid == asid).map(|it| it.table);
        let entries = it.tlb.entries.iter().filter(|it| it.asid == Some(asid)).map(|it| it.source);
        if let Some(table) = partials.chain(entries).find(|table| foreign(*table)) {
            self.report(Violation::AnothersAsid { cpu, asid, table });
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
