//! CPUs that come and go: from a physical address, MMU and caches off, into the tables that the others run on, and back
//! to a physical address.
//!
//! A CPU that starts cannot be where the kernel is linked. It turns the MMU on where it is, in the kernel's own tables; the
//! next fetch finds nothing there, and the abort that it takes is the jump to the link address, as in
//! [`offline`](super::offline):
//!
//! ```text
//! PSCI's CPU_ON, or a mailbox ─▶ routine(), r0 = a Startup, physical
//!    SVC mode ─▶ own caches clean, coherent ─▶ caches, predictor, TLB empty ─▶ registers ─▶ MMU on, in `root`
//!    ─▶ prefetch abort ─▶ link address ─▶ TLB empty again ─▶ entry(argument), on its stack
//! ```
//!
//! It builds no table and writes no memory before `entry` runs, so it may come as often as it likes, with others or
//! alone, and it need not be of any number.
//!
//! # What starts it has to do
//! 1. `Armv7::set_smp(true)`: from now on maintenance reaches others.
//! 2. [`Startup::new`] and [`Startup::publish`]: the CPU reads the record, and the tables, with its caches off or still
//!    empty.
//! 3. Start it at [`routine`]'s physical address with the record's in r0. A CPU that waits in a loop of the kernel's own
//!    goes where the record's first word says.
//!
//! # The way back
//! [`leave`] turns MMU and data cache off for good, cleans what the cache holds, takes no part in coherency any
//! more, and goes to a physical address: a loop to wait in, or the image's own start, to boot again. Where PSCI
//! is, CPU_OFF does all of that itself.

use core::arch::{asm, global_asm};
use core::convert::Infallible;
use core::mem::offset_of;

use super::barrier::{SY, dsb, isb};
use super::cache;
use super::mmu::WalkState;
use super::offline::{OutOfReach, Raw, reachable};
use crate::addr::{PhysAddr, VirtAddr};
use crate::attr::Asid;
use crate::format::Active;
use crate::format::control::{Registers, sctlr};
use crate::table::mem::TableMemory;
use crate::table::node::Node;
use crate::table::walk;

// All of it is position independent and uses no stack.
global_asm!(
    ".section .idmap.text, \"ax\", %progbits",
    ".arm",
    ".balign 512", // and no longer, says .org: so it lies in one page
    // A CPU arrives: r0 is a Startup's physical address.
    ".global armv7a_mm_secondary",
    "armv7a_mm_secondary:",
    "cpsid aif",
    "setend le",
    "mov r4, r0",
    "bl armv7a_mm_to_svc",
    "mov r8, r4",
    "bl armv7a_mm_caches_off",
    "bl armv7a_mm_join_coherency",
    // Nothing from before is believed; then the registers, then the MMU (B3.2.4).
    "mov r0, #0",
    "mcr p15, 0, r0, c7, c5, 0",  // ICIALLU
    "mcr p15, 0, r0, c7, c5, 6",  // BPIALL
    "mcr p15, 0, r0, c8, c7, 0",  // TLBIALL
    "dsb",
    "isb",
    "mcr p15, 0, r0, c13, c0, 1", // CONTEXTIDR
    "ldr r1, [r8, #{TTBCR}]",
    "mcr p15, 0, r1, c2, c0, 2",  // TTBCR
    "isb",                        // EAE decides what the next registers are
    "ldrd r2, r3, [r8, #{ROOT}]",
    "ldrd r4, r5, [r8, #{TTBR1}]",
    ".if {LPAE}",
    "mcrr p15, 0, r2, r3, c2",    // TTBR0
    "mcrr p15, 1, r4, r5, c2",    // TTBR1
    ".else",
    "mcr p15, 0, r2, c2, c0, 0",
    "mcr p15, 0, r4, c2, c0, 1",
    "ldr r1, [r8, #{DACR}]",
    "mcr p15, 0, r1, c3, c0, 0",  // DACR
    ".endif",
    "ldr r1, [r8, #{REMAP}]",
    "mcr p15, 0, r1, c10, c2, 0", // PRRR, MAIR0
    "ldr r1, [r8, #{REMAP} + 4]",
    "mcr p15, 0, r1, c10, c2, 1", // NMRR, MAIR1
    "ldr sp, [r8, #{STACK}]",
    "ldr r9, [r8, #{ENTRY}]",
    "ldr r10, [r8, #{ARGUMENT}]",
    "ldr r2, [r8, #{SCTLR}]",
    "isb",
    "mrc p15, 0, r1, c1, c0, 0",
    "movw r3, #:lower16:{DECIDES}",
    "movt r3, #:upper16:{DECIDES}",
    "bic r1, r1, r3",
    "orr r5, r1, r2",
    "bic r1, r5, #{V}",
    "bic r1, r1, #{TE}", // exceptions by VBAR, in ARM state, until the MMU is on
    "movw r12, #:lower16:.Larmv7a_mm_secondary_vectors",
    "movt r12, #:upper16:.Larmv7a_mm_secondary_vectors",
    "mrc p15, 0, r4, c12, c0, 0", // VBAR
    "mcr p15, 0, r12, c12, c0, 0",
    "add r12, r12, #{HIGH}",
    "isb",
    "mcr p15, 0, r1, c1, c0, 0",  // SCTLR
    "isb",
    "bx r12", // if the page is mapped to itself; else by the abort
    ".balign 32",
    ".Larmv7a_mm_secondary_vectors:",
    ".space 0xC",
    "cps #0x13", // prefetch abort
    // The same page at its link address. What was looked up before this CPU was coherent is forgotten.
    ".org .Larmv7a_mm_secondary_vectors + {HIGH}",
    "mcr p15, 0, r4, c12, c0, 0", // VBAR
    "mcr p15, 0, r5, c1, c0, 0",  // SCTLR
    "mov r0, #0",
    "mcr p15, 0, r0, c8, c7, 0",  // TLBIALL
    "mcr p15, 0, r0, c7, c5, 6",  // BPIALL
    "dsb",
    "isb",
    "mov r0, r10",
    "mov r11, #0",                // no caller: backtraces end here
    "mov lr, #0",
    "bx r9",
    // A CPU leaves for the physical address r0, where r2 is what it is now.
    ".global armv7a_mm_leave",
    "armv7a_mm_leave:",
    "mov r8, r0",
    "mov r9, r2",
    "mrc p15, 0, r0, c1, c0, 0",  // SCTLR
    "bic r0, r0, #{M}",
    "mcr p15, 0, r0, c1, c0, 0",
    "isb",
    "bl armv7a_mm_caches_off",
    "clrex",
    "bl armv7a_mm_coherency_bits",
    "ands r2, r2, r0",            // what is set
    "bicne r0, r0, r2",
    "mcrne p15, 0, r0, c1, c0, 1",
    "isb",
    "mov r0, #0",
    "mcr p15, 0, r0, c8, c7, 0",  // TLBIALL
    "mcr p15, 0, r0, c7, c5, 6",  // BPIALL
    "dsb",
    "isb",
    "mov r2, r9",
    "bx r8",
    ".org armv7a_mm_secondary + 512",
    ".previous",
    M = const sctlr::M,
    V = const sctlr::V,
    TE = const sctlr::TE,
    DECIDES = const DECIDES,
    HIGH = const 0x10, // behind the vector of prefetch aborts
    LPAE = const Active::LPAE as u32,
    TTBCR = const offset_of!(Startup, ttbcr),
    TTBR1 = const offset_of!(Startup, ttbr1),
    ROOT = const offset_of!(Startup, root),
    DACR = const offset_of!(Startup, dacr),
    REMAP = const offset_of!(Startup, remap),
    SCTLR = const offset_of!(Startup, sctlr),
    STACK = const offset_of!(Startup, stack),
    ENTRY = const offset_of!(Startup, entry),
    ARGUMENT = const offset_of!(Startup, argument),
);

/// The bits of SCTLR that are as on the CPU that starts others. All else is this CPU's own.
const DECIDES: u32 = sctlr::ON | sctlr::CLEAR;

unsafe extern "C" {
    fn armv7a_mm_secondary();
    fn armv7a_mm_leave();
}

/// Where a CPU starts: linked in `.idmap.text`, which swapper maps to be executed. Its physical address is what
/// CPU_ON is told.
pub fn routine() -> VirtAddr {
    VirtAddr(armv7a_mm_secondary as *const () as u32)
}

/// All that a CPU needs to know before it can read the kernel's memory as the kernel does.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Startup {
    /// First, for loops in which CPUs wait.
    routine: u32,
    ttbcr: u32,
    ttbr1: u64,
    root: u64,
    dacr: u32,
    remap: [u32; 2],
    sctlr: u32,
    stack: u32,
    entry: u32,
    argument: u32,
}

impl Startup {
    /// A CPU that starts with this walks `root` under ASID 0, and calls `entry(argument)` with the stack pointer at
    /// `stack`, in SVC mode, all interrupts masked. Registers that decide how addresses are translated are then as on this
    /// CPU, user space [closed](super::uaccess) if it is here; VBAR, CPACR and the other modes' stacks are for `entry` to
    /// set.
    ///
    /// `routine_phys` is the physical address of [`routine`]: in `root` it is mapped to itself, or nothing can be executed
    /// there by the kernel. `stack` is the address behind the stack's last byte, a multiple of 8 (AAPCS); `root` maps it, as
    /// well as the page of [`routine`] and `entry`.
    ///
    /// # Errors
    /// [`OutOfReach`] if the routine lies beyond 4 GiB.
    pub fn new<M: TableMemory>(
        routine_phys: PhysAddr,
        root: &Node<'_, Active, M>,
        stack: VirtAddr,
        entry: extern "C" fn(u32) -> !,
        argument: u32,
    ) -> Result<Self, OutOfReach> {
        let state = WalkState::read();
        Ok(Self {
            routine: reachable(routine_phys)?,
            ttbcr: state.ttbcr,
            ttbr1: state.ttbr1,
            root: Active::ttbr0(root.table(), Asid(0)),
            dacr: state.dacr,
            remap: state.remap,
            sctlr: state.sctlr & DECIDES,
            stack: stack.0,
            entry: entry as *const () as u32,
            argument,
        })
    }

    /// Makes the record, and the table entries that the CPU's first walks read, visible to a CPU whose caches are off.
    ///
    /// `root` is that of [`new`](Self::new). The record lies below 4 GiB physically, as the CPU reads it
    /// with its MMU off, and neither moves nor changes until `entry` runs.
    pub fn publish<M: TableMemory>(&self, root: &Node<'_, Active, M>) {
        cache::flush_to_coherency((&raw const *self).cast(), size_of::<Self>());
        let before_the_stack = self.stack.wrapping_sub(4);
        for at in [self.routine, routine().0, self.entry, before_the_stack].map(VirtAddr) {
            for step in walk::trace(root, at) {
                let offset = step.index << step.level.entry_shift;
                let entry = root.machine().virt(step.table).wrapping_add(offset);
                cache::flush_to_coherency(entry, size_of::<Raw>());
            }
        }
        dsb(SY);
    }
}

/// Leaves for the physical address `target`, ARM code that is entered in this mode with interrupts masked, MMU and data cache
/// off, and `r2` in r2. What this CPU had in its own cache is in memory then; what lies in caches behind it is for
/// the caller to clean before ([`cache::flush_to_coherency`]) if `target` reads it with caches off.
///
/// # Errors
/// [`OutOfReach`] if the routine lies beyond 4 GiB: then it stays.
///
/// # Safety
/// - The page of [`routine`], at `routine_phys`, is mapped to itself for privileged execution in the tables in use.
/// - Nothing is left for this CPU to do: it holds no lock and nothing of its stack is used any more.
/// - Unless the target never uses caches or MMU, what it finds in memory is in order.
pub unsafe fn leave(
    routine_phys: PhysAddr,
    target: PhysAddr,
    r2: u32,
) -> Result<Infallible, OutOfReach> {
    let (routine_phys, target) = (reachable(routine_phys)?, reachable(target)?);
    let offset = (armv7a_mm_leave as *const () as u32).wrapping_sub(routine().0);
    dsb(SY);
    isb();
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "cpsid aif",
            "bx {}",
            in(reg) routine_phys.wrapping_add(offset),
            in("r0") target,
            in("r2") r2,
            options(noreturn),
        )
    }
}

/// SEV: CPUs that wait for an event look again. The stores that they are to see come before it, completed by a DSB.
#[inline]
pub fn send_event() {
    // SAFETY: it changes nothing.
    unsafe { asm!("sev", options(nostack, preserves_flags)) }
}

/// WFE: waits until there may be something new.
#[inline]
pub fn wait_for_event() {
    // SAFETY: as above.
    unsafe { asm!("wfe", options(nostack, preserves_flags)) }
}
