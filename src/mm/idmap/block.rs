//! One block in the place of one of swapper's: what a CPU runs on whose MMU is switched, and all that most identity
//! mappings are. One entry is looked at and one table made at most, so it needs no plan.

use core::iter;

use super::removal::is_identity;
use super::{kernel_link, leaf_bits, part_run, run_of};
use crate::addr::{PAGE_SIZE, VirtRange};
use crate::attr::Attrs;
use crate::format::{Descriptor, Entry, Format, Owner, Walk};
use crate::mm::birth::keeps;
use crate::mm::pgd::Pgd;
use crate::table::error::EditError;
use crate::table::flush::{Flush, publish};
use crate::table::mem::Machine;
use crate::table::node::Node;

impl<'m, F: Format, M: Machine> Pgd<'m, F, M> {
    /// The depth of blocks: just above the ptes.
    const BLOCKS: usize = F::LEVELS.len() - 2;

    /// Pages of a block.
    const BLOCK_PAGES: u32 = F::LEVELS[Self::BLOCKS].span() / PAGE_SIZE;

    /// The pgd's root and swapper's, in code with constants.
    ///
    /// # Safety
    /// They are used for addresses alone that TTBR0 translates.
    #[inline]
    unsafe fn roots(&self) -> [Node<'m, F, M>; 2] {
        // SAFETY: both are roots; the caller answers for the addresses.
        unsafe { [self.root.at_depth(0), self.swapper.root.at_depth(0)] }
    }

    /// Whether `range` is one block whose root entry is all the kernel's.
    fn is_block(&self, range: VirtRange) -> bool {
        let root = VirtRange::aligned(range.start(), F::LEVELS[0].shift);
        range == VirtRange::aligned(range.start(), F::LEVELS[Self::BLOCKS].shift)
            && root.start() >= self.layout().task_size()
    }

    /// [Adds](Self::identity_mapping_add) the identity mapping of `range`, if it is one block in a slot that is
    /// swapper's. Whether it did so: if not, nothing was changed.
    ///
    /// # Errors
    /// [`EditError::OutOfMemory`]; nothing was changed.
    ///
    /// # Safety
    /// As for [`identity_mapping_add`](Self::identity_mapping_add), and TTBR0 translates the range.
    pub(super) unsafe fn add_block(
        &mut self,
        range: VirtRange,
        attrs: Attrs,
    ) -> Result<bool, EditError> {
        let (at, depth) = (range.start(), Self::BLOCKS);
        // SAFETY: the caller answers for the range.
        let [root, swapper] = unsafe { self.roots() };
        let slot = root.index(at);
        let theirs = root.load(slot);
        if !self.is_block(range) || theirs != swapper.load(slot) {
            return Ok(false);
        }
        let machine = root.machine();
        let model = match F::walk(0, theirs) {
            _ if depth == 0 => root,
            // SAFETY: swapper's tables stay.
            Walk::Table(table) => unsafe { Node::new(machine, table, depth) },
            _ => return Ok(false),
        };
        let index = model.index(at);
        let raw = model.load(index);
        let (Entry::Absent | Entry::Leaf(_), Some(alone)) =
            (F::decode(depth, raw), F::alone(depth, raw))
        else {
            return Ok(false);
        };
        // SAFETY: the table is fresh, and linked when it is complete; else this is a root's copy of swapper's leaf, and
        // no CPU runs on it.
        unsafe {
            let node = if depth == 0 { root } else { Self::copy_of(&model)? };
            if alone != raw {
                part_run(&node, index, alone);
            }
            let identity = leaf_bits::<F>(depth, attrs) | F::Raw::from_u64(at.0.into());
            node.store(index, identity);
            if depth == 0 {
                node.clean_one(index);
            } else {
                node.clean(node.all());
                machine.dsb_ishst();
                root.store(slot, kernel_link::<F>(0, node.table()));
                root.clean_one(slot);
            }
        }
        self.touched.add_page(at);
        self.hides_kernel = true;
        self.hidden += Self::BLOCK_PAGES;
        publish(machine);
        Ok(true)
    }

    /// A new table that holds what swapper's `model` does.
    ///
    /// # Errors
    /// [`EditError::OutOfMemory`].
    fn copy_of(model: &Node<'m, F, M>) -> Result<Node<'m, F, M>, EditError> {
        let (machine, depth) = (model.machine(), model.depth());
        let table = machine.allocate(F::level(depth))?;
        // SAFETY: the table is fresh and nobody else's.
        unsafe {
            let node = Node::new(machine, table, depth);
            node.copy_unlinked(model, node.all());
            Ok(node)
        }
    }

    /// [Takes away](Self::identity_mapping_del) the identity mapping of `range`, if it is one block, and the last.
    /// Whether it did so: if not, nothing was changed.
    ///
    /// # Safety
    /// As for [`identity_mapping_del`](Self::identity_mapping_del), and TTBR0 translates the range.
    pub(super) unsafe fn remove_block(
        &mut self,
        range: VirtRange,
        flush: &mut Flush<'m, F, M>,
    ) -> bool {
        let (at, depth) = (range.start(), Self::BLOCKS);
        // SAFETY: the caller answers for the range.
        let [root, swapper] = unsafe { self.roots() };
        let slot = root.index(at);
        if !self.is_block(range) || self.hidden != Self::BLOCK_PAGES {
            return false;
        }
        let node = match F::decode_table(0, root.load(slot)) {
            Some(table) if depth > 0 && table.owner == Owner::Kernel => {
                // SAFETY: the entry was just read from the root.
                unsafe { root.child(table) }
            }
            None if depth == 0 => root,
            _ => return false,
        };
        let Entry::Leaf(leaf) = node.entry(node.index(at)) else { return false };
        if leaf.run
            || !is_identity(node.level(), &leaf, at)
            || depth > 0 && keeps::<F>(self.layout(), 0, at)
        {
            return false;
        }
        self.hidden = 0;
        flush.add_everything();
        let theirs = swapper.load(slot);
        // SAFETY: swapper maps this for every address space, and nothing else in the slot is the pgd's own; the flush
        // covers what its table translated.
        unsafe {
            if depth == 0 && F::alone(0, theirs) != Some(theirs) {
                root.copy_few(&swapper, run_of(slot));
            } else {
                root.store(slot, theirs);
                root.clean_one(slot);
            }
            if depth > 0 {
                flush.add_tables(iter::once(node.table()), depth);
            }
        }
        true
    }
}
