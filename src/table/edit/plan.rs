//! Planning a mapping: what is in the way, and how many tables it takes.

use super::Editor;
use super::parts::Mapping;
use crate::addr::VirtRange;
use crate::format::{Entry, Format};
use crate::table::error::EditError;
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::reserve::{self, Need};

impl<'m, F: Format, M: Machine> Editor<'_, 'm, F, M> {
    /// Finds the first thing in the way of mapping `range` in `node`, and counts the tables needed below.
    #[inline(never)]
    pub(super) fn plan_map(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        mapping: &Mapping<F>,
        need: &mut Need,
    ) -> Result<(), EditError> {
        let depth = node.depth();
        if Self::is_pte(depth) && self.frozen(depth, range.start()) {
            return Err(EditError::Sealed { at: range.start() });
        }
        let parts = self.parts(depth, range, mapping);
        let [before, after] = parts.below;
        if let Some(part) = before {
            self.plan_below(node, part, mapping, need)?;
        }
        for (part, run) in parts.leaves() {
            self.check_leaves(depth, part, mapping, run)?;
            if !node.is_absent(node.indices(part)) {
                // Only a table can stand where a leaf would; its neighbours then stand alone.
                self.plan_below_present(node, part, mapping, need)?;
                self.check_leaves(depth, part, mapping, false)?;
            }
        }
        if let Some(part) = after {
            self.plan_below(node, part, mapping, need)?;
        }
        Ok(())
    }

    /// Plans for `range` in the tables that the entries of `node` point to or will point to.
    #[inline(never)]
    fn plan_below(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        mapping: &Mapping<F>,
        need: &mut Need,
    ) -> Result<(), EditError> {
        let indices = node.indices(range);
        if node.is_absent(indices.clone()) {
            return self.plan_absent_below(node.depth(), range, mapping, need);
        }
        for index in indices {
            let (_, part) = node.cut(range, index);
            if node.load(index) == F::Raw::default() {
                self.plan_absent_below(node.depth(), part, mapping, need)?;
            } else {
                self.plan_below_present(node, part, mapping, need)?;
            }
        }
        Ok(())
    }

    /// Plans for `range` in the tables that entries of `node` point to, and finds what else stands there;
    /// absent entries do not matter.
    #[inline(never)]
    fn plan_below_present(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        mapping: &Mapping<F>,
        need: &mut Need,
    ) -> Result<(), EditError> {
        for index in node.indices(range) {
            let (_, part) = node.cut(range, index);
            match node.entry(index) {
                Entry::Absent => {}
                Entry::Table(table) if self.owns(&table) => {
                    // SAFETY: the entry was just read from this node.
                    self.plan_map(&unsafe { node.child(table) }, part, mapping, need)?;
                }
                by @ Entry::Leaf(_) => return Err(EditError::Mapped { at: part.start(), by }),
                Entry::Table(_) | Entry::Reserved => {
                    return Err(EditError::Reserved { at: part.start() });
                }
            }
        }
        Ok(())
    }

    /// Plans for `range` in a new table at `depth`.
    #[inline(never)]
    fn plan_absent(
        &self,
        depth: usize,
        range: VirtRange,
        mapping: &Mapping<F>,
        need: &mut Need,
    ) -> Result<(), EditError> {
        if Self::is_pte(depth) && self.frozen(depth, range.start()) {
            return Err(EditError::Sealed { at: range.start() });
        }
        let parts = self.parts(depth, range, mapping);
        for (part, run) in parts.leaves() {
            self.check_leaves(depth, part, mapping, run)?;
        }
        for part in parts.below.into_iter().flatten() {
            self.plan_absent_below(depth, part, mapping, need)?;
        }
        Ok(())
    }

    /// Plans for `range` in new tables below absent entries at `depth`.
    #[inline(never)]
    fn plan_absent_below(
        &self,
        depth: usize,
        range: VirtRange,
        mapping: &Mapping<F>,
        need: &mut Need,
    ) -> Result<(), EditError> {
        let level = F::level(depth);
        let (first, last) = (level.index(range.start()), level.index(range.last()));
        reserve::add(need, depth + 1, last - first + 1);
        // All but the first and the last are covered whole, and so made alike: of tables of ptes, which need no others,
        // one of these is enough. The last reaches furthest, so what the format cannot reach shows there at the latest.
        let next = if Self::is_pte(depth + 1) { last.saturating_sub(1) } else { 0 };
        for index in core::iter::once(first).chain(next.max(first + 1)..=last) {
            let (_, part) = level.cut(range, index);
            self.plan_absent(depth + 1, part, mapping, need)?;
        }
        Ok(())
    }
}
