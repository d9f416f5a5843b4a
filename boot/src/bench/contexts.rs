//! Switching between address spaces.

use core::hint::black_box;

use armv7a_mm::addr::{PhysAddr, VirtRange};
use armv7a_mm::armv7::mmu;
use armv7a_mm::table::context::Context;
use armv7a_mm::table::edit::LeafSizes;
use stub::harness::Test;
use stub::kernel::{Pgd, kernel};
use stub::{check, check_eq, probe};

use crate::balance::Balance;
use crate::counter::Tally;
use crate::space::{self, DATA, WINDOW};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "bench::switch_mm", run: switch_mm },
    Test { name: "bench::asid_new, asid_rollover", run: asids },
];

/// Switches that are counted.
const ROUNDS: usize = 64;
/// Numbers for address spaces.
const ASIDS: usize = 255;

/// Spaces that differ in their first page, each with what lies there.
fn spaces<const N: usize>() -> [(Pgd, u32); N] {
    let first = kernel().spare.base.next_multiple_of(4096);
    core::array::from_fn(|i| {
        let frame = PhysAddr::truncate(first + 4096 * i as u64);
        let mut pgd = space::empty();
        let page = VirtRange::page(WINDOW.start());
        // SAFETY: spare memory is nobody's.
        unsafe { pgd.map(page, frame, DATA, LeafSizes::PAGES) }.expect("nothing is mapped there");
        let at = stub::image::placement().virt(frame).0 as *mut u32;
        // SAFETY: as above.
        unsafe { at.write_volatile(i as u32 + 1) };
        (pgd, i as u32 + 1)
    })
}

fn leave() {
    // SAFETY: this is CPU 0, and nothing interrupts it.
    unsafe { kernel().contexts.leave_mm(0) };
}

fn switch_mm() {
    let before = Balance::now();
    let mut pgds = spaces::<2>();
    let contexts = pgds.each_ref().map(|(pgd, _)| Context::new(pgd.root()));
    for ((pgd, _), context) in pgds.iter_mut().zip(&contexts) {
        // SAFETY: nothing of it is in the TLB, and the context outlives it.
        unsafe { pgd.set_context(context) };
        // SAFETY: as in `leave`; its ASID is taken here.
        unsafe { kernel().contexts.switch_mm(0, context) };
    }
    let mut tally = Tally::new();
    for round in 0..ROUNDS {
        let (all, cpu, context) = black_box((&kernel().contexts, 0, &contexts[round % 2]));
        // SAFETY: as above.
        tally.count(|| unsafe { all.switch_mm(cpu, context) });
        check_eq!(mmu::root(), context.root());
        check_eq!(probe::read(WINDOW.start()), Ok(pgds[round % 2].1));
    }
    leave();
    pgds.into_iter().for_each(|(pgd, _)| space::free(pgd));
    check_eq!(Balance::now(), before);
    tally.report("switch_mm", ROUNDS as u32);
}

/// All the numbers of a generation to one root, which nobody edits, by one context after another.
fn asids() {
    let before = Balance::now();
    let [(pgd, value)] = spaces::<1>();
    let (mut new, mut rollover) = (Tally::new(), Tally::new());
    let (mut last, mut rollovers, mut taken) = (0, 0, 0);
    for _ in 0..3 * ASIDS {
        let context = Context::new(pgd.root());
        let (all, cpu, to) = black_box((&kernel().contexts, 0, &context));
        let mut one = Tally::new();
        // SAFETY: as in `leave`.
        one.count(|| unsafe { all.switch_mm(cpu, to) });
        let number = context.asid().map_or(0, |asid| asid.0);
        check!(number != 0 && number != last, "two spaces in turn have ASID {number}");
        let rolled_over = number < last;
        if rolled_over {
            rollover.add(&one);
            rollovers += 1;
        } else if last != 0 {
            new.add(&one);
            taken += 1;
        }
        last = number;
    }
    check!(rollovers >= 2, "{rollovers} rollovers");
    check_eq!(probe::read(WINDOW.start()), Ok(value));
    leave();
    space::free(pgd);
    check_eq!(Balance::now(), before);
    new.report("asid_new", taken);
    rollover.report("asid_rollover", rollovers);
}
