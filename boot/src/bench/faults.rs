//! Faults that fill a pgd in from swapper.

use core::hint::black_box;

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::mmu;
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{Active, FaultKind, Format};
use armv7a_mm::mm::{SwapperView, Verdict, do_translation_fault};
use armv7a_mm::table::edit::LeafSizes;
use stub::harness::Test;
use stub::kernel::{self, LAYOUT, Pgd, kernel};
use stub::memory::Machine;
use stub::{check, check_eq, probe};

use crate::balance::Balance;
use crate::counter::Tally;
use crate::plain::{self, Tree};
use crate::space;

/// The tests.
pub const TESTS: &[Test] = &[Test { name: "bench::fault_sync", run: fault_sync }];

/// DFSR of a read that met an absent entry where pgds hold copies: a section translation fault, or one of the
/// second level (DDI 0406C B3.13.3).
const STATUS: u32 = if Active::LPAE { 1 << 9 | 0b00_0110 } else { 0b0_0101 };

/// Address spaces that are older than what swapper maps.
const OLD: usize = 8;
/// 2 MiB each of the modules' window: an entry in both formats.
const SLOTS: u32 = 7;

/// An address in slot `index`.
fn slot(index: u32) -> VirtAddr {
    VirtAddr(LAYOUT.spec().modules.start + (index << 21))
}

fn fault_sync() {
    let before = Balance::now();
    let old: [Pgd; OLD] = core::array::from_fn(|_| space::empty());
    let with_spaces = Balance::now();
    let frame = PhysAddr::new(kernel().spare.base).expect("RAM lies within reach");
    for index in 0..SLOTS {
        let (page, data) = (VirtRange::page(slot(index)), Attrs::kernel(Access::ReadWrite));
        // SAFETY: spare memory is nobody's.
        let mapped = unsafe { kernel().swapper.lock().map(page, frame, data, LeafSizes::PAGES) };
        check_eq!(mapped, Ok(()));
    }
    let kept = Balance::now().bytes - with_spaces.bytes;
    let (mut tally, mut floor) = (Tally::new(), Tally::new());
    for pgd in &old {
        let right = space::within(pgd, || {
            // The first slot by a real fault, the others by a call that measures.
            let synced = kernel::synced();
            probe::read(slot(0)).is_ok()
                && kernel::synced() == synced + 1
                && (1..SLOTS).all(|index| sync(&mut tally, slot(index)))
                && kernel::synced() == synced + 1
                && (1..SLOTS).all(|index| copy(&mut floor, slot(index)))
        });
        check!(right, "a slot of the modules' window was not filled in");
    }
    old.into_iter().for_each(space::free);
    check_eq!(Balance::now().bytes, before.bytes + kept);
    tally.report("fault_sync", OLD as u32 * (SLOTS - 1));
    floor.report("fault_sync_floor", OLD as u32 * (SLOTS - 1));
}

/// Counts the fault at `va`; whether the address is mapped after, and was not before.
fn sync(tally: &mut Tally, va: VirtAddr) -> bool {
    let absent = mmu::translate(va, mmu::Query::KernelRead);
    let (view, status, at) = black_box((&kernel().view, STATUS, va));
    let verdict = judge(tally, view, status, at);
    absent.is_err_and(|fault| fault.kind == FaultKind::Translation)
        && verdict == Verdict::Retry
        && probe::read(va).is_ok()
}

/// Counts what a kernel's handler does. Its frame does not count, and nothing else has registers in here.
#[inline(never)]
fn judge(
    tally: &mut Tally,
    view: &SwapperView<'_, Active, Machine>,
    status: u32,
    va: VirtAddr,
) -> Verdict {
    tally.count(|| {
        let fault = Active::decode_fault(status, false);
        // SAFETY: this CPU walks these tables.
        unsafe { do_translation_fault(view, mmu::root(), &fault, va, false) }
    })
}

/// Counts the copy of swapper's entry for `va` alone; whether it is still mapped after.
fn copy(tally: &mut Tally, va: VirtAddr) -> bool {
    // Where a pgd has a table of its own for the window, the copy is in there.
    const DEPTH: usize = if Active::LEVELS.len() > 2 { 1 } else { 0 };
    let (swapper, at) = black_box((Tree::at(kernel().view.node().table()), va));
    tally.count(|| {
        let own = Tree::at(mmu::root());
        // SAFETY: the running tables and swapper's, which are so deep there; it stores what is there.
        unsafe { plain::publish(own.entry(at, DEPTH), swapper.entry(at, DEPTH).read_volatile()) };
    });
    probe::read(va).is_ok()
}
