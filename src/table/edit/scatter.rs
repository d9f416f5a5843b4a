//! Pages from scattered frames: a walk per table, a store per page.

use super::place::Place;
use super::plan::{Pass, Plan, Refused};
use super::{Editor, LeafSizes, check_pages};
use crate::addr::{PAGE_SIZE, PhysAddr, VirtRange};
use crate::attr::Attrs;
use crate::format::{Descriptor, Entry, Format, Walk};
use crate::table::error::EditError;
use crate::table::flush::publish;
use crate::table::mem::Machine;
use crate::table::node::Node;

/// Why not all pages were mapped, and how many were.
pub(crate) struct Stopped {
    /// Pages that are mapped, from the start of the range on.
    pub(crate) pages: u32,
    /// What was wrong; `None`: there was no frame.
    pub(crate) error: Option<EditError>,
}

impl From<EditError> for Stopped {
    fn from(error: EditError) -> Self {
        Self { pages: 0, error: Some(error) }
    }
}

impl<'m, F: Format, M: Machine> Editor<'_, 'm, F, M> {
    /// Maps the pages of `range` to the frames that `next` yields, in order. All tables are linked first, so that it
    /// stops early for want of a frame alone, or for one that the format does not reach.
    ///
    /// # Safety
    /// As for [`map`](Self::map), for each frame.
    pub(crate) unsafe fn map_frames(
        &mut self,
        range: VirtRange,
        attrs: Attrs,
        next: &mut dyn FnMut() -> Option<PhysAddr>,
    ) -> Result<(), Stopped> {
        check_pages(range)?;
        let mapping = self.mapping(range.start(), PhysAddr::default(), attrs, LeafSizes::PAGES);
        let (place, mut plan) = (Place::table(self.narrow(range)), Plan::new());
        // SAFETY: nothing is written.
        let found = unsafe { self.put(&place, range, &mapping, &mut Pass::Plan(&mut plan)) };
        found.map_err(|Refused| plan.why)?;
        self.link_tables(range, &|_, _| true)?;
        let mut pages = 0;
        let mut fill = |ptes: &Node<'m, F, M>, index| {
            let Some(frame) = next() else { return Err(None) };
            let raw = match mapping.page_bits[0] {
                Some(bits) if Self::is_reached(frame) => bits | F::Raw::from_u64(frame.as_u64()),
                _ => self.leaf(ptes.depth(), frame, attrs, false).map_err(EditError::from)?,
            };
            // SAFETY: planned: absent; the caller vouches for the frame.
            unsafe { ptes.store(index, raw) };
            pages += 1;
            Ok(())
        };
        let done = self.each_pte(&self.narrow(range), range, &mut fill);
        publish(self.machine());
        done.map_err(|error| Stopped { pages, error })
    }

    /// Makes the pages of `range` absent, which have no access, and hands their frames to `give`. Nothing is owed: no
    /// TLB holds an invalid entry.
    pub(crate) fn take_frames(&mut self, range: VirtRange, give: &mut dyn FnMut(PhysAddr)) {
        let mut take = |ptes: &Node<'m, F, M>, index| {
            let raw = ptes.load(index);
            if let (Walk::Memory { base, .. }, Entry::Leaf(_)) =
                (F::walk(ptes.depth(), raw), F::decode(ptes.depth(), raw))
            {
                // SAFETY: nothing translates by it.
                unsafe { ptes.store(index, F::Raw::default()) };
                give(base);
            }
            Ok::<_, core::convert::Infallible>(())
        };
        let Ok(()) = self.each_pte(&self.narrow(range), range, &mut take);
        publish(self.machine());
    }

    /// Whether a page's descriptor holds the address as it is.
    #[inline]
    pub(super) fn is_reached(frame: PhysAddr) -> bool {
        frame.as_u64() & !F::frame_mask(F::LEVELS.len() - 1, false).as_u64() == 0
    }

    /// Calls `visit` with every pte for `range`, in order, as far as there are tables, and cleans what it changed.
    fn each_pte<E>(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        visit: &mut impl FnMut(&Node<'m, F, M>, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut indices = node.indices(range);
        if Self::is_pte(node.depth()) {
            let done = indices.try_for_each(|index| visit(node, index));
            self.clean(node, range);
            return done;
        }
        for index in indices {
            let (_, part) = node.cut(range, index);
            if let Some(table) = F::decode_table(node.depth(), node.load(index))
                && self.owns(&table)
            {
                // SAFETY: the entry was just read from this node.
                self.each_pte(&unsafe { node.child(table) }, part, visit)?;
            }
        }
        Ok(())
    }
}

/// The first `pages` pages of `range`, if that is any.
pub(crate) fn first_pages(range: VirtRange, pages: u32) -> Option<VirtRange> {
    VirtRange::new(range.start(), u64::from(pages) * u64::from(PAGE_SIZE)).ok()
}
