//! One block in the place of one of swapper's: what a CPU runs on whose MMU is switched, and all that most identity
//! mappings are. One entry is looked at and one table made at most, so it needs no plan.

use super::{identity, kernel_link, leaf_bits, part_run, run_of};
use crate::addr::{PAGE_SIZE, PhysAddr, VirtAddr, VirtRange};
use crate::attr::Access;
use crate::format::{Descriptor, Format, Walk};
use crate::mm::pgd::Pgd;
use crate::table::error::EditError;
use crate::table::flush::publish;
use crate::table::mem::Machine;
use crate::table::node::Node;

impl<'m, F: Format, M: Machine> Pgd<'m, F, M> {
    /// The depth of blocks: just above the ptes.
    pub(super) const BLOCKS: usize = F::LEVELS.len() - 2;

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
        access: Access,
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
        let raw = if depth == 0 { theirs } else { model.load(index) };
        // Memory may be hidden whatever its attributes are: it comes back as it was.
        let is_leaf = matches!(F::walk(depth, raw), Walk::Memory { .. });
        let (true, Some(alone)) = (is_leaf || raw == F::Raw::default(), F::alone(depth, raw))
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
            let bits = leaf_bits::<F>(depth, identity(access));
            node.store(index, bits | F::Raw::from_u64(at.0.into()));
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
        self.block = if self.hidden == 0 { at } else { VirtAddr(0) };
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

    /// [Takes away](Self::identity_mapping_del) the identity mapping of `range`, if it is the last, and one that
    /// [`add_block`](Self::add_block) made: the answer is the table that is cut off now, if that took one. `None`, the outer
    /// one, if nothing was changed.
    ///
    /// # Safety
    /// As for [`identity_mapping_del`](Self::identity_mapping_del), and TTBR0 translates the range.
    pub(super) unsafe fn remove_block(&mut self, range: VirtRange) -> Option<Option<PhysAddr>> {
        let (at, depth) = (range.start(), Self::BLOCKS);
        if at != self.block || !self.is_block(range) {
            return None;
        }
        // SAFETY: the caller answers for the range.
        let [root, swapper] = unsafe { self.roots() };
        let slot = root.index(at);
        let theirs = swapper.load(slot);
        let own = F::walk(0, root.load(slot));
        (self.hidden, self.block) = (0, VirtAddr(0));
        // SAFETY: swapper maps this for every address space, no CPU runs on the pgd, and nothing else there is its own.
        unsafe {
            if depth == 0 && F::alone(0, theirs) != Some(theirs) {
                // The sixteen words of a run at the root are one.
                root.fill_few(run_of(slot), theirs, F::Raw::default());
                root.clean(run_of(slot));
            } else {
                root.store(slot, theirs);
                root.clean_one(slot);
            }
        }
        match own {
            Walk::Table(table) => Some(Some(table)),
            _ => Some(None),
        }
    }
}
