//! Swapper as seen without its lock: by walks, pgds, the fault handler. Descriptors are read one by one, whole, while
//! another CPU may add to them; tables that were linked once stay.

use super::layout::{Layout, has_pmds};
use super::swapper::Swapper;
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::format::{Format, Split, Walk};
use crate::table::mem::{Machine, TableMemory};
use crate::table::node::Node;

/// What pgds and views know of swapper.
pub(super) struct SwapperTree<'m, F: Format, M> {
    pub(super) root: Node<'m, F, M>,
    pub(super) layout: &'m Layout,
    /// The last address that pgds translate: [`Layout::pgd_last`].
    pub(super) pgd_last: VirtAddr,
}

impl<F: Format, M> Clone for SwapperTree<'_, F, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Format, M> Copy for SwapperTree<'_, F, M> {}

impl<'m, F: Format, M: TableMemory> SwapperTree<'m, F, M> {
    /// See [`SwapperView::late`], and what it translates: less than 4 GiB, as user space has some.
    fn late(&self) -> Option<(Node<'m, F, M>, VirtRange)> {
        let kernel = self.layout.pgd_kernel::<F>()?;
        if const { !has_pmds::<F>() } {
            return Some((self.root, kernel));
        }
        if !self.layout.has_private_table::<F>(kernel.start()) {
            return None;
        }
        let index = self.root.index(kernel.start());
        let (_, part) = self.root.cut(kernel, index);
        // SAFETY: swapper's tables stay.
        Some((unsafe { self.root.below(index) }?, part))
    }
}

/// Swapper for who holds no lock on it.
pub struct SwapperView<'m, F: Format, M> {
    pub(super) tree: SwapperTree<'m, F, M>,
    /// Swapper's table for what pgds miss most, just above the ptes: what each of them has a table of its own for.
    pub(super) late: Node<'m, F, M>,
    /// Where that starts, and how many bytes it has.
    late_span: (u32, u32),
}

impl<F: Format, M> Clone for SwapperView<'_, F, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Format, M> Copy for SwapperView<'_, F, M> {}

impl<F: Format, M> SwapperView<'_, F, M> {
    /// Whether pgds translate `va` by an entry in their own tables for [`late`](Self::late).
    #[inline]
    pub(super) fn comes_late(&self, va: VirtAddr) -> bool {
        va.0.wrapping_sub(self.late_span.0) < self.late_span.1
    }

    /// Whether `va` is the kernel's, and pgds translate it.
    pub(super) fn is_copied(&self, va: VirtAddr) -> bool {
        va >= self.tree.layout.task_size() && va <= self.tree.pgd_last
    }
}

impl<'m, F: Format, M: TableMemory> SwapperView<'m, F, M> {
    /// The root, for walks.
    pub fn node(&self) -> Node<'m, F, M> {
        self.tree.root
    }

    /// The memory map.
    pub fn layout(&self) -> &'m Layout {
        self.tree.layout
    }

    /// How TTBR1 is to share the address space, and the table that its walks start at, for
    /// `armv7::offline::set_root` or `mmu::set_split`: the root, or the one pmd above the border. `None` where the layout
    /// has no split.
    pub fn upper(&self) -> Option<(&'static Split, PhysAddr)> {
        let split = self.layout().split::<F>()?;
        let root = self.node();
        if split.depth == 0 {
            return Some((split, root.table()));
        }
        match F::walk(0, root.load(root.index(split.border))) {
            Walk::Table(table) => Some((split, table)),
            _ => None,
        }
    }
}

impl<'m, F: Format, M: Machine> Swapper<'m, F, M> {
    /// What readers without a lock see: walks, pgds, the fault handler.
    pub fn view(&self) -> SwapperView<'m, F, M> {
        let tree = self.tree;
        // Where there is no such table, no address is in its span.
        let (late, late_span) = match tree.late() {
            Some((table, span)) => (table, (span.start().0, span.bytes() as u32)),
            None => (tree.root, (0, 0)),
        };
        SwapperView { tree, late, late_span }
    }
}
