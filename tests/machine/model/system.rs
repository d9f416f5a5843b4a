//! The kernel: swapper, address spaces, and which CPU runs what.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::fmt::Debug;
use std::rc::Rc;

use armv7a_mm::addr::{PhysAddr, VirtRange};
use armv7a_mm::attr::Asid;
use armv7a_mm::format::control::{Registers, sctlr};
use armv7a_mm::mm::{Contexts, Features, Layout, Pgd, Swapper};
use armv7a_mm::table::context::Context;
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
    pub context: Rc<Context>,
}

/// CPUs at most, and so few ASIDs that rollovers are frequent.
const CPUS: usize = 4;
const ASIDS: usize = CPUS + 2;

/// Which CPU runs what, as the library has it.
pub type Running<F> = Contexts<'static, F, Sim, CPUS, ASIDS>;

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
    /// Once there are address spaces.
    pub contexts: Rc<OnceCell<Running<F>>>,
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
            contexts: HashMap::new(),
            on: vec![None; setup.cpus],
            roots: vec![root; setup.cpus],
            kernel_root: root,
            edits: Vec::new(),
            identity: None,
            copied: Cell::new(0),
            task_size: layout.task_size().0,
            pgd_last: layout.pgd_last::<F>().0,
            low_vectors: layout.low_vectors(),
            long: setup.long,
            pxn,
        };
        for cpu in 0..setup.cpus {
            sim.start(cpu, Self::regs(&swapper));
        }
        Self {
            sim,
            layout,
            swapper,
            spaces: Vec::new(),
            watch: Rc::new(RefCell::new(watch)),
            rng: Rng::new(setup.seed ^ 0xA5A5),
            owed: None,
            contexts: Rc::default(),
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
    fn regs(swapper: &Swapper<'_, F, Sim>) -> Regs {
        let upper = swapper.view().upper();
        Regs {
            ttbr0: F::ttbr0(swapper.root(), Asid(0)),
            ttbr1: upper.map_or(0, |(split, table)| F::ttbr1(table, split)),
            ttbcr: F::ttbcr(upper.map(|(split, _)| split)),
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
        {
            let mut watch = self.watch.borrow_mut();
            let before = watch.map(tree).range(first..=last).map(|(at, it)| (*at, *it)).collect();
            watch.edits.push(Edit { tree, pages, before, after });
        }
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
                    .map(|page| (page, (edit.after)(page, edit.before.get(&page).copied())))
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
            self.start_contexts();
        }
        let context = Rc::new(Context::new(pgd.root()));
        if told {
            // SAFETY: no CPU has run it, and the context outlives it and what it owes.
            unsafe { pgd.set_context(&context) };
        }
        let root = pgd.root().as_u64();
        // Under ASID 0 until it runs.
        let asid = told.then_some(0);
        if !self.sim.revive(root, asid) {
            self.sim.adopt(root, asid, false);
        }
        self.next = self.next.max(id + 1);
        let mut watch = self.watch.borrow_mut();
        watch.spaces.insert(id, Map::new());
        watch.contexts.insert(id, Rc::clone(&context));
        drop(watch);
        self.spaces.push(Space { id, pgd, context });
        true
    }

    /// Whatever a CPU runs from here on, it runs by the library's switch.
    fn start_contexts(&mut self) {
        self.sim.refuse_after(None);
        let contexts = Running::new(&mut self.swapper).expect("memory");
        let parking = contexts.parking().as_u64();
        if parking != self.swapper.root().as_u64() {
            self.sim.adopt(parking, None, true);
        }
        assert!(self.contexts.set(contexts).is_ok(), "once");
    }

    /// pgd_free, for the next pgd_alloc or for good, after every CPU has left the space.
    pub fn free(&mut self, index: usize, keep: bool) {
        let Space { id, pgd, context } = self.spaces.swap_remove(index);
        self.watch.borrow_mut().contexts.remove(&id);
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
        drop(context);
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
        let Some(contexts) = self.contexts.get() else { return };
        let space = space.map(|index| (self.spaces[index].id, &*self.spaces[index].context));
        // Nobody judges a CPU between two spaces.
        self.sim.with(|state| state.nested = true);
        run(self.sim, contexts, &mut self.watch.borrow_mut(), cpu, space);
        self.sim.with(|state| state.nested = false);
    }

    /// `cpu` runs some spaces that are gone at once, and then none.
    pub fn pass(&mut self, cpu: usize, spaces: usize) {
        let Some(contexts) = self.contexts.get() else { return };
        self.sim.with(|state| state.nested = true);
        pass(self.sim, contexts, &mut self.watch.borrow_mut(), cpu, spaces);
        self.sim.with(|state| state.nested = false);
    }

    /// The index of the space that has this number.
    pub fn space(&self, id: u32) -> usize {
        self.spaces.iter().position(|space| space.id == id).expect("a space")
    }
}

/// `cpu` runs spaces that map nothing and are gone at once.
pub fn pass<F: Registers>(
    sim: &Sim,
    contexts: &Running<F>,
    watch: &mut Watch,
    cpu: usize,
    spaces: usize,
) {
    let root = PhysAddr::new(watch.kernel_root).expect("40 bits");
    for _ in 0..spaces {
        run(sim, contexts, watch, cpu, Some((0, &Context::new(root))));
    }
    if spaces > 0 {
        run(sim, contexts, watch, cpu, None);
    }
}

/// `cpu` runs a space, or none.
pub fn run<F: Registers>(
    sim: &Sim,
    contexts: &Running<F>,
    watch: &mut Watch,
    cpu: usize,
    space: Option<(u32, &Context)>,
) {
    let was = sim.run_on(cpu);
    // SAFETY: nothing real runs, and the space is there.
    unsafe {
        match space {
            Some((_, context)) => contexts.switch_mm(cpu, context),
            None => contexts.leave_mm(cpu),
        }
    }
    sim.run_on(was);
    watch.on[cpu] = space.map(|(id, _)| id);
    if let Some((id, context)) = space
        && id != 0
    {
        let on = watch.on.iter().enumerate().filter(|(_, on)| **on == Some(id));
        let wanted = on.fold(0, |cpus, (cpu, _)| cpus | 1 << cpu);
        assert_eq!(contexts.running(context), wanted, "the CPUs that run space {id}");
    }
    watch.roots[cpu] = space.map_or(watch.kernel_root, |(_, context)| context.root().as_u64());
}
