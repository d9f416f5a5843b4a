//! The plain loops that any solution must execute: no search, no check, no lock. What the floors measure.

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

/// Stores in a row between two looks at the counter of a loop.
const UNROLLED: usize = 8;

/// Calls `run` with 0, 1, … below `count`, a multiple of [`UNROLLED`].
#[inline(always)]
fn unrolled(count: usize, mut run: impl FnMut(usize)) {
    for i in (0..count).step_by(UNROLLED) {
        (i..i + UNROLLED).for_each(&mut run);
    }
}

/// Stores `count` descriptors, each `step` more than the one before.
///
/// # Safety
/// They lie at `at`, and are the caller's to write. So for all that follow.
#[inline(always)]
pub unsafe fn fill(at: *mut Raw, count: usize, first: Raw, step: Raw) {
    let mut raw = first;
    unrolled(count, |i| {
        // SAFETY: the caller's promise.
        unsafe { at.add(i).write_volatile(raw) };
        raw = raw.step(step);
    });
}

/// Changes bits of `count` descriptors.
///
/// # Safety
/// As for [`fill`].
#[inline(always)]
pub unsafe fn change(at: *mut Raw, count: usize, clear: Raw, set: Raw) {
    unrolled(count, |i| {
        // SAFETY: the caller's promise.
        unsafe { at.add(i).write_volatile(at.add(i).read_volatile() & !clear | set) };
    });
}

/// Makes a table that nobody walks yet, two words at a time: `zeros` descriptors of nothing, then `copies` of
/// `from`'s.
///
/// # Safety
/// As for [`fill`]; `from` lies elsewhere, and is as long as the table.
#[inline(always)]
pub unsafe fn compose(at: *mut Raw, from: *const Raw, zeros: usize, copies: usize) {
    let pairs = |count: usize| count * size_of::<Raw>() / size_of::<u64>();
    let (to, from) = (at.cast::<u64>(), from.cast::<u64>());
    // SAFETY: the caller's promise.
    unrolled(pairs(zeros), |i| unsafe { to.add(i).write_volatile(0) });
    // SAFETY: as above.
    let copy = |i| unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) };
    unrolled(pairs(copies), |i| copy(pairs(zeros) + i));
}

/// Stores one descriptor and makes walks see it.
///
/// # Safety
/// As for [`fill`].
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
