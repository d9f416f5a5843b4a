//! Copy-on-write and demand paging, by real faults: two spaces share memory until one writes.

use armv7a_mm::addr::{PAGE_SIZE, PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::mmu;
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::mm::{Decision, Origin, decide};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::flush::Flush;

use super::frames::Frames;
use super::support::{self, Space, Spare};
use super::windows::LINK;
use crate::faults::FaultRecord;
use crate::harness::Test;
use crate::kernel::kernel;
use crate::{check, check_eq, probe};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "cow::two-spaces-part-when-one-writes", run: part },
    Test { name: "cow::a-page-of-a-block-is-copied", run: block },
    Test { name: "cow::memory-comes-when-it-is-touched", run: demand },
];

/// In the user half, aligned to a block.
const HERE: VirtAddr = VirtAddr(0x3000_0000);

const DATA: Attrs = Attrs::user(Access::ReadWrite);

/// What the kernel is told about the abort of a user address.
fn judge(record: &FaultRecord) -> Option<Decision> {
    let fault = record.fault()?;
    let at = fault.address(record.far)?;
    // SAFETY: this CPU walks these tables, and no other edits this test's.
    Some(unsafe { decide(&kernel().view, mmu::root(), &fault, at, Origin::Kernel) })
}

/// Stores a word in the running space as a kernel's fault handler would let it: the steps it took.
fn store(
    space: &mut Space,
    spare: &mut Spare,
    at: VirtAddr,
    value: u32,
) -> Result<u32, &'static str> {
    for step in 0..4 {
        // SAFETY: only this test's memory is mapped there.
        let Err(record) = (unsafe { probe::write(at, value) }) else { return Ok(step) };
        match judge(&record) {
            Some(Decision::NotMapped) => {
                let page = spare.page();
                support::write(page, &[0; 8]);
                space.map(VirtRange::page(at), page, DATA, LeafSizes::PAGES).map_err(|_| "map")?;
            }
            Some(Decision::ReadOnly(found)) => {
                let copy = spare.page();
                duplicate(found.frame, copy);
                // SAFETY: spare memory is nobody's.
                let old = unsafe { space.break_cow(at, copy) }.map_err(|_| "break_cow")?;
                if old != found.frame {
                    return Err("it was another frame");
                }
            }
            Some(Decision::Old(_)) => {
                // SAFETY: as above.
                unsafe { space.mkyoung(at) }.map(Flush::pay).map_err(|_| "mkyoung")?;
            }
            Some(Decision::Retry) => {}
            _ => return Err("no such fault was expected"),
        }
    }
    Err("it faults again and again")
}

/// Copies a page of spare memory.
fn duplicate(from: PhysAddr, to: PhysAddr) {
    support::assert_spare(to, PAGE_SIZE.into());
    let [from, to] = [from, to].map(|at| support::alias(at).0 as *mut u32);
    // SAFETY: two pages in the linear map; the copy is nobody's.
    unsafe { core::ptr::copy_nonoverlapping(from, to, PAGE_SIZE as usize / 4) };
}

/// Forks `parent` into `child`.
fn fork(parent: &mut Space, child: &mut Space, range: VirtRange, frames: &mut Frames) -> bool {
    // SAFETY: only probes use the user half of a test's space.
    unsafe { parent.copy_on_write(child, range, frames) }.map(Flush::pay).is_ok()
}

fn part() {
    let (mut spare, mut frames) = (Spare::new(), Frames::new(0));
    let mut parent = Space::new();
    let page = |n: u32| VirtAddr(HERE.0 + n * PAGE_SIZE);
    let kinds = [DATA, DATA, DATA.mkclean(), DATA.mkold(), DATA.with_access(Access::Read)];
    for (n, kind) in (0..).zip(kinds) {
        let frame = spare.page();
        support::write(frame, &[100 + n, 200 + n]);
        check_eq!(parent.map(VirtRange::page(page(n)), frame, kind, LeafSizes::PAGES), Ok(()));
    }
    let mut child = Space::new();
    parent.enter();
    // The TLB knows it as writable now.
    check_eq!(store(&mut parent, &mut spare, page(0), 100), Ok(0));
    let all = VirtRange::page(page(0)).hull(VirtRange::page(page(7)));
    check!(fork(&mut parent, &mut child, all, &mut frames));
    check_eq!(frames.shared, kinds.len() as u64);
    // The parent writes the first, and the child does not see it.
    check_eq!(store(&mut parent, &mut spare, page(0), 1), Ok(1));
    check_eq!(probe::read(page(0)), Ok(1));
    check_eq!(probe::read(VirtAddr(page(0).0 + 4)), Ok(200), "the rest was copied");
    child.enter();
    check_eq!(probe::read(page(0)), Ok(100));
    // The child writes the others; clean and old memory as well.
    for n in 0..4 {
        let steps = store(&mut child, &mut spare, page(n), 10 + n);
        check_eq!(steps, Ok(1), "page {n}");
        check_eq!(probe::read(page(n)), Ok(10 + n));
    }
    let never = store(&mut child, &mut spare, page(4), 0);
    check!(never.is_err(), "what was never writable is not now");
    parent.enter();
    for (n, value) in [(0, 1), (1, 101), (2, 102), (4, 104)] {
        check_eq!(probe::read(page(n)), Ok(value), "page {n}");
    }
    // Its partner is gone: it writes in place.
    let frame = parent.translate(page(1)).map(|found| found.phys);
    // SAFETY: as above.
    check!(unsafe { parent.make_writable(page(1)) }.map(Flush::pay).is_ok());
    check_eq!(store(&mut parent, &mut spare, page(1), 7), Ok(0));
    check_eq!(parent.translate(page(1)).map(|found| found.phys), frame);
    child.enter();
    check_eq!(probe::read(page(1)), Ok(11));
    drop(child);
}

fn block() {
    let (mut spare, mut frames) = (Spare::new(), Frames::new(0));
    let range = VirtRange::aligned(HERE, LINK.shift);
    let Some(memory) = spare.take(range.bytes(), LINK.shift) else { panic!("no memory") };
    let mut parent = Space::new();
    check_eq!(parent.map(range, memory, DATA, LeafSizes::BLOCKS), Ok(()));
    let mut child = Space::new();
    support::write(PhysAddr::truncate(memory.as_u64() + 0x5000), &[5, 55]);
    support::write(PhysAddr::truncate(memory.as_u64() + 0x6000), &[6, 66]);
    check!(fork(&mut parent, &mut child, range, &mut frames));
    check_eq!(child.translate(HERE).map(|found| found.span()), Some(range), "one leaf");
    child.enter();
    check_eq!(store(&mut child, &mut spare, VirtAddr(HERE.0 + 0x5000), 1), Ok(1));
    let read = |offset| probe::read(VirtAddr(HERE.0 + offset));
    check_eq!([read(0x5000), read(0x5004), read(0x6000)], [Ok(1), Ok(55), Ok(6)]);
    parent.enter();
    check_eq!([read(0x5000), read(0x5004), read(0x6000)], [Ok(5), Ok(55), Ok(6)]);
    check_eq!(parent.translate(HERE).map(|found| found.span()), Some(range), "still one leaf");
    drop(child);
}

fn demand() {
    let mut spare = Spare::new();
    let mut space = Space::new();
    space.enter();
    for at in [HERE.0, HERE.0 + 4, HERE.0 + 0x1234, HERE.0 + 0x40_0000].map(VirtAddr) {
        let there = space.translate(at).is_some();
        check_eq!(store(&mut space, &mut spare, at, at.0), Ok(u32::from(!there)), "{at}");
        check_eq!(probe::read(at), Ok(at.0));
    }
    check_eq!(probe::read(VirtAddr(HERE.0 + 8)), Ok(0));
}
