//! head.S, and the constants it is assembled with: each exists once, in the library where it is the format's.

use core::arch::global_asm;

use armv7a_mm::addr::VirtAddr;
use armv7a_mm::armv7::start;
use armv7a_mm::format::control::{Registers, sctlr};
use armv7a_mm::format::{Active, Format};

/// Where the linear map begins: virtual, the start of RAM.
pub const PAGE_OFFSET: u32 = 0xC000_0000;

/// Where the early map shows what r2 pointed to: two entries, read only in spirit, dropped with the early map.
pub const WINDOW: u32 = 0xFF80_0000;

/// Bytes from where the loader put the image that stay as they are: other CPUs sleep there.
pub const PARKING: u32 = 4096;

/// CPUs that may start at once, told apart by their affinity.
pub const SLEEPERS: usize = 64;

/// Where, in the area `__sleepers`, CPUs that sleep say so: behind a word for each that wakes it.
pub const SLEEPING: usize = SLEEPERS * size_of::<u32>();

/// The level whose leaves make the early map: sections, 2 MiB blocks.
const EARLY: usize = Active::LEVELS.len() - 2;

/// log2 of what an early leaf maps.
pub const SHIFT: u32 = Active::LEVELS[EARLY].shift;

/// Execute-never, of an early leaf: bit 4 of a section, bit 54 of a block.
const XN: u64 = if Active::LPAE { 1 << 54 } else { 1 << 4 };

unsafe extern "C" {
    /// head.S
    fn __park();
    fn __again();
}

/// Where the image is entered again: at its physical address, MMU and data cache off.
pub fn again() -> VirtAddr {
    VirtAddr(__again as *const () as u32)
}

/// Where a CPU sleeps until it is woken: entered at its physical address, MMU and data cache off, in SVC mode.
pub fn park() -> VirtAddr {
    VirtAddr(__park as *const () as u32)
}

global_asm!(
    include_str!("head.S"),
    LPAE = const Active::LPAE as u32,
    TO_SVC = sym start::armv7a_mm_to_svc,
    CACHES_OFF = sym start::armv7a_mm_caches_off,
    JOIN_COHERENCY = sym start::armv7a_mm_join_coherency,
    SLEEPING = const SLEEPING,
    PARKING = const PARKING,
    SCTLR_CLEAR = const sctlr::CLEAR,
    SCTLR_ON = const sctlr::ON,
    TTBCR = const Active::TTBCR,
    TTBR_WALK = const Active::TTBR_WALK,
    DACR = const Active::DACR,
    REMAP0 = const Active::REMAP[0],
    REMAP1 = const Active::REMAP[1],
    TABLE = const 0b11,
    PAGE_OFFSET = const PAGE_OFFSET,
    SHIFT = const SHIFT,
    KERNEL = const Active::EARLY_LEAF,
    WINDOW = const Active::EARLY_LEAF | XN as u32,
    WINDOW_HIGH = const (XN >> 32) as u32,
    WINDOW_AT = const WINDOW,
    MAIN = sym crate::main,
);
