//! What cannot be done while the MMU looks: changing the very block that the running kernel, its stack and
//! its vectors lie in, or exchanging tables that map them in leaves of other sizes.
//!
//! Break-before-make has a moment in which the entry is absent, and nothing may run through it then; nor can
//! valid entries of different sizes follow each other without it (DDI 0406C B3.10.1). So it is done where no
//! translation is needed at all: a short routine runs at its physical address, switches translation and data cache off,
//! does it, forgets every translation, and switches back on.
//!
//! To go there, the tables in use have to map the routine's page to itself. The way back needs no such page: once the
//! MMU is on, the next fetch, at what is now a virtual address, finds nothing to execute, and the prefetch abort that it
//! takes (B1.9.8) is the jump to the link address: VBAR points to where the routine goes on. Where the tables do map the
//! page to itself, no abort comes, and the routine goes on where it is. So the manual's advice to switch the MMU
//! on by an identity mapping (B3.2.4) is met or not needed: nothing is executed there that is meant to be
//! anything else.

use core::arch::{asm, global_asm};
use core::fmt;

use super::cp15::{TTBR1, TTBR1_64};
use super::mmu;
use crate::addr::{PhysAddr, VirtAddr};
use crate::attr::Asid;
use crate::format::control::{Registers, sctlr};
use crate::format::{Active, Descriptor, Format, Split};

/// A descriptor of this build's format.
pub type Raw = <Active as Format>::Raw;

// Arguments: r1 what to do, the others with what. No stack: it is not there. Changes r0 to r3, r12 and the flags.
// r1 = 0: r2 (and r3) is TTBR0, r4 (and r5) TTBR1, r0 TTBCR. Else r0 is the physical address of an entry, r2 (and r3)
// its descriptor.
// - The entry's line is cleaned and invalidated to the point of coherency once the data cache is off: what its
//   neighbours hold is in memory, and it cannot come back while C = 0.
// - The store goes past the caches, so walks find it in memory.
// - TLBIALL takes the old translations, BPIALL what was predicted through them (B3.10.2).
// - Exceptions are taken by VBAR, in ARM state, while the MMU goes on: all but the abort are masked or cannot come.
global_asm!(
    ".section .idmap.text, \"ax\", %progbits",
    ".arm",
    ".balign 256", // and no longer, says .org: so it lies in one page
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
    "mcrr p15, 1, r4, r5, c2", // TTBR1
    ".else",
    "mcr p15, 0, r2, c2, c0, 0",
    "mcr p15, 0, r4, c2, c0, 1",
    ".endif",
    "mcr p15, 0, r0, c2, c0, 2", // TTBCR
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
    "mrs r2, cpsr",
    "mrc p15, 0, r1, c12, c0, 0", // VBAR
    "movw r3, #:lower16:.Larmv7a_mm_offline_vectors",
    "movt r3, #:upper16:.Larmv7a_mm_offline_vectors",
    "mcr p15, 0, r3, c12, c0, 0",
    "bic r3, r12, #{V}",
    "bic r3, r3, #{TE}",
    "dsb",
    "isb",
    "mcr p15, 0, r3, c1, c0, 0",
    "isb",
    "3:", // here if the page is mapped to itself, else by the abort
    "mcr p15, 0, r12, c1, c0, 0",
    "mcr p15, 0, r1, c12, c0, 0",
    "isb",
    "bx lr",
    ".balign 32",
    ".Larmv7a_mm_offline_vectors:",
    ".space 0xC",
    "msr cpsr_cx, r2", // prefetch abort: LR is this mode's again
    "b 3b",
    ".org armv7a_mm_offline + 256",
    ".previous",
    M_C = const sctlr::M | sctlr::C,
    V = const sctlr::V,
    TE = const sctlr::TE,
    LPAE = const Active::LPAE as u32,
);

unsafe extern "C" {
    fn armv7a_mm_offline();
}

/// Where the routine is linked: in `.idmap.text`, which the linker script keeps, in one page, among the text that swapper
/// maps. Its physical address is what has to be mapped identically where the MMU is on already.
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
/// - In the tables in use, the page at `routine_phys` is mapped to itself, global or not, for privileged execution. Where
///   `value` changes that, nothing else is executed there.
/// - `value` maps all that this CPU uses as it was mapped before: the caller's code, its stack, the vectors, [`routine`].
/// - An aligned descriptor lies at `entry`, in a table that only this CPU may write. No other CPU or device
///   writes in its cache line meanwhile: not even a table beside it, as another pgd's root of 32 bytes.
/// - No other CPU runs on these tables.
/// - This is not abort mode, whose LR and SPSR are lost, as are IFSR and IFAR.
pub unsafe fn store(routine_phys: PhysAddr, entry: PhysAddr, value: Raw) -> Result<(), OutOfReach> {
    let (routine, entry) = (reachable(routine_phys)?, reachable(entry)?);
    // SAFETY: the caller's promise.
    unsafe { run(routine, What::Entry, entry, [value.as_u64(), 0]) };
    Ok(())
}

/// Walks the tables at `root` from here on, under ASID 0 as [`mmu::set_root`] does, whatever sizes
/// their leaves have: the MMU is off in between. `upper` says what TTBR1 translates, as for [`mmu::set_split`]: what
/// `SwapperView::upper` answers.
///
/// # Errors
/// [`OutOfReach`]; nothing was done.
///
/// # Safety
/// - In the tables in use, the page at `routine_phys` is mapped to itself, for privileged execution. In the new ones it
///   is, too, or nothing can be executed there by the kernel.
/// - The new tables are published, and map all that this CPU uses where the old ones do, [`routine`] above all. `upper` is
///   of the same tree, or of the swapper whose pgd it is.
/// - Edits of the new tables reach this CPU: their machine broadcasts ([`set_smp`](super::Armv7::set_smp)) if another CPU
///   makes them.
/// - CONTEXTIDR holds ASID 0 in the classic format, as it does unless a switch wrote another.
/// - This is not abort mode, whose LR and SPSR are lost, as are IFSR and IFAR.
pub unsafe fn set_root(
    routine_phys: PhysAddr,
    root: PhysAddr,
    upper: Option<(&'static Split, PhysAddr)>,
) -> Result<(), OutOfReach> {
    mmu::assert_asid_0();
    let routine = reachable(routine_phys)?;
    let ttbr1 = match upper {
        Some((split, table)) => Active::ttbr1(table, split),
        None if Active::LPAE => TTBR1_64::read(),
        None => TTBR1::read().into(),
    };
    let ttbcr = Active::ttbcr(upper.map(|(split, _)| split));
    // SAFETY: the caller's promise.
    unsafe { run(routine, What::Root, ttbcr, [Active::ttbr0(root, Asid(0)), ttbr1]) };
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
    /// Writes TTBR0, TTBR1 and TTBCR.
    Root = 0,
    /// Writes an entry.
    Entry = 1,
}

/// Runs the routine. Interrupts and aborts of old stores wait.
unsafe fn run(routine: u32, what: What, at: u32, with: [u64; 2]) {
    // SAFETY: the callers' promise.
    unsafe {
        asm!(
            "mrs {cpsr}, cpsr",
            "cpsid aif",
            "dsb",
            "blx {routine}",
            "msr cpsr_cx, {cpsr}", // the extension byte has the mask of asynchronous aborts
            cpsr = out(reg) _,
            routine = in(reg) routine,
            inout("r0") at => _,
            inout("r1") what as u32 => _,
            inout("r2") with[0] as u32 => _,
            inout("r3") (with[0] >> 32) as u32 => _,
            in("r4") with[1] as u32,
            in("r5") (with[1] >> 32) as u32,
            out("r12") _,
            out("lr") _,
            options(nostack),
        );
    }
}
