//! Taking identity mappings away: swapper's entries come back, and the tables made for the mapping go.

use core::ops::Range;

use super::{is_own, run_of};
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::format::{Entry, Format, Leaf, Owner, RUN, Walk};
use crate::mm::birth::keeps;
use crate::mm::pgd::Pgd;
use crate::table::flush::Flush;
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::reserve::planned;
use crate::table::walk;

impl<'m, F: Format, M: Machine> Pgd<'m, F, M> {
    /// Checks that all of `range` is identity mapping.
    ///
    /// # Errors
    /// The first address that is not, or whose leaf the range cuts.
    #[inline(never)]
    pub(super) fn plan_removal(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
    ) -> Result<(), VirtAddr> {
        for index in node.indices(range) {
            let (span, part) = node.cut(range, index);
            let raw = node.load(index);
            // SAFETY: this tree's tables stay meanwhile.
            if let Some(child) = unsafe { node.own(raw) } {
                self.plan_removal(&child, part)?;
                continue;
            }
            match F::decode(node.depth(), raw) {
                Entry::Leaf(leaf) if is_identity::<F>(node.depth(), &leaf, span.start()) => {
                    // User space's edits of its half may have made runs of what was added.
                    let run_shift = if leaf.run { RUN.trailing_zeros() } else { 0 };
                    let shift = node.geometry().shift + run_shift;
                    if !range.encloses(VirtRange::aligned(span.start(), shift)) {
                        return Err(part.start());
                    }
                }
                _ => return Err(part.start()),
            }
        }
        Ok(())
    }

    /// Puts swapper's entries back where `range` hid them, and gives up the tables that no longer hold
    /// anything of the pgd's own.
    #[inline(never)]
    pub(super) unsafe fn remove_identity(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        flush: &mut Flush<'m, F, M>,
    ) {
        let depth = node.depth();
        for index in node.indices(range) {
            let (span, part) = node.cut(range, index);
            // SAFETY: this tree's tables stay until the flush is paid.
            let own = unsafe { node.own(node.load(index)) };
            if let Some(child) = &own {
                // SAFETY: the caller vouches that nothing uses the mapping.
                unsafe { self.remove_identity(child, part, flush) };
                // Where swapper has a block at the root, no pgd has a table from birth.
                let block = depth == 0
                    && matches!(F::walk(0, self.swapper.root.load(index)), Walk::Memory { .. });
                let kept = !block && keeps::<F>(self.layout(), depth, span.start());
                let in_use = holds_own(child, child.all());
                if in_use && !kept && !holds_identity(child, span) {
                    let link = planned(self.editor().link(depth, child.table()).ok());
                    // SAFETY: only user space's own is left in the table.
                    unsafe { node.store(index, link.unwrap_or_default()) };
                }
                if in_use || kept {
                    continue;
                }
            }
            // SAFETY: swapper maps it for every address space: its entry cuts a table off, and the flush covers
            // everything.
            unsafe {
                self.restore(node, range, index);
                if let Some(child) = own {
                    flush.add_table(child.table(), child.depth());
                }
            }
        }
        node.clean(node.indices(range));
    }

    /// Puts swapper's entry back, one of those for `range`: alone, or as part of its run where no neighbour is the
    /// pgd's own.
    unsafe fn restore(&self, node: &Node<'m, F, M>, range: VirtRange, index: usize) {
        let (va, run) = (node.span(range.start(), index).start(), run_of(index));
        let theirs = self.theirs(node.depth(), va);
        let whole = if theirs.run && self.is_last(va) {
            // No neighbour is own, but what comes later in the range, until it is restored itself.
            index + 1 == run.end || index == node.index(range.last())
        } else {
            // SAFETY: the caller answers for it; so for all of these.
            unsafe { node.store(index, theirs.word) };
            theirs.run && !holds_own(node, run.clone())
        };
        if whole {
            // SAFETY: as above.
            unsafe { node.copy_few(&theirs.node, run) };
        }
    }
}

/// Whether any entry in `range` of a table is this pgd's use of it.
#[inline(never)]
fn holds_own<F: Format, M: Machine>(node: &Node<'_, F, M>, mut range: Range<usize>) -> bool {
    range.any(|index| is_own(node.entry(index)))
}

/// Whether a table of the pgd's, which translates `span`, serves an identity mapping.
#[inline(never)]
fn holds_identity<F: Format, M: Machine>(node: &Node<'_, F, M>, span: VirtRange) -> bool {
    node.all().any(|index| match node.entry(index) {
        Entry::Table(table) => table.owner == Owner::Kernel,
        Entry::Leaf(leaf) => {
            is_identity::<F>(node.depth(), &leaf, node.span(span.start(), index).start())
        }
        _ => false,
    })
}

/// Whether the leaf for `va` maps it to itself, for the kernel.
#[inline(never)]
pub(super) fn is_identity<F: Format>(depth: usize, leaf: &Leaf, va: VirtAddr) -> bool {
    !leaf.attrs.global
        && !leaf.attrs.user
        && walk::phys::<F>(depth, leaf, va) == PhysAddr::from_u32(va.0)
}
