//! The boot stub: from a bare machine to the library's tables, live.
//!
//! head.S turns the MMU on with an early map and jumps to the link address; then `main` finds the memory and
//! has the kernel's tables built. After that it is the [`payload!`]'s turn: the self-tests of the image `boot`,
//! the measurements of the image `bench`.
#![no_std]

#[cfg(not(target_arch = "arm"))]
compile_error!(
    "the boot images are for Arm: build them with --target armv7a-none-eabi, or by cargo xtask build"
);

use armv7a_mm::format::{Active, Format};

pub use devicetree;

pub mod board;
pub mod clock;
pub mod console;
pub mod cpu;
pub mod cpus;
pub mod faults;
pub mod harness;
pub mod head;
pub mod image;
pub mod kernel;
pub mod live;
pub mod map;
pub mod memory;
pub mod percpu;
pub mod probe;
pub mod psci;
pub mod ram;
pub mod reboot;
pub mod team;
pub mod whole;

/// Names the image's own function, `fn(&'static Kernel) -> !`: what runs once the kernel's tables are live.
#[macro_export]
macro_rules! payload {
    ($run:path) => {
        /// What the boot stub calls.
        // SAFETY: no other symbol has the name.
        #[unsafe(no_mangle)]
        fn boot_payload(kernel: &'static $crate::kernel::Kernel) -> ! {
            $run(kernel)
        }
    };
}

unsafe extern "Rust" {
    /// What [`payload!`] names.
    safe fn boot_payload(kernel: &'static kernel::Kernel) -> !;
}

/// Where head.S arrives: on the SVC stack, BSS clear, vectors in place, the early map live. `delta` is
/// physical minus link address, `r2` what the loader left there, `psr` the CPSR that it started us with, `entry`
/// where it did.
extern "C" fn main(delta: u32, r2: u32, psr: u32, entry: u32) -> ! {
    percpu::set_number(0);
    reboot::keep(r2);
    image::Placement::note(delta);
    let placement = image::placement();
    println!("armv7a-mm {} on {}", Active::NAME, cpu::Cpu);
    println!(
        "started in {} mode; image at {}, runs at {}",
        faults::mode(psr),
        placement.phys(image::whole().start()),
        image::whole(),
    );
    let ram = ram::find(placement, r2, entry);
    println!("RAM: {} MiB", ram.ranges.bytes() >> 20);
    for range in ram.ranges.as_slice() {
        println!("    {:#011x} to {:#011x}", range.base, range.end());
    }
    let devices = board::devices(&ram);
    cpus::find(&ram);
    boot_payload(kernel::start(&ram, devices))
}
