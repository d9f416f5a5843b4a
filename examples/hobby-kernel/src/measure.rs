//! `bench` on the command line: counts instructions instead. Under QEMU's `-icount shift=0` the cycle counter counts
//! exactly those. Lines that begin with `count` are for `cargo xtask bench`: key, instructions, operations.

use core::arch::asm;

use armv7a_mm::addr::{VirtAddr, VirtRange};
use armv7a_mm::armv7::barrier::isb;
use armv7a_mm::armv7::cp15::{PMCNTENSET, PMCR};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::mm::window::FrameSource;
use armv7a_mm::table::context::Context;
use armv7a_mm::table::edit::LeafSizes;
use semihosting::experimental::env;

use crate::frames::FRAMES;
use crate::memory::LAYOUT;
use crate::space::Space;
use crate::swapper::{enter_space, leave_space, swapper};
use crate::{println, traps};

/// Whether that is what the command line asks for.
pub fn is_wanted() -> bool {
    env::args::<256>().is_ok_and(|words| (&words).any(|word| word == Ok("bench")))
}

/// Starts the counter, for user programs, too (DDI 0406C C12.8).
pub fn start() {
    // SAFETY: nobody else uses the performance monitors. The last is PMUSERENR.
    unsafe {
        PMCNTENSET::write(1 << 31);
        PMCR::write(1);
        asm!("mcr p15, 0, {}, c9, c14, 0", in(reg) 1, options(nomem, nostack));
    }
    isb();
}

/// Instructions that a read of `at` takes, with those of one look at the counter.
fn read(at: VirtAddr) -> u32 {
    let (before, after): (u32, u32);
    // SAFETY: the address is mapped, or a fault maps it.
    unsafe {
        asm!(
            "mrc p15, 0, {before}, c9, c13, 0",
            "ldr {at}, [{at}]",
            "mrc p15, 0, {after}, c9, c13, 0",
            before = out(reg) before,
            at = inout(reg) at.0 => _,
            after = lateout(reg) after,
            options(nostack, readonly),
        );
    }
    after.wrapping_sub(before)
}

/// A fault of the kernel's that copies an entry from swapper, from the vector to the return: what was mapped in the
/// modules' window after the running address space was made.
pub fn kernel_faults() {
    const SLOTS: u32 = 5;
    let mut space = Space::new().expect("memory for an address space");
    let context = Context::new(space.root());
    // SAFETY: the context outlives the space, which never ran.
    unsafe { space.set_context(&context) };
    let frame = FRAMES.lock().allocate().expect("a frame");
    let slot = |index: u32| VirtAddr(LAYOUT.spec().modules.start + (index << 21));
    for index in 1..=SLOTS {
        let (page, data) = (VirtRange::page(slot(index)), Attrs::kernel(Access::Read));
        // SAFETY: the modules' window is empty there, and the frame is ours.
        unsafe { swapper().lock().map(page, frame, data, LeafSizes::PAGES) }.expect("a table");
    }
    // SAFETY: its pgd was just told.
    unsafe { enter_space(&context) };
    let before = traps::synced();
    // The same read again, which does not fault, is not part of the fault.
    let count: u32 = (1..=SLOTS).map(|index| read(slot(index)) - read(slot(index))).sum();
    assert_eq!(traps::synced(), before + SLOTS, "each first read faults");
    println!("count hobby_sync {count} {SLOTS}");
    leave_space();
    space.free();
}
