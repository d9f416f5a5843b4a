//! TLB and branch predictor invalidation (DDI 0406C B3.18.7, B3.18.6): one instruction each, no barriers.
//!
//! [`table::flush`](crate::table::flush) holds the recipe that puts barriers around them.

use super::cp15::{
    BPIALL, BPIALLIS, ID_MMFR3, TLBIALL, TLBIALLIS, TLBIASID, TLBIASIDIS, TLBIMVA, TLBIMVAA,
    TLBIMVAAIS, TLBIMVAIS,
};
use crate::addr::{PAGE_SHIFT, VirtAddr};
use crate::attr::Asid;

/// Whom an invalidation reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// This CPU.
    Local,
    /// Every CPU of the inner shareable domain.
    InnerShareable,
}

macro_rules! operations {
    ($( $(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) = $value:expr, $local:ident, $shared:ident; )*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub fn $name(reach: Reach $(, $arg: $ty)*) {
            // SAFETY: what is forgotten is looked up again; no value changes.
            unsafe {
                match reach {
                    Reach::Local => $local::write($value),
                    Reach::InnerShareable => $shared::write($value),
                }
            }
        }
    )*};
}

operations! {
    /// Forgets the page at `va`: of `asid`, and global.
    page(va: VirtAddr, asid: Asid) = va.align_down(PAGE_SHIFT).0 | u32::from(asid.0), TLBIMVA, TLBIMVAIS;
    /// Forgets the page at `va` in every address space.
    page_everywhere(va: VirtAddr) = va.align_down(PAGE_SHIFT).0, TLBIMVAA, TLBIMVAAIS;
    /// Forgets what `asid` translates, but for global translations.
    address_space(asid: Asid) = u32::from(asid.0), TLBIASID, TLBIASIDIS;
    /// Forgets everything.
    all() = 0, TLBIALL, TLBIALLIS;
    /// Forgets branch predictions.
    predictions() = 0, BPIALL, BPIALLIS;
}

/// Whether maintenance of caches and branch predictors can reach other CPUs (ID_MMFR3.MaintBcst): the Multiprocessing
/// Extensions bring the operations that do, the TLB's too, and without them no other CPU is coherent (DDI 0406C B4.1).
pub fn has_broadcast() -> bool {
    ID_MMFR3::read() >> 12 & 0xF != 0
}

/// Makes every CPU that there can be [forget](predictions) branch predictions: whom maintenance reaches is the CPU's to
/// say where no machine is at hand.
pub(super) fn forget_predictions() {
    predictions(if has_broadcast() { Reach::InnerShareable } else { Reach::Local });
}
