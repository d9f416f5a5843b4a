//! `pgd_alloc`: what a pgd has from birth, and keeps for its life.
//!
//! Swapper's root entries of the kernel half, but for what is TTBR1's; where the window for modules and pkmap shares a root entry with
//! user space, a private table with copies of swapper's entries; with low vectors, tables down to page 0.

use core::marker::PhantomData;

use super::idmap::kernel_link;
use super::layout::Layout;
use super::pgd::{Birth, Kind, Pgd};
use super::spare::Regions;
use super::swapper::{Swapper, SwapperView};
use crate::addr::VirtAddr;
use crate::format::{Entry, Format, Walk};
use crate::table::context::Whose;
use crate::table::flush::publish;
use crate::table::mem::{Machine, OutOfMemory};
use crate::table::node::Node;
use crate::table::reserve::{Need, Reserve};

/// Whether the table that the entry for `va` at `depth` points to stays in a pgd although nothing is in it.
pub(super) fn keeps<F: Format>(layout: &Layout, depth: usize, va: VirtAddr) -> bool {
    let vectors = layout.low_vectors() && va.align_down(F::level(depth).shift) == VirtAddr(0);
    vectors || depth == 0 && layout.has_private_table::<F>(va)
}

impl<'m, F: Format, M: Machine> Swapper<'m, F, M> {
    /// Makes an address space with an empty user half, and seals swapper.
    ///
    /// # Errors
    /// [`OutOfMemory`]; all that was allocated was given back.
    #[inline]
    pub fn pgd_alloc(&mut self) -> Result<Pgd<'m, F, M>, OutOfMemory> {
        match self.spares.take(self.machine()) {
            Some(root) => Ok(self.adopt(root)),
            None => self.pgd_build(),
        }
    }

    /// The address space at `root`, which has an empty user half.
    #[inline]
    pub(super) fn adopt(&self, root: Node<'m, F, M>) -> Pgd<'m, F, M> {
        let swapper = self.view();
        // SAFETY: the same root; what is cut off is not there.
        let root = unsafe { Node::cut_root(root.machine(), root.table(), self.spares.cut()) };
        Pgd {
            swapper,
            root,
            features: self.features(),
            whose: Whose::Everyone,
            birth: Birth { layout: self.layout(), format: PhantomData },
            touched: Regions::default(),
            hides_kernel: false,
            hidden: 0,
            kind: Kind::default(),
        }
    }

    /// Makes an address space from nothing.
    #[cold]
    fn pgd_build(&mut self) -> Result<Pgd<'m, F, M>, OutOfMemory> {
        let (machine, layout, view) = (self.machine(), self.layout(), self.view());
        let level = layout.pgd_level::<F>();
        let root = machine.allocate(level)?;
        let reserve = Reserve::new(machine, &Pgd::tables(&view));
        let mut reserve = match reserve.and_then(|reserve| self.seal().map(|()| reserve)) {
            Ok(reserve) => reserve,
            Err(error) => {
                // SAFETY: just allocated, never linked.
                unsafe { machine.free(root, level) };
                return Err(error);
            }
        };
        // SAFETY: fresh from the allocator.
        let root = unsafe { Node::cut_root(machine, root, self.spares.cut()) };
        let pgd = self.adopt(root);
        let kernel = layout.pgd_kernel::<F>().map_or(0..0, |kernel| root.indices(kernel));
        // SAFETY: nobody walks the tree yet.
        unsafe {
            root.zero_unlinked(0..kernel.start);
            root.copy_unlinked(&view.root, kernel.clone());
            root.zero_unlinked(kernel.end..root.count());
            pgd.link_private(&mut reserve);
            if layout.low_vectors() {
                pgd.link_vectors(&mut reserve);
            }
        }
        let (from, bytes) = root.bytes(0..root.count());
        machine.clean(from, bytes);
        publish(machine);
        Ok(pgd)
    }
}

impl<'m, F: Format, M: Machine> Pgd<'m, F, M> {
    /// How many tables pgd_alloc needs below the root.
    fn tables(view: &SwapperView<'m, F, M>) -> Need {
        let mut need = Need::default();
        need[1] = Self::private_tables(view).count();
        if view.layout.low_vectors() {
            let zero = VirtAddr(0);
            for (depth, need) in need.iter_mut().enumerate().take(F::LEVELS.len()).skip(1) {
                if depth > 1 || !view.layout.has_private_table::<F>(zero) {
                    *need += 1;
                }
            }
        }
        need
    }

    /// The root entries at which a pgd has a table of its own from birth. A block of swapper's at the root is
    /// sealed, and copied as it is.
    fn private_tables(view: &SwapperView<'m, F, M>) -> impl Iterator<Item = usize> {
        let root = view.root;
        let is_block = move |index| matches!(F::walk(0, root.load(index)), Walk::Memory { .. });
        view.layout.private_tables::<F>().filter(move |&index| !is_block(index))
    }

    /// Links the private tables, with copies of swapper's entries.
    unsafe fn link_private(&self, reserve: &mut Reserve<'m, F, M>) {
        for index in Self::private_tables(&self.swapper) {
            let Some(table) = reserve.take(1) else { return };
            // SAFETY: the table is fresh; what is copied carries swapper's mark.
            unsafe {
                let child = Node::new(self.root.machine(), table, 1);
                let all = 0..child.level().entries();
                child.zero_unlinked(all.clone());
                let span = self.root.span(VirtAddr(0), index);
                let kernel = self.layout().pgd_kernel::<F>();
                if let (Entry::Table(entry), Some(kernel)) = (
                    self.swapper.root.entry(index),
                    kernel.and_then(|kernel| span.intersection(kernel)),
                ) {
                    child.copy_unlinked(&self.swapper.root.child(entry), child.indices(kernel));
                }
                let (from, bytes) = child.bytes(all);
                self.root.machine().clean(from, bytes);
                self.root.store(index, kernel_link::<F>(0, table));
            }
        }
    }

    /// Links tables down to the page of the low vectors, and copies swapper's mapping of it.
    unsafe fn link_vectors(&self, reserve: &mut Reserve<'m, F, M>) {
        let (mut node, mut model) = (self.root, Some(self.swapper.root));
        for depth in 1..F::LEVELS.len() {
            model = model.and_then(|model| match model.entry(0) {
                // SAFETY: the entry was just read from this node.
                Entry::Table(entry) => Some(unsafe { model.child(entry) }),
                _ => None,
            });
            // SAFETY: tables are fresh, or this pgd's private ones; nobody walks them yet.
            unsafe {
                node = match node.entry(0) {
                    Entry::Table(entry) => node.child(entry),
                    _ => {
                        let Some(table) = reserve.take(depth) else { return };
                        let child = Node::new(self.root.machine(), table, depth);
                        child.zero_unlinked(0..child.level().entries());
                        node.store(0, kernel_link::<F>(depth - 1, table));
                        let (from, bytes) = node.bytes(0..1);
                        self.root.machine().clean(from, bytes);
                        child
                    }
                };
                if let (Some(model), true) = (model, depth + 1 == F::LEVELS.len()) {
                    node.store(0, model.load(0));
                }
                let (from, bytes) = node.bytes(0..node.level().entries());
                self.root.machine().clean(from, bytes);
            }
        }
    }
}
