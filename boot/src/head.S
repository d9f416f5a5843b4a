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

// The CPU's number among those that may start at once, 0 to 63, by its affinity. Changes r0.
.macro cpu_number reg
        mrc     p15, 0, r0, c0, c0, 5   // MPIDR
        and     \reg, r0, #0xF
        ubfx    r0, r0, #8, #2
        orr     \reg, \reg, r0, lsl #4
.endm

        .section .head.text, "ax", %progbits
        .arm
        .global _start
_start:
        cpsid   aif
        setend  le
        mov     r4, r2
        mrs     r5, cpsr
        bl      {TO_SVC}
        adr     r11, _start
        mov     r8, r4
        mov     r10, r5

// One CPU goes on, the others sleep where they are, whenever they arrive: this page stays as it is, also where the
// image moves away from it. Exclusives need not work with the caches off, so the CPUs vote: who sees no
// vote cast casts one, and when nobody is voting any more the last vote counts. No step needs more than
// single-copy atomic loads and stores, and no CPU needs to be number 0.
        cpu_number r1
        adr     r2, ballot
        mov     r3, #1
        strb    r3, [r2, r1]
        dmb
        mov     r3, #0
        ldr     r0, [r2, #64]
        cmp     r0, #0
        strbne  r3, [r2, r1]
        bne     __park
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
// Until the CPU's word in the area that the elected one tells of holds a record, whose first word says where to go: a CPU
// that sleeps says so again and again in the second half of the area. All of this is read and written past the caches.
        .global __park
__park:
        cpu_number r1
        adr     r2, ballot
1:      ldr     r3, [r2, #68]
        cmp     r3, #0
        wfeeq
        beq     1b
        add     r3, r3, r1, lsl #2
        mov     r1, #1
2:      str     r1, [r3, #{SLEEPING}]
        dsb
        ldr     r0, [r3]
        cmp     r0, #0
        wfeeq
        beq     2b
        mov     r1, #0
        str     r1, [r3, #{SLEEPING}]
        dsb
        ldr     r1, [r0]
        bx      r1

// The image is entered again: the vote is taken back.
        .global __again
__again:
        adr     r1, ballot
        mov     r0, #0
        str     r0, [r1, #64]
        dsb
        b       _start

        .balign 4
ballot: .zero   64                      // who is voting
        .word   0                       // the last vote: a CPU's number + 1
        .word   0                       // the area in which CPUs that sleep are told to wake up, physical

    .if {LPAE}
// Says so where semihosting is, and ends.
no_lpae:
        mov     r0, #0x04               // SYS_WRITE0
        adr     r1, no_lpae_text
        svc     #0x123456
        mov     r0, #0x20               // SYS_EXIT_EXTENDED
        adr     r1, no_lpae_exit
        svc     #0x123456
        b       hang
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

// A raw image may lie anywhere that leaves 2 MiB of RAM below the place where it then runs. Sections and blocks map it only where its offset in 2 MiB is the link
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

        bl      {CACHES_OFF}
        bl      {JOIN_COHERENCY}

// Early tables, and what CPUs that sleep look at: lines that someone left over them would hide what is written past the
// caches.
        physical r4, __early_start
        physical r2, __sleepers_end
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
        physical r0, __sleepers
        add     r1, r11, #ballot - _start
        str     r0, [r1, #68]           // where they sleep now
        adr     r1, ballot
        str     r0, [r1, #68]           // and where they will, once they were needed
        dsb
        sev

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
hang:
        wfi
        b       hang
