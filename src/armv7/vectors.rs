//! Where exceptions are taken (DDI 0406C B1.8.1).

use super::barrier::isb;
use super::cp15::{SCTLR, VBAR};
use crate::addr::VirtAddr;
use crate::format::control::sctlr;

/// The high vectors' address.
pub const HIGH: VirtAddr = VirtAddr(0xFFFF_0000);

/// Takes exceptions at [`HIGH`], whatever VBAR says.
///
/// # Safety
/// A page of vectors is mapped there, for privileged execution, and stays.
pub unsafe fn use_high() {
    // SAFETY: the caller's promise; V alone changes.
    unsafe { SCTLR::write(SCTLR::read() | sctlr::V) }
    isb();
}

/// Takes exceptions at `base`, which is aligned to 32 bytes; 0 for low vectors.
///
/// # Safety
/// Vectors are mapped there, for privileged execution, and stay.
pub unsafe fn use_base(base: VirtAddr) {
    // SAFETY: the caller's promise. VBAR first: until V goes it is not looked at.
    unsafe {
        VBAR::write(base.0);
        isb();
        SCTLR::write(SCTLR::read() & !sctlr::V);
    }
    isb();
}

/// Where they are taken now.
pub fn base() -> VirtAddr {
    if SCTLR::read() & sctlr::V != 0 { HIGH } else { VirtAddr(VBAR::read()) }
}
