//! Mapping what is absent.

use super::parts::Mapping;
use super::{Editor, LeafSizes, Policy, check_pages};
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::attr::Attrs;
use crate::format::Format;
use crate::table::error::EditError;
use crate::table::flush::publish;
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::reserve::{Need, Reserve};

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
        check_pages(range)?;
        if !phys.is_aligned(12) {
            return Err(EditError::Misaligned);
        }
        if phys.checked_add(range.bytes() - 1).is_none() {
            return Err(EditError::PhysOverflow { start: phys });
        }
        let node = self.narrow(range);
        // SAFETY: the caller vouches for the mapping.
        unsafe {
            if Self::is_pte(node.depth()) && range == VirtRange::page(range.start()) {
                self.map_page(&node, range.start(), phys, attrs)?;
            } else {
                let mapping = self.mapping(range.start(), phys, attrs, sizes);
                self.map_range(&node, range, &mapping)?;
            }
        }
        publish(self.machine());
        Ok(())
    }

    /// Maps one page in a table of ptes that is there.
    #[inline]
    unsafe fn map_page(
        &self,
        node: &Node<'m, F, M>,
        va: VirtAddr,
        phys: PhysAddr,
        attrs: Attrs,
    ) -> Result<(), EditError> {
        let depth = F::LEVELS.len() - 1;
        let raw = self.leaf(depth, phys, attrs, false)?;
        let index = F::LEVELS[depth].index(va);
        if node.load(index) != F::Raw::default() || self.policy.frozen(depth, va) {
            return self.in_the_way(node, va);
        }
        // SAFETY: absent so far; the caller vouches for the mapping.
        unsafe { node.store(index, raw) };
        self.clean(node, index..index + 1);
        Ok(())
    }

    /// Says why nothing can be mapped at `va` in a table of ptes.
    #[cold]
    fn in_the_way(&self, node: &Node<'m, F, M>, va: VirtAddr) -> Result<(), EditError> {
        let page = VirtRange::page(va);
        let mapping = self.mapping(va, PhysAddr::default(), Attrs::device(), LeafSizes::PAGES);
        self.plan_map(node, page, &mapping, &mut Need::default())
    }

    /// Maps a range in `node` and below: plan, reserve, commit.
    unsafe fn map_range(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        mapping: &Mapping<F>,
    ) -> Result<(), EditError> {
        let mut need = Need::default();
        self.plan_map(node, range, mapping, &mut need)?;
        let mut reserve = Reserve::new(self.machine(), &need)?;
        // SAFETY: the plan found nothing in the way; the caller vouches for the mapping.
        unsafe { self.build(node, range, mapping, &mut reserve, true) };
        Ok(())
    }
}
