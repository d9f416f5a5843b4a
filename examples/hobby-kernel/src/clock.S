// A module, as a compiler and `ld -r` leave it: machine code that runs wherever it is put, but for one call that the
// loader has to relocate.
//
// fn time(rtc: *const u32) -> u32: reads a PL031.

        .section .rodata.module, "a", %progbits
        .arm
        .balign 4
        .global clock_module, clock_module_call, clock_module_end
clock_module:
        push    {r4, lr}
        mov     r4, r0
        adr     r0, text
        adr     r1, text_end
        sub     r1, r1, r0
clock_module_call:
        bl      .                       // fn say(text: *const u8, bytes: usize), of the kernel
        ldr     r0, [r4]                // RTCDR: seconds since 1970
        pop     {r4, pc}
text:   .ascii  "module: reading the clock\n"
text_end:
        .balign 4
clock_module_end:
