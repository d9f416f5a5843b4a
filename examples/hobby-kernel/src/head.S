// From QEMU's entry to Rust at its link address.
//
// `virt` starts one CPU here, in SVC mode, MMU and caches off and clean, at the physical address; the others stay off.
// A board needs more than this: boot/src/head.S of the library's own images has all of it.
//
// Constants in braces come from head.rs.

        .section .head.text, "ax", %progbits
        .arm
        .global _start
_start:
        cpsid   aif

// Early tables: RAM at its link address, this code where it is.
        ldr     r4, =__early_tables - {OFFSET}
        ldr     r1, =__early_tables_end - {OFFSET}
        mov     r0, r4
        mov     r2, #0
1:      str     r2, [r0], #4
        cmp     r0, r1
        blo     1b
    .if {LPAE}
        add     r0, r4, #0x1000         // a pmd each for the GiB of RAM and for the kernel's
        orr     r0, r0, #{TABLE}
        str     r0, [r4, #8]
        add     r0, r0, #0x1000
        str     r0, [r4, #24]
    .endif
        ldr     r0, ={KERNEL_ENTRIES}
        add     r0, r4, r0
        ldr     r1, ={PHYS_OFFSET} | {LEAF}
        mov     r2, #{LEAVES}
1:      str     r1, [r0], #{ENTRY_BYTES} // the high word of a long descriptor stays 0
        add     r1, r1, #1 << {SHIFT}
        subs    r2, r2, #1
        bne     1b
        ldr     r0, ={IDENTITY_ENTRY}
        ldr     r1, ={IDENTITY} | {LEAF}
        str     r1, [r4, r0]
        dsb

// The registers, then the MMU (DDI 0406C B3.2.4).
        mov     r0, #0
        mcr     p15, 0, r0, c7, c5, 0   // ICIALLU
        mcr     p15, 0, r0, c7, c5, 6   // BPIALL
        mcr     p15, 0, r0, c8, c7, 0   // TLBIALL
        dsb
        isb
        mcr     p15, 0, r0, c13, c0, 1  // CONTEXTIDR
        ldr     r1, ={TTBCR}
        mcr     p15, 0, r1, c2, c0, 2
        isb                             // it decides what the next registers are
    .if {LPAE}
        mcrr    p15, 0, r4, r0, c2      // TTBR0
    .else
        orr     r1, r4, #{TTBR_WALK}
        mcr     p15, 0, r1, c2, c0, 0   // TTBR0
        ldr     r1, ={DACR}
        mcr     p15, 0, r1, c3, c0, 0
    .endif
        ldr     r1, ={REMAP0}
        mcr     p15, 0, r1, c10, c2, 0  // PRRR, MAIR0
        ldr     r1, ={REMAP1}
        mcr     p15, 0, r1, c10, c2, 1  // NMRR, MAIR1
        isb
        mrc     p15, 0, r1, c1, c0, 0   // SCTLR
        ldr     r2, ={SCTLR_CLEAR}
        bic     r1, r1, r2
        ldr     r2, ={SCTLR_ON}
        orr     r1, r1, r2
        ldr     r2, =high
        mcr     p15, 0, r1, c1, c0, 0
        isb
        bx      r2

high:   ldr     sp, =__stack_top
        ldr     r0, =__bss_start
        ldr     r1, =__bss_end
        mov     r2, #0
1:      cmp     r0, r1
        strlo   r2, [r0], #4
        blo     1b
        mov     r11, #0                 // no caller: backtraces end here
        bl      {MAIN}
        .ltorg
