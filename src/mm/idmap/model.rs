//! What swapper maps where an identity mapping takes the place of its entries.

use crate::addr::{PhysAddr, VirtAddr};
use crate::format::{Descriptor, EncodeError, Entry, Format, Leaf, RUN, Runs};
use crate::table::mem::Machine;
use crate::table::memo::Memo;
use crate::table::node::Node;

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
    pub(super) fn entry(&self, depth: usize, va: VirtAddr) -> Result<F::Raw, EncodeError> {
        let level = &F::LEVELS[depth];
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
        // Privileged execution is swapper's own.
        F::encode(depth, Entry::Leaf(Leaf { frame, run: false, pxn: false, ..leaf }))
    }

    /// Calls `f` with the index and the [entry](Self::entry) of each entry of the table at `depth` that
    /// translates `va`.
    pub(super) fn each(
        &self,
        depth: usize,
        va: VirtAddr,
        mut f: impl FnMut(usize, F::Raw),
    ) -> Result<(), EncodeError> {
        let level = &F::LEVELS[depth];
        let at = |index| level.entry_span(va, index).start();
        let zero = F::Raw::default();
        match self {
            Self::Nothing => (0..level.entries()).for_each(|index| f(index, zero)),
            Self::Leaf { .. } => {
                let mut raw = self.entry(depth, at(0))?;
                self.entry(depth, at(level.entries() - 1))?;
                for index in 0..level.entries() {
                    f(index, raw);
                    raw = raw.step(F::Raw::from_u64(1 << level.shift));
                }
            }
            Self::Table(node) => {
                // Leaves of stepping runs differ in their frames alone, and so do they standing alone.
                let stepping = level.runs == Some(Runs::Stepping);
                let mut memo = Memo::<F>::default();
                for index in 0..level.entries() {
                    let raw = node.load(index);
                    let alone = if raw == zero {
                        zero
                    } else if memo.knows(raw) {
                        memo.apply(raw)
                    } else {
                        let alone = self.entry(depth, at(index))?;
                        if stepping && matches!(F::decode(depth, raw), Entry::Leaf(_)) {
                            memo = Memo::new(depth, false, raw, alone);
                        }
                        alone
                    };
                    f(index, alone);
                }
            }
        }
        Ok(())
    }

    /// What swapper says about the table below the entry for `va`.
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
