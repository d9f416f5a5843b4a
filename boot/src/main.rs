//! Boots the library on a bare machine, in the format it was built for, and tests it there.
#![no_std]
#![no_main]

use stub::kernel::Kernel;
// The tests find the stub's modules and macros in this crate.
use stub::*;

mod tests;

stub::payload!(run);

fn run(kernel: &'static Kernel) -> ! {
    println!();
    map::draw(kernel);
    println!();
    harness::run(&[
        tests::FIRST,
        tests::START,
        tests::FAULTS,
        tests::CACHES,
        tests::DEVICE_TREE,
        tests::HEAP,
        tests::BULK,
        tests::DESCRIPTORS,
        tests::HARDWARE,
        tests::CHECK,
        tests::DATA,
        tests::RUNS,
        tests::PERMISSIONS,
        tests::YOUNG,
        tests::DEVICES,
        tests::REMOVAL,
        tests::SPLITS,
        tests::OFFLINE,
        tests::THREAD,
        tests::TTBR1,
        tests::UACCESS,
        tests::SWITCHING,
        tests::CONTEXTS,
        tests::IDMAP,
        tests::SYNC,
        tests::SEALED,
        tests::AREAS,
        tests::SLOTS,
        tests::COW,
        tests::HIGH_MEMORY,
        tests::MEMORY_MAP,
        tests::SMP_ARRIVAL,
        tests::SMP_FAULTS,
        tests::SMP_SHOOTDOWN,
        tests::SMP_SEALED,
        tests::SMP_STORM,
        // What all of them leave behind: it stays last.
        tests::LAST,
    ])
}
