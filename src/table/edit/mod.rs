//! Editing a tree of tables that the hardware walks meanwhile.
//!
//! **Plan, then commit.** A plan walks, finds the first thing in the way, and counts the tables that will
//! be needed; these are then reserved, and the commit cannot fail. So an edit does all or nothing.
//!
//! **Initialise, then link.** A new table is filled, cleaned and published before the one store that
//! links it; a table that left the tree is freed by the [`Flush`] after the TLBs forgot it.
//!
//! **Break before make.** Where a live entry becomes another with other memory type, size or scope, it is
//! absent in between, and flushed.
//!
//! What may be edited, who owns new tables and which tables stay is the caller's [`Policy`].

mod build;
mod duplicate;
mod map;
mod modify;
mod parts;
mod place;
mod plan;
mod replace;
mod rewrite;
pub(crate) mod scatter;
mod split;
mod survey;
mod tables;

use super::context::Whose;
use super::error::EditError;
use super::flush::Flush;
use super::mem::Machine;
use super::node::Node;
use crate::addr::{PAGE_SHIFT, PhysAddr, VirtAddr, VirtRange};
use crate::attr::Attrs;
use crate::format::{Descriptor, EncodeError, Format, Leaf, Owner, RUN, Runs, TableEntry, Walk};
use bitflags::bitflags;

bitflags! {
    /// Which leaves larger than a page an edit may choose.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
    pub struct LeafSizes: u8 {
        /// Sections and blocks.
        const BLOCKS = 1;
        /// Runs of sixteen leaves that share a TLB entry: supersections, large pages, contiguous hints. Supersections are
        /// optional: `armv7::mmu::has_supersections` tells.
        const RUNS = 2;
        /// The largest that alignment and [`Ties`] allow.
        const LARGEST = Self::BLOCKS.bits() | Self::RUNS.bits();
        /// Single pages alone.
        const PAGES = 0;
    }
}

/// What the owner of a tree decides.
#[derive(Clone, Copy)]
pub struct Policy<'p, 'm> {
    /// Who owns the tables that an edit makes. For [`Owner::Swapper`] tables with its mark are written, and none goes.
    pub owner: Owner,
    /// Whether what user space maps is closed to privileged execution; the CPU must have PXN.
    pub pxn: bool,
    /// Whose translations an edit changes.
    pub whose: Whose<'m>,
    /// What of the tree must stay.
    pub ties: &'p dyn Ties,
}

/// What of a tree its editor must leave as it is.
pub trait Ties {
    /// Whether the entry for `va` at `depth` was copied elsewhere: it may go from absent to a table, and
    /// nothing else. Asked of [`Owner::Swapper`]'s tree alone; no other is copied from. What is copied ends at a border
    /// and begins at none that an edit crosses: if any address of an edit is frozen, so is its first.
    fn frozen(&self, _depth: usize, _va: VirtAddr) -> bool {
        false
    }
    /// Whether the table that the entry for `va` at `depth` points to stays when it becomes empty. Not asked of
    /// [`Owner::Swapper`]'s tree, whose tables all stay.
    fn keeps(&self, _depth: usize, _va: VirtAddr) -> bool {
        false
    }
}

/// A tree of tables and the policy for its edits.
pub struct Editor<'p, 'm, F: Format, M> {
    pub(super) root: Node<'m, F, M>,
    pub(super) policy: Policy<'p, 'm>,
}

impl<'p, 'm, F: Format, M: Machine> Editor<'p, 'm, F, M> {
    /// An editor of the tree at `root`.
    ///
    /// # Safety
    /// `root` is the root of a tree whose tables are the machine's, and nobody else edits it meanwhile. If it is
    /// [short](Node::short_root), no edit is of an address that it has no entry for. The policy is true of the tree:
    /// [`Owner::Swapper`] is swapper's alone, [`whose`](Policy::whose) says all identifiers by which TLBs know it, and
    /// [`ties`](Policy::ties) answers alike as long as the editor lives.
    pub unsafe fn new(machine: &'m M, root: PhysAddr, policy: Policy<'p, 'm>) -> Self {
        // SAFETY: the caller answers for it.
        Self { root: unsafe { Node::new(machine, root, 0) }, policy }
    }

    fn machine(&self) -> &'m M {
        self.root.machine()
    }

    fn flush(&self) -> Flush<'m, F, M> {
        Flush::new(self.machine(), self.policy.whose)
    }

    /// Whether tables at `depth` are the last of a walk.
    const fn is_pte(depth: usize) -> bool {
        depth + 1 == F::LEVELS.len()
    }

    /// The table of ptes for `va`, if it is there and this tree's.
    #[inline(always)]
    fn own_ptes(&self, va: VirtAddr) -> Option<Node<'m, F, M>> {
        // SAFETY: the root has an entry for what is edited, as `new` was promised.
        unsafe { Self::ptes(&self.root, va, self.is_swapper()) }
    }

    /// The lowest table of this tree's that translates all of `range`.
    #[inline(never)]
    fn narrow(&self, range: VirtRange) -> Node<'m, F, M> {
        let mut node = self.root;
        for depth in 0..F::LEVELS.len() - 1 {
            if (range.start().0 ^ range.last().0) >> F::geometry(depth).shift != 0 {
                break;
            }
            let raw = node.load(F::geometry(depth).index(range.start()));
            match F::walk(depth, raw) {
                Walk::Table(table) if !F::is_marked(raw) || self.is_swapper() => {
                    // SAFETY: the entry was just read from the table at this depth.
                    node = unsafe { Node::new(self.machine(), table, depth + 1) }
                }
                _ => break,
            }
        }
        node
    }

    /// Whether this tree may write the table that `entry` points to.
    fn owns(&self, entry: &TableEntry) -> bool {
        entry.owner != Owner::Swapper || self.is_swapper()
    }

    #[inline]
    fn is_swapper(&self) -> bool {
        self.policy.owner == Owner::Swapper
    }

    /// Whether the entry for `va` at `depth` was copied elsewhere, see [`Ties::frozen`].
    #[inline]
    fn frozen(&self, depth: usize, va: VirtAddr) -> bool {
        self.is_swapper() && self.policy.ties.frozen(depth, va)
    }

    /// Whether the table that the entry for `va` at `depth` points to stays, see [`Ties::keeps`].
    #[inline]
    fn keeps(&self, depth: usize, va: VirtAddr) -> bool {
        self.is_swapper() || self.policy.ties.keeps(depth, va)
    }

    /// The descriptor of a leaf at `depth`.
    #[inline(never)]
    fn leaf(
        &self,
        depth: usize,
        frame: PhysAddr,
        attrs: Attrs,
        run: bool,
    ) -> Result<F::Raw, EncodeError> {
        let pxn = self.policy.pxn
            && attrs.user
            && F::level(depth).leaf_pxn
            && attrs.access != crate::attr::Access::None;
        F::encode_leaf(depth, Leaf { frame, attrs, run, pxn })
    }

    /// The descriptor of a link from `depth` to `table`.
    #[inline(never)]
    pub(crate) fn link(&self, depth: usize, table: PhysAddr) -> Result<F::Raw, EncodeError> {
        Self::link_word(depth, table, self.policy.owner, self.policy.pxn)
    }

    /// The same, in code with constants.
    #[inline(always)]
    fn link_word(
        depth: usize,
        table: PhysAddr,
        owner: Owner,
        pxn: bool,
    ) -> Result<F::Raw, EncodeError> {
        // Where leaves have no such bit, their table's entry speaks for all of them.
        let pxn = pxn && owner == Owner::User && !F::level(depth + 1).leaf_pxn;
        F::encode_table(depth, TableEntry { table, owner, pxn })
    }

    /// What neighbouring leaves at `depth` differ by.
    fn step(depth: usize, run: bool) -> F::Raw {
        match F::RUNS {
            Runs::Identical if run => F::Raw::default(),
            _ => F::Raw::from_u64(u64::from(1_u32 << F::geometry(depth).shift)),
        }
    }

    /// Breaks the entries of `node` that translate `range`, and waits until no TLB knows them.
    ///
    /// # Safety
    /// Nothing that runs uses what they map until they are made again.
    #[inline(never)]
    unsafe fn break_entries(&self, node: &Node<'m, F, M>, range: VirtRange) {
        // SAFETY: the caller vouches that nothing uses these mappings.
        unsafe { node.zero(node.indices(range)) };
        self.clean(node, range);
        let mut flush = self.flush();
        flush.add_wide(range);
        flush.settle();
    }

    /// Cleans the entries of `node` that translate `range` for walks that do not snoop.
    #[inline(never)]
    fn clean(&self, node: &Node<'m, F, M>, range: VirtRange) {
        node.clean(node.indices(range));
    }
}

/// Refuses a range that does not consist of pages.
pub(super) fn check_pages(range: VirtRange) -> Result<(), EditError> {
    if range.is_aligned(PAGE_SHIFT) { Ok(()) } else { Err(EditError::Misaligned) }
}

/// Leaves in a run, for shifts.
const RUN_SHIFT: u32 = RUN.trailing_zeros();
