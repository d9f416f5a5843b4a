//! Barriers, named by `cortex-a`'s domain types; the instructions are ours (that crate's are AArch64 only).
//!
//! The compiler moves no memory access across them either.

use core::arch::asm;

pub use cortex_a::asm::barrier::{ISH, ISHST, NSH, NSHST, OSH, OSHST, ST, SY};

mod sealed {
    pub trait Domain {
        fn dsb();
        fn dmb();
    }
}

/// A shareability domain, and whether all accesses are meant or only stores (DDI 0406C A8.8.43). ARMv7 has
/// no load-only domains.
pub trait Domain: sealed::Domain {}

macro_rules! domains {
    ($($domain:ident)*) => {$(
        impl sealed::Domain for $domain {
            #[inline(always)]
            fn dsb() {
                // SAFETY: a barrier has no effect but order.
                unsafe { asm!(concat!("dsb ", stringify!($domain)), options(nostack, preserves_flags)) }
            }

            #[inline(always)]
            fn dmb() {
                // SAFETY: as above.
                unsafe { asm!(concat!("dmb ", stringify!($domain)), options(nostack, preserves_flags)) }
            }
        }

        impl Domain for $domain {}
    )*};
}

domains!(SY ST ISH ISHST NSH NSHST OSH OSHST);

/// DSB: what comes before is complete in the domain: accesses, cache, TLB and predictor maintenance.
#[inline(always)]
pub fn dsb<D: Domain>(_: D) {
    D::dsb();
}

/// DMB: accesses before are observed before accesses after.
#[inline(always)]
pub fn dmb<D: Domain>(_: D) {
    D::dmb();
}

/// ISB: instructions after it are fetched, and see system registers, as all before it left them.
#[inline(always)]
pub fn isb() {
    // SAFETY: a barrier has no effect but order.
    unsafe { asm!("isb", options(nostack, preserves_flags)) }
}
