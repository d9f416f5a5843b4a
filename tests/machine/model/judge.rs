//! Whether every CPU finds what the model says, and the tables are those that the trees need.

use std::rc::Rc;

use armv7a_mm::addr::{PhysAddr, VirtAddr};
use armv7a_mm::format::FaultKind;
use armv7a_mm::format::control::Registers;
use armv7a_mm::mm::{SwapperView, Verdict, do_translation_fault};

use crate::machine::fault::Cause;
use crate::machine::rng::Choice;
use crate::machine::sim::Sim;
use crate::machine::violation::{Found, Violation};

use super::system::{Running, System, pass, run};
use super::watch::{Tree, Watch};

/// What the kernel's handler makes of a fault that `cpu` took at `va`.
pub fn handle<F: Registers>(
    sim: &Sim,
    view: &SwapperView<'_, F, Sim>,
    watch: &Watch,
    cpu: usize,
    va: u32,
    found: &Found,
) -> Verdict {
    let Found::Fault(status) = found else { return Verdict::Kernel };
    let fault = F::decode_fault(status.dfsr(F::LPAE, false), false);
    let kind = match status.cause {
        Cause::Translation => FaultKind::Translation,
        Cause::AccessFlag => FaultKind::AccessFlag,
        Cause::Domain => FaultKind::Domain,
        Cause::Permission => FaultKind::Permission,
        Cause::WalkExternal => FaultKind::WalkExternal,
        Cause::TlbConflict => FaultKind::TlbConflict,
    };
    assert_eq!(fault.kind, kind, "{status:?}");
    sim.run_on(cpu);
    let root = PhysAddr::new(watch.roots[cpu]).expect("40 bits");
    // SAFETY: the CPU walks these tables.
    let verdict = unsafe { do_translation_fault(view, root, &fault, VirtAddr(va), false) };
    if verdict == Verdict::Retry {
        watch.copied.set(watch.copied.get() + 1);
    }
    verdict
}

impl<F: Registers> System<F> {
    /// Checks `va` on every CPU.
    pub fn check(&mut self, va: u32) {
        for cpu in 0..self.sim.setup().cpus {
            self.check_on(cpu, va);
        }
    }

    /// Checks `va` on one CPU.
    pub fn check_on(&mut self, cpu: usize, va: u32) {
        let watch = self.watch.borrow();
        if watch.is_overshadowed(cpu, va)
            && watch.identity.is_none_or(|(_, (from, to), _)| {
                !(from..=to).contains(&(va >> 12)) && va < watch.task_size
            })
        {
            return;
        }
        let mut mended = false;
        for found in self.sim.outcomes(cpu, va) {
            if let Found::Hit(_, leaf) = found
                && (leaf.writes_and_executes() || leaf.global != watch.is_shared(cpu, va))
            {
                self.sim.report(Violation::Unsound { cpu, va, leaf });
            }
            if watch.allows(cpu, va, &found) {
                continue;
            }
            if !watch.may_be_mended(cpu, va, &found) {
                self.sim.report(Violation::Wrong { cpu, va, found });
                continue;
            }
            if mended {
                continue;
            }
            self.sim.begin(format!("fault of {cpu} at {va:#x}"), true);
            let verdict = handle(self.sim, &self.swapper.view(), &watch, cpu, va, &found);
            self.sim.end(self.owed.is_none());
            assert_eq!(verdict, Verdict::Retry, "cpu {cpu} at {va:#x}: swapper has it");
            mended = true;
        }
        if mended {
            for found in self.sim.outcomes(cpu, va) {
                if !watch.allows(cpu, va, &found) {
                    self.sim.report(Violation::Wrong { cpu, va, found });
                }
            }
        }
    }

    /// A fault where nothing is mapped is the kernel's own, or user space's.
    pub fn check_verdict(&mut self, cpu: usize, va: u32) {
        let watch = self.watch.borrow();
        if watch.page(cpu, va).is_some() || !watch.edits.is_empty() {
            return;
        }
        let right = if va < watch.task_size { Verdict::User } else { Verdict::Kernel };
        for found in self.sim.outcomes(cpu, va) {
            let verdict = || {
                self.sim.begin(format!("fault of {cpu} at {va:#x}, where nothing is"), true);
                let verdict = handle(self.sim, &self.swapper.view(), &watch, cpu, va, &found);
                self.sim.end(self.owed.is_none());
                verdict
            };
            // There may be a table to copy first, though nothing in it: one for each level above the last.
            let first = (0..F::LEVELS.len()).map(|_| verdict()).find(|it| *it != Verdict::Retry);
            assert_eq!(first, Some(right), "cpu {cpu} at {va:#x}");
        }
    }

    /// Checks around `pages`, and some more, on every CPU.
    pub fn check_around(&mut self, (first, last): (u32, u32)) {
        let inside = first + self.rng.below(u64::from(last - first) + 1) as u32;
        let around = [first.saturating_sub(1), first, inside, last, last.saturating_add(1)];
        for page in around {
            if page <= 0xF_FFFF {
                let offset = self.rng.below(0x1000) as u32;
                self.check(page << 12 | offset);
            }
        }
    }

    /// Checks some pages that are mapped, and some that are not.
    pub fn check_some(&mut self, count: usize) {
        let trees: Vec<Tree> =
            [None].into_iter().chain(self.spaces.iter().map(|space| Some(space.id))).collect();
        for tree in trees {
            for _ in 0..count {
                let from = self.rng.below(0x10_0000) as u32;
                let watch = self.watch.borrow();
                let map = watch.map(tree);
                let next = map.range(from..).next().or_else(|| map.iter().next());
                let page = next.map(|(page, _)| *page);
                drop(watch);
                if let Some(page) = page {
                    self.check(page << 12);
                }
            }
        }
    }

    /// The library's own walk says what the model says, of every page of a tree.
    pub fn check_tree(&self, tree: Tree) {
        let watch = self.watch.borrow();
        for (page, meant) in watch.map(tree) {
            let va = VirtAddr(page << 12);
            let found = match tree {
                None => self.swapper.translate(va),
                Some(id) => self.spaces[self.space(id)].pgd.translate(va),
            };
            let found = found.map(|it| (it.phys.as_u64(), it.leaf().map(|leaf| leaf.attrs)));
            assert_eq!(found, Some((meant.phys, Some(meant.attrs))), "{tree:?} at {va}");
        }
    }

    /// Every allocated table is linked, and none that is linked is free: the machine keeps count.
    pub fn check_tables(&self) {
        if self.owed.is_some() {
            return;
        }
        let state = self.sim.state();
        let lost: Vec<u64> = state
            .tables
            .allocated()
            .filter(|table| table.place.is_none())
            .map(|table| table.pa)
            .collect();
        assert!(lost.is_empty(), "tables in use that no tree holds: {lost:x?}");
        let empty = state.tables.allocated().find(|table| {
            let Some(place) = table.place else { return false };
            let kept = state.tables.trees[place.tree].shared
                || table.depth == 0
                || self.layout.low_vectors() && place.va == 0
                || table.depth == 1 && self.layout.has_private_table::<F>(VirtAddr(place.va));
            !kept && table.words.clone().all(|word| state.memory.newest(word) == 0)
        });
        assert!(empty.is_none(), "a table with nothing in it: {empty:x?}");
    }

    /// Everything, on every CPU: each page of each tree that it can reach.
    pub fn check_everything(&mut self) {
        self.pay();
        let ids: Vec<Tree> =
            [None].into_iter().chain(self.spaces.iter().map(|space| Some(space.id))).collect();
        for tree in ids {
            self.check_tree(tree);
            let pages: Vec<u32> = self.watch.borrow().map(tree).keys().copied().collect();
            for page in pages {
                if self.rng.one_in(8) {
                    self.check(page << 12);
                }
            }
        }
        self.check_tables();
    }
}

/// What another CPU may do in the middle of anything: it runs another space, or some that take numbers away first.
pub fn intrude_by_switch<F: Registers>(sim: &Sim, contexts: &Running<F>, watch: &mut Watch) {
    let choice = sim.with(|state| {
        let cpu = state.rng.index(state.setup.cpus);
        // Whoever is in the middle of something stays.
        (cpu != state.cpu && state.rng.one_in(3)).then(|| {
            let spaces = if state.rng.one_in(3) { state.rng.index(7) } else { 0 };
            (cpu, spaces, state.rng.next() as usize)
        })
    });
    let Some((cpu, spaces, number)) = choice else { return };
    // A space that is being freed, or has an identity mapping, is nobody's to run.
    let mut ids: Vec<u32> = watch.contexts.keys().copied().collect();
    ids.sort_unstable();
    pass(sim, contexts, watch, cpu, spaces);
    let to = ids.get(number % (ids.len() + 1)).copied();
    let context = to.map(|id| (id, Rc::clone(&watch.contexts[&id])));
    run(sim, contexts, watch, cpu, context.as_ref().map(|(id, it)| (*id, &**it)));
}

/// What another CPU does in the middle of an edit: it uses an address near it, and handles the fault.
pub fn intrude<F: Registers>(sim: &Sim, view: &SwapperView<'_, F, Sim>, watch: &Watch) {
    let Some(edit) = watch.edits.last() else { return };
    let (cpu, page) = sim.with(|state| {
        let (first, last) = edit.pages;
        let inside = first + state.rng.below(u64::from(last - first) + 1) as u32;
        let outside = [first.saturating_sub(1), last.saturating_add(1).min(0xF_FFFF)];
        let page = state.rng.pick(&[inside, inside, first, last, outside[0], outside[1]]);
        (state.rng.index(state.setup.cpus), page)
    });
    let va = page << 12;
    if watch.is_overshadowed(cpu, va) {
        return;
    }
    for found in sim.outcomes(cpu, va) {
        if watch.allows(cpu, va, &found) {
            // Nobody can tell a fault of the edit from one for a missing copy, so all are handled.
            if watch.may_be_mended(cpu, va, &found) {
                handle(sim, view, watch, cpu, va, &found);
            }
            continue;
        }
        let mended = watch.may_be_mended(cpu, va, &found)
            && handle(sim, view, watch, cpu, va, &found) == Verdict::Retry;
        if !mended {
            sim.report(Violation::Wrong { cpu, va, found });
        }
    }
}
