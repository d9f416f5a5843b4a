//! Identity mappings: added to an address space, entered, left, taken away.

use armv7a_mm::addr::VirtRange;
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::control::Registers;
use armv7a_mm::table::error::EditError;

use crate::machine::rng::Choice;

use super::page::Page;
use super::random;
use super::system::System;

impl<F: Registers> System<F> {
    /// Adds one to the space at `index`, runs in it, and takes it away. Whether it was refused.
    pub fn identity(&mut self, index: usize, pages: (u32, u32), access: Access) -> bool {
        self.pay();
        let id = self.spaces[index].id;
        for cpu in 0..self.sim.setup().cpus {
            if self.watch.borrow().on[cpu] == Some(id) {
                self.switch(cpu, None);
            }
        }
        let root = self.spaces[index].pgd.root().as_u64();
        self.sim.set_offline(root, true);
        let context = self.watch.borrow_mut().contexts.remove(&id);
        let refused = self.add_and_delete(index, pages, access);
        self.sim.set_offline(root, false);
        self.watch.borrow_mut().contexts.extend(context.map(|it| (id, it)));
        refused
    }

    fn add_and_delete(&mut self, index: usize, pages: (u32, u32), access: Access) -> bool {
        let id = self.spaces[index].id;
        let range = random::range(pages.0, pages.1);
        self.any_cpu();
        self.sim.begin(format!("identity add to {id} in {range}, {access:?}"), true);
        // SAFETY: no CPU runs it, and nothing real is mapped.
        let result = unsafe { self.spaces[index].pgd.identity_mapping_add(range, access) };
        self.sim.end(true);
        match result {
            Ok(()) => {}
            Err(EditError::Mapped { .. }) => {
                let watch = self.watch.borrow();
                let mapped = watch.spaces[&id].range(pages.0..=pages.1).next().is_some();
                assert!(mapped, "nothing is in the way");
                return true;
            }
            Err(EditError::OutOfMemory) => {
                assert!(self.sim.refused(), "there was memory");
                return true;
            }
            Err(EditError::Encode(_)) => return true,
            Err(EditError::OutOfBounds { .. }) => {
                assert!(range.last() > self.layout.pgd_last::<F>(), "TTBR0 translates it");
                return true;
            }
            Err(error) => panic!("{error:?}"),
        }
        let attrs = Attrs::kernel(access).with_global(false);
        self.watch.borrow_mut().identity = Some((id, pages, Page { phys: 0, attrs }));
        self.run_in(index, pages);
        self.delete(index, range);
        self.check_tree(Some(id));
        self.check_around(pages);
        false
    }

    /// Runs in the space and looks around.
    fn run_in(&mut self, index: usize, pages: (u32, u32)) {
        let cpu = self.rng.index(self.sim.setup().cpus);
        self.switch(cpu, Some(index));
        // The kernel's global entries may translate the same addresses otherwise.
        self.sim.flush_local(cpu);
        // What lies next to it may be remembered in pieces that would hide it.
        for page in
            [pages.0.saturating_sub(0x200), pages.0 ^ 0x100, pages.0 ^ 0x400, pages.1 ^ 0x800]
        {
            self.check(page << 12);
        }
        self.check_around(pages);
        self.check_some(2);
        self.switch(cpu, None);
        self.sim.flush_local(cpu);
    }

    fn delete(&mut self, index: usize, range: VirtRange) {
        self.any_cpu();
        let id = self.spaces[index].id;
        self.sim.begin(format!("identity del from {id} in {range}"), false);
        // SAFETY: nothing uses it any more.
        let flush = unsafe { self.spaces[index].pgd.identity_mapping_del(range) };
        let flush = flush.expect("it is there");
        // Any other debt may take it over, also an empty one.
        const NOWHERE: u32 = 0x3F0;
        let other = self.rng.index(self.spaces.len());
        let used = self.watch.borrow().spaces[&self.spaces[other].id].contains_key(&NOWHERE);
        if used {
            flush.pay();
        } else {
            // SAFETY: the space maps nothing there.
            let empty = unsafe { self.spaces[other].pgd.clear(random::range(NOWHERE, NOWHERE)) };
            let mut empty = empty.expect("nothing to refuse");
            empty.merge(flush);
            empty.pay();
        }
        self.sim.end(true);
        self.watch.borrow_mut().identity = None;
    }
}
