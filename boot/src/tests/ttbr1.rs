//! Kernel halves that TTBR1 serves: a second swapper whose layout shares the address space, entered and left again.

use core::ops::ControlFlow;

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::mmu::{self, WalkState};
use armv7a_mm::armv7::offline;
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{Active, FaultKind, Format, Split};
use armv7a_mm::mm::{Layout, LayoutSpec, Verdict, Window};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::error::EditError;
use armv7a_mm::table::walk;

use super::support::{self, Random, Space, Spare};
use super::world::World;
use super::{offline as identity_mapped, oracle, windows};
use crate::faults::FaultRecord;
use crate::harness::Test;
use crate::kernel::{judge_faults, kernel};
use crate::{check, check_eq, head, image, probe, skip};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "ttbr1::from-2-gib-window-below", run: window_below },
    Test { name: "ttbr1::from-2-gib-window-at-the-border", run: window_at_border },
    Test { name: "ttbr1::from-3-gib-window-below", run: upper_gib },
    Test { name: "ttbr1::from-3-gib-no-window", run: upper_gib_whole },
    Test { name: "ttbr1::entered-with-the-mmu-off", run: entered },
];

/// This kernel's linear map stays where it is linked, whatever else a layout says.
const fn linked(spec: LayoutSpec) -> LayoutSpec {
    LayoutSpec { page_offset: head::PAGE_OFFSET, ..spec }
}

static BELOW: Layout =
    Layout::checked_for::<Active>(linked(LayoutSpec::linux(0x8000_0000)).split_at(0x8000_0000));
static BORDER: Layout = Layout::checked_for::<Active>(
    linked(LayoutSpec::modules_at_border(0x8000_0000)).split_at(0x8000_0000),
);
/// LPAE alone has a border there, above which walks start at the pmd.
static UPPER: Layout = Layout::checked(LayoutSpec::linux(0xC000_0000).split_at(0xC000_0000));
static UPPER_WHOLE: Layout = {
    let none = Window::new(0xC000_0000, 0xC000_0000);
    let spec = LayoutSpec { modules: none, pkmap: none, ..LayoutSpec::linux(0xC000_0000) };
    Layout::checked(spec.split_at(0xC000_0000))
};

fn window_below() {
    live_in(&BELOW);
}

fn window_at_border() {
    live_in(&BORDER);
}

fn upper_gib() {
    live_in(&UPPER);
}

fn upper_gib_whole() {
    live_in(&UPPER_WHOLE);
}

/// The address space is shared from `new` until this is dropped; then TTBR0 has all of it again.
pub struct Shared;

impl Shared {
    /// Enters `world`, and has its TTBR1 take over.
    pub fn new(world: &World) -> Self {
        support::switch(world.root());
        judge_faults(false);
        // SAFETY: TTBR0 holds the world's swapper.
        unsafe { mmu::set_split(world.view().upper()) };
        Self
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        support::leave();
        // SAFETY: TTBR0 holds the live swapper, which maps the kernel as the world does.
        unsafe { mmu::set_split(None) };
        judge_faults(true);
    }
}

/// As an early map is left for such a layout.
fn entered() {
    let Some(split) = BORDER.split::<Active>() else {
        skip!("TTBR1 has no border there in this format");
    };
    let Some(_space) = identity_mapped::with_identity() else {
        skip!("the image lies at the kernel's addresses")
    };
    let world = World::new(&BORDER);
    let routine = image::placement().phys(offline::routine());
    judge_faults(false);
    // SAFETY: the space in use maps the routine's page to itself, the world nothing there, and the kernel as it is.
    let entered = unsafe { offline::set_root(routine, world.root(), world.view().upper()) };
    let shared = Shared;
    check_eq!(entered, Ok(()));
    registers(split, &world);
    everything_agrees(&world);
    drop(shared);
    check_eq!(mmu::root(), kernel().view.node().table());
}

fn live_in(layout: &'static Layout) {
    let Some(split) = layout.split::<Active>() else {
        skip!("TTBR1 has no border there in this format");
    };
    let mut spare = Spare::new();
    let mut world = World::new(layout);
    let shared = Shared::new(&world);
    registers(split, &world);
    everything_agrees(&world);
    space(&mut world, &mut spare);
    drop(shared);
    check_eq!(mmu::root(), kernel().view.node().table());
}

fn registers(split: &Split, world: &World) {
    let state = WalkState::read();
    check_eq!(state.ttbcr, Active::ttbcr(Some(split)));
    let upper = world.view().upper().map(|(split, table)| Active::ttbr1(table, split));
    check_eq!(Some(state.ttbr1), upper);
    check_eq!(mmu::root(), world.root());
}

/// Hardware, tables and inspector, at both ends of all that swapper maps and anywhere else.
fn everything_agrees(world: &World) {
    let oracle = oracle::of(world.view().node());
    let mut leaves = 0;
    let all = walk::visit(&world.view().node(), VirtRange::ALL, &mut |leaf| {
        leaves += 1;
        for at in [leaf.range.start(), leaf.range.last()] {
            if let Err(disagreement) = oracle.agree(at) {
                return ControlFlow::Break(disagreement);
            }
        }
        ControlFlow::Continue(())
    });
    check!(all.is_continue(), "{all:?}");
    check!(leaves > 12, "{leaves} leaves");
    let mut random = Random::new();
    for _ in 0..500 {
        check!(oracle.agree(VirtAddr(random.next())).is_ok());
    }
}

/// A space below the border, and what becomes of the kernel half meanwhile.
fn space(world: &mut World, spare: &mut Spare) {
    let layout = world.layout();
    let (last, window) = (layout.pgd_last::<Active>(), layout.spec().modules);
    let before = support::in_use().0;
    let mut space = Space::of(world);
    let private = layout.has_private_table::<Active>(layout.task_size());
    let tables = if private { Active::LEVELS[1].table_bytes() } else { 0 };
    check_eq!(support::in_use().0 - before, layout.pgd_level::<Active>().table_bytes() + tables);

    // Both ends of user space.
    let user = [layout.user().start(), layout.user().last()].map(VirtRange::page);
    for (value, page) in (0x1234_0000..).zip(user) {
        let frame = spare.page();
        support::write(frame, &[value]);
        let mapped = space.map(page, frame, Attrs::user(Access::ReadWrite), LeafSizes::PAGES);
        check_eq!(mapped, Ok(()));
    }
    space.enter();
    check_eq!(mmu::root(), space.root());
    for (value, page) in (0x1234_0000..).zip(user) {
        check_eq!(probe::read(page.start()), Ok(value));
        check_eq!(probe::read_user(page.start()), Ok(value));
    }
    let (lower, upper) = (oracle::of(space.node()), oracle::of(world.view().node()));
    let mut random = Random::new();
    for _ in 0..500 {
        let at = VirtAddr(random.next());
        let oracle = if at <= last { &lower } else { &upper };
        check!(oracle.agree(at).is_ok(), "{at}");
        check_eq!(space.translate(at).is_some(), oracle.translates(at), "{at}");
    }

    // What swapper gets above the border is there for all at once; below, by a fault.
    let vmalloc = VirtAddr(layout.spec().vmalloc.start);
    for at in window.range().map(VirtRange::start).into_iter().chain([vmalloc]) {
        let page = spare.page();
        support::write(page, &[at.0]);
        world.map_at(VirtRange::page(at), page, Access::ReadWrite, LeafSizes::PAGES);
        if at <= last {
            let fault = probe::read(at).map_err(|record| verdict(world, &record));
            check_eq!(fault, Err(Some(Verdict::Retry)), "{at}");
        }
        check_eq!(probe::read(at), Ok(at.0));
    }
    check_eq!(windows::link(&space.node(), vmalloc), None, "nothing was copied");
    let fault = probe::read(probe::UNMAPPED).map_err(|record| verdict(world, &record));
    check_eq!(fault, Err(Some(Verdict::Kernel)));
    identity(&mut space, layout);
}

fn verdict(world: &World, record: &FaultRecord) -> Option<Verdict> {
    world.judge(record).filter(|_| record.kind() == Some(FaultKind::Translation))
}

/// An identity mapping of RAM, where TTBR0 reaches it; none where TTBR1 translates.
fn identity(space: &mut Space, layout: &Layout) {
    let last = layout.pgd_last::<Active>();
    let ram = PhysAddr::truncate(kernel().spare.base.next_multiple_of(1 << 21));
    for at in [VirtAddr(ram.as_u64() as u32), VirtAddr(last.0 + 1), VirtAddr(0xFFE0_0000)] {
        let range = VirtRange::aligned(at, 12);
        // SAFETY: the memory is spare; above the border nothing is done.
        let added = unsafe { space.identity_mapping_add(range, Access::ReadWrite) };
        if at > last {
            check_eq!(added, Err(EditError::OutOfBounds { at }));
            continue;
        }
        check_eq!(added, Ok(()));
        check_eq!(space.translate(at).map(|found| found.phys), Some(PhysAddr::from_u32(at.0)));
        // SAFETY: nobody uses it.
        let deleted = unsafe { space.identity_mapping_del(range) };
        check!(deleted.map(|flush| flush.pay()).is_ok());
    }
}
