//! The kernel: swapper, address spaces, and which CPU runs what.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Debug;
use std::rc::Rc;

use armv7a_mm::addr::{PhysAddr, VirtRange};
use armv7a_mm::attr::Asid;
use armv7a_mm::format::control::{Registers, sctlr};
use armv7a_mm::mm::{Features, Layout, Pgd, Swapper};
use armv7a_mm::table::error::EditError;
use armv7a_mm::table::flush::Flush;
use armv7a_mm::table::mem::{Maintenance, TableMemory};

use crate::machine::regs::Regs;
use crate::machine::rng::{Choice, Rng};
use crate::machine::sim::Sim;
use crate::machine::state::Setup;

use super::page::Map;
use super::random::range;
use super::tally::Tally;
use super::watch::{After, Edit, Tree, Watch};

/// One address space.
pub struct Space<F: Registers> {
    pub id: u32,
    pub pgd: Pgd<'static, F, Sim>,
    /// The identifier that it runs under.
    pub asid: u8,
}

/// A flush that is put off, of which tree, and by which CPU.
pub struct Owed<F: Registers> {
    pub tree: Tree,
    flush: Flush<'static, F, Sim>,
    cpu: usize,
}

/// A kernel on a machine.
pub struct System<F: Registers> {
    pub sim: &'static Sim,
    pub layout: &'static Layout,
    pub swapper: Swapper<'static, F, Sim>,
    pub spaces: Vec<Space<F>>,
    pub watch: Rc<RefCell<Watch>>,
    pub rng: Rng,
    /// A flush that is put off.
    pub owed: Option<Owed<F>>,
    /// A root without user mappings, by way of which the classic format switches.
    transit: u64,
    /// The number of the next address space.
    pub next: u32,
    pub tally: Tally,
}

/// A flush, or nothing owed.
pub type Edited<F> = Result<Option<Flush<'static, F, Sim>>, EditError>;

impl<F: Registers> System<F> {
    /// A kernel with an empty swapper, which every CPU runs on.
    pub fn new(setup: Setup, layout: Layout, pxn: bool) -> Self {
        let sim: &'static Sim = Box::leak(Box::new(Sim::new(setup)));
        let layout: &'static Layout = Box::leak(Box::new(layout));
        let features = Features { pxn };
        let swapper = Swapper::<F, Sim>::new(sim, layout, features).expect("memory");
        let root = swapper.root().as_u64();
        sim.adopt(root, None, true);
        let watch = Watch {
            kernel: Map::new(),
            spaces: HashMap::new(),
            on: vec![None; setup.cpus],
            roots: vec![root; setup.cpus],
            edits: Vec::new(),
            identity: None,
            copied: Cell::new(0),
            task_size: layout.task_size().0,
            low_vectors: layout.low_vectors(),
            long: setup.long,
            pxn,
        };
        for cpu in 0..setup.cpus {
            sim.start(cpu, Self::regs(root));
        }
        Self {
            sim,
            layout,
            swapper,
            spaces: Vec::new(),
            watch: Rc::new(RefCell::new(watch)),
            rng: Rng::new(setup.seed ^ 0xA5A5),
            owed: None,
            transit: root,
            next: 1,
            tally: Tally::default(),
        }
    }

    /// Gives the machine's memory back.
    pub fn scrap(self) {
        let (sim, layout) = (self.sim, self.layout);
        sim.set_intruder(None);
        drop(self);
        // SAFETY: both were leaked by `new`, and whatever referred to them is gone.
        unsafe {
            drop(Box::from_raw(std::ptr::from_ref(sim).cast_mut()));
            drop(Box::from_raw(std::ptr::from_ref(layout).cast_mut()));
        }
    }

    /// Gives up what a failure left, which is in no state to be dropped: all but the machine's memory.
    pub fn abandon(self) {
        let sim = self.sim;
        std::mem::forget(self);
        // SAFETY: leaked by `new`; what refers to it was forgotten, and is never used again.
        unsafe { drop(Box::from_raw(std::ptr::from_ref(sim).cast_mut())) };
    }

    /// The registers as the library says.
    fn regs(root: u64) -> Regs {
        Regs {
            ttbr0: F::ttbr0(PhysAddr::new(root).expect("40 bits"), Asid(0)),
            ttbr1: 0,
            ttbcr: F::TTBCR,
            sctlr: sctlr::ON,
            dacr: F::DACR,
            remap: F::REMAP,
            contextidr: 0,
        }
    }

    /// A random CPU executes.
    pub fn any_cpu(&mut self) -> usize {
        let cpu = self.rng.index(self.sim.setup().cpus);
        self.sim.run_on(cpu);
        cpu
    }

    /// Runs an edit of `tree` and applies it to the model if it is done. `after` is what becomes of each page.
    pub fn edit(
        &mut self,
        what: impl Debug,
        tree: Tree,
        pages: (u32, u32),
        after: After,
        act: impl FnOnce(&mut Self, VirtRange) -> Edited<F>,
    ) -> Result<(), EditError> {
        if self.owed.as_ref().is_some_and(|owed| owed.tree == tree) {
            self.pay();
        }
        let cpu = self.any_cpu();
        let (first, last) = pages;
        for page in [first, last, first + (last - first) / 2, first.saturating_sub(1)] {
            self.sim.with(|state| state.look_at(page << 12));
        }
        let before: Map = {
            let mut watch = self.watch.borrow_mut();
            let before = watch.map(tree).range(first..=last).map(|(at, it)| (*at, *it)).collect();
            let edit = Edit { tree, pages, before, after };
            watch.edits.push(edit);
            watch.map(tree).range(first..=last).map(|(at, it)| (*at, *it)).collect()
        };
        let range = range(first, last);
        self.sim.begin(format!("{what:x?} of {tree:?} in {range}"), false);
        let result = act(self, range);
        match result {
            Err(error) => {
                self.watch.borrow_mut().edits.pop();
                self.sim.end(self.owed.is_none());
                Err(error)
            }
            Ok(flush) => {
                let put_off = flush.is_some() && self.owed.is_none() && self.rng.one_in(6);
                match flush {
                    Some(flush) if put_off => self.owed = Some(Owed { tree, flush, cpu }),
                    Some(mut flush) => {
                        // Two debts, one set of barriers.
                        if self.rng.one_in(2)
                            && let Some(other) = self.owed.take()
                        {
                            self.migrate(other.cpu, cpu);
                            flush.merge(other.flush);
                            flush.pay();
                            self.watch.borrow_mut().edits.remove(0);
                        } else {
                            flush.pay();
                        }
                    }
                    None => {}
                }
                let mut watch = self.watch.borrow_mut();
                let edit = watch.edits.last().expect("the edit");
                let new: Vec<_> = (first..=last)
                    .map(|page| (page, (edit.after)(page, before.get(&page).copied())))
                    .collect();
                if !put_off {
                    watch.edits.pop();
                }
                let map = watch.map_mut(tree);
                for (page, new) in new {
                    match new {
                        Some(new) => map.insert(page, new),
                        None => map.remove(&page),
                    };
                }
                drop(watch);
                self.sim.end(self.owed.is_none());
                Ok(())
            }
        }
    }

    /// The thread that executes moves to another CPU. Its cleans are completed by the CPU that issued them
    /// alone (DDI 0406C A3.8.3), so every kernel has a DSB there.
    fn migrate(&self, from: usize, to: usize) {
        if from != to {
            self.sim.run_on(from);
            self.sim.dsb_ish();
            self.sim.isb();
            self.sim.run_on(to);
        }
    }

    /// Pays what is owed, on any CPU.
    pub fn pay(&mut self) {
        if let Some(owed) = self.owed.take() {
            self.sim.begin("pay", false);
            let cpu = self.any_cpu();
            self.migrate(owed.cpu, cpu);
            owed.flush.pay();
            self.watch.borrow_mut().edits.clear();
            self.sim.end(true);
        }
    }

    /// pgd_alloc, with an identifier that the library is told or not. Whether there was memory.
    pub fn alloc(&mut self, id: u32, told: bool) -> bool {
        self.any_cpu();
        let sealed = self.swapper.is_sealed();
        self.sim.begin("pgd_alloc", true);
        let pgd = self.swapper.pgd_alloc();
        self.sim.end(self.owed.is_none());
        let Ok(mut pgd) = pgd else {
            assert!(self.sim.refused(), "pgd_alloc found no memory, and there was some");
            return false;
        };
        if !sealed {
            self.make_transit();
        }
        let asid = (1..=255).find(|asid| self.spaces.iter().all(|it| it.asid != *asid));
        let asid = asid.expect("few spaces");
        // SAFETY: no CPU has run it.
        unsafe { pgd.set_asid(told.then_some(Asid(asid))) };
        let root = pgd.root().as_u64();
        if !self.sim.revive(root, told.then_some(asid)) {
            self.sim.adopt(root, told.then_some(asid), false);
        }
        self.next = self.next.max(id + 1);
        self.watch.borrow_mut().spaces.insert(id, Map::new());
        self.spaces.push(Space { id, pgd, asid });
        true
    }

    /// A root with swapper's kernel half and no low vectors: they have tables of their own in every pgd, and a
    /// walk cache must not take one's for the other's. A refusal leaves swapper's root in its place.
    fn make_transit(&mut self) {
        if F::LPAE || !self.layout.low_vectors() {
            return;
        }
        let level = &F::LEVELS[0];
        self.sim.refuse_after(None);
        let Ok(root) = self.sim.allocate(level) else { return };
        let (from, to) = (self.sim.virt(self.swapper.root()), self.sim.virt(root));
        let border = (self.layout.task_size().0 >> 20) as usize;
        for index in 0..level.entries() {
            // SAFETY: both are whole roots of the classic format.
            unsafe {
                let word: u32 =
                    if index < border { 0 } else { self.sim.load(from.cast::<u32>().add(index)) };
                self.sim.store(to.cast::<u32>().add(index), word);
            }
        }
        self.sim.clean(to, level.table_bytes());
        self.sim.dsb_ishst();
        self.sim.isb();
        self.sim.adopt(root.as_u64(), None, false);
        self.transit = root.as_u64();
    }

    /// pgd_free, for the next pgd_alloc or for good, after every CPU has left the space.
    pub fn free(&mut self, index: usize, keep: bool) {
        let Space { id, pgd, asid: _ } = self.spaces.swap_remove(index);
        for cpu in 0..self.sim.setup().cpus {
            if self.watch.borrow().on[cpu] == Some(id) {
                self.switch(cpu, None);
            }
        }
        if self.owed.as_ref().is_some_and(|owed| owed.tree == Some(id)) {
            self.pay();
        }
        self.any_cpu();
        self.sim.begin(format!("pgd_free of {id}"), false);
        let root = pgd.root().as_u64();
        // SAFETY: no CPU walks it.
        unsafe {
            if keep {
                self.sim.set_offline(root, true);
                self.swapper.pgd_free(pgd);
            } else {
                self.sim.retire(root);
                pgd.pgd_free();
            }
        }
        self.sim.end(self.owed.is_none());
        self.watch.borrow_mut().spaces.remove(&id);
    }

    /// Gives back what freed spaces left.
    pub fn shrink(&mut self) {
        self.any_cpu();
        self.sim.begin("shrink", false);
        self.swapper.shrink();
        self.sim.end(self.owed.is_none());
        assert_eq!(self.swapper.spare_pgds(), 0);
    }

    /// `cpu` runs a space, or none.
    pub fn switch(&mut self, cpu: usize, space: Option<usize>) {
        let (root, asid, id) = match space {
            Some(index) => {
                let it = &self.spaces[index];
                (it.pgd.root().as_u64(), it.asid, Some(it.id))
            }
            None => (self.swapper.root().as_u64(), 0, None),
        };
        // Nobody judges a CPU between two spaces.
        self.sim.with(|state| state.nested = true);
        self.sim.switch(cpu, root, asid, self.transit);
        self.sim.with(|state| state.nested = false);
        let mut watch = self.watch.borrow_mut();
        watch.on[cpu] = id;
        watch.roots[cpu] = root;
    }

    /// The index of the space that has this number.
    pub fn space(&self, id: u32) -> usize {
        self.spaces.iter().position(|space| space.id == id).expect("a space")
    }
}
