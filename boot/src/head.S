// From whatever started us to Rust at its link address.
//
// Entered at a physical address, MMU and data cache off, in SVC or HYP (or another privileged mode), secure or
// not, by one CPU or by all at once; r2 may point to a device tree. The loader has cleaned what it wrote to
// the point of coherency. Position independent, and stackless until it runs high.
//
// Kept throughout: r8 device tree or 0, r9 physical minus link address, r10 CPSR at entry, r11 where it was
// entered.
//
// Constants in braces come from head.rs.

.macro mov32 reg, value
        movw    \reg, #((\value) & 0xFFFF)
        movt    \reg, #((\value) >> 16)
.endm

// The link address of a symbol.
.macro linked reg, symbol
        movw    \reg, #:lower16:\symbol
        movt    \reg, #:upper16:\symbol
.endm

// The physical address of a symbol, given r9.
.macro physical reg, symbol
        linked  \reg, \symbol
        add     \reg, \reg, r9
.endm

// Writes the early tables' entry r0, with low word r1 and high word r3, given r5.
.macro put
    .if {LPAE}
        add     r12, r5, r0, lsl #3
        str     r1, [r12]
        str     r3, [r12, #4]
    .else
        str     r1, [r5, r0, lsl #2]
    .endif
.endm

        .section .head.text, "ax", %progbits
        .arm
        .arch_extension virt
        .global _start
_start:
        cpsid   aif
        setend  le
        adr     r11, _start
        mov     r8, r2
        mrs     r10, cpsr
        and     r0, r10, #0x1F
        cmp     r0, #{HYP}
        beq     from_hyp
        msr     cpsr_c, #0xD3           // SVC, interrupts masked
        b       in_svc

// What the hypervisor's registers hold at reset is unknown but for some bits of HDCR and HCPTR
// (DDI 0406C B1.9.1): nothing is to trap, and the guest sees the CPU as it is.
from_hyp:
        mov     r0, #0
        mcr     p15, 4, r0, c1, c1, 0   // HCR
        mcr     p15, 4, r0, c1, c1, 3   // HSTR
        mcrr    p15, 4, r0, r0, c14     // CNTVOFF
        mov32   r0, 0x33FF
        mcr     p15, 4, r0, c1, c1, 2   // HCPTR: its bits that are one
        mrc     p15, 4, r0, c1, c1, 1   // HDCR: HPMN stays
        and     r0, r0, #0x1F
        mcr     p15, 4, r0, c1, c1, 1
        mrc     p15, 0, r0, c0, c0, 0   // VPIDR = MIDR
        mcr     p15, 4, r0, c0, c0, 0
        mrc     p15, 0, r0, c0, c0, 5   // VMPIDR = MPIDR
        mcr     p15, 4, r0, c0, c0, 5
        mrc     p15, 4, r0, c14, c1, 0  // CNTHCTL: counter and timer are the guest's
        orr     r0, r0, #3
        mcr     p15, 4, r0, c14, c1, 0
        mov32   r0, 0x1D3               // SVC, interrupts and asynchronous aborts masked
        msr     spsr_cxsf, r0           // not SPSR_hyp, which Hyp mode itself cannot name (B9.3.10)
        adr     lr, in_svc
        msr     elr_hyp, lr
        eret

// One CPU goes on, the others sleep where they are, whenever they arrive: this page stays as it is, also where the
// image moves away from it. Exclusives need not work with the caches off, so the CPUs vote: who sees no
// vote cast casts one, and when nobody is voting any more the last vote counts. No step needs more than
// single-copy atomic loads and stores, and no CPU needs to be number 0.
in_svc:
        mrc     p15, 0, r0, c0, c0, 5   // MPIDR
        and     r1, r0, #0xF
        ubfx    r0, r0, #8, #2
        orr     r1, r1, r0, lsl #4      // 0 to 63
        adr     r2, ballot
        mov     r3, #1
        strb    r3, [r2, r1]
        dmb
        mov     r3, #0
        ldr     r0, [r2, #64]
        cmp     r0, #0
        strbne  r3, [r2, r1]
        bne     park
        add     r4, r1, #1
        str     r4, [r2, #64]
        dmb
        strb    r3, [r2, r1]
        dmb
        mov     r5, #0
1:      ldr     r0, [r2, r5]
        cmp     r0, #0
        bne     1b
        add     r5, r5, #4
        cmp     r5, #64
        blo     1b
        dmb
        ldr     r0, [r2, #64]
        cmp     r0, r4
        beq     elected
park:
        wfi
        b       park

        .balign 4
ballot: .zero   64                      // who is voting
        .word   0                       // the last vote: a CPU's number + 1
        .global __parking_end
__parking_end:

    .if {LPAE}
// Says so where semihosting is, and ends.
no_lpae:
        mov     r0, #0x04               // SYS_WRITE0
        adr     r1, no_lpae_text
        svc     #0x123456
        mov     r0, #0x20               // SYS_EXIT_EXTENDED
        adr     r1, no_lpae_exit
        svc     #0x123456
        b       park
        .balign 4
no_lpae_exit:
        .word   0x20026, 1              // ADP_Stopped_ApplicationExit, status 1
no_lpae_text:
        .asciz  "boot: this CPU has no LPAE (ID_MMFR0.VMSA < 5); boot the classic image\n"
        .balign 4
    .endif

elected:
    .if {LPAE}
        mrc     p15, 0, r0, c0, c1, 4   // ID_MMFR0
        and     r0, r0, #0xF
        cmp     r0, #5
        blo     no_lpae
    .endif

        adr     r0, elected
        linked  r1, elected
        sub     r9, r0, r1

// A raw image may lie anywhere. Sections and blocks map it only where its offset in 2 MiB is the link
// address's, so it moves up to the next such place behind the CPUs that sleep, last word first for the two may
// overlap.
        lsls    r0, r9, #11
        beq     placed
        physical r0, __image_start
        add     r1, r0, #{PARKING}
        lsr     r1, r1, #21
        add     r1, r1, #1
        lsl     r1, r1, #21
        linked  r2, __image_start
        linked  r3, __load_end
        sub     r2, r3, r2
1:      subs    r2, r2, #4
        ldr     r3, [r0, r2]
        str     r3, [r1, r2]
        bne     1b
        sub     r1, r1, r0
        add     r9, r9, r1
        mov     r0, #0
        dsb
        mcr     p15, 0, r0, c7, c5, 0   // ICIALLU
        mcr     p15, 0, r0, c7, c5, 6   // BPIALL
        dsb
        isb
        physical r0, placed
        bx      r0
placed:

// Caches. The level 1 data cache is this CPU's own and may hold anything after reset: invalidate it by set and
// way (B2.2.6), or clean it too should the loader have left it on. Outer levels are the loader's to clean.
        mrc     p15, 0, r7, c1, c0, 0   // SCTLR
        bic     r0, r7, #{SCTLR_M_C}
        mcr     p15, 0, r0, c1, c0, 0
        isb
        mov     r0, #0
        mcr     p15, 2, r0, c0, c0, 0   // CSSELR: level 1, data
        isb
        mrc     p15, 1, r0, c0, c0, 0   // CCSIDR
        and     r1, r0, #7
        add     r1, r1, #4              // log2 of the line's bytes
        ubfx    r2, r0, #3, #10         // ways - 1
        ubfx    r3, r0, #13, #15        // sets - 1
        clz     r4, r2                  // the way's bits are the top ones
1:      mov     r5, r2
2:      lsl     r6, r5, r4
        orr     r6, r6, r3, lsl r1
        tst     r7, #{SCTLR_C}
        mcreq   p15, 0, r6, c7, c6, 2   // DCISW
        mcrne   p15, 0, r6, c7, c14, 2  // DCCISW
        subs    r5, r5, #1
        bpl     2b
        subs    r3, r3, #1
        bpl     1b
        dsb

// Arm's Cortex-A5, A7, A9, A12, A15 and A17 take part in coherency, and cache inner shareable memory, once
// ACTLR.SMP is set; the A5 and the A9 tell others to, and hear them, once ACTLR.FW is. Where only the secure world
// may, it has done so, or the write is ignored. Others, the A8 among them, have no such bits there.
        mrc     p15, 0, r0, c0, c0, 0   // MIDR
        lsr     r1, r0, #24
        cmp     r1, #0x41               // Arm
        ubfxeq  r1, r0, #8, #8
        cmpeq   r1, #0xC0               // Cortex-A
        bne     3f
        ubfx    r1, r0, #4, #4
        cmp     r1, #8
        beq     3f
        cmp     r1, #5
        cmpne   r1, #9
        mov     r2, #1 << 6             // SMP
        orreq   r2, r2, #1 << 0         // FW
        mrc     p15, 0, r0, c1, c0, 1   // ACTLR
        bics    r2, r2, r0              // what is missing
        orrne   r0, r0, r2
        mcrne   p15, 0, r0, c1, c0, 1
        isb
3:

// Early tables: lines that someone left over them would hide from the walker what is written past the caches.
        physical r4, __early_start
        physical r2, __early_end
        mrc     p15, 0, r0, c0, c0, 1   // CTR
        ubfx    r0, r0, #16, #4
        mov     r1, #4
        lsl     r1, r1, r0
        mov     r0, r4
1:      mcr     p15, 0, r0, c7, c6, 1   // DCIMVAC
        add     r0, r0, r1
        cmp     r0, r2
        blo     1b
        dsb
        mov     r0, r4
        mov     r3, #0
2:      str     r3, [r0], #4
        cmp     r0, r2
        blo     2b

// Under LPAE four pmds in a row, all linked: as flat as the classic table is by itself.
    .if {LPAE}
        add     r5, r4, #0x1000
        orr     r1, r5, #{TABLE}
        str     r1, [r4]
        add     r1, r1, #0x1000
        str     r1, [r4, #8]
        add     r1, r1, #0x1000
        str     r1, [r4, #16]
        add     r1, r1, #0x1000
        str     r1, [r4, #24]
    .else
        mov     r5, r4
    .endif

// The kernel: from PAGE_OFFSET, where the device tree may lie, to the image's end.
        mov32   r0, {PAGE_OFFSET}
        add     r1, r0, r9
        lsr     r0, r0, #{SHIFT}
        linked  r6, __image_end
        sub     r6, r6, #1
        lsr     r6, r6, #{SHIFT}
        mov32   r2, {KERNEL}
        orr     r1, r1, r2
        mov     r3, #0
1:      put
        add     r0, r0, #1
        add     r1, r1, #1 << {SHIFT}
        cmp     r0, r6
        bls     1b

// Where r2 points, two entries' worth: a device tree may cross a border.
        cmp     r8, #0
        beq     2f
        lsr     r1, r8, #{SHIFT}
        lsl     r1, r1, #{SHIFT}
        mov32   r2, {WINDOW}
        orr     r1, r1, r2
        mov32   r3, {WINDOW_HIGH}
        mov32   r0, {WINDOW_AT}
        lsr     r0, r0, #{SHIFT}
        put
        add     r0, r0, #1
        add     r1, r1, #1 << {SHIFT}
        put
2:

// This code itself, where virtual and physical address are the same.
        adr     r0, turn_on
        lsr     r0, r0, #{SHIFT}
        lsl     r1, r0, #{SHIFT}
        mov32   r2, {KERNEL}
        orr     r1, r1, r2
        mov     r3, #0
        put
        dsb

// Nothing from before is believed; then the registers, then the MMU (DDI 0406C B3.2.4).
turn_on:
        mov     r0, #0
        mcr     p15, 0, r0, c7, c5, 0   // ICIALLU
        mcr     p15, 0, r0, c7, c5, 6   // BPIALL
        mcr     p15, 0, r0, c8, c7, 0   // TLBIALL
        dsb
        isb
        mcr     p15, 0, r0, c13, c0, 1  // CONTEXTIDR
        mov32   r1, {TTBCR}
        mcr     p15, 0, r1, c2, c0, 2
        isb                             // EAE decides what the next registers are
    .if {LPAE}
        mcrr    p15, 0, r4, r0, c2      // TTBR0, ASID 0
    .else
        orr     r1, r4, #{TTBR_WALK}
        mcr     p15, 0, r1, c2, c0, 0   // TTBR0
        mov32   r1, {DACR}
        mcr     p15, 0, r1, c3, c0, 0
    .endif
        mov32   r1, {REMAP0}
        mcr     p15, 0, r1, c10, c2, 0  // PRRR, MAIR0
        mov32   r1, {REMAP1}
        mcr     p15, 0, r1, c10, c2, 1  // NMRR, MAIR1
        isb
        mrc     p15, 0, r1, c1, c0, 0
        mov32   r2, {SCTLR_CLEAR}
        bic     r1, r1, r2
        mov32   r2, {SCTLR_ON}
        orr     r1, r1, r2
        linked  r12, high
        mcr     p15, 0, r1, c1, c0, 0
        isb
        bx      r12

// At the link address. r9 is physical minus link address, here and forever.
high:
        linked  r0, __vectors_start
        mcr     p15, 0, r0, c12, c0, 0  // VBAR
        isb
.macro stack mode, symbol
        cps     #\mode
        linked  sp, \symbol
.endm
        stack   0x11, __stack_fiq
        stack   0x12, __stack_irq
        stack   0x17, __stack_abt
        stack   0x1B, __stack_und
        stack   0x1F, __stack_sys
        stack   0x13, __stack_svc
        linked  r0, __bss_start
        linked  r1, __bss_end
        mov     r2, #0
1:      cmp     r0, r1
        strlo   r2, [r0], #4
        blo     1b
        mov     r0, r9
        mov     r1, r8
        mov     r2, r10
        mov     r3, r11
        mov     r11, #0                 // no caller: backtraces end here
        bl      {MAIN}
        b       park
