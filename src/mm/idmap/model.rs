//! What swapper maps where an identity mapping takes the place of its entries.

use crate::addr::{PhysAddr, VirtAddr};
use crate::format::{Descriptor, EncodeError, Entry, Format, Leaf, RUN, Runs};
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::reserve::planned;

/// What swapper says about the entries of one of the pgd's tables.
pub(super) enum Model<'m, F: Format, M> {
    /// Nothing is mapped there.
    Nothing,
    /// Swapper's table for the same addresses.
    Table(Node<'m, F, M>),
    /// A larger leaf of swapper's: where `start` lies, and what it is.
    Leaf { start: VirtAddr, leaf: Leaf },
}

impl<'m, F: Format, M: Machine> Model<'m, F, M> {
    /// The entry for `va` at `depth`, if it were copied alone: a leaf of a run stands for itself.
    #[inline(never)]
    pub(super) fn entry(&self, depth: usize, va: VirtAddr) -> Result<F::Raw, EncodeError> {
        let level = F::level(depth);
        let va = va.align_down(level.shift);
        let (start, leaf) = match self {
            Self::Nothing => return Ok(F::Raw::default()),
            Self::Table(node) => match node.entry(node.index(va)) {
                Entry::Leaf(leaf) if leaf.run => (run_start(level.runs, va, level.shift), leaf),
                _ => return Ok(node.load(node.index(va))),
            },
            Self::Leaf { start, leaf } => (*start, *leaf),
        };
        let frame = PhysAddr::truncate(leaf.frame.as_u64() + u64::from(va.0 - start.0));
        F::encode(depth, Entry::Leaf(Leaf { frame, run: false, ..leaf }))
    }

    /// Writes all entries of `child`, a new table that translates `va`. What a leaf that stands alone holds, smaller
    /// ones can.
    ///
    /// # Safety
    /// No entry points to the table, and it may be changed.
    #[inline(never)]
    pub(super) unsafe fn fill(&self, child: &Node<'m, F, M>, va: VirtAddr) {
        let (level, depth) = (child.level(), child.depth());
        let (all, step) = (0..level.entries(), F::Raw::from_u64(level.span().into()));
        let entry = |index| planned(self.entry(depth, level.entry_span(va, index).start()).ok());
        // SAFETY: the caller answers for the table.
        unsafe {
            match self {
                Self::Nothing => child.zero_unlinked(all),
                Self::Leaf { .. } => child.fill(all, entry(0).unwrap_or_default(), step),
                // Runs stay whole, but for those that the range cuts.
                Self::Table(node) => child.copy_unlinked(node, all),
            }
        }
    }

    /// What swapper says about the table below the entry for `va`.
    #[inline(never)]
    pub(super) fn below(&self, va: VirtAddr) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Leaf { start, leaf } => Self::Leaf { start: *start, leaf: *leaf },
            Self::Table(node) => match node.entry(node.index(va)) {
                // SAFETY: the entry was just read from this node.
                Entry::Table(table) => Self::Table(unsafe { node.child(table) }),
                Entry::Leaf(leaf) => {
                    let level = node.level();
                    let runs = if leaf.run { level.runs } else { None };
                    Self::Leaf { start: run_start(runs, va, level.shift), leaf }
                }
                _ => Self::Nothing,
            },
        }
    }
}

/// The address whose frame a leaf for `va` holds: its own, or its identical run's.
pub(super) fn run_start(runs: Option<Runs>, va: VirtAddr, shift: u32) -> VirtAddr {
    match runs {
        Some(Runs::Identical) => va.align_down(shift + RUN.trailing_zeros()),
        _ => va.align_down(shift),
    }
}
