//! Address spaces that were freed, kept for the next pgd_alloc as they are: root, private tables, kernel half.
//!
//! [Sealing](super::swapper#sealing) makes that right. A copy of swapper's entry in a pgd is absent or right
//! for ever, so a root with an empty user half is as good as new, whatever swapper maps meanwhile.

use core::iter;

use super::layout::Layout;
use super::pgd::Pgd;
use super::swapper::Swapper;
use crate::addr::{VirtAddr, VirtRange};
use crate::format::Format;
use crate::table::flush::{forget_space, publish};
use crate::table::mem::{Machine, TableMemory};
use crate::table::node::Node;
use crate::table::reserve::Link;

/// log2 of the bytes that a bit of [`Regions`] stands for.
const SHIFT: u32 = 27;

/// Which of the 32 regions of 128 MiB a pgd's owner has ever mapped in: no more than these need a look when
/// the pgd is freed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Regions(u32);

impl Regions {
    /// What `range` touches.
    #[inline]
    fn of(range: VirtRange) -> Self {
        let (first, last) = (range.start().0 >> SHIFT, range.last().0 >> SHIFT);
        Self(u32::MAX << first & u32::MAX >> (31 - last))
    }

    /// Adds what `range` touches.
    #[inline]
    pub(super) fn add(&mut self, range: VirtRange) {
        self.0 |= Self::of(range).0;
    }

    /// Adds what `range` touches of `other`.
    #[inline]
    pub(super) fn add_common(&mut self, other: Self, range: VirtRange) {
        self.0 |= other.0 & Self::of(range).0;
    }

    /// Adds the region of the page at `va`.
    #[inline]
    pub(super) fn add_page(&mut self, va: VirtAddr) {
        self.0 |= 1 << (va.0 >> SHIFT);
    }

    /// The addresses of each.
    pub(super) fn ranges(self) -> impl Iterator<Item = VirtRange> + Clone {
        let mut left = self.0;
        iter::from_fn(move || {
            let lowest = left & left.wrapping_neg();
            left ^= lowest;
            let start = VirtAddr(lowest.trailing_zeros() << SHIFT);
            (lowest != 0).then(|| VirtRange::aligned(start, SHIFT))
        })
    }
}

/// Freed roots, chained through their first entry, which user space left absent.
pub(super) struct Spares {
    first: Link,
    count: usize,
    /// Whether the first entry is user space's, so that there is a place for the chain.
    chained: bool,
}

impl Spares {
    /// None yet, of pgds in this layout.
    pub(super) fn new<F: Format>(layout: &Layout) -> Self {
        let chained = !layout.low_vectors() && !layout.has_private_table::<F>(VirtAddr(0));
        Self { first: Link::default(), count: 0, chained }
    }

    /// Takes a root out, its first entry absent again. All have the same `last` entry.
    #[inline]
    pub(super) fn take<'m, F: Format, M: Machine>(
        &mut self,
        machine: &'m M,
        last: u16,
    ) -> Option<Node<'m, F, M>> {
        // SAFETY: only roots that `put` was given are chained, and they stay allocated.
        let root = unsafe { Node::<F, M>::short_root(machine, self.first.table()?, last) };
        self.first = Link::read(root.load(0));
        self.count -= 1;
        // SAFETY: nobody walks a spare root.
        unsafe { root.store(0, F::Raw::default()) };
        root.clean(0..1);
        publish(machine);
        Some(root)
    }

    /// Puts a root in.
    ///
    /// # Safety
    /// Nobody walks the tree, its user half is empty, and its first entry belongs to that.
    #[inline]
    unsafe fn put<F: Format, M: TableMemory>(&mut self, root: &Node<'_, F, M>) {
        self.count += 1;
        // SAFETY: the caller answers for it.
        unsafe { root.store(0, self.first.entry()) };
        self.first = Link::to(root.table());
    }
}

impl<'m, F: Format, M: Machine> Swapper<'m, F, M> {
    /// Frees an address space: every table that user space's mappings took, whatever is left of them. The
    /// root and the private tables are kept for the next pgd_alloc, which is then a matter of some
    /// seventy instructions; [`shrink`](Self::shrink) gives them back.
    ///
    /// What user space had mapped is forgotten by every TLB before the first table is freed
    /// (DDI 0406C B3.10.1).
    ///
    /// # Safety
    /// The pgd was made by this swapper, and no CPU walks it any more: no TTBR holds its root.
    #[inline(always)]
    pub unsafe fn pgd_free(&mut self, pgd: Pgd<'m, F, M>) {
        // SAFETY: the caller vouches that nobody walks the tree.
        unsafe {
            if pgd.is_as_new() && self.spares.chained {
                // It may have run. Walk caches know the private tables by its identifier; the next owner has
                // another one, and would not make them forget.
                forget_space(self.machine(), pgd.whose);
                self.spares.put(&pgd.root);
            } else {
                // Moved here, not before: seldom.
                let mut pgd = pgd;
                self.retire(&mut pgd);
            }
        }
    }

    /// Empties an address space and keeps it, or gives back all of it.
    #[cold]
    #[inline(never)]
    unsafe fn retire(&mut self, pgd: &mut Pgd<'m, F, M>) {
        // SAFETY: the caller vouches that nobody walks the tree.
        unsafe {
            // What hid the kernel's mappings may have taken a private table's place.
            if pgd.hides_kernel || !self.spares.chained {
                return pgd.free();
            }
            reclaim(pgd);
            self.spares.put(&pgd.root);
        }
    }

    /// Freed address spaces that are kept.
    pub fn spare_pgds(&self) -> usize {
        self.spares.count
    }

    /// Gives the tables of freed address spaces back to the allocator.
    pub fn shrink(&mut self) {
        while let Some(root) = self.spares.take(self.machine(), self.shape.last) {
            // SAFETY: nobody walks a spare tree, nor has since every TLB forgot it.
            unsafe { self.give_back(root) };
        }
    }
}

/// Empties the user half where anything was ever mapped, and makes every TLB forget all of the address space.
unsafe fn reclaim<F: Format, M: Machine>(pgd: &mut Pgd<'_, F, M>) {
    let user = VirtRange::inclusive(VirtAddr(0), VirtAddr(pgd.layout().task_size().0 - 1));
    let mut flush = pgd.flush();
    flush.add_wide(VirtRange::ALL);
    for region in core::mem::take(&mut pgd.touched).ranges() {
        if let Some(part) = user.ok().and_then(|user| region.intersection(user)) {
            // SAFETY: the caller vouches that nobody walks or uses the tree.
            unsafe { pgd.abandon(part, &mut flush) };
        }
    }
    flush.pay();
}
