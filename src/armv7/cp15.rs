//! The CP15 registers that memory management uses (DDI 0406C B3.17), under the manual's names.
//!
//! A read or write is one MRC, MCR, MRRC or MCRR. None of them is `nomem`: the compiler must not move memory
//! accesses across one, for it may change what they mean. Nor is any followed by an ISB: sequences
//! decide where they need one.

#![allow(non_camel_case_types, reason = "the manual's names")]

use core::arch::asm;

macro_rules! registers {
    ($( $(#[$doc:meta])* $name:ident, $op1:literal, $crn:ident, $crm:ident, $op2:literal; )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl $name {
            /// Reads the register.
            #[inline(always)]
            pub fn read() -> u32 {
                let value;
                // SAFETY: reading a system register changes nothing.
                unsafe {
                    asm!(
                        concat!("mrc p15, ", $op1, ", {}, ", stringify!($crn), ", ", stringify!($crm), ", ", $op2),
                        out(reg) value,
                        options(nostack, preserves_flags),
                    );
                }
                value
            }

            /// Writes the register, or does the operation that a write means.
            ///
            /// # Safety
            /// What the manual says of the register and the value; the program's memory stays as the
            /// compiler believes it to be.
            #[inline(always)]
            pub unsafe fn write(value: u32) {
                // SAFETY: the caller's promise.
                unsafe {
                    asm!(
                        concat!("mcr p15, ", $op1, ", {}, ", stringify!($crn), ", ", stringify!($crm), ", ", $op2),
                        in(reg) value,
                        options(nostack, preserves_flags),
                    );
                }
            }
        }
    )*};
}

macro_rules! wide_registers {
    ($( $(#[$doc:meta])* $name:ident, $op1:literal, $crm:ident; )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl $name {
            /// Reads the register. Undefined on CPUs without LPAE.
            #[inline(always)]
            pub fn read() -> u64 {
                let (low, high): (u32, u32);
                // SAFETY: reading a system register changes nothing.
                unsafe {
                    asm!(
                        concat!("mrrc p15, ", $op1, ", {}, {}, ", stringify!($crm)),
                        out(reg) low,
                        out(reg) high,
                        options(nostack, preserves_flags),
                    );
                }
                u64::from(high) << 32 | u64::from(low)
            }

            /// Writes the register. Undefined on CPUs without LPAE.
            ///
            /// # Safety
            /// What the manual says of the register and the value; the program's memory stays as the
            /// compiler believes it to be.
            #[inline(always)]
            pub unsafe fn write(value: u64) {
                // SAFETY: the caller's promise.
                unsafe {
                    asm!(
                        concat!("mcrr p15, ", $op1, ", {}, {}, ", stringify!($crm)),
                        in(reg) value as u32,
                        in(reg) (value >> 32) as u32,
                        options(nostack, preserves_flags),
                    );
                }
            }
        }
    )*};
}

registers! {
    /// Main ID: which CPU it is.
    MIDR, 0, c0, c0, 0;
    /// Cache type: line lengths.
    CTR, 0, c0, c0, 1;
    /// Multiprocessor affinity.
    MPIDR, 0, c0, c0, 5;
    /// Processor features 1: security and virtualization extensions.
    ID_PFR1, 0, c0, c1, 1;
    /// Memory model features 0: which table formats.
    ID_MMFR0, 0, c0, c1, 4;
    /// Memory model features 3: whether walks snoop caches, supersections.
    ID_MMFR3, 0, c0, c1, 7;
    /// System control.
    SCTLR, 0, c1, c0, 0;
    /// Auxiliary control, implementation defined.
    ACTLR, 0, c1, c0, 1;
    /// Translation table base 0, 32-bit layout.
    TTBR0, 0, c2, c0, 0;
    /// Translation table base 1, 32-bit layout.
    TTBR1, 0, c2, c0, 1;
    /// Translation table base control.
    TTBCR, 0, c2, c0, 2;
    /// Domain access control.
    DACR, 0, c3, c0, 0;
    /// Data fault status.
    DFSR, 0, c5, c0, 0;
    /// Instruction fault status.
    IFSR, 0, c5, c0, 1;
    /// Data fault address.
    DFAR, 0, c6, c0, 0;
    /// Instruction fault address.
    IFAR, 0, c6, c0, 2;
    /// Invalidates all instruction caches, inner shareable.
    ICIALLUIS, 0, c7, c1, 0;
    /// Invalidates all branch predictors, inner shareable.
    BPIALLIS, 0, c7, c1, 6;
    /// Physical address: what an address translation operation answered, 32-bit layout.
    PAR, 0, c7, c4, 0;
    /// Invalidates all instruction caches.
    ICIALLU, 0, c7, c5, 0;
    /// Invalidates an instruction cache line by address.
    ICIMVAU, 0, c7, c5, 1;
    /// Invalidates all branch predictors.
    BPIALL, 0, c7, c5, 6;
    /// Translates as a privileged read would.
    ATS1CPR, 0, c7, c8, 0;
    /// Translates as a privileged write would.
    ATS1CPW, 0, c7, c8, 1;
    /// Translates as a user read would.
    ATS1CUR, 0, c7, c8, 2;
    /// Translates as a user write would.
    ATS1CUW, 0, c7, c8, 3;
    /// Invalidates a data line by address to the point of coherency.
    DCIMVAC, 0, c7, c6, 1;
    /// Cleans a data line by address to the point of coherency.
    DCCMVAC, 0, c7, c10, 1;
    /// Cleans a data line by address to the point of unification.
    DCCMVAU, 0, c7, c11, 1;
    /// Cleans and invalidates a data line by address to the point of coherency.
    DCCIMVAC, 0, c7, c14, 1;
    /// Invalidates the TLB, inner shareable.
    TLBIALLIS, 0, c8, c3, 0;
    /// Invalidates TLB entries by address and ASID, inner shareable.
    TLBIMVAIS, 0, c8, c3, 1;
    /// Invalidates TLB entries by ASID, inner shareable.
    TLBIASIDIS, 0, c8, c3, 2;
    /// Invalidates TLB entries by address in every ASID, inner shareable.
    TLBIMVAAIS, 0, c8, c3, 3;
    /// Invalidates the TLB.
    TLBIALL, 0, c8, c7, 0;
    /// Invalidates TLB entries by address and ASID.
    TLBIMVA, 0, c8, c7, 1;
    /// Invalidates TLB entries by ASID.
    TLBIASID, 0, c8, c7, 2;
    /// Invalidates TLB entries by address in every ASID.
    TLBIMVAA, 0, c8, c7, 3;
    /// Performance monitors: control.
    PMCR, 0, c9, c12, 0;
    /// Performance monitors: enables counters.
    PMCNTENSET, 0, c9, c12, 1;
    /// Performance monitors: the cycle counter.
    PMCCNTR, 0, c9, c13, 0;
    /// Primary region remap; the same register as MAIR0.
    PRRR, 0, c10, c2, 0;
    /// Normal memory remap; the same register as MAIR1.
    NMRR, 0, c10, c2, 1;
    /// Vector base address.
    VBAR, 0, c12, c0, 0;
    /// Context: the ASID, where tables are classic.
    CONTEXTIDR, 0, c13, c0, 1;
    /// A word of the kernel's own for this CPU, which PL0 cannot read.
    TPIDRPRW, 0, c13, c0, 4;
}

wide_registers! {
    /// Translation table base 0, 64-bit layout.
    TTBR0_64, 0, c2;
    /// Translation table base 1, 64-bit layout.
    TTBR1_64, 1, c2;
    /// Physical address, 64-bit layout.
    PAR_64, 0, c7;
}
