//! A page that is mapped gets another frame.

use super::plan::{Plan, Refused};
use super::{Editor, check_pages};
use crate::addr::{PhysAddr, VirtRange};
use crate::attr::{Access, Attrs};
use crate::format::Format;
use crate::table::error::EditError;
use crate::table::flush::publish;
use crate::table::mem::Machine;
use crate::table::reserve::{Reserve, planned};
use crate::table::walk;

impl<F: Format, M: Machine> Editor<'_, '_, F, M> {
    /// Maps `page` to `frame` instead of the frame it is mapped to, which is the answer, with the attributes that
    /// `change` makes of its own. A leaf or run of which the page is a part is split.
    ///
    /// The page is absent until every TLB has forgotten the old frame (break before make, DDI 0406C B3.10.1); when it
    /// returns, all is paid.
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed.
    ///
    /// # Safety
    /// As for [`map`](Self::map), and what is split is not what runs.
    pub(crate) unsafe fn replace(
        &mut self,
        page: VirtRange,
        frame: PhysAddr,
        change: &dyn Fn(Attrs) -> Attrs,
    ) -> Result<PhysAddr, EditError> {
        check_pages(page)?;
        let (at, depth) = (page.start(), F::LEVELS.len() - 1);
        let found = walk::translate(&self.root, at).ok_or(EditError::NotMapped { at })?;
        let leaf = found.leaf().ok_or(EditError::Reserved { at })?;
        let old = leaf.attrs;
        let new = change(old);
        let raw = self.leaf(depth, frame, new, false)?;
        if found.depth != depth || leaf.run {
            let mut plan = Plan::new();
            self.plan_splits(page, &mut plan).map_err(|Refused| plan.why)?;
            let mut reserve = Reserve::new(self.machine());
            reserve.fill(&plan.need)?;
            // SAFETY: planned; the caller vouches for the split.
            unsafe { self.split_ends(page, &mut reserve) };
        }
        let index = F::geometry(depth).index(at);
        // SAFETY: the caller vouches for the new frame.
        unsafe {
            // Mapped by this tree, and no larger leaf is left there: it is in a table of ptes.
            let Some(ptes) = planned(self.own_ptes(at)) else {
                return Err(EditError::NotMapped { at });
            };
            ptes.store(index, F::Raw::default());
            ptes.clean_one(index);
            let mut flush = self.flush();
            let code = old.access == Access::ReadExecute || new.access == Access::ReadExecute;
            flush.add(page, code);
            flush.settle();
            ptes.store(index, raw);
            ptes.clean_one(index);
        }
        publish(self.machine());
        Ok(found.phys)
    }
}
