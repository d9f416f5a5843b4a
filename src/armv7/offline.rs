//! A descriptor changed with the MMU off: the one way to break up the very block that the running kernel, its
//! stack and its vectors lie in.
//!
//! Break-before-make has a moment in which the entry is absent, and nothing may run through it then; nor can
//! two CPUs' worth of valid entries of different sizes follow each other without it (DDI 0406C B3.10.1). So
//! the store is made where no translation is needed at all: a short routine runs at its physical address, on
//! a page where that is its virtual address too, switches translation and data cache off, stores, forgets
//! every translation, and switches back on.

use core::arch::{asm, global_asm};

use super::barrier::{SY, dsb};
use super::cache;
use crate::addr::{PhysAddr, VirtAddr};
use crate::format::control::{Registers, sctlr};
use crate::format::{Active, Descriptor, Format};

/// A descriptor of this build's format.
pub type Raw = <Active as Format>::Raw;

// Arguments: r0 the entry's physical address, r2 (and r3) the descriptor. No stack: it is not there.
// - The entry's line was cleaned to the point of coherency. Until the data cache is off it may have been
//   fetched again, unchanged: it is invalidated, and cannot come back while C = 0.
// - The store goes past the caches, so walks find it in memory.
// - TLBIALL takes the old translations, BPIALL what was predicted through them (B3.10.1).
global_asm!(
    ".section .idmap.text, \"ax\", %progbits",
    ".arm",
    ".balign 128",
    ".global armv7a_mm_offline_store",
    "armv7a_mm_offline_store:",
    "mrc p15, 0, r12, c1, c0, 0",
    "bic r1, r12, #{M_C}",
    "mcr p15, 0, r1, c1, c0, 0",
    "isb",
    "mcr p15, 0, r0, c7, c6, 1", // DCIMVAC
    "dsb",
    ".if {LPAE}",
    "strd r2, r3, [r0]",
    ".else",
    "str r2, [r0]",
    ".endif",
    "mov r1, #0",
    "dsb",
    "mcr p15, 0, r1, c8, c7, 0", // TLBIALL
    "mcr p15, 0, r1, c7, c5, 6", // BPIALL
    "dsb",
    "isb",
    "mcr p15, 0, r12, c1, c0, 0",
    "isb",
    "bx lr",
    ".previous",
    M_C = const sctlr::M | sctlr::C,
    LPAE = const Active::LPAE as u32,
);

unsafe extern "C" {
    fn armv7a_mm_offline_store();
}

/// Where the routine is linked: in `.idmap.text`, within one page. Its physical address is what has to be
/// mapped identically.
pub fn routine() -> VirtAddr {
    VirtAddr(armv7a_mm_offline_store as *const () as u32)
}

/// Writes `value` to the entry at `entry`, which lies at `entry_phys`, with the MMU off.
///
/// `routine_phys` is the physical address of [`routine`]. Every TLB entry of this CPU is forgotten; the
/// mapping of the routine may be removed as any other.
///
/// # Safety
/// - In the tables in use, and in those that `value` makes of them, the page at `routine_phys` is mapped to
///   itself, global or not, for privileged execution.
/// - `value` maps all that this CPU uses as it was mapped before: the caller's code, its stack, the vectors.
/// - `entry` is an aligned descriptor in a table that only this CPU may write, at `entry_phys`.
/// - No other CPU runs on these tables.
///
/// # Panics
/// If `routine_phys` or `entry_phys` lies beyond 4 GiB, where nothing is reached with the MMU off.
pub unsafe fn store(routine_phys: PhysAddr, entry: *const Raw, entry_phys: PhysAddr, value: Raw) {
    let address = |at: PhysAddr| u32::try_from(at.as_u64()).expect("reachable with the MMU off");
    let (routine, entry_phys) = (address(routine_phys) as *const (), address(entry_phys));
    let value = value.as_u64();
    // SAFETY: the caller's promise. Interrupts and aborts of old stores wait.
    unsafe {
        let cpsr: u32;
        asm!("mrs {}, cpsr", "cpsid aif", out(reg) cpsr, options(nostack, preserves_flags));
        cache::flush_to_coherency(entry.cast(), size_of::<Raw>());
        dsb(SY);
        // AAPCS passes a u64 in an even pair: r2 and r3.
        let store: unsafe extern "C" fn(u32, u64) = core::mem::transmute(routine);
        store(entry_phys, value);
        asm!("msr cpsr_c, {}", in(reg) cpsr, options(nostack));
    }
}
