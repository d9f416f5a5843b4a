//! Copying what one tree maps into another: a walk per table, a store per leaf.
//!
//! The leaves that the copy shares get new attributes in the old tree first; then both hold the same words.

use core::cell::Cell;
use core::ops::ControlFlow;

use super::plan::{Plan, Refused};
use super::survey::{Change, Holes};
use super::{Editor, check_pages};
use crate::addr::{PhysAddr, VirtRange};
use crate::attr::Attrs;
use crate::format::{Entry, Format, TableEntry, Walk};
use crate::table::error::EditError;
use crate::table::flush::{Flush, publish};
use crate::table::mem::Machine;
use crate::table::memo::Memo;
use crate::table::node::Node;
use crate::table::reserve::Reserve;
use crate::table::walk::{self, Mapped};

impl<'m, F: Format, M: Machine> Editor<'_, 'm, F, M> {
    /// Maps in `to`, where nothing is mapped yet, what this tree maps in `range`, after `change` gave every leaf its
    /// new attributes here. Leaves keep their sizes, but for those that the ends of the range cut. `parts` are the
    /// pieces of the range in which anything may be mapped, in order.
    ///
    /// `share` hears of the memory of each leaf that is now mapped twice; of a run that is one word sixteen times, once.
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed in either tree, and `share` heard of nothing. [`EditError::Mapped`] also where
    /// what is mapped here is the kernel's alone.
    ///
    /// # Safety
    /// As for [`modify`](Self::modify); what becomes reachable in `to` may be reached.
    pub(crate) unsafe fn duplicate(
        &mut self,
        to: &mut Editor<'_, 'm, F, M>,
        range: VirtRange,
        parts: &(impl Iterator<Item = VirtRange> + Clone),
        change: &dyn Fn(Attrs) -> Attrs,
        share: &mut dyn FnMut(PhysAddr, u64),
    ) -> Result<Flush<'m, F, M>, EditError> {
        check_pages(range)?;
        let mut plan = Plan::new();
        let splits = self.plan_splits(range, &mut plan).map_err(|Refused| plan.why)?;
        // A table that a cut makes lies half in the range: the copy needs its like.
        plan.need = plan.need.map(|need| need * 2);
        let (changed, closed) = (Cell::new(false), Cell::new(false));
        let noting = |attrs: Attrs| {
            let new = change(attrs);
            changed.set(changed.get() || new != attrs);
            closed.set(closed.get() || !attrs.user);
            new
        };
        let mut survey = Change::new(self, &noting);
        for part in parts.clone() {
            let seen =
                self.survey(&self.narrow(part), part, Holes::Skipped, &mut survey, &mut plan);
            seen.map_err(|Refused| plan.why)?;
            to.plan_copy(Some(&to.root), &self.root, part, &mut plan)?;
        }
        let Change { executable, uniform, .. } = survey;
        if closed.get() {
            parts.clone().try_for_each(|part| self.all_are_users(part))?;
        }
        let mut reserve = Reserve::new(self.machine());
        reserve.fill(&plan.need)?;
        let mut flush = self.flush();
        // SAFETY: planned; the caller vouches for the change and for the copy.
        unsafe {
            if splits {
                self.split_ends(range, &mut reserve);
            }
            if changed.get() {
                flush.add(range, executable);
                let mut known = (uniform && !splits).then(Memo::default);
                for part in parts.clone() {
                    self.rewrite(&self.narrow(part), part, change, &mut known);
                }
            }
            for part in parts.clone() {
                to.copy(&to.root, &self.root, part, &mut reserve, share, true);
            }
        }
        publish(self.machine());
        Ok(flush)
    }

    /// Refuses the first leaf in `within` that is the kernel's alone.
    #[cold]
    fn all_are_users(&self, within: VirtRange) -> Result<(), EditError> {
        let found = walk::visit(&self.root, within, &mut |mapped| match mapped.leaf.attrs.user {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(mapped),
        });
        match found {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(first) => Err(in_the_way(first, within)),
        }
    }

    /// Finds what is in the way of a copy of what `from` maps in `range`, and counts the tables it takes. `node` is the
    /// table of the copy, if there is one.
    fn plan_copy(
        &self,
        node: Option<&Node<'m, F, M>>,
        from: &Node<'m, F, M>,
        range: VirtRange,
        plan: &mut Plan,
    ) -> Result<(), EditError> {
        let (depth, all) = (from.depth(), from.indices(range));
        if node.is_none_or(|node| node.is_absent(all.clone())) && Self::is_pte(depth) {
            return Ok(());
        }
        for index in all {
            let raw = from.load(index);
            if raw == F::Raw::default() {
                continue;
            }
            let entry = node.map_or(Entry::Absent, |node| node.entry(index));
            let child = self.child(from, F::decode_table(depth, raw));
            if child.is_none() && matches!(entry, Entry::Absent) {
                continue;
            }
            let (span, part) = from.cut(range, index);
            let below = match entry {
                Entry::Table(table) => node.and_then(|node| self.child(node, Some(table))),
                _ => None,
            };
            let Some(child) = child else {
                // What the ends of the range cut will be smaller leaves.
                if part != span && below.is_some_and(|below| !self.maps_any(&below, part)) {
                    continue;
                }
                // Of a table, it is the first leaf below that is in the way.
                let first = below.and_then(|below| {
                    walk::visit(&below, part, &mut ControlFlow::Break).break_value()
                });
                return Err(match first {
                    Some(first) => in_the_way(first, part),
                    None => EditError::Mapped { at: part.start(), by: entry },
                });
            };
            if !self.maps_any(&child, part) {
                continue;
            }
            if matches!(entry, Entry::Absent) {
                plan.table(depth + 1, span.start());
            } else if below.is_none() {
                return Err(EditError::Mapped { at: part.start(), by: entry });
            }
            self.plan_copy(below.as_ref(), &child, part, plan)?;
        }
        Ok(())
    }

    /// Copies what `from` maps in `range` into `node`, as planned. `live` says whether walks reach the node.
    unsafe fn copy(
        &self,
        node: &Node<'m, F, M>,
        from: &Node<'m, F, M>,
        range: VirtRange,
        reserve: &mut Reserve<'m, F, M>,
        share: &mut dyn FnMut(PhysAddr, u64),
        live: bool,
    ) {
        let (depth, all) = (from.depth(), from.indices(range));
        let mut leaves = false;
        for index in all {
            let raw = from.load(index);
            if raw == F::Raw::default() {
                continue;
            }
            if let Walk::Memory { base, offset } = F::walk(depth, raw) {
                // A leaf that begins in an earlier part was copied with that one.
                if from.span(range.start(), index).start() >= range.start() {
                    // SAFETY: absent so far; the caller of `duplicate` vouches for it.
                    unsafe { node.store(index, raw) };
                    leaves = true;
                    let words = (offset >> F::geometry(depth).shift) as usize;
                    if index & words == 0 {
                        share(base, u64::from(offset) + 1);
                    }
                }
                continue;
            }
            let (_, part) = from.cut(range, index);
            let Some(child) = self.child(from, F::decode_table(depth, raw)) else { continue };
            // SAFETY: as above; tables are reached by entries just read, or ours alone until they are linked.
            unsafe { self.copy_below(node, index, &child, part, reserve, share, live) };
        }
        if live && leaves {
            self.clean(node, range);
        }
    }

    /// Copies what `from` maps in `range` into the table at entry `index` of `node`, which is made first where there is
    /// none.
    #[expect(clippy::too_many_arguments, reason = "the state of a walk over two trees")]
    unsafe fn copy_below(
        &self,
        node: &Node<'m, F, M>,
        index: usize,
        from: &Node<'m, F, M>,
        range: VirtRange,
        reserve: &mut Reserve<'m, F, M>,
        share: &mut dyn FnMut(PhysAddr, u64),
        live: bool,
    ) {
        if !self.maps_any(from, range) {
            return;
        }
        // SAFETY: the caller's promises; a new table is ours alone until it is linked, complete.
        unsafe {
            if let Some(child) = self.child(node, F::decode_table(node.depth(), node.load(index))) {
                return self.copy(&child, from, range, reserve, share, live);
            }
            let Some(table) = reserve.take(from.depth()) else { return };
            let child = Node::new(self.machine(), table, from.depth());
            child.zero_unlinked(child.all());
            self.copy(&child, from, range, reserve, share, false);
            self.link_table(node, index, &child, live);
        }
    }

    /// The table of this tree's that `entry`, just read from `node`, points to.
    fn child(&self, node: &Node<'m, F, M>, entry: Option<TableEntry>) -> Option<Node<'m, F, M>> {
        let table = entry.filter(|table| self.owns(table))?;
        // SAFETY: the caller just read it.
        Some(unsafe { node.child(table) })
    }

    /// Whether anything is mapped in `range` below `node`.
    fn maps_any(&self, node: &Node<'m, F, M>, range: VirtRange) -> bool {
        let all = node.indices(range);
        if Self::is_pte(node.depth()) || node.is_absent(all.clone()) {
            return !node.is_absent(all);
        }
        all.into_iter().any(|index| {
            let raw = node.load(index);
            let Some(table) = F::decode_table(node.depth(), raw) else {
                return raw != F::Raw::default();
            };
            let (_, part) = node.cut(range, index);
            self.child(node, Some(table)).is_some_and(|child| self.maps_any(&child, part))
        })
    }
}

/// The first mapping in `range` is in the way.
fn in_the_way(first: Mapped, range: VirtRange) -> EditError {
    EditError::Mapped { at: first.range.start().max(range.start()), by: Entry::Leaf(first.leaf) }
}
