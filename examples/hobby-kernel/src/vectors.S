// Exception entry and return.
//
// The kernel has one stack. An exception of a user program finds it empty, so the program's registers always lie at its
// very top; one of the kernel's own (it touched memory that is not there yet) nests below what is in use.

        .section .text.vectors, "ax", %progbits
        .arm
        .balign 32
        .global vectors
vectors:
        b       .                       // reset, not used
        b       enter_undefined
        b       enter_supervisor
        b       enter_prefetch
        b       enter_data
        b       .                       // hypervisor trap, not used
        b       enter_irq
        b       .                       // FIQ, not used

// Saves what traps.rs calls Registers and hands them to a function there; \back is what LR is ahead of the instruction
// in question (DDI 0406C B1.8.3).
.macro enter name, back, handler
enter_\name:
    .ifc \handler, {DATA}
        // Abort mode has no stack, and its sp is free to compute with. An abort from there was taken right here: SVC mode's
        // stack is full.
        mrs     sp, spsr
        tst     sp, #0x04
        bne     overflow
    .endif
    .if \back
        sub     lr, lr, #\back
    .endif
        srsdb   sp!, #0x13              // pc and psr, to the stack of SVC mode
        cps     #0x13
        sub     sp, sp, #64
        stmia   sp, {{r0-r14}}^         // sp and lr are those of user mode
        str     lr, [sp, #60]           // and this is the kernel's own
        mov     r0, sp
        bl      \handler
leave_\name:
        clrex                           // an exclusive that was under way starts again
        ldr     lr, [sp, #60]
        ldmia   sp, {{r0-r14}}^
        add     sp, sp, #64
        rfeia   sp!
.endm

        enter   undefined,  4, {UNDEFINED}
        enter   supervisor, 0, {SUPERVISOR}
        enter   prefetch,   4, {PREFETCH}
        enter   data,       8, {DATA}
        enter   irq,        4, {IRQ}

// The stack is full: what it held is given up for a last word.
overflow:
        cps     #0x13
        ldr     sp, =__stack_top
        bl      {OVERFLOW}

// fn enter_user(registers: &Registers) -> !: the first program. What the stack held is forgotten. From the last word on,
// as they may lie on that stack themselves, below where they go.
        .global enter_user
        .type   enter_user, %function   // else a call from Thumb would not change the state
enter_user:
        ldr     r1, =__stack_top
        sub     sp, r1, #{REGISTERS}
        add     r0, r0, #{REGISTERS}
1:      ldr     r3, [r0, #-4]!
        str     r3, [r1, #-4]!
        cmp     r1, sp
        bhi     1b
        b       leave_supervisor
        .ltorg
