//! Reading a tree: translate an address, visit what is mapped, trace an address level by level.

use core::ops::ControlFlow;

use super::mem::TableMemory;
use super::node::{MAX_LEVELS, Node};
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::format::{Entry, Format, Leaf, Level, RUN, Runs};

/// What an address translates to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Translation {
    /// The physical address.
    pub phys: PhysAddr,
    /// The leaf that maps it.
    pub leaf: Leaf,
    /// The leaf's depth.
    pub depth: usize,
    /// All that the leaf maps; of a run, all sixteen.
    pub span: VirtRange,
}

/// One step of a walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The geometry of the table.
    pub level: &'static Level,
    /// Where the table lies.
    pub table: PhysAddr,
    /// Which entry was read.
    pub index: usize,
    /// The descriptor, zero-extended.
    pub raw: u64,
    /// What it means.
    pub entry: Entry,
}

/// A leaf of a tree and the addresses it maps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapped {
    /// The addresses, of this leaf alone also in a run.
    pub range: VirtRange,
    /// The memory at its start.
    pub phys: PhysAddr,
    /// The leaf.
    pub leaf: Leaf,
    /// Its depth.
    pub depth: usize,
}

/// The bits of an address that a leaf does not translate.
fn leaf_shift(level: &Level, leaf: &Leaf) -> u32 {
    match level.runs {
        Some(Runs::Identical) if leaf.run => level.shift + RUN.trailing_zeros(),
        _ => level.shift,
    }
}

/// What `va` translates to in the tree below `root`, whatever the permissions.
///
/// A leaf without access is a translation too; the hardware would fault.
pub fn translate<F: Format, M: TableMemory>(
    root: &Node<'_, F, M>,
    va: VirtAddr,
) -> Option<Translation> {
    let mut node = *root;
    loop {
        match node.entry(node.index(va)) {
            // SAFETY: the entry was just read from this node.
            Entry::Table(table) => node = unsafe { node.child(table) },
            Entry::Leaf(leaf) => {
                let level = node.level();
                let offset = va.0 & ((1 << leaf_shift(level, &leaf)) - 1);
                let run_shift = if leaf.run { RUN.trailing_zeros() } else { 0 };
                return Some(Translation {
                    phys: PhysAddr::truncate(leaf.frame.as_u64() + u64::from(offset)),
                    leaf,
                    depth: node.depth(),
                    span: VirtRange::aligned(va, level.shift + run_shift),
                });
            }
            Entry::Absent | Entry::Reserved => return None,
        }
    }
}

/// The entries that a walk for `va` reads, from the root on.
pub fn trace<F: Format, M: TableMemory>(
    root: &Node<'_, F, M>,
    va: VirtAddr,
) -> impl Iterator<Item = Step> + Clone {
    let mut steps = [None; MAX_LEVELS];
    let mut node = *root;
    for step in &mut steps {
        use crate::format::Descriptor;
        let index = node.index(va);
        let raw = node.load(index);
        let entry = F::decode(node.depth(), raw);
        *step = Some(Step {
            level: node.level(),
            table: node.table(),
            index,
            raw: raw.as_u64(),
            entry,
        });
        match entry {
            // SAFETY: the entry was just read from this node.
            Entry::Table(table) => node = unsafe { node.child(table) },
            _ => break,
        }
    }
    steps.into_iter().flatten()
}

/// Calls `visit` for every leaf that maps an address in `range`, in order, until it breaks.
pub fn visit<F: Format, M: TableMemory, B>(
    root: &Node<'_, F, M>,
    range: VirtRange,
    visit: &mut impl FnMut(Mapped) -> ControlFlow<B>,
) -> ControlFlow<B> {
    for index in root.indices(range) {
        let span = root.span(range.start(), index);
        let Some(part) = span.intersection(range) else { continue };
        match root.entry(index) {
            // SAFETY: the entry was just read from this node.
            Entry::Table(table) => self::visit(&unsafe { root.child(table) }, part, visit)?,
            Entry::Leaf(leaf) => {
                let offset = span.start().0 & ((1 << leaf_shift(root.level(), &leaf)) - 1);
                let phys = PhysAddr::truncate(leaf.frame.as_u64() + u64::from(offset));
                visit(Mapped { range: span, phys, leaf, depth: root.depth() })?;
            }
            Entry::Absent | Entry::Reserved => {}
        }
    }
    ControlFlow::Continue(())
}
