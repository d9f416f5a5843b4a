// Exception entry and return, and the way to user mode and back.

// A page of its own that runs at any address: where VBAR points, and what 0xFFFF0000 shows.
        .section .vectors, "ax", %progbits
        .arm
        .balign 32
        ldr     pc, [pc, #24]           // 00 reset, not used
        ldr     pc, [pc, #24]           // 04 undefined instruction
        ldr     pc, [pc, #24]           // 08 supervisor call
        ldr     pc, [pc, #24]           // 0C prefetch abort
        ldr     pc, [pc, #24]           // 10 data abort
        ldr     pc, [pc, #24]           // 14 hypervisor trap, not used
        ldr     pc, [pc, #24]           // 18 IRQ
        ldr     pc, [pc, #24]           // 1C FIQ
        .word   entry_reset
        .word   entry_undefined
        .word   entry_supervisor
        .word   entry_prefetch
        .word   entry_data
        .word   entry_hyp
        .word   entry_irq
        .word   entry_fiq

        .section .text.vectors, "ax", %progbits
        .arm

// Enters on the mode's own stack: return state by SRS, then r0-r12 and a word of padding (faults.rs: Frame).
// \back is what the manual says LR is ahead of the instruction in question (DDI 0406C B1.8.3).
.macro entry name, vector, mode, back
entry_\name:
        sub     lr, lr, #\back
        srsdb   sp!, #\mode
        push    {{r0-r12, lr}}
        clrex                           // an exclusive that was under way starts again
        mov     r0, sp
        mov     r1, #\vector
        bl      {EXCEPTION}
        pop     {{r0-r12, lr}}
        rfeia   sp!
.endm

        entry   reset,      0, 0x13, 0
        entry   undefined,  1, 0x1B, 4
        entry   supervisor, 2, 0x13, 0
        entry   prefetch,   3, 0x17, 4
        entry   data,       4, 0x17, 8
        entry   hyp,        5, 0x13, 0
        entry   irq,        6, 0x12, 4
        entry   fiq,        7, 0x11, 4

.macro kernel_sp
        mrc     p15, 0, r1, c13, c0, 4  // TPIDRPRW: percpu.rs has it first
.endm

// fn call(at: u32) -> u32: calls at; an expected exception returns from here as well, by way of resume.
        .global call
        .type   call, %function
call:
        push    {{r3-r11, lr}}
        kernel_sp
        str     sp, [r1]
        blx     r0
        .global resume
resume:
        kernel_sp
        ldr     sp, [r1]
        pop     {{r3-r11, pc}}

// fn enter_user(&UserState): runs user mode; the exception that ends it returns from here, by way of resume.
        .global enter_user
        .type   enter_user, %function
enter_user:
        push    {{r3-r11, lr}}
        kernel_sp
        str     sp, [r1]
        add     r2, r0, #16
        ldmia   r2, {{sp, lr}}^         // user mode's
        nop                             // no banked register right after (DDI 0406C B9.3.6)
        add     r12, r0, #24
        ldm     r0, {{r0-r3}}
        rfeia   r12
