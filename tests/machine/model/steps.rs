//! One random step after another.

use std::rc::Rc;

use armv7a_mm::addr::PhysAddr;
use armv7a_mm::attr::{Access, Attrs, MemoryType, Shareability};
use armv7a_mm::format::control::Registers;
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::error::EditError;

use super::judge::intrude;
use super::page::{Map, Page};
use super::random;
use super::system::{Outcome, System};
use super::watch::Tree;

/// Address spaces at a time.
const SPACES: usize = 5;

/// What an edit does.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Unmap,
    Clear,
    Protect(Access),
    Modify(Change),
}

/// What modify does to attributes.
#[derive(Clone, Copy, Debug)]
enum Change {
    Young,
    Old,
    Clean,
    Dirty,
    Protect,
    Write,
    Memory(MemoryType),
    Share(Shareability),
}

impl Change {
    const ALL: [Self; 9] = [
        Self::Young,
        Self::Old,
        Self::Clean,
        Self::Dirty,
        Self::Protect,
        Self::Write,
        Self::Memory(MemoryType::NonCacheable),
        Self::Memory(MemoryType::WriteBackWriteAllocate),
        Self::Share(Shareability::Non),
    ];

    fn apply(self, attrs: Attrs) -> Attrs {
        match self {
            Self::Young => attrs.mkyoung(),
            Self::Old => attrs.mkold(),
            Self::Clean => attrs.mkclean(),
            Self::Dirty => attrs.mkdirty(),
            Self::Protect => attrs.wrprotect(),
            Self::Write => attrs.mkwrite(),
            Self::Memory(memory) => attrs.with_memory(memory),
            Self::Share(share) => Attrs { share, ..attrs },
        }
    }
}

impl<F: Registers> System<F> {
    /// CPUs interrupt edits from here on.
    pub fn with_intruders(self) -> Self {
        let (watch, view) = (Rc::clone(&self.watch), self.swapper.view());
        self.sim.set_intruder(Some(Box::new(move |sim| {
            if let Ok(watch) = watch.try_borrow() {
                intrude(sim, &view, &watch);
            }
        })));
        self
    }

    /// The kernel maps memory at PAGE_OFFSET, in the largest leaves there are: what boot would do.
    pub fn map_lowmem(&mut self) {
        let first = self.layout.spec().page_offset >> 12;
        let count = 0x2000 + self.rng.below(0x1000) as u32;
        let attrs = Attrs::kernel(Access::ReadWrite);
        let phys = 0x4200_0000 - (self.rng.below(2) << 20);
        let after =
            move |page: u32, _| Some(Page { phys: phys + (u64::from(page - first) << 12), attrs });
        let pages = (first, first + count - 1);
        let result = self.edit("lowmem", None, pages, Box::new(after), |system, range| {
            let at = PhysAddr::new(phys).expect("40 bits");
            // SAFETY: nothing real is mapped.
            unsafe { system.swapper.map(range, at, attrs, LeafSizes::LARGEST)? };
            Ok(None)
        });
        assert_eq!(result, Ok(()));
    }

    /// One step.
    pub fn step(&mut self) {
        let refuse = self.rng.one_in(5).then(|| self.rng.below(5) as u32);
        self.sim.refuse_after(refuse);
        let allocated = self.sim.state().tables.allocated().count();
        let was_owed = self.owed.is_some();
        let failed = match self.rng.below(20) {
            0 | 1 => !self.alloc_or_free(),
            2..=5 => self.kernel(),
            6..=14 => self.user(),
            15..=17 => self.reschedule(),
            18 => self.identity(),
            _ => {
                let cpu = self.rng.index(self.sim.setup().cpus);
                let (page, _) = random::pages(&mut self.rng, self.layout, true);
                self.check_verdict(cpu, page << 12);
                false
            }
        };
        if was_owed {
            self.pay();
        } else if failed && self.owed.is_none() {
            let now = self.sim.state().tables.allocated().count();
            assert_eq!(now, allocated, "tables after a refusal");
        }
        self.sim.refuse_after(None);
        self.check_some(1);
        self.check_tables();
    }

    /// Whether it went as far as it should.
    fn alloc_or_free(&mut self) -> bool {
        if !self.spaces.is_empty() && (self.spaces.len() >= SPACES || self.rng.one_in(3)) {
            // Often one that has just begun: it ran, and mapped nothing.
            let newest = self.spaces.len() - 1;
            let index = if self.rng.one_in(2) { newest } else { self.rng.index(newest + 1) };
            self.free(index);
            return true;
        }
        if self.rng.one_in(8) {
            self.shrink();
            return true;
        }
        // Kernels map themselves first.
        if self.watch.borrow().kernel.is_empty() || !self.alloc() {
            return false;
        }
        if self.rng.one_in(2) {
            let cpu = self.rng.index(self.sim.setup().cpus);
            self.switch(cpu, Some(self.spaces.len() - 1));
            let task_size = self.layout.task_size().0;
            for va in [task_size, task_size - 0x1000, 0xFFFF_0000] {
                self.check_on(cpu, va);
            }
        }
        true
    }

    fn reschedule(&mut self) -> bool {
        let cpu = self.rng.index(self.sim.setup().cpus);
        let to = self.rng.index(self.spaces.len() + 1);
        self.switch(cpu, (to < self.spaces.len()).then_some(to));
        self.check_some(2);
        false
    }

    /// An edit of swapper. Whether it was refused.
    fn kernel(&mut self) -> bool {
        let bounds = self.layout.kernel();
        let vectors = self.layout.low_vectors() && self.rng.one_in(10);
        if vectors || self.rng.one_in(2) {
            let pages =
                if vectors { (0, 0) } else { random::pages(&mut self.rng, self.layout, true) };
            return self.map(None, pages);
        }
        let pages = random::mapped_pages(&mut self.rng, &self.watch.borrow().kernel, bounds);
        pages.is_some_and(|pages| self.change(None, pages))
    }

    /// An edit of an address space. Whether it was refused.
    fn user(&mut self) -> bool {
        if self.spaces.is_empty() {
            return false;
        }
        let id = self.spaces[self.rng.index(self.spaces.len())].id;
        if self.rng.one_in(2) {
            let pages = random::pages(&mut self.rng, self.layout, false);
            return self.map(Some(id), pages);
        }
        let bounds = self.layout.user();
        let pages = random::mapped_pages(&mut self.rng, &self.watch.borrow().spaces[&id], bounds);
        pages.is_some_and(|pages| self.change(Some(id), pages))
    }

    fn map(&mut self, tree: Tree, pages: (u32, u32)) -> bool {
        let (first, last) = pages;
        let phys = random::phys(&mut self.rng, first, F::LPAE);
        let attrs = random::attrs(&mut self.rng, tree.is_none());
        let sizes = random::sizes(&mut self.rng);
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
        match result {
            Ok(()) => {}
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
        result.is_err()
    }

    fn change(&mut self, tree: Tree, pages: (u32, u32)) -> bool {
        let kind = match self.rng.below(8) {
            0..=2 => Kind::Unmap,
            3 if tree.is_some() => Kind::Clear,
            3..=5 => Kind::Protect(self.rng.pick(&Access::ALL)),
            _ if tree.is_some() => Kind::Modify(self.rng.pick(&Change::ALL)),
            _ => Kind::Protect(self.rng.pick(&Access::ALL)),
        };
        let after = move |_, page: Option<Page>| match kind {
            Kind::Unmap | Kind::Clear => None,
            Kind::Protect(access) => {
                page.map(|it| Page { attrs: it.attrs.with_access(access), ..it })
            }
            Kind::Modify(change) => page.map(|it| Page { attrs: change.apply(it.attrs), ..it }),
        };
        let hole = hole(self.watch.borrow().map(tree), pages);
        let result = self.edit(kind, tree, pages, Box::new(after), |system, range| {
            // SAFETY: nothing real is mapped.
            let flush = unsafe {
                match (tree, kind) {
                    (None, Kind::Unmap) => system.swapper.unmap(range)?,
                    (None, Kind::Protect(access)) => system.swapper.protect(range, access)?,
                    (None, _) => return Ok(None),
                    (Some(id), kind) => {
                        let index = system.space(id);
                        let pgd = &mut system.spaces[index].pgd;
                        match kind {
                            Kind::Unmap => pgd.unmap(range)?,
                            Kind::Clear => pgd.clear(range)?,
                            Kind::Protect(access) => pgd.protect(range, access)?,
                            Kind::Modify(change) => pgd.modify(range, |it| change.apply(it))?,
                        }
                    }
                }
            };
            Outcome::<F>::Ok(Some(flush))
        });
        match result {
            Ok(()) => assert!(hole.is_none() || matches!(kind, Kind::Clear), "{hole:x?}"),
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
        result.is_err()
    }
}

/// The first page of a range that is not mapped.
fn hole(map: &Map, (first, last): (u32, u32)) -> Option<u32> {
    (first..=last).find(|page| !map.contains_key(page))
}
