//! Reading a tree: translate an address, visit what is mapped, trace an address level by level.

use core::iter;
use core::ops::ControlFlow;

use super::mem::TableMemory;
use super::node::Node;
use crate::addr::{PAGE_SIZE, PhysAddr, VirtAddr, VirtRange};
use crate::attr::Access;
use crate::format::{Descriptor, Entry, Format, Leaf, Level, RUN, Runs, Walk};

/// What an address translates to: the descriptor of the leaf that maps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Translation<F: Format> {
    /// The physical address.
    pub phys: PhysAddr,
    /// The leaf's depth.
    pub depth: usize,
    va: VirtAddr,
    raw: F::Raw,
}

impl<F: Format> Translation<F> {
    /// The leaf, decoded; `None` for one that this crate never writes ([`Entry::Reserved`]).
    pub fn leaf(&self) -> Option<Leaf> {
        match F::decode(self.depth, self.raw) {
            Entry::Leaf(leaf) => Some(leaf),
            _ => None,
        }
    }

    /// What may be done there; nothing, where the leaf is none of this crate's.
    pub fn access(&self) -> Access {
        self.leaf().map_or(Access::None, |leaf| leaf.attrs.access)
    }

    /// All that the leaf maps; of a run, all sixteen.
    pub fn span(&self) -> VirtRange {
        let run = self.leaf().is_some_and(|leaf| leaf.run);
        let run_shift = if run { RUN.trailing_zeros() } else { 0 };
        VirtRange::aligned(self.va, F::geometry(self.depth).shift + run_shift)
    }
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
fn leaf_shift<F: Format>(depth: usize, leaf: &Leaf) -> u32 {
    let shift = F::geometry(depth).shift;
    match F::RUNS {
        Runs::Identical if leaf.run => shift + RUN.trailing_zeros(),
        _ => shift,
    }
}

/// Where `leaf` at `depth` has `va`, or what of its run does.
pub(crate) fn phys<F: Format>(depth: usize, leaf: &Leaf, va: VirtAddr) -> PhysAddr {
    let offset = va.0 & ((1 << leaf_shift::<F>(depth, leaf)) - 1);
    PhysAddr::truncate(leaf.frame.as_u64() + u64::from(offset))
}

/// What `va` translates to in the tree below `root`, whatever the permissions.
///
/// A leaf without access is a translation too; the hardware would fault. `None` also where `root` is a table below the
/// root: what it serves, its tree decides.
#[inline]
pub fn translate<F: Format, M: TableMemory>(
    root: &Node<'_, F, M>,
    va: VirtAddr,
) -> Option<Translation<F>> {
    if !root.translates(va) || root.depth() != 0 {
        return None;
    }
    // SAFETY: it is a root, and has an entry for it.
    unsafe { descend(root, va) }
}

/// [`translate`], where `root` is a root that has an entry for `va`.
///
/// # Safety
/// It is, and has.
#[inline]
pub(crate) unsafe fn descend<F: Format, M: TableMemory>(
    root: &Node<'_, F, M>,
    va: VirtAddr,
) -> Option<Translation<F>> {
    debug_assert!(root.translates(va));
    // SAFETY: it is a root, and one entry is read, which it has.
    let node = unsafe { root.at_depth(0) };
    let mut raw = node.load(node.index(va));
    const IN_PAGE: u32 = PAGE_SIZE - 1;
    let pte = F::LEVELS.len() - 1;
    // Unrolled, so that each level's geometry is a constant; and so is the size of what is found mostly.
    let (phys, depth) = 'found: {
        for depth in 0..pte {
            let Walk::Table(next) = F::walk(depth, raw) else {
                break 'found (other::<F>(depth, va, raw), depth);
            };
            // SAFETY: an entry that was just read points to it.
            let node = unsafe { Node::<F, M>::new(root.machine(), next, depth + 1) };
            raw = node.load(node.index(va));
        }
        match F::walk(pte, raw) {
            Walk::Memory { base, offset: IN_PAGE } => {
                (base.as_u64() | u64::from(va.0 & IN_PAGE), pte)
            }
            _ => (other::<F>(pte, va, raw), pte),
        }
    };
    Some(Translation { phys: PhysAddr::new(phys)?, depth, va, raw })
}

/// Where a leaf at `depth` that is no page has `va`; no physical address if `raw` is none.
#[inline(never)]
fn other<F: Format>(depth: usize, va: VirtAddr, raw: F::Raw) -> u64 {
    match F::walk(depth, raw) {
        Walk::Memory { base, offset } => base.as_u64() | u64::from(va.0 & offset),
        _ => u64::MAX,
    }
}

/// The entries that a walk for `va` reads, from the root on.
pub fn trace<F: Format, M: TableMemory>(
    root: &Node<'_, F, M>,
    va: VirtAddr,
) -> impl Iterator<Item = Step> + Clone {
    let mut next = Some(*root);
    iter::from_fn(move || {
        let node = next.take().filter(|node| node.translates(va))?;
        let index = node.index(va);
        let raw = node.load(index);
        let entry = F::decode(node.depth(), raw);
        if let Entry::Table(table) = entry {
            // SAFETY: the entry was just read from this node.
            next = Some(unsafe { node.child(table) });
        }
        Some(Step { level: node.level(), table: node.table(), index, raw: raw.as_u64(), entry })
    })
}

/// Calls `visit` for every leaf that maps an address in `range`, in order, until it breaks. What lies behind words of
/// unknown meaning ([`Entry::Reserved`]) is left out.
pub fn visit<F: Format, M: TableMemory, B>(
    root: &Node<'_, F, M>,
    range: VirtRange,
    visit: &mut impl FnMut(Mapped) -> ControlFlow<B>,
) -> ControlFlow<B> {
    for index in root.indices(range) {
        match root.entry(index) {
            Entry::Table(table) => {
                let (_, part) = root.cut(range, index);
                // SAFETY: the entry was just read from this node.
                self::visit(&unsafe { root.child(table) }, part, visit)?;
            }
            Entry::Leaf(leaf) => {
                let span = root.span(range.start(), index);
                let phys = phys::<F>(root.depth(), &leaf, span.start());
                visit(Mapped { range: span, phys, leaf, depth: root.depth() })?;
            }
            Entry::Absent | Entry::Reserved => {}
        }
    }
    ControlFlow::Continue(())
}
