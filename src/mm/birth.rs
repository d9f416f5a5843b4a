//! `pgd_alloc`: what a pgd has from birth, and keeps for its life.
//!
//! Swapper's root entries of the kernel half, but for what is TTBR1's; where the window for modules and pkmap shares a root entry with
//! user space, a private table with copies of swapper's entries; with low vectors, tables down to page 0.

use core::marker::PhantomData;
use core::ops::Range;

use super::idmap::kernel_link;
use super::layout::Layout;
use super::pgd::{Birth, Kind, Pgd};
use super::spare::Regions;
use super::swapper::Swapper;
use crate::addr::{VirtAddr, VirtRange};
use crate::format::{Format, Walk};
use crate::table::context::Whose;
use crate::table::flush::publish;
use crate::table::mem::{Machine, OutOfMemory};
use crate::table::node::Node;

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

    /// Makes an address space from nothing. All that may fail comes first, so that a failure leaves swapper as it was.
    #[cold]
    fn pgd_build(&mut self) -> Result<Pgd<'m, F, M>, OutOfMemory> {
        let (machine, layout) = (self.machine(), self.layout());
        let root = machine.allocate(layout.pgd_level::<F>())?;
        // SAFETY: fresh from the allocator.
        let root = unsafe { Node::cut_root(machine, root, self.spares.cut()) };
        let draft = Draft::new(root, self.view().root, layout);
        let copied = draft.copied();
        // SAFETY: nobody walks the tree yet.
        unsafe {
            root.zero_unlinked(0..copied.start);
            root.zero_unlinked(copied.end..root.count());
            if let Err(error) = draft.link_tables().and_then(|()| self.seal()) {
                root.zero_unlinked(copied);
                self.give_back(root);
                return Err(error);
            }
            root.copy_unlinked(&draft.swapper, copied);
            draft.fill_private();
        }
        root.clean(root.all());
        publish(machine);
        Ok(self.adopt(root))
    }

    /// Gives back what was to become an address space.
    ///
    /// # Safety
    /// Nobody ever walked it; every entry is absent or its own.
    #[cold]
    #[inline(never)]
    unsafe fn give_back(&self, root: Node<'m, F, M>) {
        let pgd = self.adopt(root);
        let mut tables = pgd.flush();
        // SAFETY: the caller answers for it; the root goes first, as it points to the others.
        unsafe {
            pgd.editor().give_up_tree(&root, &mut tables);
            self.machine().free(root.table(), self.layout().pgd_level::<F>());
        }
        // No address was translated, so this is memory alone.
        debug_assert!(tables.is_empty());
        tables.pay();
    }
}

/// A pgd's tables in the making, which nobody walks.
struct Draft<'m, F: Format, M> {
    root: Node<'m, F, M>,
    /// Swapper's root.
    swapper: Node<'m, F, M>,
    low_vectors: bool,
    /// The root entries below which the pgd has a table of its own, but where swapper has a block.
    private: Range<usize>,
    /// What of the kernel half the pgd translates.
    kernel: Option<VirtRange>,
}

impl<'m, F: Format, M: Machine> Draft<'m, F, M> {
    /// A root with anything in it.
    fn new(root: Node<'m, F, M>, swapper: Node<'m, F, M>, layout: &Layout) -> Self {
        let low_vectors = layout.low_vectors();
        let (private, kernel) = (layout.private_tables::<F>(), layout.pgd_kernel::<F>());
        Self { root, swapper, low_vectors, private, kernel }
    }

    /// The root entries that are swapper's, whatever it maps there: the kernel half's, behind those where the pgd has
    /// tables of its own.
    fn copied(&self) -> Range<usize> {
        let count = self.root.count();
        let kernel = self.kernel.map_or(count..count, |kernel| self.root.indices(kernel));
        kernel.start.max(self.private.end)..kernel.end
    }

    /// Links the tables that the pgd has from birth, with nothing in them but the low vectors.
    ///
    /// # Safety
    /// The root's entries are absent, but for those that are copied.
    unsafe fn link_tables(&self) -> Result<(), OutOfMemory> {
        for index in self.private.clone() {
            // A block of swapper's at the root is sealed, and copied as it is.
            if !matches!(F::walk(0, self.swapper.load(index)), Walk::Memory { .. }) {
                // SAFETY: the entry is absent.
                unsafe { Self::link_empty(&self.root, index)? };
            }
        }
        if self.low_vectors {
            // SAFETY: the caller answers for it.
            unsafe { self.link_vectors()? };
        }
        Ok(())
    }

    /// Links an empty table, which is to be cleaned when it is filled.
    ///
    /// # Safety
    /// The entry is absent, in a tree that nobody walks.
    unsafe fn link_empty(
        node: &Node<'m, F, M>,
        index: usize,
    ) -> Result<Node<'m, F, M>, OutOfMemory> {
        let (machine, depth) = (node.machine(), node.depth() + 1);
        let table = machine.allocate(F::level(depth))?;
        // SAFETY: the table is fresh; the caller answers for the entry.
        unsafe {
            let child = Node::new(machine, table, depth);
            child.zero_unlinked(child.all());
            node.store(index, kernel_link::<F>(node.depth(), table));
            Ok(child)
        }
    }

    /// Links tables down to the page of the low vectors, and copies swapper's mapping of it, which no seal changes.
    ///
    /// # Safety
    /// As for [`link_tables`](Self::link_tables).
    unsafe fn link_vectors(&self) -> Result<(), OutOfMemory> {
        let (mut node, mut model) = (self.root, Some(self.swapper));
        for _ in 1..F::LEVELS.len() {
            // SAFETY: swapper's tables stay; this tree nobody walks.
            unsafe {
                model = model.and_then(|model| model.below(0));
                let child = match node.below(0) {
                    Some(child) => child,
                    None => Self::link_empty(&node, 0)?,
                };
                node.clean(node.all());
                node = child;
            }
        }
        if let Some(model) = model {
            // SAFETY: a table of this tree's, which nobody walks.
            unsafe { node.store(0, model.load(0)) };
        }
        node.clean(node.all());
        Ok(())
    }

    /// Copies swapper's entries to the private tables.
    ///
    /// # Safety
    /// [`link_tables`](Self::link_tables) linked them.
    unsafe fn fill_private(&self) {
        for index in self.private.clone() {
            // SAFETY: nobody walks this tree; swapper's tables stay, and what is copied carries its mark.
            unsafe {
                let Some(child) = self.root.below(index) else {
                    self.root.store(index, self.swapper.load(index));
                    continue;
                };
                let span = self.root.span(VirtAddr(0), index);
                let kernel = self.kernel.and_then(|kernel| span.intersection(kernel));
                if let (Some(kernel), Some(model)) = (kernel, self.swapper.below(index)) {
                    child.copy_unlinked(&model, child.indices(kernel));
                }
                child.clean(child.all());
            }
        }
    }
}
