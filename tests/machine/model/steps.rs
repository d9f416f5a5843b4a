//! Executing one step after another, and checking behind each.

use std::rc::Rc;

use armv7a_mm::addr::{PhysAddr, VirtAddr};
use armv7a_mm::format::control::Registers;
use armv7a_mm::table::error::EditError;

use crate::machine::rng::Rng;

use super::judge::{intrude, intrude_by_switch};
use super::op::{Action, Op, Step};
use super::page::{Map, Page};
use super::system::{Edited, System};
use super::tally::{LEAF_CUT, NO_MEMORY, Outcome};
use super::watch::Tree;

impl<F: Registers> System<F> {
    /// CPUs interrupt edits from here on.
    pub fn with_intruders(self) -> Self {
        let (watch, view) = (Rc::clone(&self.watch), self.swapper.view());
        let contexts = Rc::clone(&self.contexts);
        self.sim.set_intruder(Some(Box::new(move |sim| {
            if let Some(contexts) = contexts.get()
                && let Ok(mut watch) = watch.try_borrow_mut()
            {
                intrude_by_switch(sim, contexts, &mut watch);
            }
            if let Ok(watch) = watch.try_borrow() {
                intrude(sim, &view, &watch);
            }
        })));
        self
    }

    /// One step, and what must hold behind it.
    pub fn step(&mut self, step: &Step) {
        self.rng = Rng::new(step.chance.into());
        let chance = self.rng.next();
        self.sim.with(|state| state.rng = Rng::new(chance));
        self.sim.refuse_after(step.refuse);
        let allocated = self.sim.state().tables.count();
        let was_owed = self.owed.is_some();
        let place = match step.op.tree() {
            None => "",
            Some(Some(_)) => "user",
            Some(None) if self.swapper.is_sealed() => "kernel, sealed",
            Some(None) => "kernel, not sealed",
        };
        let outcome = self.execute(step.op);
        self.tally.add(step.op.name(), place, outcome);
        if outcome == Outcome::Refused && self.sim.refused() {
            self.tally.add(NO_MEMORY, "", outcome);
        }
        if was_owed {
            self.pay();
        } else if outcome == Outcome::Refused && self.owed.is_none() {
            assert_eq!(self.sim.state().tables.count(), allocated, "tables after a refusal");
        }
        self.sim.refuse_after(None);
        self.check_some(1);
        self.check_tables();
    }

    fn execute(&mut self, op: Op) -> Outcome {
        let done = |done| if done { Outcome::Done } else { Outcome::Refused };
        match op {
            Op::Alloc { space, told } => {
                // Kernels map themselves first.
                if self.index(space).is_some() || self.watch.borrow().kernel.is_empty() {
                    return Outcome::Skipped;
                }
                done(self.alloc(space, told))
            }
            Op::Free { space, keep } => self.of(space, |system, index| {
                system.free(index, keep);
                Outcome::Done
            }),
            Op::Shrink => {
                self.shrink();
                Outcome::Done
            }
            Op::Pass { cpu, spaces } => {
                let cpu = cpu % self.sim.setup().cpus;
                self.pass(cpu, spaces);
                self.check_some(2);
                Outcome::Done
            }
            Op::Switch { cpu, space: None } => self.reschedule(cpu, None),
            Op::Switch { cpu, space: Some(space) } => {
                self.of(space, |system, index| system.reschedule(cpu, Some(index)))
            }
            Op::Map { tree: Some(space), .. } | Op::Change { tree: Some(space), .. }
                if self.index(space).is_none() =>
            {
                Outcome::Skipped
            }
            Op::Map { .. } => done(self.map(op)),
            Op::Change { tree, pages, action } => done(self.change(tree, pages, action)),
            Op::Identity { space, pages, access } => {
                self.of(space, |system, index| done(!system.identity(index, pages, access)))
            }
            Op::Fault { cpu, page } => {
                self.check_verdict(cpu % self.sim.setup().cpus, page << 12);
                Outcome::Done
            }
        }
    }

    /// Where the space of this number is.
    fn index(&self, id: u32) -> Option<usize> {
        self.spaces.iter().position(|space| space.id == id)
    }

    /// Does something with a space, if it is there.
    fn of(&mut self, id: u32, act: impl FnOnce(&mut Self, usize) -> Outcome) -> Outcome {
        match self.index(id) {
            Some(index) => act(self, index),
            None => Outcome::Skipped,
        }
    }

    fn reschedule(&mut self, cpu: usize, space: Option<usize>) -> Outcome {
        let cpu = cpu % self.sim.setup().cpus;
        self.switch(cpu, space);
        let task_size = self.layout.task_size().0;
        for va in [task_size, task_size - 0x1000, 0xFFFF_0000] {
            self.check_on(cpu, va);
        }
        self.check_some(2);
        Outcome::Done
    }

    /// Whether it was done.
    fn map(&mut self, op: Op) -> bool {
        let Op::Map { tree, pages, phys, attrs, sizes } = op else { return false };
        let (first, last) = pages;
        let at = PhysAddr::new(phys).expect("40 bits");
        let after = move |page: u32, _| {
            let phys = phys + (u64::from(page - first) << 12);
            Some(Page { phys, attrs })
        };
        let what = ("map", at, attrs, sizes);
        let result = self.edit(what, tree, pages, Box::new(after), |system, range| {
            // SAFETY: nothing real is mapped.
            unsafe {
                match tree {
                    None => system.swapper.map(range, at, attrs, sizes)?,
                    Some(id) => {
                        let index = system.space(id);
                        system.spaces[index].pgd.map(range, at, attrs, sizes)?;
                    }
                }
            }
            Ok(None)
        });
        let watch = self.watch.borrow();
        let mapped = watch.map(tree).range(first..=last).next().map(|(page, _)| page << 12);
        drop(watch);
        // The kernel's half is global, user space's is not (B27).
        let wrong_half = attrs.global != tree.is_none();
        match result {
            Ok(()) => assert!(!wrong_half, "the scope is the other half's"),
            Err(EditError::WrongHalf) => assert!(wrong_half, "the scope is right"),
            Err(EditError::Mapped { at, .. }) => {
                assert_eq!(Some(at.0), mapped, "the first mapping in the way");
            }
            Err(EditError::Encode(_) | EditError::PhysOverflow { .. }) => {}
            Err(EditError::OutOfMemory) => assert!(self.sim.refused(), "there was memory"),
            Err(EditError::Sealed { .. }) => {
                assert!(tree.is_none() && self.swapper.is_sealed() && self.layout.low_vectors());
            }
            Err(error) => panic!("{error:?}"),
        }
        self.check_around(pages);
        result.is_ok()
    }

    /// Whether it was done.
    fn change(&mut self, tree: Tree, pages: (u32, u32), action: Action) -> bool {
        let after = move |_, page: Option<Page>| match action {
            Action::Unmap | Action::Clear => None,
            Action::Protect(access) => {
                page.map(|it| Page { attrs: it.attrs.with_access(access), ..it })
            }
            Action::Modify(change) => page.map(|it| Page { attrs: change.apply(it.attrs), ..it }),
        };
        let hole = hole(self.watch.borrow().map(tree), pages);
        let cuts = self.cuts(tree, pages);
        let result = self.edit(action, tree, pages, Box::new(after), |system, range| {
            // SAFETY: nothing real is mapped.
            let flush = unsafe {
                match tree {
                    None => match action {
                        Action::Unmap => system.swapper.unmap(range)?,
                        Action::Clear => system.swapper.clear(range)?,
                        Action::Protect(access) => system.swapper.protect(range, access)?,
                        Action::Modify(change) => {
                            system.swapper.modify(range, |it| change.apply(it))?
                        }
                    },
                    Some(id) => {
                        let index = system.space(id);
                        let pgd = &mut system.spaces[index].pgd;
                        match action {
                            Action::Unmap => pgd.unmap(range)?,
                            Action::Clear => pgd.clear(range)?,
                            Action::Protect(access) => pgd.protect(range, access)?,
                            Action::Modify(change) => pgd.modify(range, |it| change.apply(it))?,
                        }
                    }
                }
            };
            Edited::<F>::Ok(Some(flush))
        });
        match result {
            Ok(()) => {
                assert!(hole.is_none() || matches!(action, Action::Clear), "{hole:x?}");
                if cuts {
                    self.tally.add(LEAF_CUT, "", Outcome::Done);
                }
            }
            Err(EditError::NotMapped { at }) => {
                assert_eq!(Some(at.0), hole.map(|page| page << 12), "the first hole");
            }
            Err(EditError::Encode(_)) => {}
            Err(EditError::OutOfMemory) => assert!(self.sim.refused(), "there was memory"),
            Err(EditError::Sealed { .. }) => {
                assert!(tree.is_none() && self.swapper.is_sealed());
            }
            Err(error) => panic!("{error:?}"),
        }
        self.check_around(pages);
        result.is_ok()
    }

    /// Whether a leaf or a run sticks out of the pages.
    fn cuts(&self, tree: Tree, (first, last): (u32, u32)) -> bool {
        let find = |va| match tree {
            None => self.swapper.translate(va),
            Some(id) => self.spaces[self.space(id)].pgd.translate(va),
        };
        let (first, last) = (VirtAddr(first << 12), VirtAddr(last << 12 | 0xFFF));
        find(first).is_some_and(|it| it.span().start() < first)
            || find(last).is_some_and(|it| it.span().last() > last)
    }
}

/// The first page of a range that is not mapped.
fn hole(map: &Map, (first, last): (u32, u32)) -> Option<u32> {
    (first..=last).find(|page| !map.contains_key(page))
}
