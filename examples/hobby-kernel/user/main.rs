//! The user programs: one image, which every process starts at its first word.
//!
//! They know nothing of the kernel but abi.rs. Each is at the same addresses as every other.
#![no_std]
#![no_main]

use core::arch::global_asm;

#[path = "../src/abi.rs"]
mod abi;
mod bench;
mod calls;
mod crimes;
mod programs;

use abi::Program;

// The header that the kernel reads, and the way in: the stack is there, so Rust can run.
global_asm!(
    ".section .header, \"ax\", %progbits",
    ".global _start",
    "_start: b {START}",
    ".word __text_end, __data_end, __bss_end",
    START = sym start,
);

extern "C" fn start(program: Program, argument: u32) -> ! {
    let status = match program {
        Program::Count => programs::count(argument),
        Program::Grow => programs::grow(),
        Program::Fork => programs::fork(),
        Program::Cheat => crimes::cheat(),
        Program::Clock => programs::clock(),
        Program::Null => crimes::null(),
        Program::Peek => crimes::peek(),
        Program::Shellcode => crimes::shellcode(),
        Program::Bench => bench::run(),
    };
    calls::exit(status)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    calls::exit(101)
}
