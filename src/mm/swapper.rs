//! `swapper_pg_dir`: the kernel's own tree, which every pgd copies from.
//!
//! Every table entry in it carries the swapper mark ([`Owner::Swapper`]), so every copy carries it too, and
//! whoever meets one knows: not mine to free, not mine to write.
//!
//! # Sealing
//! The first pgd_alloc seals swapper. From then on an entry of which pgds hold copies changes at most
//! once, from absent to a table, and that table is never freed. So a copy in any pgd is either absent, and
//! a [fault](super::fault) fills it in, or right. Nothing is broadcast and nothing counted.

use core::marker::PhantomData;
use core::ops::ControlFlow;

use super::birth::Shape;
use super::layout::Layout;
use super::spare::Spares;
use super::view::SwapperTree;
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::attr::{Access, Attrs};
use crate::format::{Format, Owner};
use crate::table::context::Whose;
use crate::table::edit::{Editor, LeafSizes, Policy, Ties};
use crate::table::error::{EditError, OutOfBounds};
use crate::table::flush::{Flush, publish};
use crate::table::mem::{Machine, OutOfMemory};
use crate::table::node::Node;
use crate::table::walk::{self, Mapped, Translation};

/// What the CPU has that a tree can use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features {
    /// Privileged execute never: ID_MMFR0\[3:0\] is 4 or more (DDI 0406C B4.1), as `armv7::mmu::has_pxn` tells. Where the
    /// CPU has no such bits they must stay clear, so this is false.
    pub pxn: bool,
}

/// swapper_pg_dir.
pub struct Swapper<'m, F: Format, M: Machine> {
    pub(super) tree: SwapperTree<'m, F, M>,
    sealing: Sealing<'m, F>,
    features: Features,
    /// What each pgd has from birth.
    pub(super) shape: Shape,
    /// Address spaces that were freed.
    pub(super) spares: Spares,
}

/// What of swapper stays.
struct Sealing<'m, F> {
    layout: &'m Layout,
    sealed: bool,
    format: PhantomData<F>,
}

impl<F: Format> Ties for Sealing<'_, F> {
    fn frozen(&self, depth: usize, va: VirtAddr) -> bool {
        self.sealed && self.layout.is_copied::<F>(depth, va)
    }
}

impl<'m, F: Format, M: Machine> Swapper<'m, F, M> {
    /// An empty tree, with the tables below the root at which readers without a lock start: TTBR1's walks, and
    /// [faults](super::fault) where user space ends within a root entry.
    ///
    /// # Errors
    /// [`OutOfMemory`]; nothing is kept.
    pub fn new(
        machine: &'m M,
        layout: &'m Layout,
        features: Features,
    ) -> Result<Self, OutOfMemory> {
        let table = machine.allocate(&F::LEVELS[0])?;
        // SAFETY: the table is fresh and nobody else's.
        let root = unsafe { Node::new(machine, table, 0) };
        // SAFETY: as above.
        unsafe { root.zero_unlinked(root.all()) };
        root.clean(root.all());
        publish(machine);
        let tree = SwapperTree { root, layout, pgd_last: layout.pgd_last::<F>() };
        let sealing = Sealing { layout, sealed: false, format: PhantomData };
        let (shape, spares) = (Shape::new::<F>(layout), Spares::new::<F>(layout));
        let mut swapper = Self { tree, sealing, features, shape, spares };
        if let Err(error) = swapper.link_first() {
            // SAFETY: just allocated, and nothing was linked in it.
            unsafe { machine.free(table, &F::LEVELS[0]) };
            return Err(error);
        }
        Ok(swapper)
    }

    /// Links the tables that readers without a lock start at: for walks by TTBR1, and where user space ends within a
    /// root entry.
    fn link_first(&mut self) -> Result<(), OutOfMemory> {
        let layout = self.layout();
        let split = layout.split::<F>();
        let wanted = |depth, part: VirtRange| match split {
            Some(split) if part.last() >= split.border && depth < split.depth => true,
            _ => {
                depth == 0
                    && layout.has_private_table::<F>(part.start())
                    && !part.is_aligned(F::LEVELS[0].shift)
            }
        };
        self.editor().link_tables(layout.kernel(), &wanted).map_err(|_| OutOfMemory)
    }

    /// Where the root lies, for TTBR0.
    pub fn root(&self) -> PhysAddr {
        self.tree.root.table()
    }

    /// The memory map.
    pub fn layout(&self) -> &'m Layout {
        self.tree.layout
    }

    /// The machine whose memory the tables lie in.
    pub fn machine(&self) -> &'m M {
        self.tree.root.machine()
    }

    /// What the CPU has.
    pub fn features(&self) -> Features {
        self.features
    }

    /// Whether a pgd was made.
    pub fn is_sealed(&self) -> bool {
        self.sealing.sealed
    }

    /// What `va` translates to.
    pub fn translate(&self, va: VirtAddr) -> Option<Translation<F>> {
        walk::translate(&self.tree.root, va)
    }

    /// Seals the tree, and links the tables of the eager windows first. [`Pgd`](super::pgd::Pgd)s are made
    /// from a sealed tree; pgd_alloc calls this itself.
    ///
    /// # Errors
    /// [`OutOfMemory`]; the tree is not sealed then.
    pub fn seal(&mut self) -> Result<(), OutOfMemory> {
        if self.sealing.sealed {
            return Ok(());
        }
        let layout = self.sealing.layout;
        let wanted = |depth, part: VirtRange| {
            layout.is_copied::<F>(depth, part.start())
                && layout.eager_windows().any(|window| window.overlaps(part))
        };
        self.editor().link_tables(layout.kernel(), &wanted).map_err(|_| OutOfMemory)?;
        self.sealing.sealed = true;
        Ok(())
    }

    /// Maps part of the kernel half, see [`Editor::map`].
    ///
    /// What is to be mapped in sections, supersections or 1 GiB blocks, as all RAM of the linear map, comes before the
    /// first pgd_alloc: behind it root entries that pgds have copies of hold no leaf, and pages are taken in their place
    /// (see [sealing](self#sealing)).
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed.
    ///
    /// # Safety
    /// As for [`Editor::map`].
    pub unsafe fn map(
        &mut self,
        range: VirtRange,
        phys: PhysAddr,
        attrs: Attrs,
        sizes: LeafSizes,
    ) -> Result<(), EditError> {
        self.check(range)?;
        Self::check_attrs(attrs)?;
        let mut editor = self.editor_here();
        // SAFETY: the caller answers for it.
        unsafe {
            if range == VirtRange::page(range.start())
                && let Some(bits) = editor.page_bits(attrs)
                && editor.map_lone_page(range, phys, bits)
            {
                return Ok(());
            }
            editor.map(range, phys, attrs, sizes)
        }
    }

    /// [Maps](Self::map) what will be unmapped: before the seal as behind it, with no leaf where pgds have copies, which
    /// would stay.
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed.
    ///
    /// # Safety
    /// As for [`map`](Self::map).
    pub(super) unsafe fn map_for_a_while(
        &mut self,
        range: VirtRange,
        phys: PhysAddr,
        attrs: Attrs,
    ) -> Result<(), EditError> {
        let sealed = core::mem::replace(&mut self.sealing.sealed, true);
        // SAFETY: the caller answers for it.
        let mapped = unsafe { self.map(range, phys, attrs, LeafSizes::LARGEST) };
        self.sealing.sealed = sealed;
        mapped
    }

    /// Unmaps part of the kernel half, see [`Editor::unmap`]. Tables stay.
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed.
    ///
    /// # Safety
    /// As for [`Editor::unmap`].
    pub unsafe fn unmap(&mut self, range: VirtRange) -> Result<Flush<'m, F, M>, EditError> {
        self.check(range)?;
        // SAFETY: the caller answers for it.
        unsafe { self.editor().unmap(range) }
    }

    /// Unmaps what is mapped in part of the kernel half, see [`Editor::clear`]. Tables stay.
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed.
    ///
    /// # Safety
    /// As for [`Editor::clear`].
    pub unsafe fn clear(&mut self, range: VirtRange) -> Result<Flush<'m, F, M>, EditError> {
        self.check(range)?;
        // SAFETY: the caller answers for it.
        unsafe { self.editor().clear(range) }
    }

    /// Changes what may be done with part of the kernel half, see [`Editor::protect`].
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed.
    ///
    /// # Safety
    /// As for [`Editor::protect`].
    pub unsafe fn protect(
        &mut self,
        range: VirtRange,
        access: Access,
    ) -> Result<Flush<'m, F, M>, EditError> {
        self.check(range)?;
        // SAFETY: the caller answers for it.
        unsafe { self.editor().protect(range, access) }
    }

    /// Changes the attributes of part of the kernel half, see [`Editor::modify`].
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed. The scope stays: kernel mappings are always global.
    ///
    /// # Safety
    /// As for [`Editor::modify`].
    pub unsafe fn modify(
        &mut self,
        range: VirtRange,
        change: impl Fn(Attrs) -> Attrs,
    ) -> Result<Flush<'m, F, M>, EditError> {
        self.check(range)?;
        // SAFETY: the caller answers for it.
        unsafe { self.editor().modify(range, &|attrs| change(attrs).with_global(true)) }
    }

    /// Calls `visit` for every leaf that maps an address in `range`, in order, until it breaks.
    pub fn visit<B>(
        &self,
        range: VirtRange,
        mut visit: impl FnMut(Mapped) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        walk::visit(&self.tree.root, range, &mut visit)
    }

    /// No debt yet, about what the kernel half translates.
    pub(super) fn flush(&self) -> Flush<'m, F, M> {
        Flush::new(self.machine(), Whose::Everyone)
    }

    #[inline(never)]
    pub(super) fn editor(&mut self) -> Editor<'_, 'm, F, M> {
        self.editor_here()
    }

    /// The same, for the callers that map and unmap by the page.
    #[inline(always)]
    pub(super) fn editor_here(&mut self) -> Editor<'_, 'm, F, M> {
        let policy = Policy {
            owner: Owner::Swapper,
            pxn: false,
            whose: Whose::Everyone,
            ties: &self.sealing,
        };
        // SAFETY: the root is this tree's, and `&mut self` says that nobody else edits it.
        unsafe { Editor::new(self.machine(), self.root(), policy) }
    }

    /// Refuses what is not the kernel's: all but its half and the page of low vectors.
    pub(super) fn check(&self, range: VirtRange) -> Result<(), OutOfBounds> {
        let (low_vectors, vectors) = (self.layout().low_vectors(), self.layout().vectors());
        if low_vectors && vectors.encloses(range) || self.layout().kernel().encloses(range) {
            Ok(())
        } else {
            let first = low_vectors && vectors.contains(range.start());
            let at = if first { VirtAddr(vectors.last().0 + 1) } else { range.start() };
            Err(OutOfBounds { at })
        }
    }

    /// Kernel mappings are global: one flush by address reaches them whatever the ASID.
    fn check_attrs(attrs: Attrs) -> Result<(), EditError> {
        if attrs.global { Ok(()) } else { Err(EditError::WrongHalf) }
    }
}
