//! A small kernel that lives on `armv7a-mm`: to read, and to start one's own from.
//!
//! It runs user programs at PL0, all at the same addresses, and takes turns among them by the timer. Their memory comes
//! on demand and is shared by `fork` until somebody writes to it; who reaches for what is not his is killed, and the
//! others run on. A module is loaded and asked for the time. At the end the memory in use must be what it was before.
//!
//! ```text
//! 0xf080_0000  devices, where ioremap puts them (devices.rs)  ┐
//! 0xc3c0_0000  RAM: page tables, 4 MiB                       │ kernel: swapper's,
//!              RAM: page frames (frames.rs)                  │ the same in every process
//! 0xc020_0000  RAM: this image (kernel.ld)                   │
//! 0xc000_0000  RAM begins: the linear map (memory.rs)        │
//! 0xbf00_0000  modules (module.rs)                           ┘
//! 0xbe00_0000  end of the stack                              ┐
//! 0x1000_0000  heap                                          │ a process (space.rs)
//! 0x0001_0000  text, constants, data                         ┘
//! ```
//!
//! From the start to the end:
//! 1. head.S turns the MMU on with an early map and jumps to the link address.
//! 2. swapper.rs has the library build the real tables, and leaves the early map.
//! 3. devices.rs maps the console and the interrupt controller, module.rs a module.
//! 4. plan.rs starts the programs; vectors.S, traps.rs and system_calls.rs are their way in and out.
//! 5. When the last has ended, plan.rs gives the verdict, and power.rs switches off.
//!
//! The kernel runs with user space closed to it where the layout allows that: in the classic format. Under LPAE the whole
//! kernel half, modules included, would have to be TTBR1's.
//!
//! One CPU runs, with one kernel stack: the kernel is never interrupted, so each lock here is free when it is asked for;
//! it would have to be one that masks interrupts, if that changed. The addresses of devices and RAM are those of QEMU's
//! `virt`, with 64 MiB or more.
#![no_std]
#![no_main]

#[cfg(not(target_arch = "arm"))]
compile_error!("this kernel is for Arm: `cargo xtask run hobby-kernel`");

use armv7a_mm::addr::VirtRange;
use armv7a_mm::armv7::check;
use armv7a_mm::format::{Active, Format};

mod abi;
mod console;
mod devices;
mod ending;
mod frames;
mod head;
mod image;
mod interrupts;
mod measure;
mod memory;
mod module;
mod plan;
mod power;
mod processes;
mod space;
mod swapper;
mod system_calls;
mod traps;
mod usage;

/// Where head.S arrives, at the link address, on the early map.
extern "C" fn main() -> ! {
    traps::start();
    swapper::start().expect("the kernel's tables");
    console::start(devices::Registers::map(devices::UART).expect("the console"));
    println!("hobby-kernel on armv7a-mm, {} tables", Active::NAME);
    // Of an address space, the same can be asked with its node.
    match check::agree(&swapper::view().node(), VirtRange::ALL) {
        Ok(asked) => println!("the CPU translates {asked} addresses as the tables say"),
        Err(disagreement) => panic!("{disagreement}"),
    }
    frames::FRAMES.lock().add(memory::frames());
    module::load().expect("the module");
    if measure::is_wanted() {
        plan::bench();
        measure::start();
        measure::kernel_faults();
    } else {
        interrupts::start().expect("the interrupt controller");
    }
    plan::start().expect("memory for every program");
    let first = processes::PROCESSES.lock().first();
    traps::enter(&first)
}
