//! What is unmapped, protected or replaced is so at once: no access finds what a TLB remembers.

use armv7a_mm::addr::{VirtAddr, VirtRange};
use armv7a_mm::armv7::mmu::{self, Query};
use armv7a_mm::attr::{Access, Attrs, MemoryType};
use armv7a_mm::format::FaultKind;
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::walk;

use super::kinds::Kind;
use super::oracle;
use super::scratch::{DATA, HERE, Refusal, WINDOW, part, poke};
use super::support::{self, PTE, Space, Spare};
use super::windows::Mapping;
use crate::harness::Test;
use crate::{check, check_eq, probe, skip};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "removal::unmapped-memory-faults-at-once", run: unmapped },
    Test { name: "removal::many-pages-go-together", run: many },
    Test { name: "removal::protection-holds-at-once", run: protected },
    Test { name: "removal::data-becomes-code-and-data-again", run: code },
    Test { name: "removal::another-frame-shows-at-once", run: replaced },
    Test { name: "removal::tables-come-back-empty", run: tables },
    Test { name: "removal::another-memory-type-holds-at-once", run: types },
    Test { name: "removal::the-kernel-half-goes-everywhere", run: kernel_half },
];

/// Whether `at` is gone: for an access, for the hardware when asked, for the tables, which end where the fault
/// says.
fn is_gone(space: &Space, at: VirtAddr) -> bool {
    let depth = walk::trace(&space.node(), at).count() - 1;
    Refusal::of(probe::read(at)) == Refusal::read(FaultKind::Translation, depth)
        && mmu::translate(at, Query::KernelRead).is_err()
        && oracle::live().agree(at).is_ok()
}

fn unmapped() {
    let mut spare = Spare::new();
    for kind in Kind::all() {
        let Some(phys) = spare.take(kind.bytes(), kind.shift()) else {
            skip!("{} MiB aligned to themselves are not spare", kind.bytes() >> 20);
        };
        let mut space = Space::new();
        check_eq!(space.map(kind.range(), phys, DATA, kind.sizes()), Ok(()));
        space.enter();
        // In every sixteenth, so that a TLB may know all leaves of a run.
        let places = || (0..16).map(|i| VirtAddr(HERE.0 + (i << (kind.shift() - 4))));
        check!(places().all(|at| poke(at, at.0) == Ok(())), "{kind:?}");
        match space.unmap(kind.range()) {
            Ok(flush) => flush.pay(),
            Err(error) => check!(false, "{kind:?}: {error}"),
        }
        let left = places().find(|at| !is_gone(&space, *at));
        check!(left.is_none(), "{kind:?}: {left:?} is still there");
        check_eq!(space.unmap(kind.range()).is_err(), true, "{kind:?}");
    }
}

fn many() {
    // More pages than a flush forgets one by one, and one fewer, each with neighbours that stay.
    for pages in [64_u32, 31] {
        let mut spare = Spare::new();
        let bytes = u64::from(pages + 2) << 12;
        let Some(phys) = spare.take(bytes, 12) else { skip!("not so much memory is spare") };
        let mut space = Space::new();
        let all = part(VirtRange::page(HERE), 0, bytes);
        check_eq!(space.map(all, phys, DATA, LeafSizes::PAGES), Ok(()));
        space.enter();
        let page = |i| VirtAddr(HERE.0 + (i << 12));
        check!((0..pages + 2).all(|i| poke(page(i), i) == Ok(())));
        check!(space.unmap(part(all, 4096, u64::from(pages) << 12)).is_ok());
        let left = (1..=pages).find(|&i| !is_gone(&space, page(i)));
        check!(left.is_none(), "page {left:?} of {pages} is still there");
        let kept = [0, pages + 1].map(|i| probe::read(page(i)));
        check_eq!(kept, [Ok(0), Ok(pages + 1)]);
    }
}

fn protected() {
    let mut spare = Spare::new();
    for kind in Kind::all() {
        let Some(phys) = spare.take(kind.bytes(), kind.shift()) else { continue };
        let mut space = Space::new();
        check_eq!(space.map(kind.range(), phys, DATA, kind.sizes()), Ok(()));
        space.enter();
        let last = VirtAddr(kind.range().last().0 & !3);
        for at in [HERE, last] {
            check_eq!(poke(at, 1), Ok(()), "{kind:?}");
        }
        let forbidden = Refusal::write(FaultKind::Permission, kind.depth);
        check!(space.protect(kind.range(), Access::Read).is_ok(), "{kind:?}");
        for at in [HERE, last] {
            check_eq!((probe::read(at), Refusal::of(poke(at, 2))), (Ok(1), forbidden), "{kind:?}");
        }
        check!(space.protect(kind.range(), Access::None).is_ok(), "{kind:?}");
        for at in [HERE, last] {
            check!(is_gone(&space, at), "{kind:?}: {at} is still there");
        }
        check!(space.protect(kind.range(), Access::ReadWrite).is_ok(), "{kind:?}");
        for at in [HERE, last] {
            check_eq!((probe::read(at), poke(at, 3)), (Ok(1), Ok(())), "{kind:?}");
        }
    }
}

/// User code that leaves with a number: MOV r0, #value; SVC #0.
const fn leave_with(value: u32) -> [u32; 2] {
    [0xE3A0_0000 | value, 0xEF00_0000]
}

fn code() {
    let phys = Spare::new().page();
    let mut space = Space::new();
    let page = VirtRange::page(HERE);
    check_eq!(space.map(page, phys, Attrs::user(Access::ReadWrite), LeafSizes::PAGES), Ok(()));
    space.enter();
    // SAFETY: user mode runs what was written, or faults.
    let run = || unsafe { probe::user(HERE, 0, VirtAddr(0)) };
    for value in [3, 4] {
        for (i, word) in leave_with(value).into_iter().enumerate() {
            check_eq!(poke(VirtAddr(HERE.0 + 4 * i as u32), word), Ok(()));
        }
        check_eq!(run().kind(), Some(FaultKind::Permission));
        check!(space.protect(page, Access::ReadExecute).is_ok());
        armv7a_mm::armv7::cache::publish_code(HERE.0 as *const u8, 8);
        let record = run();
        check_eq!((record.kind(), record.r0), (None, value));
        check_eq!(Refusal::of(poke(HERE, 0)), Refusal::write(FaultKind::Permission, PTE));
        check!(space.protect(page, Access::ReadWrite).is_ok());
    }
    check_eq!(run().kind(), Some(FaultKind::Permission));
}

fn replaced() {
    let mut spare = Spare::new();
    for kind in Kind::all().take(3) {
        let mut take = || spare.take(kind.bytes(), kind.shift());
        let (Some(one), Some(other)) = (take(), take()) else { continue };
        for (phys, word) in [(one, 1), (other, 2)] {
            support::write(phys, &[word]);
        }
        let mut space = Space::new();
        space.enter();
        for (phys, word) in [(one, 1), (other, 2), (one, 1)] {
            check_eq!(space.map(kind.range(), phys, DATA, kind.sizes()), Ok(()), "{kind:?}");
            check_eq!(probe::read(HERE), Ok(word), "{kind:?}");
            check_eq!(mmu::translate(HERE, Query::KernelRead), Ok(phys), "{kind:?}");
            check!(space.unmap(kind.range()).is_ok(), "{kind:?}");
        }
    }
}

fn tables() {
    // The table that the first page leaves behind serves the second, which lies elsewhere in it.
    let phys = Spare::new().page();
    let mut space = Space::new();
    space.enter();
    let pages = [VirtRange::page(HERE), VirtRange::page(VirtAddr(0x2345_6000))];
    for _ in 0..3 {
        for (page, other) in [(pages[0], pages[1]), (pages[1], pages[0])] {
            let before = support::in_use();
            check_eq!(space.map(page, phys, DATA, LeafSizes::PAGES), Ok(()));
            check_eq!(poke(page.start(), 1), Ok(()));
            check!(is_gone(&space, other.start()), "{other} came with {page}");
            check!(space.unmap(page).is_ok());
            check!(is_gone(&space, page.start()), "{page} is still there");
            check!(support::in_use() == before, "tables stayed");
        }
    }
}

fn types() {
    let mut spare = Spare::new();
    for kind in Kind::all() {
        let Some(phys) = spare.take(kind.bytes(), kind.shift()) else { continue };
        let mut space = Space::new();
        check_eq!(space.map(kind.range(), phys, DATA, kind.sizes()), Ok(()));
        space.enter();
        for (i, memory) in (1..).zip(MemoryType::ALL) {
            support::write(phys, &[i]);
            let changed = space.modify(kind.range(), |attrs| attrs.with_memory(memory));
            check!(changed.is_ok(), "{kind:?}");
            drop(changed);
            check_eq!(probe::read(HERE), Ok(i), "{kind:?}, {memory:?}");
            // Under LPAE the hardware names the type as well.
            for at in [HERE, kind.range().last()] {
                if let Err(error) = oracle::live().agree(at) {
                    check!(false, "{kind:?}, {memory:?}: {error:x?}");
                }
            }
        }
    }
}

fn kernel_half() {
    let mut spare = Spare::new();
    let space = Space::new();
    space.enter();
    for kind in Kind::all().take(2) {
        let Some(phys) = spare.take(kind.bytes(), kind.shift()) else { continue };
        let range = VirtRange::aligned(WINDOW, kind.shift());
        let mapping = Mapping::new(range, phys, kind.sizes());
        let pages = || (0..16).map(|i| VirtAddr(WINDOW.0 + (i << (kind.shift() - 4))));
        check!(pages().all(|at| poke(at, at.0) == Ok(())), "{kind:?}");
        drop(mapping);
        let left = pages().find(|&at| !is_gone(&space, at));
        check!(left.is_none(), "{kind:?}: {left:?} is still there");
    }
}
