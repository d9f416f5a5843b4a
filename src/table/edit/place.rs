//! Where an edit puts something: a table that is there, one that is new, or one that is still to be made.

use super::Editor;
use super::plan::Pass;
use crate::addr::VirtRange;
use crate::format::Format;
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::reserve::planned;

/// A table at a known depth, whether it is there or not.
#[derive(Clone, Copy)]
pub(super) struct Place<'m, F: Format, M> {
    pub(super) depth: usize,
    /// `None` where a plan says that it is to be made.
    pub(super) node: Option<Node<'m, F, M>>,
    /// Whether it is new: no walk reaches it, and what it holds is to be written.
    pub(super) fresh: bool,
}

impl<'m, F: Format, M: Machine> Place<'m, F, M> {
    /// A table that is there.
    pub(super) fn table(node: Node<'m, F, M>) -> Self {
        Self { depth: node.depth(), node: Some(node), fresh: false }
    }

    /// The descriptor at `index`.
    #[inline]
    pub(super) fn load(&self, index: usize) -> F::Raw {
        self.node.map_or(F::Raw::default(), |node| node.load(index))
    }

    /// Whether nothing is in the entries that translate `range`.
    pub(super) fn is_absent(&self, range: VirtRange) -> bool {
        self.fresh || self.node.is_none_or(|node| node.is_absent(node.indices(range)))
    }
}

impl<'m, F: Format, M: Machine> Editor<'_, 'm, F, M> {
    /// The table of this tree's below entry `index`, which is `raw`: a new one if nothing is there; `None` if something
    /// else is.
    #[inline(never)]
    pub(super) fn below(
        &self,
        depth: usize,
        raw: F::Raw,
        pass: &mut Pass<'_, 'm, F, M>,
    ) -> Option<Place<'m, F, M>> {
        let depth = depth + 1;
        let fresh = raw == F::Raw::default();
        let table = match fresh {
            true => pass.take(depth),
            false => Some(F::decode_table(depth - 1, raw).filter(|table| self.owns(table))?.table),
        };
        // SAFETY: the table is ours alone until it is linked, or an entry of this tree's points to it.
        let node = table.map(|table| unsafe { Node::new(self.machine(), table, depth) });
        Some(Place { depth, node, fresh })
    }

    /// Links a new table, which is complete, at entry `index` of `place`: the last store of its making.
    ///
    /// # Safety
    /// It is complete, and the entry absent; a place is fresh only where no walk reaches it.
    #[inline(never)]
    pub(super) unsafe fn link_below(
        &self,
        place: &Place<'m, F, M>,
        index: usize,
        child: &Place<'m, F, M>,
    ) {
        if let (Some(node), Some(child), true) = (&place.node, &child.node, child.fresh) {
            // SAFETY: the caller answers for both.
            unsafe { self.link_table(node, index, child, !place.fresh) };
        }
    }

    /// Links a complete table at entry `index` of `node`: the last store of its making. `live` says whether walks may
    /// reach the node.
    ///
    /// # Safety
    /// The table is complete, and the entry absent; where `live` is false, no walk reaches the node.
    #[inline(never)]
    pub(super) unsafe fn link_table(
        &self,
        node: &Node<'m, F, M>,
        index: usize,
        child: &Node<'m, F, M>,
        live: bool,
    ) {
        child.clean(child.all());
        // Tables are aligned as their level asks, so the link can be written.
        let Some(raw) = planned(self.link(node.depth(), child.table()).ok()) else { return };
        if live {
            self.machine().dsb_ishst();
        }
        // SAFETY: the caller vouches for both.
        unsafe { node.store(index, raw) };
        if live {
            node.clean_one(index);
        }
    }
}
