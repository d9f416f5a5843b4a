//! Kernel mappings made and changed after sealing are the same in every pgd, at once; what pgds hold copies
//! of can no longer change.

use armv7a_mm::addr::{VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::FaultKind;
use armv7a_mm::mm::{Layout, LayoutSpec};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::error::EditError;

use super::support::{self, PTE, Space, Spare};
use super::windows::{LINK, Mapping, fresh};
use super::world::World;
use crate::harness::Test;
use crate::kernel::{LAYOUT, kernel};
use crate::{check, check_eq, image, probe};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "sealed::every-pgd-sees-map-protect-and-unmap", run: page_everywhere },
    Test { name: "sealed::so-it-does-with-many-pages", run: pages_everywhere },
    Test { name: "sealed::copied-entries-refuse-change", run: refused },
    Test { name: "sealed::new-mappings-are-made-of-pages", run: made_of_pages },
    Test { name: "sealed::neither-half-edits-the-other", run: halves },
];

/// A world whose window lies where the live swapper has user space.
static BELOW: Layout = Layout::checked(LayoutSpec::linux(0x8000_0000));

const VALUE: u32 = 0x5EA1_ED00;

fn page_everywhere() {
    everywhere(1);
}

fn pages_everywhere() {
    // More than are forgotten one by one.
    everywhere(64);
}

fn everywhere(pages: u64) {
    let mut spare = Spare::new();
    let Some(memory) = spare.take(pages << 12, 12) else { panic!("no memory") };
    let older = Space::new();
    let younger = Space::new();
    let spaces = [None, Some(&older), Some(&younger)];
    let enter = |space: Option<&Space>| space.map_or_else(support::leave, Space::enter);

    let start = fresh(LAYOUT.spec().vmalloc, 1).start();
    let range = VirtRange::new(start, pages << 12).expect("it lies in vmalloc");
    let mapping = Mapping::new(range, memory, LeafSizes::PAGES);
    let every = || (0..pages as u32).map(|page| VirtAddr(start.0 + (page << 12)));
    // SAFETY: spare memory.
    let write = |at: VirtAddr| unsafe { probe::write(at, at.0) }.map_err(|record| record.kind());
    let read = |at: VirtAddr| probe::read(at).map_err(|record| record.kind());
    for space in spaces {
        enter(space);
        check!(every().all(|at| write(at) == Ok(()) && read(at) == Ok(at.0)));
    }
    // The TLB holds the pages as writable.
    // SAFETY: nobody writes there but this test.
    let flush = unsafe { kernel().swapper.lock().protect(range, Access::Read) };
    check!(flush.map(|flush| flush.pay()).is_ok());
    // First in the space in use, whose TLB entries these are.
    let forbidden = Err(Some(FaultKind::Permission));
    for space in spaces {
        check!(every().all(|at| write(at) == forbidden && read(at) == Ok(at.0)));
        enter(space);
    }
    drop(mapping);
    let gone = Err(Some(FaultKind::Translation));
    for space in spaces {
        check!(every().all(|at| read(at) == gone));
        enter(space);
    }
}

/// A world with a leaf of swapper's in its window, and a pgd with a copy of it.
fn with_block(spare: &mut Spare) -> (World, VirtRange) {
    let mut world = World::new(&BELOW);
    let start = VirtAddr(BELOW.spec().modules.start);
    let block = VirtRange::new(start, LINK.span().into()).expect("it lies in the window");
    let memory = spare.take(block.bytes(), LINK.shift).expect("RAM is larger");
    support::write(memory, &[VALUE]);
    world.map_at(block, memory, Access::ReadWrite, LeafSizes::LARGEST);
    (world, block)
}

fn refused() {
    let (mut world, block) = with_block(&mut Spare::new());
    check_eq!(world.translate(block.start()).map(|found| found.depth), Some(PTE - 1));
    let space = Space::of(&mut world);
    check!(world.is_sealed());
    space.enter();
    check_eq!(probe::read(block.start()), Ok(VALUE));
    let tables = world.checksum();
    let sealed = Err(EditError::Sealed { at: block.start() });
    for part in [block, VirtRange::page(block.start())] {
        // SAFETY: it is refused; else nobody but this test uses it.
        let (unmapped, protected) = unsafe {
            let unmapped = world.unmap(part).map(|flush| flush.pay());
            (unmapped, world.protect(part, Access::Read).map(|flush| flush.pay()))
        };
        check_eq!((unmapped, protected), (sealed, sealed), "{part}");
    }
    let page = VirtRange::page(block.start());
    let (memory, attrs) = (Spare::new().page(), Attrs::kernel(Access::Read));
    // SAFETY: as above.
    let over = unsafe { world.map(page, memory, attrs, LeafSizes::LARGEST) };
    check!(matches!(over, Err(EditError::Mapped { .. })), "{over:?}");
    check_eq!(world.checksum(), tables);
    // SAFETY: spare memory.
    check_eq!(unsafe { probe::write(block.start(), VALUE + 1) }, Ok(()));
    check_eq!(probe::read(block.start()), Ok(VALUE + 1));
}

fn made_of_pages() {
    let mut spare = Spare::new();
    let (mut world, block) = with_block(&mut spare);
    world.seal().expect("no window is eager");
    let next = VirtAddr(block.last().0 + 1);
    let second = VirtRange::new(next, block.bytes()).expect("it lies in the window");
    let memory = spare.take(block.bytes(), LINK.shift).expect("RAM is larger");
    // Where a leaf would fit, there is a table: a copy of it stays right when this is unmapped.
    world.map_at(second, memory, Access::ReadWrite, LeafSizes::LARGEST);
    check_eq!(world.translate(next).map(|found| found.depth), Some(PTE));
    // SAFETY: nobody uses it.
    let unmapped = unsafe { world.unmap(second) }.map(|flush| flush.pay());
    check_eq!(unmapped, Ok(()));
    check_eq!(world.translate(next), None);
}

fn halves() {
    let page = Spare::new().page();
    let kernel_page = VirtRange::page(VirtAddr(LAYOUT.spec().vmalloc.start));
    let user_page = VirtRange::page(VirtAddr(0x1_0000));
    let out_of_bounds = |range: VirtRange| Err(EditError::OutOfBounds { at: range.start() });
    let user = Attrs::user(Access::ReadWrite);
    let global = Attrs::kernel(Access::ReadWrite);

    let mut space = Space::new();
    for range in [kernel_page, image::text(), LAYOUT.vectors()] {
        check_eq!(space.map(range, page, user, LeafSizes::PAGES), out_of_bounds(range));
        let unmapped = space.unmap(range).map(|flush| flush.pay());
        check_eq!(unmapped, out_of_bounds(range));
        let protected = space.protect(range, Access::ReadWrite).map(|flush| flush.pay());
        check_eq!(protected, out_of_bounds(range));
    }
    let wrong_half = Err(EditError::WrongHalf);
    check_eq!(space.map(user_page, page, global, LeafSizes::PAGES), wrong_half);

    let mut swapper = kernel().swapper.lock();
    // SAFETY: they are refused.
    let (below, local) = unsafe {
        (
            swapper.map(user_page, page, global, LeafSizes::PAGES),
            swapper.map(kernel_page, page, user, LeafSizes::PAGES),
        )
    };
    check_eq!(below, out_of_bounds(user_page));
    check_eq!(local, wrong_half);
}
