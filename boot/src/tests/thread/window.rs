//! Cases 1 and 2: the window for modules and pkmap, which under LPAE shares a root entry of 1 GiB with user
//! space. A pgd has a private pmd there; what swapper maps later comes in by faults, also while the pgd dies.

use armv7a_mm::addr::{VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::{Active, Descriptor, Entry, Format, Owner};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::heap::TableCounts;
use armv7a_mm::table::mem::{Maintenance, TableMemory};

use crate::kernel::{LAYOUT, kernel, synced};
use crate::memory::machine;
use crate::tests::support::{self, Balance, Space, Spare};
use crate::tests::windows::{Mapping, fresh, link};
use crate::tests::world;
use crate::{check, check_eq, probe};

const VALUE: u32 = 0x600D_F00D;

/// Private pmds of a pgd in this kernel's layout.
const PRIVATE: usize = Active::LEVELS.len() - 2;

/// What user space may map last: under LPAE below the same root entry as the window.
const LAST_USER_PAGE: VirtAddr = VirtAddr(LAYOUT.task_size().0 - 0x1000);

fn counts() -> TableCounts {
    support::in_use().1
}

pub fn filled_in() {
    let mut spare = Spare::new();
    let page = spare.page();
    support::write(page, &[VALUE]);
    let at = fresh(LAYOUT.spec().modules, 1).start();
    let spaces = [Space::new(), Space::new()];
    for space in &spaces {
        check_eq!(link(&space.node(), at), None);
    }
    let _mapping = Mapping::page(at, page);
    for space in &spaces {
        check_eq!(link(&space.node(), at), None, "nobody broadcasts");
        space.enter();
        let before = synced();
        check_eq!(probe::read(at), Ok(VALUE));
        check_eq!(synced() - before, 1);
        check_eq!(probe::read(at), Ok(VALUE));
        check_eq!(synced() - before, 1);
        // The copy carries the mark.
        let copy = link(&space.node(), at);
        check_eq!(copy, link(&kernel().view.node(), at));
        check_eq!(copy.map(|entry| entry.owner), Some(Owner::Swapper));
    }
    // Of spaces the younger goes first.
    let [older, younger] = spaces;
    drop(younger);
    drop(older);
}

pub fn private() {
    let _balance = Balance::new();
    let mut spare = Spare::new();
    let none = counts();
    let mut space = Space::new();
    let born = counts();
    check_eq!((born.pgd, born.pmd, born.pte), (none.pgd + 1, none.pmd + PRIVATE, none.pte));
    let page = VirtRange::page(LAST_USER_PAGE);
    let mapped = space.map(page, spare.page(), Attrs::user(Access::ReadWrite), LeafSizes::PAGES);
    check_eq!(mapped, Ok(()));
    check_eq!(counts().pte, born.pte + 1);
    // SAFETY: nobody uses the user half.
    let cleared = unsafe { space.clear(LAYOUT.user()) };
    check!(cleared.map(|flush| flush.pay()).is_ok());
    check_eq!(counts(), born, "the private pmd is pinned, and nothing else stays");
    drop(space);
    check_eq!(counts(), none);
}

/// Maps something next to the window and elsewhere, and takes it all away again, as exit does.
fn exit(space: &mut Space, spare: &mut Spare) {
    for at in [VirtAddr(0x1_0000), LAST_USER_PAGE] {
        let user = Attrs::user(Access::ReadWrite);
        let mapped = space.map(VirtRange::page(at), spare.page(), user, LeafSizes::PAGES);
        mapped.expect("a new pgd is empty");
    }
    // SAFETY: nobody uses the user half.
    let cleared = unsafe { space.clear(LAYOUT.user()) };
    cleared.expect("nothing needs to be split").pay();
}

/// Whether the window works in swapper and in another pgd, after a pgd with a copy of its entry is gone.
fn works_elsewhere(mapping: &Mapping) -> bool {
    let works = || probe::read(mapping.start()) == Ok(VALUE);
    support::leave();
    let other = Space::new();
    let in_swapper = works();
    other.enter();
    in_swapper && works()
}

pub fn dying() {
    let mut spare = Spare::new();
    let page = spare.page();
    support::write(page, &[VALUE]);
    let at = fresh(LAYOUT.spec().modules, 1).start();
    let mut space = Space::new();
    space.enter();
    exit(&mut space, &mut spare);
    let mapping = Mapping::page(at, page);
    let (before, tables) = (synced(), world::checksum(&kernel().view.node()));
    check_eq!(probe::read(at), Ok(VALUE));
    check_eq!(synced() - before, 1);
    check_eq!(link(&space.node(), at).map(|entry| entry.owner), Some(Owner::Swapper));
    drop(space);
    check_eq!(world::checksum(&kernel().view.node()), tables, "swapper's tables are as they were");
    check!(works_elsewhere(&mapping));
}

/// As Linux would have it: free_pgtables took the private pmd as well, so the abort copies the root entry.
pub fn dying_root() {
    let mut spare = Spare::new();
    let page = spare.page();
    support::write(page, &[VALUE]);
    let at = fresh(LAYOUT.spec().modules, 1).start();
    let mut space = Space::new();
    exit(&mut space, &mut spare);
    let (root, swapper) = (space.node(), kernel().view.node());
    let index = root.index(at);
    if let Entry::Table(private) = root.entry(index) {
        check_eq!(private.owner, Owner::Kernel);
        // SAFETY: the test's own pgd, which nobody runs on, gives up a table that is empty.
        unsafe {
            root.store(index, Descriptor::from_u64(0));
            machine().tlbiall();
            machine().free(private.table, &Active::LEVELS[1]);
        }
    }
    let mapping = Mapping::page(at, page);
    space.enter();
    let (before, tables) = (synced(), world::checksum(&swapper));
    check_eq!(probe::read(at), Ok(VALUE));
    check_eq!(synced() - before, 1);
    check_eq!(root.load(index), swapper.load(index), "swapper's root entry, mark and all");
    drop(space);
    check_eq!(world::checksum(&swapper), tables, "swapper's tables are as they were");
    check!(works_elsewhere(&mapping));
}
