//! Looking at all that an edit will change, before it changes anything.

use super::plan::{Plan, Refused};
use super::{Editor, Ties};
use crate::addr::VirtRange;
use crate::attr::{Access, Attrs};
use crate::format::{Entry, Format, Leaf};
use crate::table::error::EditError;
use crate::table::mem::{Machine, TableMemory};
use crate::table::memo::Memo;
use crate::table::node::Node;

/// Whether an address without a mapping is an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holes {
    Refused,
    Skipped,
}

/// What an edit wants to know of the leaves in its range.
pub(super) trait Survey<F: Format, M> {
    /// Judges the entries of `node` that translate `range` all at once, if it can. Whether it could.
    fn table(
        &mut self,
        node: &Node<'_, F, M>,
        range: VirtRange,
        plan: &mut Plan,
    ) -> Result<bool, Refused>;

    /// Judges a leaf: one for all that follow it in its table and differ in the frame alone.
    fn leaf(&mut self, depth: usize, leaf: &Leaf, plan: &mut Plan) -> Result<(), Refused>;
}

/// Whether the table is the last of a walk.
fn is_pte<F: Format, M: TableMemory>(node: &Node<'_, F, M>) -> bool {
    node.depth() + 1 == F::LEVELS.len()
}

/// From this many pages of one table on, unmapping does not ask whether any was executable.
const MANY: usize = 64;

/// What unmapping wants to know.
#[derive(Default)]
pub(super) struct Removal<'p> {
    /// Where tables that go as a whole need no look: which of them stay.
    pub(super) unseen: Option<&'p dyn Ties>,
    /// Whether anything is mapped.
    pub(super) any: bool,
    /// Whether anything may be executable.
    pub(super) executable: bool,
}

impl<F: Format, M: TableMemory> Survey<F, M> for Removal<'_> {
    fn table(
        &mut self,
        node: &Node<'_, F, M>,
        range: VirtRange,
        _: &mut Plan,
    ) -> Result<bool, Refused> {
        if let (Some(ties), Some(above)) = (self.unseen, node.depth().checked_sub(1))
            && node.is_all(range)
            && !ties.keeps(above, range.start())
        {
            (self.any, self.executable) = (true, true);
            return Ok(true);
        }
        if !is_pte(node) {
            return Ok(false);
        }
        let indices = node.indices(range);
        // Where so much goes, predictions go with it anyway; that spares a look at half of a long descriptor.
        let many = indices.len() > MANY;
        let Some(executable) = F::leaves_by_common_bits(node.common_bits(indices)) else {
            return Ok(false);
        };
        self.any = true;
        self.executable |= many || executable;
        Ok(true)
    }

    fn leaf(&mut self, _depth: usize, leaf: &Leaf, _: &mut Plan) -> Result<(), Refused> {
        self.any = true;
        self.executable |= leaf.attrs.access == Access::ReadExecute;
        Ok(())
    }
}

/// What a change of attributes wants to know.
pub(super) struct Change<'a, 'm, F: Format, M> {
    editor: &'a Editor<'a, 'm, F, M>,
    change: &'a dyn Fn(Attrs) -> Attrs,
    /// Whether anything is mapped.
    pub(super) any: bool,
    /// Whether anything was or becomes executable.
    pub(super) executable: bool,
    /// Whether the ptes of every table in the range agree in all but their frames.
    pub(super) uniform: bool,
    /// The last kind of pte judged.
    known: Memo<F>,
}

impl<'a, 'm, F: Format, M> Change<'a, 'm, F, M> {
    pub(super) fn new(
        editor: &'a Editor<'a, 'm, F, M>,
        change: &'a dyn Fn(Attrs) -> Attrs,
    ) -> Self {
        let known = Memo::default();
        Self { editor, change, any: false, executable: false, uniform: true, known }
    }
}

impl<F: Format, M: Machine> Survey<F, M> for Change<'_, '_, F, M> {
    fn table(
        &mut self,
        node: &Node<'_, F, M>,
        range: VirtRange,
        plan: &mut Plan,
    ) -> Result<bool, Refused> {
        if !is_pte(node) {
            return Ok(false);
        }
        let indices = node.indices(range);
        let first = node.load(indices.start);
        if !self.known.knows(first) {
            let Entry::Leaf(leaf) = F::decode(node.depth(), first) else {
                self.uniform = false;
                return Ok(false);
            };
            Survey::<F, M>::leaf(self, node.depth(), &leaf, plan)?;
            self.known = Memo::new(node.depth(), leaf.run, first, first);
        }
        let uniform = self.known.knows_all(node, indices);
        self.uniform &= uniform;
        Ok(uniform)
    }

    fn leaf(&mut self, depth: usize, leaf: &Leaf, plan: &mut Plan) -> Result<(), Refused> {
        self.any = true;
        match self.editor.changed(depth, leaf, self.change) {
            Ok(changed) => {
                self.executable |= changed.executable;
                Ok(())
            }
            Err(error) => plan.refuse(error.into()),
        }
    }
}

impl<'m, F: Format, M: Machine> Editor<'_, 'm, F, M> {
    /// Looks at every entry that serves `range` in `node` and below.
    #[inline(never)]
    pub(super) fn survey(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        holes: Holes,
        survey: &mut dyn Survey<F, M>,
        plan: &mut Plan,
    ) -> Result<(), Refused> {
        let depth = node.depth();
        let frozen = self.frozen(depth, range.start());
        if !frozen && survey.table(node, range, plan)? {
            return Ok(());
        }
        let mut memo = Memo::<F>::default();
        for index in node.indices(range) {
            let raw = node.load(index);
            if memo.knows(raw) || raw == F::Raw::default() && holes == Holes::Skipped {
                continue;
            }
            let (_, part) = node.cut(range, index);
            if let Some(table) = F::decode_table(depth, raw)
                && self.owns(&table)
            {
                // SAFETY: the entry was just read from this node.
                self.survey(&unsafe { node.child(table) }, part, holes, survey, plan)?;
                continue;
            }
            let at = part.start();
            match F::decode(depth, raw) {
                Entry::Leaf(_) if self.frozen(depth, at) => {
                    return plan.refuse(EditError::Sealed { at });
                }
                Entry::Leaf(leaf) => {
                    survey.leaf(depth, &leaf, plan)?;
                    // A supersection that is to be sections may lie out of their reach: each is judged.
                    if Self::is_pte(depth) || !leaf.run {
                        memo = Memo::new(depth, leaf.run, raw, raw);
                    }
                }
                Entry::Reserved => return plan.refuse(EditError::Reserved { at }),
                // Swapper's tables hold nothing of this tree's.
                Entry::Absent | Entry::Table(_) => {
                    if holes == Holes::Refused {
                        return plan.refuse(EditError::NotMapped { at });
                    }
                }
            }
        }
        Ok(())
    }
}
