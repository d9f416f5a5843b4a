//! One address space's tree: `pgd_alloc`, `pgd_free`, and the edits of its user half.
//!
//! A pgd holds copies of swapper's root entries for the kernel half. Where the modules/pkmap window shares
//! a root entry with user space, it has a table of its own there with copies of swapper's entries for the
//! window ([`Layout::has_private_table`]); with low vectors, tables of its own for address 0. These tables
//! stay for the pgd's life: a fault that needs them cannot allocate.

use core::marker::PhantomData;
use core::ops::ControlFlow;

use super::idmap::kernel_link;
use super::layout::Layout;
use super::spare::Regions;
use super::swapper::{Features, Swapper, SwapperView};
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::attr::{Access, Asid, Attrs};
use crate::format::{Entry, Format, Owner, Walk};
use crate::table::edit::{Editor, LeafSizes, Policy};
use crate::table::error::EditError;
use crate::table::flush::{Flush, publish};
use crate::table::mem::{Machine, OutOfMemory};
use crate::table::node::Node;
use crate::table::reserve::{Need, Reserve};
use crate::table::walk::{self, Mapped, Translation};

/// An address space's tree of tables.
///
/// It is given back with [`pgd_free`](Self::pgd_free); dropped, it leaks.
#[must_use = "a pgd is given back with pgd_free"]
pub struct Pgd<'m, F: Format, M: Machine> {
    pub(super) swapper: SwapperView<'m, F, M>,
    pub(super) root: Node<'m, F, M>,
    features: Features,
    asid: Option<Asid>,
    /// Where something was ever mapped.
    pub(super) touched: Regions,
    /// Whether an identity mapping may hide kernel mappings.
    pub(super) hides_kernel: bool,
}

/// What a pgd decides about its edits.
pub struct PgdPolicy<'m, F> {
    layout: &'m Layout,
    features: Features,
    asid: Option<Asid>,
    format: PhantomData<F>,
}

impl<F: Format> Policy for PgdPolicy<'_, F> {
    fn owner(&self) -> Owner {
        Owner::User
    }

    fn pxn(&self) -> bool {
        self.features.pxn
    }

    fn asid(&self) -> Option<Asid> {
        self.asid
    }

    fn frozen(&self, _depth: usize, _va: VirtAddr) -> bool {
        false
    }

    fn keeps(&self, depth: usize, va: VirtAddr) -> bool {
        keeps::<F>(self.layout, depth, va)
    }
}

/// Whether the table that the entry for `va` at `depth` points to stays in a pgd although nothing is in it.
pub(super) fn keeps<F: Format>(layout: &Layout, depth: usize, va: VirtAddr) -> bool {
    let vectors = layout.low_vectors() && va.align_down(F::LEVELS[depth].shift) == VirtAddr(0);
    vectors || depth == 0 && layout.has_private_table::<F>(va)
}

/// Whether a pgd has the private table that it was born with, where it shares a root entry with the kernel.
#[inline]
pub(super) fn is_intact<F: Format, M: Machine>(pgd: &Pgd<'_, F, M>) -> bool {
    let border = pgd.layout().task_size();
    if !pgd.layout().has_private_table::<F>(border) {
        return true;
    }
    let raw = pgd.root.load(F::LEVELS[0].index(border));
    matches!(F::walk(0, raw), Walk::Table(_)) && !F::is_marked(raw)
}

impl<'m, F: Format, M: Machine> Swapper<'m, F, M> {
    /// Makes an address space with an empty user half, and seals swapper.
    ///
    /// # Errors
    /// [`OutOfMemory`]; all that was allocated was given back.
    #[inline]
    pub fn pgd_alloc(&mut self) -> Result<Pgd<'m, F, M>, OutOfMemory> {
        match self.spares.take(self.machine()) {
            Some(root) => Ok(self.adopt(root)),
            None => self.pgd_build(),
        }
    }

    /// The address space at `root`, which has an empty user half.
    #[inline]
    pub(super) fn adopt(&self, root: Node<'m, F, M>) -> Pgd<'m, F, M> {
        Pgd {
            swapper: self.view(),
            root,
            features: self.features(),
            asid: None,
            touched: Regions::default(),
            hides_kernel: false,
        }
    }

    /// Makes an address space from nothing.
    #[cold]
    fn pgd_build(&mut self) -> Result<Pgd<'m, F, M>, OutOfMemory> {
        let (machine, layout, view) = (self.machine(), self.layout(), self.view());
        let root = machine.allocate(&F::LEVELS[0])?;
        let reserve = Reserve::new(machine, &Pgd::tables(&view));
        let mut reserve = match reserve.and_then(|reserve| self.seal().map(|()| reserve)) {
            Ok(reserve) => reserve,
            Err(error) => {
                // SAFETY: just allocated, never linked.
                unsafe { machine.free(root, &F::LEVELS[0]) };
                return Err(error);
            }
        };
        // SAFETY: fresh from the allocator.
        let root = unsafe { Node::new(machine, root, 0) };
        let pgd = self.adopt(root);
        let border = root.index(layout.task_size());
        // SAFETY: nobody walks the tree yet.
        unsafe {
            root.zero_unlinked(0..border);
            root.copy_unlinked(&view.root, border..root.level().entries());
            pgd.link_private(&mut reserve);
            if layout.low_vectors() {
                pgd.link_vectors(&mut reserve);
            }
        }
        let (from, bytes) = root.bytes(0..root.level().entries());
        machine.clean(from, bytes);
        publish(machine);
        Ok(pgd)
    }
}

impl<'m, F: Format, M: Machine> Pgd<'m, F, M> {
    /// How many tables pgd_alloc needs below the root.
    fn tables(view: &SwapperView<'m, F, M>) -> Need {
        let mut need = Need::default();
        for index in 0..F::LEVELS[0].entries() {
            if Self::needs_private(view, index) {
                need[1] += 1;
            }
        }
        if view.layout.low_vectors() {
            let zero = VirtAddr(0);
            for (depth, need) in need.iter_mut().enumerate().take(F::LEVELS.len()).skip(1) {
                if depth > 1 || !view.layout.has_private_table::<F>(zero) {
                    *need += 1;
                }
            }
        }
        need
    }

    /// Whether a pgd has a table of its own at the root entry `index` from birth.
    fn needs_private(view: &SwapperView<'m, F, M>, index: usize) -> bool {
        let va = view.root.span(VirtAddr(0), index).start();
        // A block of swapper's at the root is sealed, and copied as it is.
        view.layout.has_private_table::<F>(va) && !matches!(view.root.entry(index), Entry::Leaf(_))
    }

    /// Links the private tables, with copies of swapper's entries.
    unsafe fn link_private(&self, reserve: &mut Reserve<'m, F, M>) {
        for index in 0..F::LEVELS[0].entries() {
            if !Self::needs_private(&self.swapper, index) {
                continue;
            }
            let Some(table) = reserve.take(1) else { return };
            // SAFETY: the table is fresh; what is copied carries swapper's mark.
            unsafe {
                let child = Node::new(self.root.machine(), table, 1);
                let all = 0..child.level().entries();
                child.zero_unlinked(all.clone());
                let span = self.root.span(VirtAddr(0), index);
                if let (Entry::Table(entry), Some(kernel)) =
                    (self.swapper.root.entry(index), span.intersection(self.layout().kernel()))
                {
                    child.copy_unlinked(&self.swapper.root.child(entry), child.indices(kernel));
                }
                let (from, bytes) = child.bytes(all);
                self.root.machine().clean(from, bytes);
                self.root.store(index, kernel_link::<F>(0, table));
            }
        }
    }

    /// Links tables down to the page of the low vectors, and copies swapper's mapping of it.
    unsafe fn link_vectors(&self, reserve: &mut Reserve<'m, F, M>) {
        let (mut node, mut model) = (self.root, Some(self.swapper.root));
        for depth in 1..F::LEVELS.len() {
            model = model.and_then(|model| match model.entry(0) {
                // SAFETY: the entry was just read from this node.
                Entry::Table(entry) => Some(unsafe { model.child(entry) }),
                _ => None,
            });
            // SAFETY: tables are fresh, or this pgd's private ones; nobody walks them yet.
            unsafe {
                node = match node.entry(0) {
                    Entry::Table(entry) => node.child(entry),
                    _ => {
                        let Some(table) = reserve.take(depth) else { return };
                        let child = Node::new(self.root.machine(), table, depth);
                        child.zero_unlinked(0..child.level().entries());
                        node.store(0, kernel_link::<F>(depth - 1, table));
                        let (from, bytes) = node.bytes(0..1);
                        self.root.machine().clean(from, bytes);
                        child
                    }
                };
                if let (Some(model), true) = (model, depth + 1 == F::LEVELS.len()) {
                    node.store(0, model.load(0));
                }
                let (from, bytes) = node.bytes(0..node.level().entries());
                self.root.machine().clean(from, bytes);
            }
        }
    }

    /// Frees the address space: every table it owns, whatever is left in it, and no other. All goes to the
    /// allocator; [`Swapper::pgd_free`] keeps what the next pgd_alloc can use, and is much faster.
    ///
    /// What user space had mapped is forgotten by every TLB before the first table is freed
    /// (DDI 0406C B3.10.1).
    ///
    /// # Safety
    /// No CPU walks the tree any more: no TTBR holds its root.
    pub unsafe fn pgd_free(self) {
        let mut flush = self.flush();
        flush.add_wide(VirtRange::ALL);
        // SAFETY: nobody walks the tree, and `self` is gone.
        unsafe { self.editor().give_up_tree(&mut flush) };
        flush.pay();
    }

    /// Takes everything out of part of the user half, whatever it is. What is left are private tables.
    ///
    /// # Safety
    /// Nobody walks or uses the tree any more.
    pub(super) unsafe fn abandon(&mut self, range: VirtRange, flush: &mut Flush<'m, F, M>) {
        // SAFETY: the caller answers for it.
        unsafe { self.editor().abandon(range, flush) }
    }

    /// No debt yet, about what this address space translates.
    pub(super) fn flush(&self) -> Flush<'m, F, M> {
        Flush::new(self.root.machine(), self.asid)
    }

    /// Where the root lies, for TTBR0.
    pub fn root(&self) -> PhysAddr {
        self.root.table()
    }

    /// The memory map.
    pub fn layout(&self) -> &'m Layout {
        self.swapper.layout
    }

    /// The root, for walks.
    pub fn view(&self) -> Node<'m, F, M> {
        self.root
    }

    /// The address space's identifier. Without one, edits flush all address spaces.
    pub fn asid(&self) -> Option<Asid> {
        self.asid
    }

    /// Says under which identifier the address space runs, or that it has none.
    ///
    /// # Safety
    /// TLBs hold nothing of this address space under another identifier.
    pub unsafe fn set_asid(&mut self, asid: Option<Asid>) {
        self.asid = asid;
    }

    /// Maps part of the user half, see [`Editor::map`].
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
        self.touched.add(range);
        // SAFETY: the caller answers for it.
        unsafe { self.editor().map(range, phys, attrs, sizes) }
    }

    /// Unmaps part of the user half, all of which is mapped, see [`Editor::unmap`].
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

    /// Unmaps what is mapped in a part of the user half, see [`Editor::clear`].
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

    /// Changes what may be done with part of the user half, see [`Editor::protect`].
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

    /// Changes the attributes of part of the user half, see [`Editor::modify`].
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed. The scope stays: user mappings are never global.
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
        unsafe { self.editor().modify(range, |attrs| change(attrs).with_global(false)) }
    }

    /// What `va` translates to, in either half.
    #[inline]
    pub fn translate(&self, va: VirtAddr) -> Option<Translation<F>> {
        walk::translate(&self.root, va)
    }

    /// Calls `visit` for every leaf that maps an address in `range`, in order, until it breaks.
    pub fn visit<B>(
        &self,
        range: VirtRange,
        mut visit: impl FnMut(Mapped) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        walk::visit(&self.root, range, &mut visit)
    }

    pub(super) fn editor(&self) -> Editor<'m, F, M, PgdPolicy<'m, F>> {
        let policy = PgdPolicy {
            layout: self.swapper.layout,
            features: self.features,
            asid: self.asid,
            format: PhantomData,
        };
        // SAFETY: the root is this tree's; every caller holds the pgd alone.
        unsafe { Editor::new(self.root.machine(), self.root.table(), policy) }
    }

    /// Refuses what is not user space's.
    pub(super) fn check(&self, range: VirtRange) -> Result<(), EditError> {
        let user = self.layout().user();
        if user.encloses(range) {
            return Ok(());
        }
        let at =
            if user.contains(range.start()) { self.layout().task_size() } else { range.start() };
        Err(EditError::OutOfBounds { at })
    }

    /// User mappings belong to one address space.
    fn check_attrs(attrs: Attrs) -> Result<(), EditError> {
        if attrs.global { Err(EditError::WrongHalf) } else { Ok(()) }
    }
}
