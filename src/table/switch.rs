//! Changing the address space that a CPU runs: the manual's order of register writes and barriers, which stands
//! here alone.
//!
//! LPAE holds the ASID in TTBR0: one write changes both (DDI 0406C B3.6.5). The classic format has it in
//! CONTEXTIDR, and between two writes a walk could remember one space's pages under the other's ASID (B3.10.4).
//! So TTBR0 points to tables that map nothing but the kernel in between, which is global:
//!
//! ```text
//! classic  DSB ─▶ TTBR0 := parking ─▶ ISB ─▶ CONTEXTIDR := ASID ─▶ ISB ─▶ TTBR0 := root ─▶ ISB
//! LPAE     DSB ─▶ TTBR0 := root, ASID ─▶ ISB
//! ```
//!
//! The manual's other way, by a reserved ASID, lets walks in between remember both spaces' pages and tables under
//! that one. Here no translation of user space is ever known as ASID 0.
//!
//! The DSB completes what the identifier and the tables were written with before a walk looks
//! (see [`context`](super::context)), and invalidations before the switch (erratum 754322 of Cortex-A9).

use super::mem::Maintenance;
use crate::addr::PhysAddr;
use crate::attr::Asid;
use crate::format::control::Registers;

/// The instructions that change what this CPU translates by. Each method is one instruction, on this CPU alone.
///
/// # Safety
/// As for [`Maintenance`], but for this CPU alone.
pub unsafe trait Mmu: Maintenance {
    /// Writes TTBR0: MCR, or MCRR under LPAE.
    ///
    /// # Safety
    /// Once an ISB follows, this CPU translates by it: the tables map what it uses.
    unsafe fn set_ttbr0(&self, value: u64);
    /// Writes CONTEXTIDR: the ASID of the classic format, with a PROCID of 0.
    ///
    /// # Safety
    /// The TLB holds no translation by `asid` that is not true of the tables.
    unsafe fn set_contextidr(&self, asid: Asid);
    /// TLBIALL: this CPU forgets everything.
    fn tlbiall_local(&self);
    /// BPIALL: this CPU forgets branch predictions.
    fn bpiall_local(&self);
}

/// Runs this CPU on the tables at `root`, as `asid`. `parking` is a root that maps the kernel and nothing that is
/// not global; LPAE does not need it.
///
/// # Safety
/// - Both roots are published and map all that this CPU uses, with the same memory types as the tables before.
/// - What the TLB holds by `asid` is true of `root`.
#[inline(always)]
pub unsafe fn switch<F: Registers, M: Mmu>(
    machine: &M,
    root: PhysAddr,
    asid: Asid,
    parking: PhysAddr,
) {
    machine.dsb_ish();
    // SAFETY: the caller's promise.
    unsafe {
        if !F::LPAE {
            machine.set_ttbr0(F::ttbr0(parking, asid));
            machine.isb();
            machine.set_contextidr(asid);
            machine.isb();
        }
        machine.set_ttbr0(F::ttbr0(root, asid));
    }
    machine.isb();
}

/// Makes this CPU forget every translation and prediction.
#[inline]
pub fn forget_all<M: Mmu>(machine: &M) {
    machine.dsb_ish();
    machine.tlbiall_local();
    machine.bpiall_local();
    machine.dsb_ish();
    machine.isb();
}
