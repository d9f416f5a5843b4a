//! What a CPU does before it has a stack: routines for a kernel's own start, and for [`secondary`](super::secondary)'s.
//!
//! Each is called by `bl` from assembly and says which registers it changes. `armv7a_mm_to_svc` may run with the MMU on;
//! `armv7a_mm_caches_off` turns it off, and so runs at a physical address; the others need it off. They are
//! position independent and lie in `.idmap.text`, with all else that runs at physical addresses. They are A32 code: the
//! linker makes a BL from Thumb a BLX.

use core::arch::global_asm;

use crate::format::control::sctlr;

global_asm!(
    ".section .idmap.text, \"ax\", %progbits",
    ".arm",
    ".arch_extension virt",
    ".balign 4",
    // From any privileged mode to SVC, interrupts masked. Changes r0 and r1; FIQ mode has its own r8 to r12.
    // What the hypervisor's registers hold at reset is unknown but for some bits of HDCR and HCPTR (DDI 0406C
    // B1.9.1): nothing is to trap, the guest sees the CPU as it is, and all CPUs have one VMID, as broadcast TLB
    // maintenance reaches its own alone (B3.10.6).
    ".global armv7a_mm_to_svc",
    ".type armv7a_mm_to_svc, %function",
    "armv7a_mm_to_svc:",
    "mov r1, lr", // another mode has another
    "mrs r0, cpsr",
    "and r0, r0, #0x1F",
    "cmp r0, #0x1A",
    "beq .Larmv7a_mm_from_hyp",
    "msr cpsr_c, #0xD3",
    "bx r1",
    ".Larmv7a_mm_from_hyp:",
    "mov r0, #0",
    "mcr p15, 4, r0, c1, c1, 0",  // HCR
    "mcr p15, 4, r0, c1, c1, 3",  // HSTR
    "mcrr p15, 4, r0, r0, c14",   // CNTVOFF
    "mcrr p15, 6, r0, r0, c2",    // VTTBR: VMID
    "movw r0, #0x33FF",           // its bits that are one
    "mcr p15, 4, r0, c1, c1, 2",  // HCPTR
    "mrc p15, 4, r0, c1, c1, 1",  // HDCR: HPMN stays
    "and r0, r0, #0x1F",
    "mcr p15, 4, r0, c1, c1, 1",
    "mrc p15, 0, r0, c0, c0, 0",  // VPIDR = MIDR
    "mcr p15, 4, r0, c0, c0, 0",
    "mrc p15, 0, r0, c0, c0, 5",  // VMPIDR = MPIDR
    "mcr p15, 4, r0, c0, c0, 5",
    "mrc p15, 4, r0, c14, c1, 0", // CNTHCTL: counter and timer are the guest's
    "orr r0, r0, #3",
    "mcr p15, 4, r0, c14, c1, 0",
    "movw r0, #0x1D3",            // SVC, interrupts and asynchronous aborts masked
    "msr spsr_cxsf, r0",          // not SPSR_hyp, which Hyp mode itself cannot name (B9.3.10)
    "msr elr_hyp, r1",
    "eret",
    // MMU and data cache off. The level 1 data cache is this CPU's own: it is invalidated by set and way (B2.2.6), for
    // it may hold anything after reset, and cleaned too should it have been on. Outer levels are shared. Changes
    // r0 to r7.
    ".global armv7a_mm_caches_off",
    ".type armv7a_mm_caches_off, %function",
    "armv7a_mm_caches_off:",
    "mrc p15, 0, r7, c1, c0, 0", // SCTLR
    "bic r0, r7, #{M_C}",
    "mcr p15, 0, r0, c1, c0, 0",
    "isb",
    "mov r0, #0",
    "mcr p15, 2, r0, c0, c0, 0", // CSSELR: level 1, data
    "isb",
    "mrc p15, 1, r0, c0, c0, 0", // CCSIDR
    "and r1, r0, #7",
    "add r1, r1, #4",            // log2 of the line's bytes
    "ubfx r2, r0, #3, #10",      // ways - 1
    "ubfx r3, r0, #13, #15",     // sets - 1
    "clz r4, r2",                // the way's bits are the top ones
    "1:",
    "mov r5, r2",
    "2:",
    "lsl r6, r5, r4",
    "orr r6, r6, r3, lsl r1",
    "tst r7, #{C}",
    "mcreq p15, 0, r6, c7, c6, 2",  // DCISW
    "mcrne p15, 0, r6, c7, c14, 2", // DCCISW
    "subs r5, r5, #1",
    "bpl 2b",
    "subs r3, r3, #1",
    "bpl 1b",
    "dsb",
    "bx lr",
    // r2 = the bits of ACTLR by which this CPU takes part in coherency, and r0 = ACTLR; r2 = 0 where there are none.
    // Changes r1. Arm's Cortex-A5, A7, A9, A12, A15 and A17 take part, and cache inner shareable memory, once
    // ACTLR.SMP is set; the A5 and the A9 tell others to, and hear them, once ACTLR.FW is. Others, the A8 among them,
    // have no such bits there.
    ".global armv7a_mm_coherency_bits",
    ".type armv7a_mm_coherency_bits, %function",
    "armv7a_mm_coherency_bits:",
    "mov r2, #0",
    "mrc p15, 0, r0, c0, c0, 0", // MIDR
    "lsr r1, r0, #24",
    "cmp r1, #0x41",             // Arm
    "ubfxeq r1, r0, #8, #8",
    "cmpeq r1, #0xC0",           // Cortex-A
    "bxne lr",
    "ubfx r1, r0, #4, #4",
    "cmp r1, #8",
    "bxeq lr",
    "cmp r1, #5",
    "cmpne r1, #9",
    "mov r2, #1 << 6",           // SMP
    "orreq r2, r2, #1 << 0",     // FW
    "mrc p15, 0, r0, c1, c0, 1", // ACTLR
    "bx lr",
    // Takes part in coherency from here on. Where only the secure world may say so, it has, or the write is ignored.
    // Changes r0 to r3.
    ".global armv7a_mm_join_coherency",
    ".type armv7a_mm_join_coherency, %function",
    "armv7a_mm_join_coherency:",
    "mov r3, lr",
    "bl armv7a_mm_coherency_bits",
    "bics r2, r2, r0",           // what is missing
    "orrne r0, r0, r2",
    "mcrne p15, 0, r0, c1, c0, 1",
    "isb",
    "bx r3",
    ".previous",
    M_C = const sctlr::M | sctlr::C,
    C = const sctlr::C,
);

unsafe extern "C" {
    /// From any privileged mode, Hyp too, to SVC with interrupts masked. Changes r0, r1 and the flags; what is to be
    /// kept lies in r2 to r7, as FIQ mode has its own r8 to r12.
    ///
    /// # Safety
    /// From assembly alone.
    pub fn armv7a_mm_to_svc();

    /// MMU and data cache off, and the level 1 data cache empty: invalidated if it was off, else cleaned, too. Changes r0
    /// to r7 and the flags.
    ///
    /// # Safety
    /// From assembly alone, at a physical address.
    pub fn armv7a_mm_caches_off();

    /// Takes part in coherency (ACTLR.SMP), where the CPU has a bit for it. Changes r0 to r3 and the flags.
    ///
    /// # Safety
    /// From assembly alone, the data cache off and empty.
    pub fn armv7a_mm_join_coherency();
}
