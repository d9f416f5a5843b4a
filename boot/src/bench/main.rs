//! Measures the library on a bare machine: instructions per operation, each beside the shortest loop that any
//! solution must execute, and each checked, so that a fast wrong answer is red.
//!
//! Run under `-icount shift=0`, where the cycle counter counts instructions; `cargo xtask bench` does, and
//! reads the lines that begin with `count`. With `--quick` among the arguments, what takes long is left out.
#![no_std]
#![no_main]

use stub::harness;
use stub::kernel::Kernel;

mod alive;
mod balance;
mod bulk;
mod contexts;
mod counter;
mod faults;
mod identity;
mod lifetime;
mod pages;
mod plain;
mod ranges;
mod space;
mod split;
mod windows;

stub::payload!(run);

fn run(_: &'static Kernel) -> ! {
    counter::start();
    harness::run(&[
        // First: what it measures is over once an address space was freed.
        lifetime::COLD,
        lifetime::TESTS,
        alive::TESTS,
        ranges::TESTS,
        pages::TESTS,
        identity::TESTS,
        contexts::TESTS,
        split::TESTS,
        // Last: swapper keeps the tables that are made for it.
        faults::TESTS,
        windows::TESTS,
    ])
}
