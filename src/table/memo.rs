//! What the last leaf of a table meant: neighbours mostly mean the same, and then one mask and one
//! comparison replace a decode.

use core::ops::Range;

use super::mem::TableMemory;
use super::node::Node;
use crate::format::Format;

/// The attribute bits of one kind of leaf, and what an edit makes of them.
#[derive(Clone, Copy)]
pub(crate) struct Memo<F: Format> {
    /// The bits that hold the frame.
    frame: F::Raw,
    /// The others.
    bits: F::Raw,
    /// What the others become.
    new_bits: F::Raw,
}

impl<F: Format> Memo<F> {
    /// Leaves at `depth` that have all but the frame in common with `raw`, and become `new`.
    #[inline(never)]
    pub(crate) fn new(depth: usize, run: bool, raw: F::Raw, new: F::Raw) -> Self {
        let frame = F::frame_mask(depth, run);
        Self { frame, bits: raw & !frame, new_bits: new & !frame }
    }

    /// Whether `raw` is such a leaf.
    #[inline]
    pub(crate) fn knows(&self, raw: F::Raw) -> bool {
        raw & !self.frame == self.bits
    }

    /// Whether all entries of `node` in `range` are such leaves.
    #[inline]
    pub(crate) fn knows_all<M: TableMemory>(
        &self,
        node: &Node<'_, F, M>,
        range: Range<usize>,
    ) -> bool {
        node.is_uniform(range, self.bits, self.frame)
    }

    /// The bits that change in such a leaf.
    #[inline]
    pub(crate) fn flip(&self) -> F::Raw {
        self.bits ^ self.new_bits
    }

    /// What `raw`, which is such a leaf, becomes.
    #[inline]
    pub(crate) fn apply(&self, raw: F::Raw) -> F::Raw {
        raw & self.frame | self.new_bits
    }
}

impl<F: Format> Default for Memo<F> {
    /// Knows no leaf, not even a word of unknown meaning.
    fn default() -> Self {
        let all = !F::Raw::default();
        Self { frame: all, bits: all, new_bits: all }
    }
}
