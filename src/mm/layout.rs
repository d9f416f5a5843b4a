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
//! The window for modules and pkmap may lie in three places, all argued in the mail thread that this crate
//! comes from:
//! - below PAGE_OFFSET ([`LayoutSpec::linux`]), as Linux does it: with LPAE it shares a root entry of 1 GiB
//!   with user space, and each pgd needs a private pmd for it;
//! - at a root-entry border, PAGE_OFFSET moved up ([`LayoutSpec::modules_at_border`]): nothing per pgd;
//! - either, with [`Pmds::Always`]: every pgd has all its pmds from birth.

use core::fmt;
use core::ops::Range;

use crate::addr::{VirtAddr, VirtRange};
use crate::format::Format;

/// Where the exception vectors lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vectors {
    /// At 0xffff_0000 (SCTLR.V = 1), in the kernel half.
    High,
    /// At 0 (SCTLR.V = 0), below user space: every pgd has tables of its own for it.
    Low,
}

/// When a pgd gets the tables below its root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pmds {
    /// When something is mapped.
    OnDemand,
    /// All of them in pgd_alloc, as if there were two levels. No difference in the classic format.
    Always,
}

/// A part of the kernel half: `[start, end)`, both multiples of 4 KiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// The first address.
    pub start: u32,
    /// The address behind the last.
    pub end: u32,
    /// Whether every pgd has the window's tables from birth, so that no use of it faults for a missing
    /// copy: for what a fault handler needs itself, like its stack.
    pub eager: bool,
}

impl Window {
    /// The window `[start, end)`, filled in by faults.
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end, eager: false }
    }

    /// The same window, with its tables in every pgd from birth.
    #[must_use]
    pub const fn eager(self) -> Self {
        Self { eager: true, ..self }
    }

    /// Its addresses; `None` if it is empty.
    pub const fn range(&self) -> Option<VirtRange> {
        if self.end <= self.start {
            return None;
        }
        match VirtRange::inclusive(VirtAddr(self.start), VirtAddr(self.end - 1)) {
            Ok(range) => Some(range),
            Err(_) => None,
        }
    }

    const fn is_page_aligned(&self) -> bool {
        (self.start | self.end) & 0xfff == 0
    }
}

/// What an embedding kernel says of its memory map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LayoutSpec {
    /// PAGE_OFFSET: the start of the linear map, a multiple of 2 MiB. It ends where `vmalloc` starts.
    pub page_offset: u32,
    /// Modules, within branch range of the kernel.
    pub modules: Window,
    /// Persistent mappings of memory that is not in the linear map. May be empty.
    pub pkmap: Window,
    /// Areas of scattered memory and devices.
    pub vmalloc: Window,
    /// Mappings at addresses known at compile time.
    pub fixmap: Window,
    /// Where the vectors are.
    pub vectors: Vectors,
    /// The lowest address that user space may map.
    pub first_user_address: u32,
    /// When pgds get their tables.
    pub pmds: Pmds,
}

impl LayoutSpec {
    /// Bytes that Linux gives to modules and pkmap, below PAGE_OFFSET.
    const WINDOW: u32 = 16 << 20;

    /// Linux's map for a kernel at `page_offset`: 0x4000_0000, 0x8000_0000 or 0xc000_0000.
    pub const fn linux(page_offset: u32) -> Self {
        Self::with_window(page_offset, page_offset.wrapping_sub(Self::WINDOW))
    }

    /// The window for modules and pkmap at `border`, a multiple of 1 GiB, and PAGE_OFFSET behind it.
    pub const fn modules_at_border(border: u32) -> Self {
        Self::with_window(border.wrapping_add(Self::WINDOW), border)
    }

    const fn with_window(page_offset: u32, window: u32) -> Self {
        let pkmap = window.wrapping_add(Self::WINDOW - (2 << 20));
        Self {
            page_offset,
            modules: Window::new(window, pkmap),
            pkmap: Window::new(pkmap, window.wrapping_add(Self::WINDOW)),
            vmalloc: Window::new(0xf080_0000, 0xff80_0000),
            fixmap: Window::new(0xffc8_0000, 0xfff0_0000),
            vectors: Vectors::High,
            first_user_address: 0x2000,
            pmds: Pmds::OnDemand,
        }
    }
}

/// Why a layout cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LayoutError {
    /// PAGE_OFFSET is not a multiple of 2 MiB, or below 16 MiB.
    PageOffset,
    /// A window does not start and end on page boundaries, or ends before it starts.
    Window,
    /// Two windows overlap, or are not in the order modules and pkmap, lowmem, vmalloc, fixmap, vectors.
    Order,
    /// TASK_SIZE is not a multiple of 2 MiB: user space and the kernel would share a pte table.
    TaskSize,
    /// FIRST_USER_ADDRESS is not on a page boundary, or not below TASK_SIZE.
    FirstUserAddress,
    /// User space could map the page of the low vectors.
    LowVectors,
}

impl LayoutError {
    /// What is wrong and what to do.
    pub const fn message(self) -> &'static str {
        match self {
            Self::PageOffset => "PAGE_OFFSET must be a multiple of 2 MiB, 16 MiB or more",
            Self::Window => {
                "every window must start and end on a 4 KiB boundary, and not end before it starts"
            }
            Self::Order => {
                "windows must not overlap: modules and pkmap next to lowmem, then vmalloc, fixmap, vectors"
            }
            Self::TaskSize => "TASK_SIZE, the lowest kernel window, must be a multiple of 2 MiB",
            Self::FirstUserAddress => {
                "FIRST_USER_ADDRESS must be on a 4 KiB boundary below TASK_SIZE"
            }
            Self::LowVectors => "with low vectors, FIRST_USER_ADDRESS must be 0x1000 or more",
        }
    }
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for LayoutError {}

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
        let root = &F::LEVELS[0];
        let border = root.index(self.task_size());
        match self.spec.pmds {
            _ if F::LEVELS.len() <= 2 => 0..0,
            Pmds::Always => 0..root.entries(),
            _ if self.task_size().is_aligned(root.shift) => 0..0,
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
        depth == 0 || depth == 1 && self.has_private_table::<F>(va)
    }

    /// The windows of the kernel half whose tables every pgd has from birth; high vectors are always one of
    /// them, for without vectors no fault is handled.
    pub fn eager_windows(&self) -> impl Iterator<Item = VirtRange> {
        let LayoutSpec { modules, pkmap, vmalloc, fixmap, .. } = self.spec;
        [modules, pkmap, vmalloc, fixmap]
            .into_iter()
            .filter(|window| window.eager)
            .filter_map(|window| window.range())
            .chain((!self.low_vectors()).then(|| self.vectors()))
    }
}
