//! The library's check of tables by the CPU that walks them: it agrees where it should, and says what differs where it
//! should not.

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::check::{self, Disagreement};
use armv7a_mm::armv7::mmu::Query;
use armv7a_mm::attr::{Access, Attrs, MemoryType};
use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{Active, FaultKind};
use armv7a_mm::table::edit::LeafSizes;

use super::oracle;
use super::scratch::HERE;
use super::support::{PTE, Space, Spare};
use crate::harness::Test;
use crate::{check, check_eq};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "check::cpu-and-tables-agree", run: agree },
    Test { name: "check::other-tables-are-told-apart", run: tell_apart },
];

const USER: Attrs = Attrs::user(Access::ReadWrite);
const PAGE: VirtRange = VirtRange::page(HERE);

fn agree() {
    let root = oracle::live().root();
    let asked = check::agree(&root, VirtRange::ALL);
    check!(matches!(asked, Ok(100..)), "{asked:?}");
    // Of a part: the ends of what is asked for, and of the page in it.
    let mut space = Space::new();
    let [before, page] = [HERE.0, HERE.0 + 0x1000].map(|at| VirtRange::page(VirtAddr(at)));
    check_eq!(space.map(page, Spare::new().page(), USER, LeafSizes::PAGES), Ok(()));
    space.enter();
    for (range, asked) in [
        (page, 2),
        (before, 2),
        (before.hull(page), 4),
        (VirtRange::aligned(HERE, 21), 6),
        (VirtRange::new(HERE, 1).unwrap_or(page), 1),
    ] {
        check_eq!(check::agree(&space.node(), range), Ok(asked), "{range}");
    }
}

/// Whether the CPU, which walks a page of [`USER`], disagrees with tables that map `attrs` and `other`, or nothing.
fn differ(other: Option<(PhysAddr, Attrs)>, frame: PhysAddr) -> Result<usize, Disagreement> {
    let space_with = |mapping: Option<_>| {
        let mut space = Space::new();
        if let Some((frame, attrs)) = mapping {
            space.map(PAGE, frame, attrs, LeafSizes::PAGES).expect("nothing is in the way");
        }
        space
    };
    let walked = space_with(Some((frame, USER)));
    // The younger of two goes first.
    let tables = space_with(other);
    walked.enter();
    check::agree(&tables.node(), PAGE)
}

fn tell_apart() {
    let mut spare = Spare::new();
    let [frame, other] = [(); 2].map(|()| spare.page());
    check_eq!(differ(Some((frame, USER)), frame), Ok(2));
    let access = |query, cpu, tables| Err(Disagreement::Access { va: HERE, query, cpu, tables });
    // Another frame, another right, nobody but the kernel, nothing.
    check_eq!(differ(Some((other, USER)), frame), access(Query::KernelRead, Ok(frame), Ok(other)));
    let refused = Err((FaultKind::Permission, Some(PTE)));
    let read = USER.with_access(Access::Read);
    check_eq!(differ(Some((frame, read)), frame), access(Query::KernelWrite, Ok(frame), refused));
    let kernels = Attrs::kernel(Access::ReadWrite).with_global(false);
    check_eq!(differ(Some((frame, kernels)), frame), access(Query::UserRead, Ok(frame), refused));
    let nothing = differ(None, frame);
    check!(
        matches!(
            nothing,
            Err(Disagreement::Access { cpu: Ok(_), tables: Err((FaultKind::Translation, _)), .. })
        ),
        "{nothing:?}"
    );
    // In the classic format QEMU's PAR says nothing of memory.
    let memory = differ(Some((frame, USER.with_memory(MemoryType::NonCacheable))), frame);
    check_eq!(matches!(memory, Err(Disagreement::Memory { va: HERE, .. })), Active::LPAE);
}
