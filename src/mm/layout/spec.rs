//! What a kernel says of its memory map, and why that cannot be.

use core::fmt;

use crate::addr::{VirtAddr, VirtRange};

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

    pub(super) const fn is_page_aligned(&self) -> bool {
        (self.start | self.end) & 0xfff == 0
    }
}

/// What an embedding kernel says of its memory map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LayoutSpec {
    /// PAGE_OFFSET: the start of the linear map, a multiple of 2 MiB, 16 MiB or more. It ends where `vmalloc` starts.
    pub page_offset: u32,
    /// Modules, within branch range of the kernel: 32 MiB in ARM state, 16 MiB in Thumb state. Its start is TASK_SIZE, a
    /// multiple of 2 MiB.
    pub modules: Window,
    /// Persistent mappings of memory that is not in the linear map: between `modules` and PAGE_OFFSET. May be empty, where
    /// `modules` ends.
    pub pkmap: Window,
    /// Areas of scattered memory and devices: above PAGE_OFFSET.
    pub vmalloc: Window,
    /// Mappings at addresses known at compile time: above `vmalloc`, and below 0xffff_0000.
    pub fixmap: Window,
    /// Where the vectors are.
    pub vectors: Vectors,
    /// The lowest address that user space may map: a multiple of 4 KiB below TASK_SIZE, and not 0 with low vectors.
    pub first_user_address: u32,
    /// When pgds get their tables.
    pub pmds: Pmds,
    /// Where TTBR1 takes over, to walk swapper's tables for all above; `None` leaves everything to TTBR0.
    ///
    /// The formats' borders are [`Format::SPLITS`](crate::format::Format::SPLITS): 2 GiB in both, 1 GiB and less in the classic one, 3 GiB and
    /// more in LPAE. A format that has no such border goes without, so one layout serves both;
    /// [`Layout::checked_for`](super::Layout::checked_for) insists.
    pub ttbr1: Option<u32>,
}

impl LayoutSpec {
    /// Bytes that Linux gives to modules and pkmap, below PAGE_OFFSET.
    const WINDOW: u32 = 16 << 20;

    /// Linux's map for a kernel at `page_offset`: 0x4000_0000, 0x8000_0000 or 0xc000_0000. What cannot be is refused by
    /// [`Layout::new`](super::Layout::new).
    pub const fn linux(page_offset: u32) -> Self {
        Self::with_window(page_offset, page_offset.wrapping_sub(Self::WINDOW))
    }

    /// The window for modules and pkmap at `border`, a multiple of 1 GiB, and PAGE_OFFSET behind it.
    pub const fn modules_at_border(border: u32) -> Self {
        Self::with_window(border.wrapping_add(Self::WINDOW), border)
    }

    /// The same layout, with TTBR1 in charge from `border` on. The CPU learns of it from
    /// [`SwapperView::upper`](crate::mm::SwapperView::upper), when its tables are entered.
    #[must_use]
    pub const fn split_at(self, border: u32) -> Self {
        Self { ttbr1: Some(border), ..self }
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
            ttbr1: None,
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
    /// TTBR1 takes over below TASK_SIZE, or where no format can have it do so.
    Border,
    /// TTBR1 takes over where this format cannot have it do so.
    BorderOfFormat,
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
            Self::Border => {
                "TTBR1 must take over at TASK_SIZE or above, at 4 GiB >> 1 to 7, or as far below 4 GiB"
            }
            Self::BorderOfFormat => {
                "TTBR1 must take over at 4 GiB >> 1 to 7 in the classic format, as far below 4 GiB under LPAE"
            }
        }
    }
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for LayoutError {}
