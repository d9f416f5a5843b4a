//! Boots the library on a bare machine, in the format it was built for, and tests it there.
//!
//! head.S turns the MMU on with an early map and jumps to the link address; [`main`] finds the memory, has
//! the kernel's tables built, and runs the self-tests.
#![no_std]
#![no_main]

#[cfg(not(target_arch = "arm"))]
compile_error!(
    "the boot image is for Arm: build it with --target armv7a-none-eabi, or by cargo xtask build"
);

use armv7a_mm::format::{Active, Format};

mod console;
mod cpu;
mod devicetree;
mod faults;
mod harness;
mod head;
mod image;
mod kernel;
mod map;
mod memory;
mod probe;
mod ram;
mod tests;

/// Where head.S arrives: on the SVC stack, BSS clear, vectors in place, the early map live. `delta` is
/// physical minus link address, `r2` what the loader left there, `psr` the CPSR that it started us with.
extern "C" fn main(delta: u32, r2: u32, psr: u32) -> ! {
    image::Placement::note(delta);
    let placement = image::placement();
    println!("armv7a-mm {} on {}", Active::NAME, cpu::Cpu);
    println!(
        "started in {} mode; image at {}, runs at {}",
        faults::mode(psr),
        placement.phys(image::whole().start()),
        image::whole(),
    );
    let memory = ram::find(placement, r2);
    println!("RAM: {} MiB", memory.bytes() >> 20);
    for range in memory.as_slice() {
        println!("    {:#011x} to {:#011x}", range.base, range.end());
    }
    let kernel = kernel::start(&memory);
    println!();
    map::draw(kernel);
    println!();
    harness::run(&[
        tests::START,
        tests::FAULTS,
        tests::CACHES,
        tests::DEVICE_TREE,
        tests::HEAP,
        tests::OFFLINE,
    ])
}
