//! Mapping what is absent.

use super::{Editor, LeafSizes, Policy, check_pages};
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::attr::Attrs;
use crate::format::{Format, Walk};
use crate::table::error::EditError;
use crate::table::flush::publish;
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::reserve::{Need, Reserve, planned};

impl<'m, F: Format, M: Machine, P: Policy> Editor<'m, F, M, P> {
    /// Maps `range` to the memory from `phys` on, in the largest leaves that alignment and `sizes` allow.
    ///
    /// Needs no flush: nothing was mapped there, and no TLB remembers a fault. When it returns, walks of
    /// every CPU find the new mappings.
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed. [`EditError::Mapped`] names the first mapping in the way.
    ///
    /// # Safety
    /// What becomes reachable may be reached: no memory that Rust code relies on becomes writable
    /// elsewhere, no device is read by speculation.
    #[inline]
    pub unsafe fn map(
        &mut self,
        range: VirtRange,
        phys: PhysAddr,
        attrs: Attrs,
        sizes: LeafSizes,
    ) -> Result<(), EditError> {
        if range == VirtRange::page(range.start())
            && phys.is_aligned(12)
            && let Some(ptes) = self.ptes(range.start())
        {
            // SAFETY: the caller vouches for the mapping.
            return unsafe { self.map_page(&ptes, range.start(), phys, attrs) };
        }
        // SAFETY: as above.
        unsafe { self.map_range(range, phys, attrs, sizes) }
    }

    /// The table of ptes for `va`, if it is there and this tree's.
    #[inline]
    fn ptes(&self, va: VirtAddr) -> Option<Node<'m, F, M>> {
        let mut table = self.root.table();
        // Unrolled, so that each level's geometry is a constant.
        for depth in 0..F::LEVELS.len() - 1 {
            // SAFETY: the root, or a table that an entry just read points to.
            let node = unsafe { Node::<F, M>::new(self.machine(), table, depth) };
            let raw = node.load(node.index(va));
            match F::walk(depth, raw) {
                Walk::Table(next) if !F::is_marked(raw) || self.is_swapper() => table = next,
                _ => return None,
            }
        }
        // SAFETY: as above.
        Some(unsafe { Node::new(self.machine(), table, F::LEVELS.len() - 1) })
    }

    /// Maps one page in the table of ptes that is there.
    #[inline]
    unsafe fn map_page(
        &self,
        ptes: &Node<'m, F, M>,
        va: VirtAddr,
        phys: PhysAddr,
        attrs: Attrs,
    ) -> Result<(), EditError> {
        let depth = F::LEVELS.len() - 1;
        let raw = self.leaf(depth, phys, attrs, false)?;
        let index = F::LEVELS[depth].index(va);
        if ptes.load(index) != F::Raw::default() || self.policy.frozen(depth, va) {
            return Err(self.in_the_way(va));
        }
        // SAFETY: absent so far; the caller vouches for the mapping.
        unsafe { ptes.store(index, raw) };
        self.clean(ptes, index..index + 1);
        publish(self.machine());
        Ok(())
    }

    /// Why nothing can be mapped at `va`.
    #[cold]
    fn in_the_way(&self, va: VirtAddr) -> EditError {
        let page = VirtRange::page(va);
        let mapping = self.mapping(va, PhysAddr::default(), Attrs::device(), LeafSizes::PAGES);
        let found = self.plan_map(&self.narrow(page), page, &mapping, &mut Need::default());
        // The entry is taken or sealed; the plan says by what.
        planned(found.err()).unwrap_or(EditError::Reserved { at: va })
    }

    /// Maps a range: plan, reserve, commit.
    #[inline(never)]
    unsafe fn map_range(
        &self,
        range: VirtRange,
        phys: PhysAddr,
        attrs: Attrs,
        sizes: LeafSizes,
    ) -> Result<(), EditError> {
        check_pages(range)?;
        if !phys.is_aligned(12) {
            return Err(EditError::Misaligned);
        }
        if phys.checked_add(range.bytes() - 1).is_none() {
            return Err(EditError::PhysOverflow { start: phys });
        }
        let mapping = self.mapping(range.start(), phys, attrs, sizes);
        let (node, mut need) = (self.narrow(range), Need::default());
        self.plan_map(&node, range, &mapping, &mut need)?;
        let mut reserve = Reserve::new(self.machine(), &need)?;
        // SAFETY: the plan found nothing in the way; the caller vouches for the mapping.
        unsafe { self.build(&node, range, &mapping, &mut reserve, true) };
        publish(self.machine());
        Ok(())
    }
}
