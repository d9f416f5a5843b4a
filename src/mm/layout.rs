//! The virtual memory map of the embedding kernel, checked while it compiles.
//!
//! ```text
//! 0xffff_0000  vectors, if high                         ┐
//! FIXADDR      fixmap                                   │
//! VMALLOC      vmalloc, ioremap                         │ kernel half: edited in swapper,
//! PAGE_OFFSET  lowmem, the linear map of RAM            │ the same in every pgd
//!              pkmap                                    │
//! TASK_SIZE    modules                                  ┘
//!              user space: edited in each pgd           ┐ user half
//! 0x0000_2000  FIRST_USER_ADDRESS                       │
//! 0x0000_0000  vectors, if low                          ┘
//! ```
//!
//! The window for modules and pkmap may lie in two places:
//! - below PAGE_OFFSET ([`LayoutSpec::linux`]), as Linux does it: with LPAE it shares a root entry of 1 GiB
//!   with user space, and each pgd needs a private pmd for it;
//! - at a root-entry border, PAGE_OFFSET moved up ([`LayoutSpec::modules_at_border`]): nothing per pgd.
//!
//! In either, [`Pmds::Always`] gives every pgd all its pmds from birth.
//!
//! The kernel half may be TTBR1's ([`LayoutSpec::ttbr1`]): walks from that border on go by swapper's own tables, and a
//! pgd holds nothing of it. With the window at that border, too, a pgd holds nothing of the kernel at all.

mod spec;

use core::ops::Range;

pub use self::spec::{LayoutError, LayoutSpec, Pmds, Vectors, Window};

use crate::addr::{VirtAddr, VirtRange};
use crate::format::control::Registers;
use crate::format::{Format, Level, Split};

/// A checked memory map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    spec: LayoutSpec,
    task_size: u32,
    user: VirtRange,
}

const SECTION_PAIR: u32 = 2 << 20;
const VECTORS_HIGH: u32 = 0xffff_0000;

impl Layout {
    /// Checks `spec`.
    ///
    /// # Errors
    /// The first [`LayoutError`] found.
    pub const fn new(spec: LayoutSpec) -> Result<Self, LayoutError> {
        let LayoutSpec { page_offset, modules, pkmap, vmalloc, fixmap, .. } = spec;
        if page_offset % SECTION_PAIR != 0 || page_offset < 16 << 20 {
            return Err(LayoutError::PageOffset);
        }
        let windows = [modules, pkmap, vmalloc, fixmap];
        let mut i = 0;
        while i < windows.len() {
            if !windows[i].is_page_aligned() || windows[i].end < windows[i].start {
                return Err(LayoutError::Window);
            }
            i += 1;
        }
        let in_order = modules.end <= pkmap.start
            && pkmap.end <= page_offset
            && page_offset < vmalloc.start
            && vmalloc.end <= fixmap.start
            && fixmap.end <= VECTORS_HIGH;
        if !in_order {
            return Err(LayoutError::Order);
        }
        let task_size = modules.start;
        if task_size % SECTION_PAIR != 0 {
            return Err(LayoutError::TaskSize);
        }
        if spec.first_user_address & 0xfff != 0 || spec.first_user_address >= task_size {
            return Err(LayoutError::FirstUserAddress);
        }
        if matches!(spec.vectors, Vectors::Low) && spec.first_user_address == 0 {
            return Err(LayoutError::LowVectors);
        }
        if let Some(border) = spec.ttbr1
            && (border < task_size || !Split::exists(border))
        {
            return Err(LayoutError::Border);
        }
        let user = match Window::new(spec.first_user_address, task_size).range() {
            Some(range) => range,
            None => return Err(LayoutError::FirstUserAddress),
        };
        Ok(Self { spec, task_size, user })
    }

    /// Checks `spec` at compile time:
    ///
    /// ```
    /// # use armv7a_mm::mm::{Layout, LayoutSpec};
    /// static LAYOUT: Layout = Layout::checked(LayoutSpec::linux(0xc000_0000));
    /// ```
    ///
    /// ```compile_fail
    /// # use armv7a_mm::mm::{Layout, LayoutSpec};
    /// // PAGE_OFFSET must be a multiple of 2 MiB
    /// static LAYOUT: Layout = Layout::checked(LayoutSpec::linux(0xc010_0000));
    /// ```
    ///
    /// # Panics
    /// With [`LayoutError::message`], for a layout that cannot be: in a `const` or `static`, an error of
    /// the compiler. Where the layout is only known at run time, use [`new`](Self::new).
    pub const fn checked(spec: LayoutSpec) -> Self {
        match Self::new(spec) {
            Ok(layout) => layout,
            Err(error) => panic!("{}", error.message()),
        }
    }

    /// As [`new`](Self::new), and insists that TTBR1 takes over where the layout says so.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`LayoutError::BorderOfFormat`].
    pub const fn new_for<F: Format>(spec: LayoutSpec) -> Result<Self, LayoutError> {
        match Self::new(spec) {
            Ok(layout) if spec.ttbr1.is_some() && layout.split::<F>().is_none() => {
                Err(LayoutError::BorderOfFormat)
            }
            checked => checked,
        }
    }

    /// As [`checked`](Self::checked), and insists that TTBR1 takes over where the layout says so:
    ///
    /// ```
    /// # use armv7a_mm::{format::Classic, mm::{Layout, LayoutSpec}};
    /// const SPEC: LayoutSpec = LayoutSpec::modules_at_border(0x8000_0000).split_at(0x8000_0000);
    /// static LAYOUT: Layout = Layout::checked_for::<Classic>(SPEC);
    /// ```
    ///
    /// ```compile_fail
    /// # use armv7a_mm::{format::Classic, mm::{Layout, LayoutSpec}};
    /// // LPAE alone can split the address space there.
    /// const SPEC: LayoutSpec = LayoutSpec::modules_at_border(0xc000_0000).split_at(0xc000_0000);
    /// static LAYOUT: Layout = Layout::checked_for::<Classic>(SPEC);
    /// ```
    ///
    /// # Panics
    /// As [`checked`](Self::checked).
    pub const fn checked_for<F: Format>(spec: LayoutSpec) -> Self {
        match Self::new_for::<F>(spec) {
            Ok(layout) => layout,
            Err(error) => panic!("{}", error.message()),
        }
    }

    /// What the layout was made of.
    pub const fn spec(&self) -> &LayoutSpec {
        &self.spec
    }

    /// TASK_SIZE: where user space ends and the kernel half starts.
    pub const fn task_size(&self) -> VirtAddr {
        VirtAddr(self.task_size)
    }

    /// The linear map: from PAGE_OFFSET to vmalloc.
    pub const fn lowmem(&self) -> VirtRange {
        match Window::new(self.spec.page_offset, self.spec.vmalloc.start).range() {
            Some(range) => range,
            None => VirtRange::ALL,
        }
    }

    /// What a pgd may map.
    #[inline]
    pub const fn user(&self) -> VirtRange {
        self.user
    }

    /// The kernel half.
    pub const fn kernel(&self) -> VirtRange {
        match VirtRange::inclusive(self.task_size(), VirtAddr::MAX) {
            Ok(range) => range,
            Err(_) => VirtRange::ALL,
        }
    }

    /// How TTBR0 and TTBR1 share the address space, if they do.
    pub const fn split<F: Format>(&self) -> Option<&'static Split> {
        match self.spec.ttbr1 {
            Some(border) => Split::find(F::SPLITS, border),
            None => None,
        }
    }

    /// The geometry of a pgd's root: TTBR1's part is cut off, where that makes it smaller.
    pub const fn pgd_level<F: Format>(&self) -> &'static Level {
        match self.split::<F>() {
            Some(split) => &split.root,
            None => &F::LEVELS[0],
        }
    }

    /// The last address that a pgd translates: all, or what lies below TTBR1's.
    pub const fn pgd_last<F: Format>(&self) -> VirtAddr {
        match self.split::<F>() {
            Some(split) => split.last(),
            None => VirtAddr::MAX,
        }
    }

    /// What of the kernel half a pgd translates: `None` if it is TTBR1's as a whole.
    pub(super) fn pgd_kernel<F: Format>(&self) -> Option<VirtRange> {
        VirtRange::inclusive(self.task_size(), self.pgd_last::<F>()).ok()
    }

    /// Whether the kernel can run with user space closed to it: in the classic format always; under LPAE, where that
    /// closes all of TTBR0's, if the whole kernel half is TTBR1's, vectors included.
    pub fn user_can_be_closed<F: Registers>(&self) -> bool {
        !F::CLOSES_TTBR0 || self.pgd_kernel::<F>().is_none() && !self.low_vectors()
    }

    /// The page of the exception vectors.
    pub const fn vectors(&self) -> VirtRange {
        VirtRange::page(VirtAddr(match self.spec.vectors {
            Vectors::High => VECTORS_HIGH,
            Vectors::Low => 0,
        }))
    }

    /// Whether the vectors are at address 0.
    pub const fn low_vectors(&self) -> bool {
        matches!(self.spec.vectors, Vectors::Low)
    }

    /// The root entries below which each pgd has a private table: the one that user space and the kernel half
    /// share, or all with [`Pmds::Always`].
    #[inline]
    pub fn private_tables<F: Format>(&self) -> Range<usize> {
        if const { has_pmds::<F>() } { self.private_pmds::<F>() } else { 0..0 }
    }

    /// The root entries below which each pgd has a private pmd.
    #[inline(never)]
    fn private_pmds<F: Format>(&self) -> Range<usize> {
        let root = &F::LEVELS[0];
        let border = root.index(self.task_size());
        match self.spec.pmds {
            Pmds::Always => 0..root.index(self.pgd_last::<F>()) + 1,
            _ if self.task_size().is_aligned(root.shift) || self.pgd_kernel::<F>().is_none() => {
                0..0
            }
            _ => border..border + 1,
        }
    }

    /// Whether each pgd has a [private table](Self::private_tables) below the root entry for `va`.
    #[inline]
    pub fn has_private_table<F: Format>(&self, va: VirtAddr) -> bool {
        self.private_tables::<F>().contains(&F::LEVELS[0].index(va))
    }

    /// Whether pgds hold copies of swapper's entry for `va` at `depth`.
    pub fn is_copied<F: Format>(&self, depth: usize, va: VirtAddr) -> bool {
        if !self.kernel().contains(va) {
            return self.low_vectors()
                && self.vectors().contains(va)
                && depth + 1 == F::LEVELS.len();
        }
        va <= self.pgd_last::<F>() && (depth == 0 || depth == 1 && self.has_private_table::<F>(va))
    }

    /// The windows of the kernel half whose tables every pgd has from birth; high vectors are always one of
    /// them, for without vectors no fault is handled.
    pub fn eager_windows(&self) -> impl Iterator<Item = VirtRange> {
        let LayoutSpec { modules, pkmap, vmalloc, fixmap, .. } = &self.spec;
        [modules, pkmap, vmalloc, fixmap]
            .into_iter()
            .filter(|window| window.eager)
            .filter_map(|window| window.range())
            .chain((!self.low_vectors()).then(|| self.vectors()))
    }
}

/// Whether there are middle tables.
pub(super) const fn has_pmds<F: Format>() -> bool {
    F::LEVELS.len() > 2
}
