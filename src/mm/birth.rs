//! `pgd_alloc`: what a pgd has from birth, and keeps for its life.
//!
//! Swapper's root entries of the kernel half, but for what is TTBR1's; where the window for modules and pkmap shares a
//! root entry with user space, a private table with copies of swapper's entries; with low vectors, tables down to page 0.

use core::ops::Range;

use super::idmap::kernel_link;
use super::layout::{Layout, has_pmds};
use super::pgd::{Kind, Pgd};
use super::spare::Regions;
use super::swapper::Swapper;
use crate::addr::VirtAddr;
use crate::format::{Format, Level, Walk};
use crate::table::context::Whose;
use crate::table::flush::publish;
use crate::table::mem::{Machine, OutOfMemory};
use crate::table::node::Node;

/// Whether the table that the entry for `va` at `depth` points to stays in a pgd although nothing is in it.
#[inline]
pub(super) fn keeps<F: Format>(layout: &Layout, depth: usize, va: VirtAddr) -> bool {
    let vectors = layout.low_vectors() && va.align_down(F::geometry(depth).shift) == VirtAddr(0);
    vectors || depth == 0 && layout.has_private_table::<F>(va)
}

impl<'m, F: Format, M: Machine> Swapper<'m, F, M> {
    /// Makes an address space with an empty user half, and [seals](super::swapper#sealing) swapper: map RAM before.
    ///
    /// # Errors
    /// [`OutOfMemory`]; all that was allocated was given back.
    #[inline]
    pub fn pgd_alloc(&mut self) -> Result<Pgd<'m, F, M>, OutOfMemory> {
        match self.spares.take(self.machine(), self.shape.last) {
            Some(root) => Ok(self.adopt(root)),
            None => self.pgd_build(),
        }
    }

    /// The address space at `root`, which has an empty user half.
    #[inline]
    pub(super) fn adopt(&self, root: Node<'m, F, M>) -> Pgd<'m, F, M> {
        Pgd {
            swapper: self.tree,
            root,
            features: self.features(),
            whose: Whose::Everyone,
            touched: Regions::default(),
            hides_kernel: false,
            hidden: 0,
            block: VirtAddr(0),
            kind: Kind::default(),
        }
    }

    /// Makes an address space from nothing. All that may fail comes first, so that a failure leaves swapper as it was.
    #[cold]
    fn pgd_build(&mut self) -> Result<Pgd<'m, F, M>, OutOfMemory> {
        let machine = self.machine();
        let root = machine.allocate(self.shape.level)?;
        // SAFETY: fresh from the allocator.
        let root = unsafe { Node::short_root(machine, root, self.shape.last) };
        // SAFETY: a root, and whole.
        let draft = Draft { root, swapper: unsafe { self.tree.root.at_depth(0) } };
        let copied = self.shape.copied.clone();
        // SAFETY: nobody walks the tree yet.
        unsafe {
            draft.zero_root(&copied);
            if let Err(error) = draft.link_tables(&self.shape).and_then(|()| self.seal()) {
                root.zero_unlinked(copied);
                self.give_back(root);
                return Err(error);
            }
            draft.copy_root(copied);
            draft.fill_private(&self.shape);
        }
        root.clean(root.all());
        publish(machine);
        Ok(self.adopt(root))
    }

    /// Gives back an address space that nobody runs and no TLB knows: one that was to be, or a spare one.
    ///
    /// # Safety
    /// Nobody walks it, and no TLB and no walk cache knows anything of it.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn give_back(&self, root: Node<'m, F, M>) {
        let pgd = self.adopt(root);
        let mut tables = pgd.flush();
        // SAFETY: the caller answers for it; the root goes first, as it points to the others.
        unsafe {
            tables.add_below(&root);
            self.machine().free(root.table(), self.shape.level);
        }
        // No address is translated, so this is memory alone.
        debug_assert!(tables.is_empty());
        tables.pay();
    }
}

/// What every pgd of a layout has from birth, worked out once.
pub(super) struct Shape {
    /// The root's geometry.
    level: &'static Level,
    /// The root's last entry.
    pub(super) last: u16,
    low_vectors: bool,
    /// The root entries below which a pgd has a table of its own, but where swapper has a block.
    private: Range<usize>,
    /// The root entries that are swapper's, whatever it maps there: the kernel half's, behind the private ones.
    copied: Range<usize>,
    /// The entries that are swapper's in all tables below the root, counted from address 0 on.
    below: Range<usize>,
}

impl Shape {
    /// That of the layout's pgds.
    pub(super) fn new<F: Format>(layout: &Layout) -> Self {
        let (root, level) = (&F::LEVELS[0], layout.pgd_level::<F>());
        let (private, kernel) = (layout.private_tables::<F>(), layout.pgd_kernel::<F>());
        let count = level.entries();
        let copied = kernel.map_or(count..count, |kernel| {
            root.index(kernel.start()).max(private.end)..root.index(kernel.last()) + 1
        });
        let number = |va: VirtAddr| (va.0 >> F::level(1).shift) as usize;
        let below = kernel.map_or(0..0, |kernel| number(kernel.start())..number(kernel.last()) + 1);
        Self {
            level,
            last: (count - 1) as u16,
            low_vectors: layout.low_vectors(),
            private,
            copied,
            below,
        }
    }

    /// The root entries with private tables.
    #[inline]
    fn private<F: Format>(&self) -> Range<usize> {
        if const { has_pmds::<F>() } { self.private.clone() } else { 0..0 }
    }

    /// Which entries of the private table below root entry `index` are swapper's.
    #[inline]
    fn copies<F: Format>(&self, index: usize) -> Range<usize> {
        let first = index * F::level(1).entries();
        let from_first = |number: usize| number.saturating_sub(first);
        from_first(self.below.start)..from_first(self.below.end)
    }
}

/// A pgd's tables in the making, which nobody walks.
struct Draft<'m, F: Format, M> {
    root: Node<'m, F, M>,
    /// Swapper's root.
    swapper: Node<'m, F, M>,
}

impl<'m, F: Format, M: Machine> Draft<'m, F, M> {
    /// Whether a root has so few entries that a call for them would cost more.
    const ROOT_IS_SMALL: bool = F::LEVELS[0].entries() <= 4;

    /// Links the tables that the pgd has from birth, with nothing in them but the low vectors.
    ///
    /// # Safety
    /// The root's entries are absent, but for those that are copied.
    unsafe fn link_tables(&self, shape: &Shape) -> Result<(), OutOfMemory> {
        for index in shape.private::<F>() {
            // A block of swapper's at the root is sealed, and copied as it is.
            if !matches!(F::walk(0, self.swapper.load(index)), Walk::Memory { .. }) {
                // SAFETY: the entry is absent.
                unsafe { Self::link_empty(&self.root, index)? };
            }
        }
        if shape.low_vectors {
            // SAFETY: the caller answers for it.
            unsafe { self.link_vectors()? };
        }
        Ok(())
    }

    /// Makes the root's entries absent, but for those that will be `copied`.
    ///
    /// # Safety
    /// Nobody walks this tree.
    unsafe fn zero_root(&self, copied: &Range<usize>) {
        let root = &self.root;
        let zero = |range: Range<usize>| {
            if !Self::ROOT_IS_SMALL {
                // SAFETY: the caller answers for it; so for all of these.
                return unsafe { root.zero_unlinked(range) };
            }
            for index in range {
                // SAFETY: as above.
                unsafe { root.store(index, F::Raw::default()) };
            }
        };
        zero(0..copied.start);
        if copied.end < root.count() {
            zero(copied.end..root.count());
        }
    }

    /// Copies swapper's root entries in `copied`.
    ///
    /// # Safety
    /// Nobody walks this tree.
    unsafe fn copy_root(&self, copied: Range<usize>) {
        if Self::ROOT_IS_SMALL {
            for index in copied {
                // SAFETY: the caller answers for it; so for all of these.
                unsafe { self.root.store(index, self.swapper.load(index)) };
            }
            return;
        }
        // SAFETY: as above.
        unsafe { self.root.copy_unlinked(&self.swapper, copied) };
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
    unsafe fn fill_private(&self, shape: &Shape) {
        for index in shape.private::<F>() {
            // SAFETY: nobody walks this tree; swapper's tables stay, and what is copied carries its mark.
            unsafe {
                let Some(child) = self.root.below(index) else {
                    self.root.store(index, self.swapper.load(index));
                    continue;
                };
                if let Some(model) = self.swapper.below(index) {
                    child.copy_unlinked(&model, shape.copies::<F>(index));
                }
                child.clean(child.all());
            }
        }
    }
}
