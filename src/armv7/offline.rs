//! What cannot be done while the MMU looks: changing the very block that the running kernel, its stack and
//! its vectors lie in, or exchanging tables that map them in leaves of other sizes.
//!
//! Break-before-make has a moment in which the entry is absent, and nothing may run through it then; nor can
//! valid entries of different sizes follow each other without it (DDI 0406C B3.10.1). So it is done where no
//! translation is needed at all: a short routine runs at its physical address, on a page where that is its
//! virtual address too, switches translation and data cache off, does it, forgets every translation, and
//! switches back on.

use core::arch::{asm, global_asm};
use core::fmt;

use super::barrier::{SY, dsb};
use super::mmu;
use crate::addr::{PhysAddr, VirtAddr};
use crate::attr::Asid;
use crate::format::control::{Registers, sctlr};
use crate::format::{Active, Descriptor, Format};

/// A descriptor of this build's format.
pub type Raw = <Active as Format>::Raw;

// Arguments: r1 what to do, r0, r2 and r3 with what. No stack: it is not there.
// r1 = 0: r2 (and r3) is TTBR0. Else r0 is the physical address of an entry, r2 (and r3) its descriptor.
// - The entry's line is cleaned and invalidated to the point of coherency once the data cache is off: what its
//   neighbours hold is in memory, and it cannot come back while C = 0.
// - The store goes past the caches, so walks find it in memory.
// - TLBIALL takes the old translations, BPIALL what was predicted through them (B3.10.2).
global_asm!(
    ".section .idmap.text, \"ax\", %progbits",
    ".arm",
    ".balign 128",
    ".global armv7a_mm_offline",
    "armv7a_mm_offline:",
    "cmp r1, #0",
    "mrc p15, 0, r12, c1, c0, 0",
    "bic r1, r12, #{M_C}",
    "mcr p15, 0, r1, c1, c0, 0",
    "isb",
    "bne 1f",
    ".if {LPAE}",
    "mcrr p15, 0, r2, r3, c2", // TTBR0
    ".else",
    "mcr p15, 0, r2, c2, c0, 0",
    ".endif",
    "b 2f",
    "1:",
    "mcr p15, 0, r0, c7, c14, 1", // DCCIMVAC
    "dsb",
    ".if {LPAE}",
    "strd r2, r3, [r0]",
    ".else",
    "str r2, [r0]",
    ".endif",
    "2:",
    "isb",
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
    fn armv7a_mm_offline();
}

/// Where the routine is linked: in `.idmap.text`, which the linker script keeps, in one page, among the text that swapper
/// maps. Its physical address is what has to be mapped identically.
pub fn routine() -> VirtAddr {
    VirtAddr(armv7a_mm_offline as *const () as u32)
}

/// The routine or the entry lies beyond 4 GiB, where nothing is reached with the MMU off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfReach(pub PhysAddr);

impl fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lies beyond 4 GiB, out of reach with the MMU off", self.0)
    }
}

impl core::error::Error for OutOfReach {}

/// Writes `value` to the entry that lies at `entry`, with the MMU off.
///
/// `routine_phys` is the physical address of [`routine`]. Every TLB entry of this CPU is forgotten; the
/// mapping of the routine may be removed as any other.
///
/// # Errors
/// [`OutOfReach`]; nothing was done.
///
/// # Safety
/// - In the tables in use, and in those that `value` makes of them, the page at `routine_phys` is mapped to
///   itself, global or not, for privileged execution.
/// - `value` maps all that this CPU uses as it was mapped before: the caller's code, its stack, the vectors.
/// - An aligned descriptor lies at `entry`, in a table that only this CPU may write. No other CPU or device
///   writes in its cache line meanwhile: not even a table beside it, as another pgd's root of 32 bytes.
/// - No other CPU runs on these tables.
pub unsafe fn store(routine_phys: PhysAddr, entry: PhysAddr, value: Raw) -> Result<(), OutOfReach> {
    let (routine, entry) = (reachable(routine_phys)?, reachable(entry)?);
    // SAFETY: the caller's promise.
    unsafe { run(routine, entry, What::Entry, value.as_u64()) };
    Ok(())
}

/// Walks the tables at `root` from here on, under ASID 0 as [`mmu::set_root`] does, whatever sizes
/// their leaves have: the MMU is off in between.
///
/// # Errors
/// [`OutOfReach`]; nothing was done.
///
/// # Safety
/// - In both the old and the new tables, the page at `routine_phys` is mapped to itself, for privileged
///   execution.
/// - The new tables are published, and map all that this CPU uses where the old ones do.
/// - Edits of the new tables reach this CPU: their machine broadcasts ([`set_smp`](super::Armv7::set_smp)) if another CPU
///   makes them.
/// - CONTEXTIDR holds ASID 0 in the classic format, as it does unless a switch wrote another.
pub unsafe fn set_root(routine_phys: PhysAddr, root: PhysAddr) -> Result<(), OutOfReach> {
    mmu::assert_asid_0();
    // SAFETY: the caller's promise.
    unsafe { run(reachable(routine_phys)?, 0, What::Root, Active::ttbr0(root, Asid(0))) };
    Ok(())
}

/// `at` as an address with the MMU off.
pub(super) fn reachable(at: PhysAddr) -> Result<u32, OutOfReach> {
    u32::try_from(at.as_u64()).map_err(|_| OutOfReach(at))
}

/// What the routine does.
#[derive(Clone, Copy)]
#[repr(u32)]
enum What {
    /// Writes TTBR0.
    Root = 0,
    /// Writes an entry.
    Entry = 1,
}

/// Runs the routine. Interrupts and aborts of old stores wait.
unsafe fn run(routine: u32, at: u32, what: What, with: u64) {
    // SAFETY: the callers' promise.
    unsafe {
        let cpsr: u32;
        asm!("mrs {}, cpsr", "cpsid aif", out(reg) cpsr, options(nostack, preserves_flags));
        dsb(SY);
        // AAPCS passes a u64 in an even pair: r2 and r3.
        let routine: unsafe extern "C" fn(u32, What, u64) =
            core::mem::transmute::<*const (), _>(routine as *const ());
        routine(at, what, with);
        // The extension byte has the mask of asynchronous aborts.
        asm!("msr cpsr_cx, {}", in(reg) cpsr, options(nostack));
    }
}
