//! What any solution must execute for one entry: no search, no check, no lock. Together with the loops of
//! [`bulk`](crate::bulk), what the floors measure.

use armv7a_mm::addr::{PhysAddr, VirtAddr};
use armv7a_mm::armv7::barrier::{ISHST, dsb, isb};
use armv7a_mm::format::{Active, Descriptor, Format};
use stub::image::{self, Placement};
use stub::kernel::kernel;

/// A descriptor of this image's format.
pub type Raw = <Active as Format>::Raw;

/// The bits of a descriptor that address a table, and a page; beyond 40 bits an address takes none.
const TABLE: Raw = if Active::LEVELS.len() > 2 { !0xFFF } else { !0x3FF };
/// See [`TABLE`].
const PAGE: Raw = !0xFFF;

/// `count` descriptors in spare memory of the linear map, aligned like any table. Every caller gets the same memory.
pub fn spare(count: usize) -> *mut Raw {
    let spare = kernel().spare;
    let start = spare.base.next_multiple_of(16 << 10);
    assert!(start + (count * size_of::<Raw>()) as u64 <= spare.end(), "too little spare memory");
    image::placement().virt(PhysAddr::truncate(start)).0 as *mut Raw
}

/// Stores one descriptor and makes walks see it.
///
/// # Safety
/// It lies at `at`, and is the caller's to write.
#[inline(always)]
pub unsafe fn publish(at: *mut Raw, raw: Raw) {
    // SAFETY: the caller's promise.
    unsafe { at.write_volatile(raw) };
    dsb(ISHST);
    isb();
}

/// A tree of tables that lie in the linear map.
#[derive(Clone, Copy)]
pub struct Tree {
    root: *mut Raw,
    placement: Placement,
}

impl Tree {
    /// The tree at `root`.
    #[inline(always)]
    pub fn at(root: PhysAddr) -> Self {
        let placement = image::placement();
        Self { root: placement.virt(root).0 as *mut Raw, placement }
    }

    /// The entry for `va`, `depth` levels below the root.
    ///
    /// # Safety
    /// The tree is so deep there.
    #[inline(always)]
    pub unsafe fn entry(self, va: VirtAddr, depth: usize) -> *mut Raw {
        let mut table = self.root;
        for level in &Active::LEVELS[..depth] {
            // SAFETY: the caller's promise; an index lies within its table.
            let raw = unsafe { table.add(level.index(va)).read_volatile() };
            let next = PhysAddr::truncate((raw & TABLE).as_u64());
            table = self.placement.virt(next).0 as *mut Raw;
        }
        // SAFETY: as above.
        unsafe { table.add(Active::LEVELS[depth].index(va)) }
    }

    /// What `va` translates to.
    ///
    /// # Safety
    /// A page maps it.
    #[inline(always)]
    pub unsafe fn walk(self, va: VirtAddr) -> PhysAddr {
        // SAFETY: the caller's promise.
        let raw = unsafe { self.entry(va, Active::LEVELS.len() - 1).read_volatile() };
        PhysAddr::truncate((raw & PAGE).as_u64() | u64::from(va.0 & 0xFFF))
    }
}
