//! Planning a mapping: what is in the way, and how many tables it takes.

use super::Editor;
use super::parts::Mapping;
use crate::addr::VirtRange;
use crate::format::{Entry, Format};
use crate::table::error::EditError;
use crate::table::mem::{Machine, OutOfMemory};
use crate::table::node::Node;
use crate::table::reserve::{self, Need};

/// What is found out about an edit before it changes anything.
pub(super) struct Plan {
    /// The tables it takes.
    pub(super) need: Need,
    /// Why it was refused, if it was; else there can only be too few tables.
    pub(super) why: EditError,
}

/// An edit was refused: its [`Plan`] knows why.
pub(super) struct Refused;

impl Plan {
    pub(super) fn new() -> Self {
        Self { need: Need::default(), why: EditError::OutOfMemory }
    }

    /// Refuses the edit.
    #[inline]
    pub(super) fn refuse<T>(&mut self, why: EditError) -> Result<T, Refused> {
        self.why = why;
        Err(Refused)
    }
}

impl From<OutOfMemory> for Refused {
    fn from(OutOfMemory: OutOfMemory) -> Self {
        Self
    }
}

impl<'m, F: Format, M: Machine> Editor<'_, 'm, F, M> {
    /// Finds the first thing in the way of mapping `range` in a table at `depth`, `node` or one that is to be made, and
    /// counts the tables needed below.
    #[inline(never)]
    pub(super) fn plan_map(
        &self,
        depth: usize,
        node: Option<&Node<'m, F, M>>,
        range: VirtRange,
        mapping: &Mapping<F>,
        plan: &mut Plan,
    ) -> Result<(), Refused> {
        if Self::is_pte(depth) && self.frozen(depth, range.start()) {
            return plan.refuse(EditError::Sealed { at: range.start() });
        }
        let parts = self.parts(depth, range, mapping);
        let [before, after] = parts.below;
        if let Some(part) = before {
            self.plan_below(depth, node, part, mapping, false, plan)?;
        }
        for &(part, run) in parts.leaves.iter().flatten() {
            self.check_leaves(depth, part, mapping, run, plan)?;
            if node.is_some_and(|node| !self.is_absent(node, part)) {
                // Only a table can stand where a leaf would; its neighbours then stand alone.
                self.plan_below(depth, node, part, mapping, true, plan)?;
                self.check_leaves(depth, part, mapping, false, plan)?;
            }
        }
        if let Some(part) = after {
            self.plan_below(depth, node, part, mapping, false, plan)?;
        }
        Ok(())
    }

    /// Plans for `range` in the tables that entries of this one point to, or will point to unless `leaves` says that
    /// those which are absent get leaves.
    #[inline(never)]
    fn plan_below(
        &self,
        depth: usize,
        node: Option<&Node<'m, F, M>>,
        range: VirtRange,
        mapping: &Mapping<F>,
        leaves: bool,
        plan: &mut Plan,
    ) -> Result<(), Refused> {
        let Some(node) = node.filter(|node| !self.is_absent(node, range)) else {
            return self.plan_absent(depth, range, mapping, plan);
        };
        for index in node.indices(range) {
            let (_, part) = node.cut(range, index);
            if node.load(index) == F::Raw::default() {
                if !leaves {
                    self.plan_absent(depth, part, mapping, plan)?;
                }
                continue;
            }
            match node.entry(index) {
                Entry::Table(table) if self.owns(&table) => {
                    // SAFETY: the entry was just read from this node.
                    let child = unsafe { node.child(table) };
                    self.plan_map(depth + 1, Some(&child), part, mapping, plan)?;
                }
                by @ Entry::Leaf(_) => {
                    return plan.refuse(EditError::Mapped { at: part.start(), by });
                }
                _ => return plan.refuse(EditError::Reserved { at: part.start() }),
            }
        }
        Ok(())
    }

    /// Plans for `range` in new tables below absent entries at `depth`.
    fn plan_absent(
        &self,
        depth: usize,
        range: VirtRange,
        mapping: &Mapping<F>,
        plan: &mut Plan,
    ) -> Result<(), Refused> {
        let geometry = F::geometry(depth);
        let (first, last) = (geometry.index(range.start()), geometry.index(range.last()));
        reserve::add(&mut plan.need, depth + 1, last - first + 1);
        // All but the first and the last are covered whole, and so made alike: of tables of ptes, which need no others,
        // one of these is enough. The last reaches furthest, so what the format cannot reach shows there at the latest.
        let next = if Self::is_pte(depth + 1) { last.saturating_sub(1) } else { 0 };
        let mut index = first;
        loop {
            let (_, part) = geometry.cut(range, index);
            self.plan_map(depth + 1, None, part, mapping, plan)?;
            if index == last {
                return Ok(());
            }
            index = next.max(index + 1);
        }
    }
}
