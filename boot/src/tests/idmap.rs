//! Identity mappings in use: switch to one, MMU off, MMU on, and back.

use core::arch::asm;

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::barrier::{SY, dsb};
use armv7a_mm::armv7::cp15::{ID_PFR1, VBAR};
use armv7a_mm::armv7::mmu::{self, Query, WalkState};
use armv7a_mm::armv7::offline;
use armv7a_mm::attr::{Access, Asid, Attrs};
use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{Active, FaultKind};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::error::EditError;
use armv7a_mm::table::walk;

use super::support::{self, Space, Spare};
use super::world;
use crate::harness::Test;
use crate::kernel::{LAYOUT, kernel};
use crate::{check, check_eq, image, probe, skip};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "idmap::mmu-off-and-on-keeps-registers-and-memory", run: off_and_on },
    Test { name: "idmap::goes-from-pgd-to-pgd-with-the-mmu-off", run: between },
    Test { name: "idmap::any-size-comes-and-goes", run: sizes },
    Test { name: "idmap::user-mappings-are-not-covered", run: conflicts },
];

/// The page of the code that runs with the MMU off, mapped to itself.
pub fn routine() -> VirtRange {
    let at = image::placement().phys(offline::routine());
    VirtRange::page(VirtAddr(at.as_u64() as u32))
}

/// A space in which [`routine`] is mapped to itself.
pub fn space() -> Space {
    let mut space = Space::new();
    // SAFETY: no CPU runs on the pgd, and what is mapped is code that does not change.
    let added = unsafe { space.identity_mapping_add(routine(), Access::ReadExecute) };
    added.expect("a new pgd maps nothing there");
    space
}

/// Takes the mapping out of a space that is not in use.
fn remove(space: &mut Space) -> Result<(), EditError> {
    support::leave();
    // SAFETY: no CPU runs on the pgd.
    unsafe { space.identity_mapping_del(routine()) }.map(|flush| flush.pay())
}

/// Runs the routine itself, on to the tables at `root`, with `before` in r4 to r11, TTBR1 the first of them; what is in
/// them afterwards. No Rust function in between keeps them.
fn with_registers(before: &[u32; 8], root: PhysAddr) -> [u32; 8] {
    let mut after = [0; 8];
    let ttbr0 = Active::ttbr0(root, Asid(0));
    dsb(SY);
    // SAFETY: the space in use maps the routine to itself, the next too or has nothing there, and the kernel is alike: with
    // r1 = 0 the routine loads TTBR0 from r2 and r3, TTBR1 from r4 and r5, and TTBCR from r0. Interrupts are masked. What is
    // changed here is put back, or given up.
    unsafe {
        asm!(
            "push {{r4-r11}}",
            "push {{r0, r1}}",
            "ldm r0, {{r4-r11}}",
            "mrc p15, 0, r0, c2, c0, 2", // TTBCR
            "mov r1, #0",
            "blx r12",
            "pop {{r0, r1}}",
            "stm r1, {{r4-r11}}",
            "pop {{r4-r11}}",
            inout("r0") before.as_ptr() => _,
            inout("r1") after.as_mut_ptr() => _,
            inout("r2") ttbr0 as u32 => _,
            inout("r3") (ttbr0 >> 32) as u32 => _,
            inout("r12") image::placement().phys(offline::routine()).as_u64() as u32 => _,
            out("lr") _,
        );
    }
    after
}

/// In CPSR: the mode, and what is masked, asynchronous aborts too.
const MASKS: u32 = 0x1FF;

/// CPSR: mode, masks, flags.
fn cpsr() -> u32 {
    let cpsr;
    // SAFETY: reading it changes nothing.
    unsafe { asm!("mrs {}, cpsr", out(reg) cpsr, options(nostack, preserves_flags)) };
    cpsr
}

fn off_and_on() {
    let mut spare = Spare::new();
    let mut space = self::space();
    space.enter();
    // Plain stores: some of it is in the cache alone when that goes off.
    let memory = spare.page();
    let words = support::alias(memory).0 as *mut u32;
    let pattern = |i: usize| 0x9E37_79B9_u32.wrapping_mul(i as u32 + 1);
    for i in 0..1024 {
        // SAFETY: spare memory, in the linear map.
        unsafe { words.add(i).write(pattern(i)) };
    }
    // With high vectors it is not in use; a value that nobody else left there.
    // SAFETY: vectors run at any address.
    unsafe { VBAR::write(image::vectors().start().0) };
    let state = (WalkState::read(), image::vectors().start().0, cpsr() & MASKS);
    let mut registers = [4, 5, 6, 7, 8, 9, 10, 11].map(|i| 0x1111_1111 * i);
    (registers[0], registers[1]) = (state.0.ttbr1 as u32, (state.0.ttbr1 >> 32) as u32);
    let other = self::space();
    // Swapper does not map the routine to itself.
    let swapper = kernel().view.node().table();
    for next in [other.root(), space.root(), other.root(), swapper] {
        check_eq!(with_registers(&registers, next), registers);
        check_eq!(mmu::root(), next);
        check_eq!((VBAR::read(), cpsr() & MASKS), (state.1, state.2));
    }
    space.enter();
    drop(other);
    check_eq!((WalkState::read(), VBAR::read(), cpsr() & MASKS), state);
    // SAFETY: as above.
    let kept = (0..1024).all(|i| unsafe { words.add(i).read() } == pattern(i));
    check!(kept, "memory changed");
    check_eq!(remove(&mut space), Ok(()));
    space.enter();
    // What is there now is the kernel's, if anything.
    let now = mmu::translate(routine().start(), Query::KernelRead);
    let kernels = walk::translate(&kernel().view.node(), routine().start()).map(|found| found.phys);
    check_eq!(now.map_err(|fault| fault.kind), kernels.ok_or(FaultKind::Translation));
}

fn between() {
    let before = cpsr() & MASKS;
    // Where there is a secure world, the mask of asynchronous aborts may be its own to change (SCR.AW).
    let both = ID_PFR1::read() >> 4 & 0xF == 0;
    let here = space();
    let there = space();
    here.enter();
    for space in [&there, &here] {
        let routine = image::placement().phys(offline::routine());
        // Asynchronous aborts, masked and not: so they are afterwards.
        for masks in if both { [0x1D3, 0xD3] } else { [before; 2] } {
            // SAFETY: the mode is this one, and no abort is waiting. Both map the routine to itself, and the kernel alike.
            let gone = unsafe {
                asm!("msr cpsr_cx, {}", in(reg) masks, options(nostack));
                offline::set_root(routine, space.root(), None)
            };
            check_eq!(gone, Ok(()));
            check_eq!(cpsr() & MASKS, masks);
            check_eq!(mmu::root(), space.root());
        }
    }
    // SAFETY: as it was.
    unsafe { asm!("msr cpsr_cx, {}", in(reg) before, options(nostack)) };
}

fn sizes() {
    let mut space = Space::new();
    let before = (support::in_use(), world::checksum(&space.node()));
    let swapper = world::checksum(&kernel().view.node());
    let ranges: [(u32, u64); 8] = [
        (0x0000_2000, 0x1000),
        (0x4020_1000, 0x1000),
        (0x4020_F000, 0x1_2000),
        (0x401F_F000, 0x20_2000),
        (0x4000_0000, 64 << 20),
        (0x3FFF_F000, (64 << 20) + 0x2000),
        (0x4000_0000, 1 << 30),
        (0x0000_2000, 0xBEFF_E000),
    ];
    for (start, bytes) in ranges {
        let range = VirtRange::new(VirtAddr(start), bytes).expect("it ends below 4 GiB");
        // SAFETY: no CPU runs on the pgd.
        let added = unsafe { space.identity_mapping_add(range, Access::ReadExecute) };
        check_eq!(added, Ok(()), "{range}");
        for at in [range.start(), VirtAddr(start + (bytes / 2) as u32), range.last()] {
            let phys = space.translate(at).map(|found| found.phys.as_u64());
            check_eq!(phys, Some(at.0.into()), "{range}");
        }
        let outside = [range.start().0.wrapping_sub(1), range.last().0.wrapping_add(1)];
        for at in outside.map(VirtAddr) {
            check_eq!(space.translate(at), None, "{at}, next to {range}");
        }
        // SAFETY: as above.
        let deleted = unsafe { space.identity_mapping_del(range) };
        check!(deleted.map(|flush| flush.pay()).is_ok(), "{range}");
        check_eq!((support::in_use(), world::checksum(&space.node())), before, "{range}");
    }
    check_eq!(world::checksum(&kernel().view.node()), swapper, "swapper is not written");
}

fn conflicts() {
    let mut spare = Spare::new();
    let mut space = Space::new();
    let page = VirtRange::page(routine().start());
    if !LAYOUT.user().encloses(page) {
        skip!("the image lies at the kernel's addresses");
    }
    let user = Attrs::user(Access::ReadWrite);
    check_eq!(space.map(page, spare.page(), user, LeafSizes::PAGES), Ok(()));
    let before = (support::in_use(), world::checksum(&space.node()));
    let wide = VirtRange::aligned(page.start(), 21);
    for range in [page, wide] {
        // SAFETY: it is refused; else no CPU runs on the pgd.
        let added = unsafe { space.identity_mapping_add(range, Access::ReadExecute) };
        let refused = matches!(added, Err(EditError::Mapped { at, .. }) if at == page.start());
        check!(refused, "{range}: {added:?}");
        // SAFETY: as above.
        let deleted = unsafe { space.identity_mapping_del(range) };
        let refused = matches!(deleted, Err(EditError::NotMapped { .. }));
        check!(refused, "{range} was deleted");
        check_eq!((support::in_use(), world::checksum(&space.node())), before);
    }
    space.enter();
    check!(probe::read(page.start()).is_ok());
}
