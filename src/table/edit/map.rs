//! Mapping what is absent.

use core::ops::Range;

use super::{Editor, LeafSizes, Mapping, Policy, RUN_SHIFT, check_pages};
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::attr::Attrs;
use crate::format::{Entry, Format, RUN};
use crate::table::error::EditError;
use crate::table::flush::publish;
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::reserve::{Need, Reserve, planned};

/// How the part of a range that lies in one table is made of that table's entries.
struct Parts {
    /// What is too small or not aligned for leaves here, and goes to tables below: before and after.
    below: [Option<VirtRange>; 2],
    /// Leaves that stand alone: before and after the runs.
    single: [Option<VirtRange>; 2],
    /// Leaves in runs.
    runs: Option<VirtRange>,
}

impl Parts {
    /// Everything goes below.
    fn all_below(range: VirtRange) -> Self {
        Self { below: [Some(range), None], single: [None; 2], runs: None }
    }

    /// What is left of `range` before and after `middle`.
    fn around(range: VirtRange, middle: VirtRange) -> [Option<VirtRange>; 2] {
        let before = middle.start().0.checked_sub(1).map(VirtAddr);
        let after = middle.last().0.checked_add(1).map(VirtAddr);
        [
            before.and_then(|last| VirtRange::inclusive(range.start(), last).ok()),
            after.and_then(|start| VirtRange::inclusive(start, range.last()).ok()),
        ]
    }

    /// The parts made of leaves, and whether they are runs.
    fn leaves(&self) -> impl Iterator<Item = (VirtRange, bool)> {
        let [before, after] = self.single;
        [(before, false), (self.runs, true), (after, false)]
            .into_iter()
            .filter_map(|(part, run)| Some((part?, run)))
    }

    /// The first and the last address in leaves.
    fn leaf_hull(&self) -> Option<VirtRange> {
        self.leaves().map(|(part, _)| part).reduce(VirtRange::hull)
    }
}

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
        let offset = phys.as_u64().wrapping_sub(u64::from(range.start().0));
        let mapping = Mapping { offset, attrs, sizes };
        let mut need = Need::default();
        self.plan_map(0, Some(&self.root), range, &mapping, &mut need)?;
        let mut reserve = Reserve::new(self.machine(), &need)?;
        // SAFETY: the plan found nothing in the way; the caller vouches for the mapping.
        unsafe { self.build(&self.root, range, &mapping, &mut reserve, true) };
        publish(self.machine());
        Ok(())
    }

    /// Which entries at `depth` serve `range`.
    fn parts(&self, depth: usize, range: VirtRange, mapping: &Mapping) -> Parts {
        let level = &F::LEVELS[depth];
        let mut parts = Parts::all_below(range);
        let is_pte = depth + 1 == F::LEVELS.len();
        if !level.leaf || !is_pte && !mapping.sizes.contains(LeafSizes::BLOCKS) {
            return parts;
        }
        if self.policy.frozen(depth, range.start()) || self.policy.frozen(depth, range.last()) {
            return parts;
        }
        let Some(leaves) = mapping.aligned(range, level.shift) else { return parts };
        parts.below = Parts::around(range, leaves);
        parts.single = [Some(leaves), None];
        if !mapping.sizes.contains(LeafSizes::RUNS) || level.runs.is_none() {
            return parts;
        }
        if let Some(runs) = mapping.aligned(leaves, level.shift + RUN_SHIFT)
            && self.leaf(depth, mapping.phys(runs.start()), mapping.attrs, true).is_ok()
        {
            parts.single = Parts::around(leaves, runs);
            parts.runs = Some(runs);
        }
        parts
    }

    /// Finds what is in the way of mapping `range` from `depth` on, and counts the tables needed below.
    /// `node` is the table that is there, if any.
    fn plan_map(
        &self,
        depth: usize,
        node: Option<&Node<'m, F, M>>,
        range: VirtRange,
        mapping: &Mapping,
        need: &mut Need,
    ) -> Result<(), EditError> {
        if depth + 1 == F::LEVELS.len() && self.policy.frozen(depth, range.start()) {
            return Err(EditError::Sealed { at: range.start() });
        }
        let parts = self.parts(depth, range, mapping);
        let [before, after] = parts.below;
        if let Some(part) = before {
            self.plan_tables_for(depth, node, part, mapping, need)?;
        }
        for (part, run) in parts.leaves() {
            self.check_leaves(depth, part, mapping, run)?;
            let Some(node) = node else { continue };
            for index in node.indices(part) {
                if node.load(index) == F::Raw::default() {
                    continue;
                }
                // Only a table can stand where a leaf would; its neighbours then stand alone.
                let span = node.span(part.start(), index);
                self.plan_below(node, index, span, mapping, need)?;
                self.check_leaves(depth, part, mapping, false)?;
            }
        }
        if let Some(part) = after {
            self.plan_tables_for(depth, node, part, mapping, need)?;
        }
        Ok(())
    }

    /// Plans for `part`, which goes to tables below `depth`.
    fn plan_tables_for(
        &self,
        depth: usize,
        node: Option<&Node<'m, F, M>>,
        part: VirtRange,
        mapping: &Mapping,
        need: &mut Need,
    ) -> Result<(), EditError> {
        let level = &F::LEVELS[depth];
        for index in level.index(part.start())..=level.index(part.last()) {
            let span = level.entry_span(part.start(), index);
            let Some(below) = span.intersection(part) else { continue };
            match node {
                Some(node) => self.plan_below(node, index, below, mapping, need)?,
                None => {
                    need[depth + 1] += 1;
                    self.plan_map(depth + 1, None, below, mapping, need)?;
                }
            }
        }
        Ok(())
    }

    /// Plans for `range` in the table that entry `index` of `node` points to or will point to.
    fn plan_below(
        &self,
        node: &Node<'m, F, M>,
        index: usize,
        range: VirtRange,
        mapping: &Mapping,
        need: &mut Need,
    ) -> Result<(), EditError> {
        let depth = node.depth();
        let child = match node.entry(index) {
            Entry::Absent => None,
            // SAFETY: the entry was just read from this node.
            Entry::Table(table) => Some((table, unsafe { node.child(table) })),
            by @ Entry::Leaf(_) => return Err(EditError::Mapped { at: range.start(), by }),
            Entry::Reserved => return Err(EditError::Reserved { at: range.start() }),
        };
        if !child.is_some_and(|(table, _)| self.owns(&table)) {
            need[depth + 1] += 1;
        }
        self.plan_map(depth + 1, child.as_ref().map(|(_, child)| child), range, mapping, need)
    }

    /// Whether leaves of this kind can be written for all of `range`.
    pub(super) fn check_leaves(
        &self,
        depth: usize,
        range: VirtRange,
        mapping: &Mapping,
        run: bool,
    ) -> Result<(), EditError> {
        let shift = F::LEVELS[depth].shift + if run { RUN_SHIFT } else { 0 };
        self.leaf(depth, mapping.phys(range.start()), mapping.attrs, run)?;
        self.leaf(depth, mapping.phys(range.last().align_down(shift)), mapping.attrs, run)?;
        Ok(())
    }

    /// Writes the mappings of `range` into `node`, as planned. `live` says whether walks reach the node.
    ///
    /// # Safety
    /// As for [`map`](Self::map); everything in `range` is absent, and the reserve holds what the plan
    /// counted.
    pub(super) unsafe fn build(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        mapping: &Mapping,
        reserve: &mut Reserve<'m, F, M>,
        live: bool,
    ) {
        let parts = self.parts(node.depth(), range, mapping);
        for (part, run) in parts.leaves() {
            // SAFETY: absent or tables so far; the caller vouches for the mapping.
            unsafe { self.build_leaves(node, part, run, mapping, reserve, live) };
            if live {
                self.clean(node, node.indices(part));
            }
        }
        for part in parts.below.into_iter().flatten() {
            for index in node.indices(part) {
                let Some(below) = node.span(part.start(), index).intersection(part) else {
                    continue;
                };
                // SAFETY: as above.
                unsafe { self.build_below(node, index, below, mapping, reserve, live) };
            }
        }
    }

    /// Writes leaves for `range`, which consists of whole entries of `node`.
    unsafe fn build_leaves(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        run: bool,
        mapping: &Mapping,
        reserve: &mut Reserve<'m, F, M>,
        live: bool,
    ) {
        let indices = node.indices(range);
        let is_pte = node.depth() + 1 == F::LEVELS.len();
        let absent = |index: usize| node.load(index) == F::Raw::default();
        // Empty tables may stand in a linked table above the last level.
        if !live || is_pte || indices.clone().all(absent) {
            // SAFETY: the caller vouches for the mapping.
            return unsafe { self.fill_leaves(node, range, mapping, run) };
        }
        for index in indices {
            let span = node.span(range.start(), index);
            // SAFETY: likewise; the plan checked that these can stand alone.
            unsafe {
                if absent(index) {
                    self.fill_leaves(node, span, mapping, false);
                } else {
                    self.build_below(node, index, span, mapping, reserve, live);
                }
            }
        }
    }

    /// Writes leaves for `range`, which consists of whole absent entries of `node`.
    ///
    /// # Safety
    /// As for [`map`](Self::map).
    pub(super) unsafe fn fill_leaves(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        mapping: &Mapping,
        run: bool,
    ) {
        let step = Self::step(node.depth(), run);
        let indices = node.indices(range);
        // Words of an identical run equal each other and differ from the next run's.
        let stride = if step == F::Raw::default() { RUN } else { indices.len() };
        for start in indices.clone().step_by(stride) {
            let va = node.span(range.start(), start).start();
            // The plan encoded the first and the last of these.
            let raw = self.leaf(node.depth(), mapping.phys(va), mapping.attrs, run);
            let Some(raw) = planned(raw.ok()) else {
                return;
            };
            // SAFETY: the caller vouches for the mapping.
            unsafe { node.fill(start..start + stride, raw, step) };
        }
    }

    /// Maps `range` in the table at entry `index`, which is made or copied first where it is not ours.
    unsafe fn build_below(
        &self,
        node: &Node<'m, F, M>,
        index: usize,
        range: VirtRange,
        mapping: &Mapping,
        reserve: &mut Reserve<'m, F, M>,
        live: bool,
    ) {
        let copied = match node.entry(index) {
            Entry::Table(table) if self.owns(&table) => {
                // SAFETY: a table of this tree; the rest is the caller's promise.
                unsafe {
                    let child = node.child(table);
                    self.build(&child, range, mapping, reserve, live);
                    if !live {
                        // It was cleaned when its first part was made.
                        self.clean(&child, child.indices(range));
                    }
                }
                return;
            }
            Entry::Table(table) => Some(table),
            _ => None,
        };
        let depth = node.depth() + 1;
        let Some(table) = reserve.take(depth) else { return };
        // SAFETY: the table is ours alone until it is linked, which happens when it is complete.
        unsafe {
            let child = Node::new(self.machine(), table, depth);
            match copied {
                Some(table) => child.copy_from(&node.child(table), 0..child.level().entries()),
                None => {
                    let filled = self.parts(depth, range, mapping).leaf_hull();
                    self.zero_outside(&child, filled.map_or(0..0, |part| child.indices(part)));
                }
            }
            self.build(&child, range, mapping, reserve, false);
            let span = node.span(range.start(), index);
            self.link_table(node, span, &child, live, copied.is_some());
        }
    }

    /// Zeroes what of a new table will not be filled with leaves.
    unsafe fn zero_outside(&self, child: &Node<'m, F, M>, filled: Range<usize>) {
        // SAFETY: the table is new and not linked.
        unsafe {
            child.zero(0..filled.start);
            child.zero(filled.end..child.level().entries());
        }
    }

    /// Links a complete table at the entry of `node` that translates `span`: the last store of its making.
    ///
    /// # Safety
    /// The table is complete; nothing that runs uses what the entry maps, if it is `live` and `replaces`
    /// something.
    pub(super) unsafe fn link_table(
        &self,
        node: &Node<'m, F, M>,
        span: VirtRange,
        child: &Node<'m, F, M>,
        live: bool,
        replaces: bool,
    ) {
        let indices = node.indices(span);
        self.clean(child, 0..child.level().entries());
        // Tables are aligned as their level asks, so the link can be written.
        let Some(raw) = planned(self.link(node.depth(), child.table()).ok()) else { return };
        if live {
            self.machine().dsb_ishst();
        }
        // SAFETY: the caller vouches for both.
        unsafe {
            if live && replaces {
                self.break_entries(node, span);
            }
            node.store(indices.start, raw);
        }
        if live {
            self.clean(node, indices);
        }
    }
}
