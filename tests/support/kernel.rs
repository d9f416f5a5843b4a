//! Kernels to test with: memory maps, and swappers that hold what a kernel's holds.

use super::*;
use armv7a_mm::format::{Fault, FaultKind};
use armv7a_mm::mm::{Verdict, do_translation_fault};
use armv7a_mm::table::flush::Flush;

/// The features of a CPU with PXN.
pub const PXN: Features = Features { pxn: true };

/// The checked layout of `spec`.
pub fn layout(spec: LayoutSpec) -> Layout {
    Layout::new(spec).unwrap()
}

/// Linux's layout with 3 GiB of user space.
pub fn linux() -> Layout {
    layout(LayoutSpec::linux(0xC000_0000))
}

/// Linux's layout with low vectors.
pub fn low_vectors(page_offset: u32) -> Layout {
    layout(LayoutSpec { vectors: Vectors::Low, ..LayoutSpec::linux(page_offset) })
}

/// An empty swapper in a TTBR.
pub fn empty_swapper<'m, F: Format>(
    host: &'m Host<F>,
    layout: &'m Layout,
) -> Swapper<'m, F, Host<F>> {
    let swapper = Swapper::new(host, layout, PXN).unwrap();
    host.activate(swapper.root());
    swapper
}

/// A swapper with a little of everything: 64 MiB of lowmem in the largest leaves from `ram` on, pages in the
/// modules window, in pkmap and in vmalloc, and the vectors.
pub fn swapper_with_ram<'m, F: Format>(
    host: &'m Host<F>,
    layout: &'m Layout,
    ram: u64,
) -> Swapper<'m, F, Host<F>> {
    let mut swapper = empty_swapper(host, layout);
    let spec = layout.spec();
    let data = Attrs::kernel(Access::ReadWrite);
    let code = Attrs::kernel(Access::ReadExecute);
    let places = [
        (spec.page_offset, 64 << 20, ram, data),
        (spec.modules.start, 0x3000, 0x6000_1000, code),
        (spec.pkmap.start, 0x1000, 0x6100_0000, data),
        (spec.vmalloc.start + 0x5000, 0x2000, 0x6200_3000, data),
        (layout.vectors().start().0, 0x1000, 0x6300_0000, code),
    ];
    for (start, bytes, to, attrs) in places {
        let range = VirtRange::new(VirtAddr(start), bytes).unwrap();
        // SAFETY: nothing reaches memory through these tables.
        unsafe { swapper.map(range, phys(to), attrs, LeafSizes::LARGEST) }.unwrap();
    }
    swapper
}

/// The usual swapper: RAM at 0x6400_0000, aligned to every leaf but LPAE's 1 GiB.
pub fn swapper<'m, F: Format>(host: &'m Host<F>, layout: &'m Layout) -> Swapper<'m, F, Host<F>> {
    swapper_with_ram(host, layout, 0x6400_0000)
}

/// A kernel whose RAM lies above PAGE_OFFSET: virtual 0x8000_0000 up, where identity mappings of RAM land,
/// is lowmem, mapped to `to` up.
pub fn high_ram<'m, F: Format>(
    host: &'m Host<F>,
    layout: &'m Layout,
    to: u64,
) -> Swapper<'m, F, Host<F>> {
    let mut swapper = empty_swapper(host, layout);
    let attrs = Attrs::kernel(Access::ReadWrite);
    let bytes = if phys(to).is_aligned(30) { 1 << 30 } else { 48 << 20 };
    let lowmem = VirtRange::new(VirtAddr(0x8000_0000), bytes).unwrap();
    swapper.map_at(lowmem, to, attrs, LeafSizes::LARGEST).unwrap();
    swapper
}

/// A pgd in a TTBR.
pub fn pgd<'m, F: Format>(
    host: &'m Host<F>,
    swapper: &mut Swapper<'m, F, Host<F>>,
) -> Pgd<'m, F, Host<F>> {
    let pgd = swapper.pgd_alloc().unwrap();
    host.activate(pgd.root());
    pgd
}

/// Takes the pgd from its TTBR and frees it.
pub fn free<F: Format>(host: &Host<F>, pgd: Pgd<'_, F, Host<F>>) {
    host.deactivate(pgd.root());
    // SAFETY: no TTBR holds it.
    unsafe { pgd.pgd_free() }
}

/// What a finished edit returns.
pub type Done = Result<(), EditError>;
/// What an edit with a debt returns.
pub type Late<'m, F> = Result<Flush<'m, F, Host<F>>, EditError>;

/// The edits that pgds and swapper share, without their promises: nobody reaches memory through the tables
/// of a host.
pub trait Edit<'m, F: Format> {
    /// Maps.
    fn map_at(&mut self, range: VirtRange, to: u64, attrs: Attrs, sizes: LeafSizes) -> Done;
    /// Unmaps, and leaves the flush unpaid.
    fn unmap_late(&mut self, range: VirtRange) -> Late<'m, F>;
    /// Changes the access, and leaves the flush unpaid.
    fn protect_late(&mut self, range: VirtRange, access: Access) -> Late<'m, F>;

    /// Unmaps.
    fn unmap_now(&mut self, range: VirtRange) -> Done {
        self.unmap_late(range).map(Flush::pay)
    }

    /// Changes the access.
    fn protect_now(&mut self, range: VirtRange, access: Access) -> Done {
        self.protect_late(range, access).map(Flush::pay)
    }
}

macro_rules! edit {
    ($($tree:ident),+) => { $(
        impl<'m, F: Format> Edit<'m, F> for $tree<'m, F, Host<F>> {
            fn map_at(&mut self, range: VirtRange, to: u64, attrs: Attrs, sizes: LeafSizes) -> Done {
                // SAFETY: nobody reaches memory through these tables.
                unsafe { self.map(range, phys(to), attrs, sizes) }
            }
            fn unmap_late(&mut self, range: VirtRange) -> Late<'m, F> {
                // SAFETY: likewise.
                unsafe { self.unmap(range) }
            }
            fn protect_late(&mut self, range: VirtRange, access: Access) -> Late<'m, F> {
                // SAFETY: likewise.
                unsafe { self.protect(range, access) }
            }
        }
    )+ };
}
edit!(Pgd, Swapper);

/// The edits that pgds alone have, without their promises.
pub trait EditUser<'m, F: Format> {
    /// Unmaps what is mapped, and leaves the flush unpaid.
    fn clear_late(&mut self, range: VirtRange) -> Late<'m, F>;
    /// Changes attributes.
    fn modify_now(&mut self, range: VirtRange, change: impl Fn(Attrs) -> Attrs) -> Done;
    /// Adds an identity mapping; the pgd must not be active.
    fn identity_add(&mut self, range: VirtRange, access: Access) -> Done;
    /// Deletes one, and leaves the flush unpaid.
    fn identity_del_late(&mut self, range: VirtRange) -> Late<'m, F>;

    /// Unmaps what is mapped.
    fn clear_now(&mut self, range: VirtRange) -> Done {
        self.clear_late(range).map(Flush::pay)
    }

    /// Deletes one.
    fn identity_del(&mut self, range: VirtRange) -> Done {
        self.identity_del_late(range).map(Flush::pay)
    }
}

impl<'m, F: Format> EditUser<'m, F> for Pgd<'m, F, Host<F>> {
    fn clear_late(&mut self, range: VirtRange) -> Late<'m, F> {
        // SAFETY: nobody reaches memory through these tables.
        unsafe { self.clear(range) }
    }

    fn modify_now(&mut self, range: VirtRange, change: impl Fn(Attrs) -> Attrs) -> Done {
        // SAFETY: likewise.
        unsafe { self.modify(range, change) }.map(Flush::pay)
    }

    fn identity_add(&mut self, range: VirtRange, access: Access) -> Done {
        // SAFETY: likewise.
        unsafe { self.identity_mapping_add(range, access) }
    }

    fn identity_del_late(&mut self, range: VirtRange) -> Late<'m, F> {
        // SAFETY: likewise.
        unsafe { self.identity_mapping_del(range) }
    }
}

/// A fault of `kind`, of a read.
pub fn fault(kind: FaultKind) -> Fault {
    Fault {
        kind,
        depth: None,
        write: false,
        maintenance: false,
        instruction: false,
        ext: false,
        address_valid: true,
        domain: None,
    }
}

/// What the kernel's own translation fault at `va` leads to.
pub fn touch<F: Format>(
    swapper: &Swapper<'_, F, Host<F>>,
    pgd: &Pgd<'_, F, Host<F>>,
    va: u32,
) -> Verdict {
    let fault = fault(FaultKind::Translation);
    // SAFETY: the pgd lives.
    unsafe { do_translation_fault(&swapper.view(), pgd.root(), &fault, VirtAddr(va), false) }
}
