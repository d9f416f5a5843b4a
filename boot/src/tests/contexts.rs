//! Address spaces run by the library's context switch: registers, ASIDs and what memory holds.

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::mmu::{self, Query, WalkState};
use armv7a_mm::attr::{Access, Asid, Attrs};
use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{Active, FaultKind};
use armv7a_mm::table::context::Context;
use armv7a_mm::table::edit::LeafSizes;

use super::support::{self, Balance, Random, Spare};
use crate::harness::Test;
use crate::kernel::{Pgd, kernel};
use crate::{check, check_eq, probe};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "contexts::r12-r13-root-and-asid-are-the-space's", run: registers },
    Test { name: "contexts::b22-b23-more-spaces-than-asids", run: rollovers },
    Test { name: "contexts::b25-no-user-space-maps-nothing", run: nobody },
    Test { name: "contexts::b26-a-new-space-at-a-freed-one's-root", run: reborn },
    Test { name: "contexts::b26-a-new-space-with-a-freed-one's-asid", run: same_asid },
    Test { name: "contexts::an-edit-is-flushed-under-the-asid-of-now", run: edited },
];

const AT: VirtAddr = VirtAddr(0x3456_7000);
const NOTHING: Result<u32, Option<FaultKind>> = Err(Some(FaultKind::Translation));

/// A process: its space stays where it is once it [runs](Self::run).
struct Process {
    pgd: Pgd,
    context: Context,
    value: u32,
}

impl Process {
    /// One with a page of spare memory at [`AT`], which holds `value`.
    fn new(spare: &mut Spare, value: u32) -> Self {
        Self::at(spare.page(), value)
    }

    /// One with this page of spare memory there.
    fn at(page: PhysAddr, value: u32) -> Self {
        let mut pgd = kernel().swapper.lock().pgd_alloc().expect("the heap has room for it");
        support::write(page, &[value]);
        let data = Attrs::user(Access::ReadWrite);
        // SAFETY: spare memory is nobody's.
        let mapped = unsafe { pgd.map(VirtRange::page(AT), page, data, LeafSizes::PAGES) };
        mapped.expect("a new pgd is empty");
        let context = Context::new(pgd.root());
        Self { pgd, context, value }
    }

    /// Runs on it from here on.
    fn run(&mut self) {
        // SAFETY: the process is not moved until it is freed, and nothing else ran it; this is CPU 0, which
        // nothing interrupts.
        unsafe {
            self.pgd.set_context(&self.context);
            kernel().contexts.switch_mm(0, &self.context);
        }
    }

    /// Whether it finds its own memory.
    fn finds_its_own(&self) -> bool {
        probe::read(AT) == Ok(self.value) && probe::read_user(AT) == Ok(self.value)
    }

    /// Gives it back, to be kept by swapper or for good.
    fn free(mut self, keep: bool) {
        // SAFETY: no CPU runs on it: whoever calls this has left. The context has moved, and stays now.
        unsafe {
            self.pgd.set_context(&self.context);
            if keep {
                kernel().swapper.lock().pgd_free(self.pgd);
            } else {
                self.pgd.pgd_free();
            }
        }
    }
}

fn leave() {
    // SAFETY: this is CPU 0, which nothing interrupts.
    unsafe { kernel().contexts.leave_mm(0) };
}

/// The ASID that this CPU translates by.
fn asid() -> Asid {
    let state = WalkState::read();
    if Active::LPAE { Asid((state.ttbr0 >> 48) as u8) } else { Asid(state.contextidr as u8) }
}

fn found() -> Result<u32, Option<FaultKind>> {
    probe::read(AT).map_err(|record| record.kind())
}

fn registers() {
    let _balance = Balance::new();
    let mut spare = Spare::new();
    let mut both = [Process::new(&mut spare, 0xAAAA_0001), Process::new(&mut spare, 0xBBBB_0002)];
    for _ in 0..3 {
        for process in &mut both {
            process.run();
            check_eq!(mmu::root(), process.pgd.root());
            check_eq!(process.context.asid(), Some(asid()));
            check_eq!(process.pgd.asid(), Some(asid()));
            check!(process.finds_its_own());
        }
    }
    check!(both[0].context.asid() != both[1].context.asid());
    check_eq!(kernel().contexts.running(&both[1].context), 1);
    check_eq!(kernel().contexts.running(&both[0].context), 0);
    leave();
    both.into_iter().for_each(|process| process.free(false));
}

/// Processes that are alive at a time, and how many there are in all: several times as many as there are ASIDs.
const ALIVE: usize = 24;
const ALL: usize = 900;

fn rollovers() {
    let _balance = Balance::new();
    let (mut spare, mut random) = (Spare::new(), Random::new());
    let mut oldest = Process::new(&mut spare, 0x01D0_01D0);
    oldest.run();
    let first = oldest.context.asid();
    let mut alive: [Option<Process>; ALIVE] = [const { None }; ALIVE];
    let pages: [PhysAddr; ALIVE] = core::array::from_fn(|_| spare.page());
    for number in 0..ALL {
        let slot = random.below(ALIVE as u32) as usize;
        if let Some(old) = alive[slot].take() {
            leave();
            old.free(random.below(2) == 0);
        }
        let value = 0x5000_0000 | number as u32;
        let process = alive[slot].insert(Process::at(pages[slot], value));
        process.run();
        check!(process.finds_its_own(), "process {number} at its first run");
        for _ in 0..3 {
            if let Some(process) = &mut alive[random.below(ALIVE as u32) as usize] {
                process.run();
                check_eq!(process.context.asid(), Some(asid()));
                check!(process.finds_its_own(), "process {:#x} of {number}", process.value);
            }
        }
        if number % 128 == 0 {
            oldest.run();
            check!(oldest.finds_its_own(), "the oldest after {number}");
        }
    }
    check!(first.is_some());
    leave();
    oldest.free(false);
    alive.into_iter().flatten().for_each(|process| process.free(false));
    kernel().swapper.lock().shrink();
}

fn nobody() {
    let _balance = Balance::new();
    let mut process = Process::new(&mut Spare::new(), 0xCCCC_0003);
    process.run();
    check!(process.finds_its_own());
    leave();
    check_eq!(asid(), Asid(0));
    check_eq!(mmu::root(), kernel().view.node().table());
    check_eq!(found(), NOTHING);
    check!(mmu::translate(AT, Query::UserRead).is_err());
    process.run();
    check!(process.finds_its_own());
    check!(asid() != Asid(0));
    leave();
    process.free(false);
}

fn reborn() {
    let _balance = Balance::new();
    let mut spare = Spare::new();
    let mut old = Process::new(&mut spare, 0xDDDD_0004);
    old.run();
    check!(old.finds_its_own());
    let (root, number) = (old.pgd.root(), old.context.asid());
    leave();
    old.free(true);
    let mut new = Process::new(&mut spare, 0xEEEE_0005);
    check_eq!(new.pgd.root(), root, "the freed one is the next");
    check_eq!(new.context.asid(), None);
    new.run();
    check!(new.context.asid() != number, "an ASID of this generation is given out once");
    check!(new.finds_its_own());
    leave();
    new.free(false);
    kernel().swapper.lock().shrink();
}

/// Contexts of one space, which nobody edits, until the next one to ask will get the number `wanted`.
fn until_next_is(process: &Process, wanted: Asid) -> bool {
    (0..1024).any(|_| {
        let context = Context::new(process.pgd.root());
        // SAFETY: as in `Process::run`; what the TLB learns is true of the space under any number.
        unsafe { kernel().contexts.switch_mm(0, &context) };
        context.asid().is_some_and(|asid| asid.0.checked_add(1) == Some(wanted.0))
    })
}

fn same_asid() {
    let _balance = Balance::new();
    let mut spare = Spare::new();
    let mut old = Process::new(&mut spare, 0x1111_0006);
    let other = Process::new(&mut spare, 0x2222_0007);
    check!(until_next_is(&other, Asid(9)));
    old.run();
    check_eq!((old.context.asid(), found()), (Some(Asid(9)), Ok(old.value)));
    let old_root = old.pgd.root();
    leave();
    old.free(false);
    // A round later the number is the next again, for a space at another root.
    let taken = kernel().swapper.lock().pgd_alloc().expect("the heap has room for it");
    check!(until_next_is(&other, Asid(9)));
    let mut new = Process::new(&mut spare, 0x3333_0008);
    new.run();
    check_eq!((new.context.asid(), found()), (Some(Asid(9)), Ok(new.value)));
    check_eq!(mmu::root(), new.pgd.root());
    check!(new.pgd.root() != old_root);
    leave();
    new.free(false);
    // SAFETY: it never ran.
    unsafe { taken.pgd_free() };
    other.free(false);
}

fn edited() {
    let _balance = Balance::new();
    let mut spare = Spare::new();
    let mut process = Process::new(&mut spare, 0x4444_0009);
    let other = Process::new(&mut spare, 0x5555_000A);
    process.run();
    let before = process.context.asid();
    // A generation later it has another number.
    check!(until_next_is(&other, Asid(200)));
    check!(until_next_is(&other, Asid(100)));
    process.run();
    check!(process.context.asid() != before || before == Some(Asid(100)));
    check!(process.finds_its_own());
    // SAFETY: only this test uses the page.
    let flush = unsafe { process.pgd.unmap(VirtRange::page(AT)) };
    flush.expect("it is mapped").pay();
    check_eq!(found(), NOTHING);
    leave();
    process.free(false);
    other.free(false);
}
