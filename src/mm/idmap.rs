//! Identity mappings: for the moments when the MMU is switched on or off, or its tables exchanged.
//!
//! An identity mapping may fall into the kernel half: where RAM starts above PAGE_OFFSET, VA = PA lies
//! among the kernel's own mappings, behind entries that are swapper's. Swapper's tables are never written
//! for it. The pgd gets tables of its own instead, holding what swapper maps there, with the identity range
//! in place of what it covers; so everything else in the slot keeps working.
//!
//! # How an override is told from a copy
//! Identity leaves are not global; what swapper maps is. So a leaf that is not global, or a table that the
//! pgd owns, is in use by this pgd; all else in a slot of the kernel half is a copy, which
//! [`identity_mapping_del`](Pgd::identity_mapping_del) replaces by swapper's entry.

mod block;
mod removal;

use core::ops::Range;

use super::pgd::Pgd;
use crate::addr::{PAGE_SHIFT, PhysAddr, VirtAddr, VirtRange};
use crate::attr::{Access, Attrs};
use crate::format::{Descriptor, EncodeError, Entry, Format, Leaf, Owner, RUN, Runs, TableEntry};
use crate::table::context::Whose;
use crate::table::error::EditError;
use crate::table::flush::{Flush, publish};
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::reserve::{self, Need, Reserve, planned};
use crate::table::walk;

/// Whether an entry is this pgd's use of the slot, and not a copy of swapper's.
fn is_own(entry: Entry) -> bool {
    match entry {
        Entry::Absent => false,
        Entry::Table(table) => table.owner != Owner::Swapper,
        Entry::Leaf(leaf) => !leaf.attrs.global,
        Entry::Reserved => true,
    }
}

/// What an identity mapping is.
const fn identity(access: Access) -> Attrs {
    Attrs::kernel(access).with_global(false)
}

impl<'m, F: Format, M: Machine> Pgd<'m, F, M> {
    /// Maps `range` to itself, for the kernel alone, in the largest leaves that fit.
    ///
    /// Kernel mappings in the range are hidden until the mapping is deleted; what swapper changes
    /// meanwhile in the pages next to them is not seen in this pgd. User pages that share a table with the
    /// range are open to the kernel for as long, whatever PXN and DACR say elsewhere: in the classic format
    /// both are the table's. So the mapping goes by [`identity_mapping_del`](Self::identity_mapping_del) alone, which closes
    /// the table again: unmapped like a page of user space, it leaves it open; and what user space's edits leave of a
    /// section that they cut is closed, as pages are.
    ///
    /// Entering and leaving the pgd needs the whole TLB flushed ([`forget_all`](crate::table::switch::forget_all)),
    /// as the kernel's global entries may translate the same addresses otherwise: no switch does so by itself. So
    /// does the first use by a CPU that runs on it already: a walk cache may still know the table as user space's,
    /// closed to the kernel. Where the range is of the kernel half, swapper may have its neighbours in leaves of another
    /// size than the pgd: use none of them here, nor on the way back until all is forgotten (DDI 0406C B3.10.1).
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed. [`EditError::Misaligned`] if the range is not pages; [`EditError::Mapped`] where
    /// user space has a mapping; [`EditError::OutOfBounds`] where TTBR1 translates, above
    /// [`Layout::pgd_last`](super::Layout::pgd_last): no pgd can hide what is swapper's there; [`EditError::Reserved`] at a
    /// word of unknown meaning; [`EditError::Encode`] where swapper has a supersection beyond 4 GiB.
    ///
    /// # Safety
    /// The memory may be reached so, and what the range hides is nothing that the kernel uses on this pgd: not its
    /// own text, data or stack at their link addresses. No CPU runs on this pgd, unless the range lies in the user
    /// half. Meanwhile nobody maps or unmaps what lies in the same root entry of swapper's: a run that is seen half
    /// would be copied half.
    pub unsafe fn identity_mapping_add(
        &mut self,
        range: VirtRange,
        access: Access,
    ) -> Result<(), EditError> {
        self.check_own(range)?;
        // SAFETY: checked; the caller answers for the rest.
        if unsafe { self.add_block(range, access) }? {
            return Ok(());
        }
        let attrs = identity(access);
        let mut need = Need::default();
        self.plan_identity(0, Some(&self.root), range, &mut need)?;
        let mut reserve = Reserve::new(self.root.machine());
        reserve.fill(&need)?;
        self.hide(range);
        // SAFETY: planned; the caller vouches for the mapping.
        unsafe { self.build_identity(&self.root, range, attrs, &mut reserve) };
        publish(self.root.machine());
        Ok(())
    }

    /// Takes an identity mapping away: what swapper maps there is there again, and the tables that
    /// [`identity_mapping_add`](Self::identity_mapping_add) made are freed with the flush.
    ///
    /// # Errors
    /// [`EditError::Misaligned`] if the range is not pages, [`EditError::NotMapped`] where it holds no identity mapping, or
    /// cuts a leaf of one: what was added as one range goes as one. [`EditError::OutOfBounds`] where TTBR1 translates;
    /// nothing was changed.
    ///
    /// # Safety
    /// As for `identity_mapping_add`; nothing uses the mapping any more.
    pub unsafe fn identity_mapping_del(
        &mut self,
        range: VirtRange,
    ) -> Result<Flush<'m, F, M>, EditError> {
        self.check_own(range)?;
        // SAFETY: checked; the caller answers for the rest.
        let block = unsafe { self.remove_block(range) };
        if block.is_none() {
            self.plan_removal(&self.root, range).map_err(|at| EditError::NotMapped { at })?;
        }
        let mut flush = Flush::new(self.root.machine(), Whose::Everyone);
        flush.add_everything();
        // SAFETY: cut off, or planned; the caller vouches that nothing uses it.
        unsafe {
            match block {
                Some(Some(table)) => flush.add_table(table, Self::BLOCKS),
                Some(None) => {}
                None => {
                    self.hidden -= self.hidden_by(range);
                    self.remove_identity(&self.root, range, &mut flush);
                }
            }
        }
        Ok(flush)
    }

    /// Notes that `range` is identity mapped.
    fn hide(&mut self, range: VirtRange) {
        self.touched.add(range);
        let hidden = self.hidden_by(range);
        self.hides_kernel |= hidden > 0;
        self.hidden += hidden;
        self.block = VirtAddr(0);
    }

    /// Pages of the kernel half in `range`.
    #[inline(never)]
    fn hidden_by(&self, range: VirtRange) -> u32 {
        range
            .intersection(self.layout().kernel())
            .map_or(0, |part| (part.bytes() >> PAGE_SHIFT) as u32)
    }

    /// Whether nothing around `va` is this pgd's own but what is being removed: identity mappings alone hide the
    /// kernel's, and there is none left.
    fn is_last(&self, va: VirtAddr) -> bool {
        self.hidden == 0 && va >= self.layout().task_size()
    }

    /// Refuses what is not pages, and what TTBR0 does not translate.
    #[inline]
    fn check_own(&self, range: VirtRange) -> Result<(), EditError> {
        if !range.is_aligned(PAGE_SHIFT) {
            return Err(EditError::Misaligned);
        }
        let last = self.layout().pgd_last::<F>();
        if range.last() <= last {
            return Ok(());
        }
        Err(EditError::OutOfBounds { at: range.start().max(VirtAddr(last.0 + 1)) })
    }

    /// What swapper says about the entry at `depth` whose first address is `va`.
    #[inline(never)]
    fn theirs(&self, depth: usize, va: VirtAddr) -> Theirs<'m, F, M> {
        debug_assert!(va.is_aligned(F::geometry(depth).shift));
        let (node, word) = (self.swapper.root, F::Raw::default());
        let mut theirs = Theirs { node, there: false, word, run: false };
        loop {
            let node = &theirs.node;
            let raw = node.load(node.index(va));
            theirs.there = node.depth() == depth;
            match F::decode(node.depth(), raw) {
                Entry::Table(table) if !theirs.there => {
                    // SAFETY: the entry was just read from this node.
                    theirs.node = unsafe { node.child(table) };
                    continue;
                }
                Entry::Leaf(leaf) if leaf.run || !theirs.there => {
                    let frame = walk::phys::<F>(node.depth(), &leaf, va);
                    let word = F::encode_leaf(depth, Leaf { frame, run: false, ..leaf });
                    theirs.word = planned(word.ok()).unwrap_or_default();
                    theirs.run = theirs.there;
                }
                _ if theirs.there => theirs.word = raw,
                _ => {}
            }
            return theirs;
        }
    }

    /// Writes what swapper says to all entries of `child`, a new table that translates `va`. What a leaf that stands
    /// alone holds, smaller ones can.
    ///
    /// # Safety
    /// No entry points to the table, and it may be changed.
    #[inline(never)]
    unsafe fn copy_theirs(&self, child: &Node<'m, F, M>, va: VirtAddr) {
        // SAFETY: the caller answers for the table.
        unsafe {
            let (all, theirs) = (child.all(), self.theirs(child.depth(), va));
            if theirs.there {
                // Runs stay whole, but for those that the range cuts.
                child.copy_unlinked(&theirs.node, all);
            } else if theirs.word == F::Raw::default() {
                child.zero_unlinked(all);
            } else {
                child.fill(all, theirs.word, F::Raw::from_u64(child.geometry().span().into()));
            }
        }
    }

    /// Finds what is in the way, and counts the tables needed.
    #[inline(never)]
    fn plan_identity(
        &self,
        depth: usize,
        node: Option<&Node<'m, F, M>>,
        range: VirtRange,
        need: &mut Need,
    ) -> Result<(), EditError> {
        let geometry = F::geometry(depth);
        for index in geometry.indices(range) {
            let (span, part) = geometry.cut(range, index);
            let at = part.start();
            let raw = node.map_or(F::Raw::default(), |node| node.load(index));
            // SAFETY: this tree's tables stay meanwhile.
            let own = node.and_then(|node| unsafe { node.own(raw) });
            if own.is_none() {
                match F::decode(depth, raw) {
                    Entry::Reserved => return Err(EditError::Reserved { at }),
                    by if is_own(by) => return Err(EditError::Mapped { at, by }),
                    // A leaf of a run cannot be replaced alone: its neighbours must stand alone, too.
                    Entry::Leaf(leaf) if F::alone(depth, raw).is_none() => {
                        return Err(EncodeError::OutOfReach { at: leaf.frame }.into());
                    }
                    _ => {}
                }
                if part == span {
                    continue;
                }
                reserve::add(need, depth + 1, 1);
            }
            self.plan_identity(depth + 1, own.as_ref(), part, need)?;
        }
        Ok(())
    }

    /// Writes the identity mappings of `range`, as planned.
    #[inline(never)]
    unsafe fn build_identity(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        attrs: Attrs,
        reserve: &mut Reserve<'m, F, M>,
    ) {
        let depth = node.depth();
        let machine = self.root.machine();
        let bits = leaf_bits::<F>(depth, attrs);
        for index in node.indices(range) {
            let (span, part) = node.cut(range, index);
            let raw = node.load(index);
            // SAFETY: planned: absent or a copy of swapper's, and the caller vouches for the mapping;
            // tables are ours alone until they are linked, which happens when they are complete.
            unsafe {
                if let Some(child) = node.own(raw) {
                    self.build_identity(&child, part, attrs, reserve);
                    // The kernel executes there now.
                    node.store(index, kernel_link::<F>(depth, child.table()));
                    continue;
                }
                if let Some(alone) = planned(F::alone(depth, raw))
                    && alone != raw
                {
                    part_run(node, index, alone);
                }
                if part == span {
                    node.store(index, bits | F::Raw::from_u64(span.start().0.into()));
                } else if let Some(table) = reserve.take(depth + 1) {
                    let child = Node::new(machine, table, depth + 1);
                    self.copy_theirs(&child, span.start());
                    self.build_identity(&child, part, attrs, reserve);
                    child.clean(child.all());
                    machine.dsb_ishst();
                    node.store(index, kernel_link::<F>(depth, table));
                }
            }
        }
        node.clean(node.indices(range));
    }
}

/// What swapper says about an entry.
struct Theirs<'m, F: Format, M> {
    /// The table that it stands in, or swapper's lowest above it.
    node: Node<'m, F, M>,
    /// Whether it stands in that table.
    there: bool,
    /// The entry, if it were copied alone: a larger leaf's part, a run's leaf for itself.
    word: F::Raw,
    /// Whether it is one of a run in that table.
    run: bool,
}

/// The run that the entry at `index` is one of.
fn run_of(index: usize) -> Range<usize> {
    let start = index / RUN * RUN;
    start..start + RUN
}

/// Makes the copies of a run of swapper's stand alone; the one at `index` became `alone`.
///
/// # Safety
/// No CPU runs on the table.
#[inline]
unsafe fn part_run<F: Format, M: Machine>(node: &Node<'_, F, M>, index: usize, alone: F::Raw) {
    let (span, run) = (node.geometry().span(), run_of(index));
    // An identical run's leaf holds the run's frame, any other its own.
    let before = match F::RUNS {
        Runs::Identical => 0,
        Runs::Stepping => (index - run.start) as u32,
    };
    let first = F::Raw::from_u64(alone.as_u64() - u64::from(before * span));
    // SAFETY: they map the same as before; the caller answers for the rest.
    unsafe {
        let step = F::Raw::from_u64(span.into());
        // Of short words sixteen are soon stored; of long ones, by a call.
        match size_of::<F::Raw>() {
            4 => node.fill_few(run.clone(), first, step),
            _ => node.fill(run.clone(), first, step),
        }
    }
    node.clean(run);
}

/// The link to a table that the pgd owns and the kernel needs.
#[inline]
pub(super) fn kernel_link<F: Format>(depth: usize, table: PhysAddr) -> F::Raw {
    let link = TableEntry { table, owner: Owner::Kernel, pxn: false };
    // The allocator aligns tables and keeps them in reach, so there is such a word.
    planned(F::encode_table(depth, link).ok()).unwrap_or_default()
}

/// All but the frame of a leaf at `depth` that stands alone.
#[inline]
fn leaf_bits<F: Format>(depth: usize, attrs: Attrs) -> F::Raw {
    let leaf = Leaf { frame: PhysAddr::default(), attrs, run: false, pxn: false };
    // Each format has such leaves for the kernel, whatever may be done with them.
    planned(F::encode_leaf(depth, leaf).ok()).unwrap_or_default()
}
