//! One address space's tree: `pgd_alloc`, `pgd_free`, and the edits of its user half.
//!
//! A pgd holds copies of swapper's root entries for the kernel half, as far as TTBR0 translates it. Where the modules/pkmap window shares
//! a root entry with user space, it has a table of its own there with copies of swapper's entries for the
//! window ([`Layout::has_private_table`]); with low vectors, tables of its own for address 0. These tables
//! stay for the pgd's life: a fault that needs them cannot allocate.

use core::ops::ControlFlow;

use super::birth::keeps;
use super::layout::Layout;
use super::spare::Regions;
use super::swapper::Features;
use super::view::SwapperTree;
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::attr::{Access, Asid, Attrs};
use crate::format::{Format, Owner};
use crate::table::context::{Context, Whose};
use crate::table::edit::{Editor, LeafSizes, Policy, Ties};
use crate::table::error::{EditError, OutOfBounds};
use crate::table::flush::Flush;
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::walk::{self, Mapped, Translation};

/// An address space's tree of tables.
///
/// It is given back with [`pgd_free`](Self::pgd_free); dropped, it leaks.
#[must_use = "a pgd is given back with pgd_free"]
pub struct Pgd<'m, F: Format, M: Machine> {
    pub(super) swapper: SwapperTree<'m, F, M>,
    pub(super) root: Node<'m, F, M>,
    pub(super) features: Features,
    /// Whose its translations are.
    pub(super) whose: Whose<'m>,
    /// Where something was ever mapped.
    pub(super) touched: Regions,
    /// Whether an identity mapping may hide kernel mappings.
    pub(super) hides_kernel: bool,
    /// Pages of the kernel half that are identity mapped.
    pub(super) hidden: u32,
    /// Where these start, if they are the one block that `add_block` mapped; else 0, where none lies.
    pub(super) block: VirtAddr,
    /// The last kind of page that was mapped: mostly the next is of the same.
    pub(super) kind: Kind<F>,
}

/// A kind of page: all that its descriptor says but the frame.
#[derive(Clone, Copy)]
pub(super) struct Kind<F: Format> {
    /// The attributes, [in words](Attrs::words).
    attrs: [u32; 2],
    bits: F::Raw,
}

impl<F: Format> Default for Kind<F> {
    /// None: no attributes have these words.
    fn default() -> Self {
        Self { attrs: [u32::MAX; 2], bits: F::Raw::default() }
    }
}

impl<F: Format, M: Machine> Ties for Pgd<'_, F, M> {
    /// What a pgd has from birth stays for its life.
    fn keeps(&self, depth: usize, va: VirtAddr) -> bool {
        keeps::<F>(self.layout(), depth, va)
    }
}

impl<'m, F: Format, M: Machine> Pgd<'m, F, M> {
    /// Frees the address space: every table it owns, whatever is left in it, and no other. All goes to the
    /// allocator; [`Swapper::pgd_free`](super::Swapper::pgd_free) keeps what the next pgd_alloc can use, and is much faster.
    ///
    /// What user space had mapped is forgotten by every TLB before the first table is freed
    /// (DDI 0406C B3.10.1).
    ///
    /// # Safety
    /// No CPU walks the tree any more: no TTBR holds its root.
    pub unsafe fn pgd_free(mut self) {
        // SAFETY: the caller answers for it.
        unsafe { self.free() }
    }

    /// [`pgd_free`](Self::pgd_free), without a move.
    ///
    /// # Safety
    /// As for `pgd_free`, and the pgd is not used any more.
    pub(super) unsafe fn free(&mut self) {
        let mut flush = self.flush();
        flush.add_wide(VirtRange::ALL);
        let (machine, root) = (self.root.machine(), self.root.table());
        // SAFETY: nobody walks or uses the tree.
        unsafe { flush.add_below(&self.root) };
        flush.settle();
        // SAFETY: nobody walks it, and every TLB forgot it. First, as no table goes while an entry points to it.
        unsafe { machine.free(root, self.layout().pgd_level::<F>()) };
        flush.pay();
    }

    /// Whether user space has mapped nothing, ever.
    #[inline]
    pub(super) fn is_as_new(&self) -> bool {
        self.touched == Regions::default()
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
        Flush::new(self.root.machine(), self.whose)
    }

    /// Where the root lies, for TTBR0.
    pub fn root(&self) -> PhysAddr {
        self.root.table()
    }

    /// The memory map.
    pub fn layout(&self) -> &'m Layout {
        self.swapper.layout
    }

    /// The root, for walks by TTBR0: of no address that is TTBR1's.
    pub fn node(&self) -> Node<'_, F, M> {
        self.root
    }

    /// The ASID by which edits are flushed now, if they are not flushed in all address spaces.
    pub fn asid(&self) -> Option<Asid> {
        match self.whose {
            Whose::Everyone => None,
            Whose::Asid(asid) => Some(asid),
            Whose::Context(context) => context.asid(),
        }
    }

    /// Says that the address space runs under an ASID that stays: a kernel's that deals them out itself. `None`
    /// takes that back; then edits flush all address spaces.
    ///
    /// # Safety
    /// TLBs hold nothing of this address space under another identifier.
    pub unsafe fn set_asid(&mut self, asid: Option<Asid>) {
        self.whose = asid.map_or(Whose::Everyone, Whose::Asid);
    }

    /// Says that CPUs run the address space as `context` alone, by [`Contexts`](super::context::Contexts). Edits
    /// are then flushed under the ASID that it has when they are.
    ///
    /// # Safety
    /// - The context is of this root, which builds with debug assertions check.
    /// - It stays where it is until the pgd is freed, and every [`Flush`] of its paid.
    /// - TLBs hold nothing of this address space under another identifier.
    pub unsafe fn set_context(&mut self, context: &Context) {
        debug_assert_eq!(context.root(), self.root(), "the context of another pgd");
        // SAFETY: the caller answers for it.
        self.whose = Whose::Context(unsafe { &*core::ptr::from_ref(context) });
    }

    /// Maps part of the user half, see [`Editor::map`].
    ///
    /// Kernel code does not belong there: in the classic format privileged execution is closed to a whole table of
    /// pages, and only in sections open to the kernel alone. [`identity_mapping_add`](Self::identity_mapping_add)
    /// opens the table, too.
    ///
    /// # Errors
    /// [`EditError`]; nothing was changed.
    ///
    /// # Safety
    /// As for [`Editor::map`].
    #[inline]
    pub unsafe fn map(
        &mut self,
        range: VirtRange,
        phys: PhysAddr,
        attrs: Attrs,
        sizes: LeafSizes,
    ) -> Result<(), EditError> {
        self.check(range)?;
        // SAFETY: the caller answers for it.
        unsafe {
            let known = self.kind.attrs == attrs.words();
            if known && Editor::map_page(&self.root, range, phys, self.kind.bits) {
                self.touched.add_page(range.start());
                return Ok(());
            }
            self.map_in_new_table(range, phys, attrs, sizes)
        }
    }

    /// Maps anything, but looks first whether it is a page of the last kind that lacks its table alone.
    #[inline(never)]
    unsafe fn map_in_new_table(
        &mut self,
        range: VirtRange,
        phys: PhysAddr,
        attrs: Attrs,
        sizes: LeafSizes,
    ) -> Result<(), EditError> {
        let (root, bits, pxn) = (&self.root, self.kind.bits, self.features.pxn);
        let known = self.kind.attrs == attrs.words();
        // SAFETY: the caller answers for it; so for the next.
        if known && unsafe { Editor::map_page_in_new_table(root, range, phys, bits, pxn) }? {
            self.touched.add_page(range.start());
            return Ok(());
        }
        // SAFETY: as above.
        unsafe { self.map_range(range, phys, attrs, sizes) }
    }

    /// Maps anything, and remembers its kind if it is a page.
    #[inline(never)]
    unsafe fn map_range(
        &mut self,
        range: VirtRange,
        phys: PhysAddr,
        attrs: Attrs,
        sizes: LeafSizes,
    ) -> Result<(), EditError> {
        Self::check_attrs(attrs)?;
        self.touched.add(range);
        // SAFETY: the caller answers for it.
        unsafe { self.editor().map(range, phys, attrs, sizes) }?;
        if range == VirtRange::page(range.start())
            && let Some(bits) = self.editor().page_bits(attrs)
        {
            self.kind = Kind { attrs: attrs.words(), bits };
        }
        Ok(())
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

    /// Changes what may be done with part of the user half, see [`Editor::protect`]. The access is the hardware's, whatever
    /// marks say: where memory is shared until written, or watched for writes, [`Attrs::mprotect`] goes to
    /// [`modify`](Self::modify) or [`modify_mapped`](Self::modify_mapped) instead.
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
        unsafe { self.editor().modify(range, &|attrs| change(attrs).with_global(false)) }
    }

    /// Changes the attributes of what is mapped in part of the user half, and does not mind holes, see
    /// [`Editor::modify_mapped`]: `mprotect` of memory that comes when it is touched.
    ///
    /// # Errors
    /// As for [`modify`](Self::modify), but for holes.
    ///
    /// # Safety
    /// As for [`Editor::modify`].
    pub unsafe fn modify_mapped(
        &mut self,
        range: VirtRange,
        change: impl Fn(Attrs) -> Attrs,
    ) -> Result<Flush<'m, F, M>, EditError> {
        self.check(range)?;
        // SAFETY: the caller answers for it.
        unsafe { self.editor().modify_mapped(range, &|attrs| change(attrs).with_global(false)) }
    }

    /// What `va` translates to, in either half.
    #[inline]
    pub fn translate(&self, va: VirtAddr) -> Option<Translation<F>> {
        // SAFETY: called where the root has an entry for it.
        let below = || unsafe { walk::descend(&self.root, va) };
        if const { has_short_roots::<F>() } {
            return if va > self.swapper.pgd_last { self.translate_above(va) } else { below() };
        }
        // Where TTBR1 takes over, a root that is whole has absent entries.
        below().or_else(|| self.translate_above(va))
    }

    /// [`translate`](Self::translate) where TTBR1 walks swapper; nothing elsewhere.
    #[cold]
    #[inline(never)]
    fn translate_above(&self, va: VirtAddr) -> Option<Translation<F>> {
        if va > self.swapper.pgd_last { walk::translate(&self.swapper.root, va) } else { None }
    }

    /// Calls `visit` for every leaf that maps an address in `range`, in order, until it breaks. In either half.
    pub fn visit<B>(
        &self,
        range: VirtRange,
        mut visit: impl FnMut(Mapped) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let last = self.swapper.pgd_last;
        if let Ok(part) = VirtRange::inclusive(range.start(), range.last().min(last)) {
            walk::visit(&self.root, part, &mut visit)?;
        }
        let above = VirtAddr(last.0.saturating_add(1)).max(range.start());
        match VirtRange::inclusive(above, range.last()) {
            Ok(part) if above > last => walk::visit(&self.swapper.root, part, &mut visit),
            _ => ControlFlow::Continue(()),
        }
    }

    #[inline(never)]
    pub(super) fn editor(&self) -> Editor<'_, 'm, F, M> {
        let policy =
            Policy { owner: Owner::User, pxn: self.features.pxn, whose: self.whose, ties: self };
        // SAFETY: the root is this tree's; every caller holds the pgd alone.
        unsafe { Editor::new(self.root.machine(), self.root.table(), policy) }
    }

    /// Refuses what is not user space's.
    #[inline]
    pub(super) fn check(&self, range: VirtRange) -> Result<(), OutOfBounds> {
        if self.layout().user().encloses(range) { Ok(()) } else { Err(self.out_of_bounds(range)) }
    }

    #[cold]
    fn out_of_bounds(&self, range: VirtRange) -> OutOfBounds {
        let outside = !self.layout().user().contains(range.start());
        let at = if outside { range.start() } else { self.layout().task_size() };
        OutOfBounds { at }
    }

    /// User mappings belong to one address space.
    fn check_attrs(attrs: Attrs) -> Result<(), EditError> {
        if attrs.global { Err(EditError::WrongHalf) } else { Ok(()) }
    }
}

/// Whether a pgd's root has fewer entries than swapper's in some layout of this format: then it must not be read for
/// an address that is TTBR1's.
const fn has_short_roots<F: Format>() -> bool {
    let (mut short, mut at) = (false, 0);
    while at < F::SPLITS.len() {
        short |= F::SPLITS[at].root.last < F::LEVELS[0].last;
        at += 1;
    }
    short
}
