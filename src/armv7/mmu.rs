//! The MMU: what state it is in, which tables it walks, and what it answers when asked.

use super::barrier::{ISH, NSH, dsb, isb};
use super::cp15::{
    ATS1CPR, ATS1CPW, ATS1CUR, ATS1CUW, CONTEXTIDR, DACR, ID_MMFR0, ID_MMFR3, NMRR, PAR, PAR_64,
    PRRR, SCTLR, TTBCR, TTBR0, TTBR0_64, TTBR1, TTBR1_64,
};
use super::tlb::{self, Reach};
use crate::addr::{PhysAddr, VirtAddr};
use crate::attr::Asid;
use crate::format::control::{Answer, Registers};
use crate::format::{Active, Fault, Split};

/// Which translation is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Query {
    /// A privileged read (ATS1CPR).
    KernelRead,
    /// A privileged write (ATS1CPW).
    KernelWrite,
    /// A user read (ATS1CUR).
    UserRead,
    /// A user write (ATS1CUW).
    UserWrite,
}

impl Query {
    /// Every query.
    pub const ALL: [Self; 4] =
        [Self::KernelRead, Self::KernelWrite, Self::UserRead, Self::UserWrite];
}

/// Asks the hardware where `va` lies (DDI 0406C B3.18.8), in the format of this build.
///
/// The answer comes through PAR: mask interrupts if a handler asks too.
///
/// # Errors
/// The fault that the access would have taken; [`Fault::write`] is never set.
pub fn translate(va: VirtAddr, query: Query) -> Result<PhysAddr, Fault> {
    ask(va, query).map(|answer| answer.address(va))
}

/// As [`translate`], with all that PAR says.
///
/// # Errors
/// As [`translate`].
pub fn ask(va: VirtAddr, query: Query) -> Result<Answer, Fault> {
    // SAFETY: an address translation operation changes PAR alone.
    unsafe {
        match query {
            Query::KernelRead => ATS1CPR::write(va.0),
            Query::KernelWrite => ATS1CPW::write(va.0),
            Query::UserRead => ATS1CUR::write(va.0),
            Query::UserWrite => ATS1CUW::write(va.0),
        }
    }
    isb();
    Active::decode_par(if Active::LPAE { PAR_64::read() } else { PAR::read().into() })
}

/// The registers that decide how an address is translated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WalkState {
    /// TTBR0; the low half alone counts in the classic format.
    pub ttbr0: u64,
    /// TTBR1.
    pub ttbr1: u64,
    /// TTBCR.
    pub ttbcr: u32,
    /// SCTLR: M, TRE, AFE.
    pub sctlr: u32,
    /// DACR.
    pub dacr: u32,
    /// PRRR and NMRR, or MAIR0 and MAIR1.
    pub remap: [u32; 2],
    /// CONTEXTIDR: the ASID of the classic format.
    pub contextidr: u32,
}

impl WalkState {
    /// As this CPU has them now.
    pub fn read() -> Self {
        Self {
            ttbr0: ttbr0(),
            ttbr1: if Active::LPAE { TTBR1_64::read() } else { TTBR1::read().into() },
            ttbcr: TTBCR::read(),
            sctlr: SCTLR::read(),
            dacr: DACR::read(),
            remap: [PRRR::read(), NMRR::read()],
            contextidr: CONTEXTIDR::read(),
        }
    }
}

/// TTBR0 as this build's format lays it out.
fn ttbr0() -> u64 {
    if Active::LPAE { TTBR0_64::read() } else { TTBR0::read().into() }
}

/// The root table that this CPU walks now.
pub fn root() -> PhysAddr {
    Active::root(ttbr0())
}

/// Walks the tables at `root` from here on, under ASID 0, which is no address space's: one MCR or MCRR, and an ISB.
///
/// For swapper's tables, and for whoever changes tables without changing ASIDs; address spaces are entered and left by
/// `Contexts::switch_mm` and `leave_mm`.
///
/// # Safety
/// - `root` holds published tables that map all that this CPU uses, the running code, its stack and its
///   vectors above all, in leaves of the same memory types and sizes as the tables before (DDI 0406C B3.10.1).
///   Where sizes differ, as behind a boot loader's or an early map: [`offline::set_root`](super::offline::set_root).
/// - Edits of the tables reach this CPU: their machine broadcasts ([`set_smp`](super::Armv7::set_smp)) if another CPU
///   makes them.
/// - CONTEXTIDR holds ASID 0 in the classic format, as it does unless a switch wrote another.
/// - Global translations that the TLB holds, and those under ASID 0, stay true, or are invalidated before they are used.
pub unsafe fn set_root(root: PhysAddr) {
    assert_asid_0();
    // What the new tables' owner wrote is complete before a walk may look.
    dsb(ISH);
    // SAFETY: the caller's promise.
    unsafe { set_ttbr0(Active::ttbr0(root, Asid(0))) };
    isb();
    forget_own_predictions();
}

/// Builds with debug assertions check that what is walked next is remembered under ASID 0, which LPAE has in TTBR0.
pub(super) fn assert_asid_0() {
    debug_assert!(
        Active::LPAE || CONTEXTIDR::read() & 0xFF == 0,
        "an address space's ASID is in use"
    );
}

/// What was predicted by translations that changed without a change of ASID (DDI 0406C B2.2.9).
fn forget_own_predictions() {
    tlb::predictions(Reach::Local);
    dsb(NSH);
    isb();
}

/// Writes TTBR0 as this build's format lays it out: one MCR or MCRR.
///
/// # Safety
/// As for [`set_root`], once an ISB follows.
#[inline(always)]
pub(super) unsafe fn set_ttbr0(value: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        if Active::LPAE {
            TTBR0_64::write(value);
        } else {
            TTBR0::write(value as u32);
        }
    }
}

/// Shares the address space from here on: `upper` says how, and at which table walks by TTBR1 start
/// (what `SwapperView::upper` answers); with `None` TTBR0 translates everything.
///
/// TTBCR changes in one write, and what it moves between TTBR0 and TTBR1 translates the same by either, so nothing is
/// forgotten and the MMU stays on.
///
/// # Safety
/// - TTBR0 holds swapper's root, and `upper` is of the same tree. With the address space shared, pgds are
///   that swapper's; with `None`, pgds of a shared one are not run.
/// - TTBR1 is not in use otherwise.
pub unsafe fn set_split(upper: Option<(&'static Split, PhysAddr)>) {
    // What the tables' owner wrote is complete before a walk may look.
    dsb(ISH);
    // SAFETY: the caller's promise: both walks agree, before and after.
    unsafe {
        if let Some((split, table)) = upper {
            let value = Active::ttbr1(table, split);
            if Active::LPAE {
                TTBR1_64::write(value);
            } else {
                TTBR1::write(value as u32);
            }
            isb();
        }
        TTBCR::write(Active::ttbcr(upper.map(|(split, _)| split)));
    }
    isb();
    forget_own_predictions();
}

/// Whether privileged-execute-never exists (ID_MMFR0.VMSA, DDI 0406C B4.1).
pub fn has_pxn() -> bool {
    ID_MMFR0::read() & 0xF >= 4
}

/// Whether the long descriptors exist.
pub fn has_lpae() -> bool {
    ID_MMFR0::read() & 0xF >= 5
}

/// Whether supersections exist (ID_MMFR3.Supersec, 0 where they do), as on Cortex-A7, A15 and A17. Frames beyond 4 GiB
/// also take a CPU whose addresses have 40 bits: Cortex-A8 has the one without the other.
pub fn has_supersections() -> bool {
    ID_MMFR3::read() >> 28 == 0
}

/// Whether table walks see the data cache (ID_MMFR3.CohWalk, DDI 0406C B4.1).
pub fn walks_are_coherent() -> bool {
    ID_MMFR3::read() >> 20 & 0xF != 0
}
