//! Case 4: low vectors. Every pgd has tables of its own down to the page at address 0, and exceptions are
//! taken through it; whatever user space does, they stay, and pgd_free frees them.

use armv7a_mm::addr::{VirtAddr, VirtRange};
use armv7a_mm::armv7::mmu::{self, Query};
use armv7a_mm::armv7::vectors;
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::{Active, FaultKind, Format};
use armv7a_mm::mm::{Layout, LayoutSpec, Vectors};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::error::EditError;

use crate::faults::Vector;
use crate::tests::support::{self, Space, Spare};
use crate::tests::world::World;
use crate::{check, check_eq, image, probe};

static LAYOUT: Layout =
    Layout::checked(LayoutSpec { vectors: Vectors::Low, ..LayoutSpec::linux(0xC000_0000) });

/// Nothing is mapped there. In the user half: a kernel address would be looked up in the live swapper.
const FREE: VirtAddr = VirtAddr(0x1230_4560);

/// User memory that shares the last table with the vectors.
const FIRST_USER: VirtAddr = VirtAddr(0x2000);

/// A world without the page at 0xFFFF_0000.
fn world() -> World {
    let mut world = World::new(&LAYOUT);
    let page = image::placement().phys(image::vectors().start());
    world.map_at(LAYOUT.vectors(), page, Access::ReadExecute, LeafSizes::PAGES);
    world
}

/// Exceptions go to address 0 until dropped.
struct Low;

impl Low {
    /// In a pgd of this world's.
    fn new() -> Self {
        // SAFETY: the vectors are mapped there.
        unsafe { vectors::use_base(VirtAddr(0)) };
        Self
    }
}

impl Drop for Low {
    fn drop(&mut self) {
        // SAFETY: the next thing that happens is a switch to tables that have them there.
        unsafe { vectors::use_high() };
    }
}

pub fn taken() {
    let mut world = world();
    let (older, younger) = (Space::of(&mut world), Space::of(&mut world));
    for space in [&older, &younger] {
        space.enter();
        let high = mmu::translate(vectors::HIGH, Query::KernelRead);
        check_eq!(high.map_err(|fault| fault.kind), Err(FaultKind::Translation));
        let _low = Low::new();
        check_eq!(vectors::base(), VirtAddr(0));
        let page = image::placement().phys(image::vectors().start());
        check_eq!(mmu::translate(VirtAddr(0), Query::KernelRead), Ok(page));
        let user = mmu::translate(VirtAddr(0), Query::UserRead);
        check_eq!(user.map_err(|fault| fault.kind), Err(FaultKind::Permission));

        let data = probe::read(FREE).map_err(|record| (record.vector, record.far));
        check_eq!(data, Err((Vector::Data, FREE.0)));
        // SAFETY: nothing is mapped there.
        let fetch = unsafe { probe::execute(FREE) }.map_err(|record| (record.vector, record.far));
        check_eq!(fetch, Err((Vector::Prefetch, FREE.0)));
        // The page itself: read by the kernel, written by nobody.
        let word = probe::read(image::vectors().start());
        check_eq!(probe::read(VirtAddr(0)), word);
        // SAFETY: it faults; if not, it stored what was there.
        let stored = unsafe { probe::write(VirtAddr(0), word.unwrap_or_default()) };
        check_eq!(stored.map_err(|record| record.kind()), Err(Some(FaultKind::Permission)));
    }
    support::leave();
    check_eq!(vectors::base(), vectors::HIGH);
    drop(younger);
    drop(older);
}

pub fn kept() {
    let mut world = world();
    let mut spare = Spare::new();
    let before = support::in_use().1;
    let mut space = Space::of(&mut world);
    let born = support::in_use().1;
    // Under LPAE a pmd for the window and one for address 0; in both formats the last table.
    let pmds = 2 * (Active::LEVELS.len() - 2);
    check_eq!((born.pgd, born.pmd, born.pte), (before.pgd + 1, before.pmd + pmds, before.pte + 1));
    let user = Attrs::user(Access::ReadWrite);
    let page = spare.page();
    let at_vectors = space.map(LAYOUT.vectors(), page, user, LeafSizes::PAGES);
    check_eq!(at_vectors, Err(EditError::OutOfBounds { at: VirtAddr(0) }));
    check_eq!(space.map(VirtRange::page(FIRST_USER), page, user, LeafSizes::PAGES), Ok(()));
    check_eq!(support::in_use().1, born, "the page shares the vectors' table");
    // SAFETY: nobody uses the user half.
    let cleared = unsafe { space.clear(LAYOUT.user()) };
    check!(cleared.map(|flush| flush.pay()).is_ok());
    check_eq!(support::in_use().1, born, "the vectors' tables stay");

    space.enter();
    let low = Low::new();
    let data = probe::read(FIRST_USER).map_err(|record| record.vector);
    check_eq!(data, Err(Vector::Data), "taken at address 0");
    drop(low);
    drop(space);
    check_eq!(support::in_use().1, before, "no leak");
}
