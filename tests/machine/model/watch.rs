//! What CPUs may find at any moment, also in the middle of an edit.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use armv7a_mm::table::context::Context;

use crate::machine::fault::Cause;
use crate::machine::leaf::{first, last};
use crate::machine::violation::Found;

use super::page::{Map, Page, Pxn, agrees};

/// A tree: swapper's, or an address space's by its number.
pub type Tree = Option<u32>;

/// What an edit makes of a page.
pub type After = Box<dyn Fn(u32, Option<Page>) -> Option<Page>>;

/// An edit that is not complete, or whose flush is not paid.
pub struct Edit {
    pub tree: Tree,
    /// First and last page.
    pub pages: (u32, u32),
    /// What was there.
    pub before: Map,
    pub after: After,
}

impl Edit {
    /// Whether a split may reach the page: runs span 32 MiB at most, and what is split is absent for a moment.
    fn is_near(&self, page: u32) -> bool {
        first(self.pages.0, 13) <= page && page <= last(self.pages.1, 13)
    }

    fn holds(&self, page: u32) -> bool {
        self.pages.0 <= page && page <= self.pages.1
    }
}

/// The model, shared with whoever interrupts.
pub struct Watch {
    pub kernel: Map,
    pub spaces: HashMap<u32, Map>,
    /// Those that a CPU may begin to run at any moment.
    pub contexts: HashMap<u32, Rc<Context>>,
    /// The address space that each CPU runs.
    pub on: Vec<Tree>,
    /// The root that each CPU walks.
    pub roots: Vec<u64>,
    /// Swapper's.
    pub kernel_root: u64,
    pub edits: Vec<Edit>,
    /// An identity mapping: of which space, first and last page, and what it means.
    pub identity: Option<(u32, (u32, u32), Page)>,
    /// Faults that copied an entry of swapper's.
    pub copied: Cell<u64>,
    pub task_size: u32,
    /// The last address that TTBR0 translates.
    pub pgd_last: u32,
    pub low_vectors: bool,
    pub long: bool,
    /// Whether user space's pages are closed to privileged execution.
    pub pxn: bool,
}

impl Watch {
    /// The tree that `va` belongs to on `cpu`; `None` if no tree maps user space there.
    pub fn tree(&self, cpu: usize, va: u32) -> Option<Tree> {
        if va >= self.task_size || self.low_vectors && va < 0x1000 {
            return Some(None);
        }
        self.on[cpu].map(Some)
    }

    /// The pages of a tree.
    pub fn map(&self, tree: Tree) -> &Map {
        match tree {
            None => &self.kernel,
            Some(space) => &self.spaces[&space],
        }
    }

    /// The pages of a tree, to change.
    pub fn map_mut(&mut self, tree: Tree) -> &mut Map {
        match tree {
            None => &mut self.kernel,
            Some(space) => self.spaces.get_mut(&space).expect("a space"),
        }
    }

    /// Whether `va` is in the identity mapping of the space that `cpu` runs.
    fn is_identity(&self, cpu: usize, va: u32) -> bool {
        self.identity.is_some_and(|(space, (first, last), _)| {
            self.on[cpu] == Some(space) && (first..=last).contains(&(va >> 12))
        })
    }

    /// Whether every address space finds the same at `va`: the kernel's mappings are global, no other is.
    pub fn is_shared(&self, cpu: usize, va: u32) -> bool {
        self.tree(cpu, va) == Some(None) && !self.is_identity(cpu, va)
    }

    /// The page that `cpu` should find at `va`.
    pub fn page(&self, cpu: usize, va: u32) -> Option<Page> {
        let page = va >> 12;
        if let Some((_, _, it)) = self.identity
            && self.is_identity(cpu, va)
        {
            return Some(Page { phys: u64::from(page) << 12, ..it });
        }
        self.map(self.tree(cpu, va)?).get(&page).copied()
    }

    /// Whether an identity mapping may change what holds for its neighbours: those in a table of its own.
    pub fn is_overshadowed(&self, cpu: usize, va: u32) -> bool {
        self.identity.is_some_and(|(space, (from, to), _)| {
            let page = va >> 12;
            self.on[cpu] == Some(space) && first(from, 8) <= page && page <= last(to, 8)
        })
    }

    /// What is closed to privileged execution at `va`. In the classic format the pages of the first MiB share a
    /// table, and so its PXN, with the low vectors.
    fn pxn(&self, cpu: usize, va: u32) -> Pxn {
        let with_vectors = !self.long && self.low_vectors && va < 1 << 20;
        let closed = self.pxn && va < self.task_size && !with_vectors;
        match (closed && !self.is_identity(cpu, va), self.long) {
            (false, _) => Pxn::Nothing,
            (true, true) => Pxn::OfUsers,
            (true, false) => Pxn::OfTables,
        }
    }

    /// Whether `cpu` may find this at `va` just now.
    pub fn allows(&self, cpu: usize, va: u32, found: &Found) -> bool {
        let now = self.page(cpu, va);
        let pxn = self.pxn(cpu, va);
        if agrees(found, now.as_ref(), va, pxn) {
            return true;
        }
        let Some(tree) = self.tree(cpu, va) else { return false };
        let page = va >> 12;
        self.edits.iter().filter(|edit| edit.tree == tree).any(|edit| {
            let absent = matches!(found, Found::Fault(it) if it.cause == Cause::Translation);
            let inside = edit.holds(page) && {
                let before = edit.before.get(&page).copied();
                let after = (edit.after)(page, before);
                agrees(found, before.as_ref(), va, pxn) || agrees(found, after.as_ref(), va, pxn)
            };
            inside || absent && edit.is_near(page)
        })
    }

    /// Whether `found` is a fault that the handler may mend: the kernel's, for something that swapper maps.
    pub fn may_be_mended(&self, cpu: usize, va: u32, found: &Found) -> bool {
        matches!(found, Found::Fault(it) if it.cause == Cause::Translation)
            && self.on[cpu].is_some()
            && (self.task_size..=self.pgd_last).contains(&va)
    }
}
