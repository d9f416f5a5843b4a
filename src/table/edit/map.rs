//! Mapping what is absent.

use super::place::Place;
use super::plan::{Pass, Plan, Refused};
use super::{Editor, LeafSizes, check_pages};
use crate::addr::{PAGE_SHIFT, PhysAddr, VirtAddr, VirtRange};
use crate::attr::Attrs;
use crate::format::{Descriptor, Format, Owner, Walk};
use crate::table::error::EditError;
use crate::table::flush::publish;
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::reserve::{Reserve, planned};

impl<'m, F: Format, M: Machine> Editor<'_, 'm, F, M> {
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
    #[inline(never)]
    pub unsafe fn map(
        &mut self,
        range: VirtRange,
        phys: PhysAddr,
        attrs: Attrs,
        sizes: LeafSizes,
    ) -> Result<(), EditError> {
        check_pages(range)?;
        if !phys.is_aligned(PAGE_SHIFT) {
            return Err(EditError::PhysMisaligned { start: phys });
        }
        if phys.checked_add(range.bytes() - 1).is_none() {
            return Err(EditError::PhysOverflow { start: phys });
        }
        let mapping = self.mapping(range.start(), phys, attrs, sizes);
        let (place, mut plan) = (Place::table(self.narrow(range)), Plan::new());
        // SAFETY: nothing is written.
        let found = unsafe { self.put(&place, range, &mapping, &mut Pass::Plan(&mut plan)) };
        found.map_err(|Refused| plan.why)?;
        let mut reserve = Reserve::new(self.machine());
        reserve.fill(&plan.need)?;
        // SAFETY: the plan found nothing in the way; the caller vouches for the mapping.
        let done = unsafe { self.put(&place, range, &mapping, &mut Pass::Commit(&mut reserve)) };
        planned(done.ok());
        publish(self.machine());
        Ok(())
    }

    /// [Maps](Self::map) one page in a table that is there, if that is all there is to do, in a tree that is not
    /// swapper's; `bits` is all but the frame of its descriptor. Whether it was: if not, nothing was changed.
    ///
    /// # Safety
    /// As for [`map`](Self::map) and [`new`](Self::new), and the root has an entry for the range.
    #[inline(always)]
    pub unsafe fn map_page(
        root: &Node<'m, F, M>,
        range: VirtRange,
        phys: PhysAddr,
        bits: F::Raw,
    ) -> bool {
        let va = range.start();
        let Some(raw) = Self::page_word(range, phys, bits) else { return false };
        // SAFETY: the caller vouches for the root and for the mapping.
        unsafe { Self::ptes(root, va, false).is_some_and(|ptes| Self::put_page(&ptes, va, raw)) }
    }

    /// [Maps](Self::map) one page in a table that is there, if that is all there is to do; `bits` is all but the
    /// frame of its descriptor. Whether it was: if not, nothing was changed.
    ///
    /// # Safety
    /// As for [`map`](Self::map).
    #[inline]
    pub(crate) unsafe fn map_lone_page(
        &mut self,
        range: VirtRange,
        phys: PhysAddr,
        bits: F::Raw,
    ) -> bool {
        let at = range.start();
        let Some(raw) = Self::page_word(range, phys, bits) else { return false };
        if self.frozen(F::LEVELS.len() - 1, at) {
            return false;
        }
        let Some(ptes) = self.own_ptes(at) else { return false };
        // SAFETY: the caller vouches for the mapping.
        unsafe { Self::put_page(&ptes, at, raw) }
    }

    /// Stores the descriptor of the page at `va` if there is none, for all walks to see. Whether there was none.
    ///
    /// # Safety
    /// As for [`map`](Self::map).
    #[inline(always)]
    unsafe fn put_page(ptes: &Node<'m, F, M>, va: VirtAddr, raw: F::Raw) -> bool {
        let index = ptes.index(va);
        if ptes.load(index) != F::Raw::default() {
            return false;
        }
        // SAFETY: absent so far; the caller vouches for the mapping.
        unsafe { ptes.store(index, raw) };
        ptes.clean_one(index);
        publish(ptes.machine());
        true
    }

    /// [Maps](Self::map) one page in a new table, if the table is all that is missing in user space's tree, as where
    /// memory comes when it is touched; `bits` as for [`map_page`](Self::map_page), `pxn` as in the policy. Whether it
    /// was: if not, nothing was changed.
    ///
    /// # Errors
    /// [`EditError::OutOfMemory`]; nothing was changed.
    ///
    /// # Safety
    /// As for [`map_page`](Self::map_page).
    #[inline(always)]
    pub unsafe fn map_page_in_new_table(
        root: &Node<'m, F, M>,
        range: VirtRange,
        phys: PhysAddr,
        bits: F::Raw,
        pxn: bool,
    ) -> Result<bool, EditError> {
        let (va, depth) = (range.start(), F::LEVELS.len() - 1);
        let Some(raw) = Self::page_word(range, phys, bits) else { return Ok(false) };
        // SAFETY: the caller vouches for the root.
        let above = unsafe { Self::table(root, va, false, depth - 1) };
        let Some(above) = above else { return Ok(false) };
        let index = above.index(va);
        if above.load(index) != F::Raw::default() {
            return Ok(false);
        }
        let machine = root.machine();
        let table = machine.allocate(F::level(depth))?;
        // Tables are aligned as their level asks, so the link can be written.
        let link = planned(Self::link_word(depth - 1, table, Owner::User, pxn).ok());
        // SAFETY: the table is fresh and nobody else's, and linked when it is complete; the caller vouches for the
        // mapping.
        unsafe {
            let ptes = Node::<F, M>::new(machine, table, depth);
            ptes.zero_unlinked(ptes.all());
            ptes.store(ptes.index(va), raw);
            ptes.clean(ptes.all());
            machine.dsb_ishst();
            above.store(index, link.unwrap_or_default());
        }
        above.clean_one(index);
        publish(machine);
        Ok(true)
    }

    /// The descriptor of a page at `phys`; `None` if `range` is not a page, or none can lie there.
    #[inline(always)]
    fn page_word(range: VirtRange, phys: PhysAddr, bits: F::Raw) -> Option<F::Raw> {
        let is_page = range == VirtRange::page(range.start()) && Self::is_reached(phys);
        is_page.then(|| bits | F::Raw::from_u64(phys.as_u64()))
    }

    /// All but the frame of the descriptor of a page with `attrs`, where there is such a page.
    #[inline(never)]
    pub fn page_bits(&self, attrs: Attrs) -> Option<F::Raw> {
        self.leaf(F::LEVELS.len() - 1, PhysAddr::default(), attrs, false).ok()
    }

    /// The table of ptes for `va`, if it is there and this tree's; `swapper` says that this is swapper's.
    ///
    /// # Safety
    /// The root has an entry for `va`.
    #[inline(always)]
    pub(super) unsafe fn ptes(
        root: &Node<'m, F, M>,
        va: VirtAddr,
        swapper: bool,
    ) -> Option<Node<'m, F, M>> {
        // SAFETY: the caller answers for it.
        unsafe { Self::table(root, va, swapper, F::LEVELS.len() - 1) }
    }

    /// The table at `depth` for `va`, if it is there and this tree's.
    ///
    /// # Safety
    /// As for [`ptes`](Self::ptes).
    #[inline(always)]
    unsafe fn table(
        root: &Node<'m, F, M>,
        va: VirtAddr,
        swapper: bool,
        depth: usize,
    ) -> Option<Node<'m, F, M>> {
        debug_assert!(root.translates(va));
        // SAFETY: it is a root; the caller vouches for the entry.
        let mut node = unsafe { root.at_depth(0) };
        // Unrolled, so that each level's geometry is a constant.
        for depth in 0..depth {
            let raw = node.load(node.index(va));
            match F::walk(depth, raw) {
                Walk::Table(next) if swapper || !F::is_marked(raw) => {
                    // SAFETY: the entry was just read from the table at this depth.
                    node = unsafe { Node::new(root.machine(), next, depth + 1) }
                }
                _ => return None,
            }
        }
        Some(node)
    }
}
