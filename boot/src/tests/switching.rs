//! Two address spaces that differ at one address, by turns: TTBR0 decides, and what the TLB held goes.

use core::ops::ControlFlow;

use armv7a_mm::addr::{VirtAddr, VirtRange};
use armv7a_mm::armv7::barrier::{ISH, dsb, isb};
use armv7a_mm::armv7::cp15::{MIDR, MPIDR};
use armv7a_mm::armv7::mmu::{self, Query};
use armv7a_mm::armv7::tlb::{self, Reach};
use armv7a_mm::attr::{Access, Asid, Attrs};
use armv7a_mm::format::FaultKind;
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::walk;

use super::support::{self, Space, Spare};
use crate::harness::Test;
use crate::kernel::kernel;
use crate::{check, check_eq, probe};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "switching::each-space-has-its-own-memory", run: contents },
    Test { name: "switching::every-kind-of-tlb-invalidation-serves", run: invalidations },
    Test { name: "switching::the-kernel-half-stays", run: kernel_half },
    Test { name: "switching::what-one-space-maps-another-does-not", run: holes },
];

const AT: VirtAddr = VirtAddr(0x2345_6000);
const VALUES: [u32; 2] = [0xAAAA_0001, 0xBBBB_0002];

/// A space with a page at [`AT`], whose first word is `value`.
fn space(spare: &mut Spare, value: u32) -> Space {
    let mut space = Space::new();
    let page = spare.page();
    support::write(page, &[value]);
    let mapped =
        space.map(VirtRange::page(AT), page, Attrs::user(Access::ReadWrite), LeafSizes::PAGES);
    mapped.expect("a new pgd is empty");
    space
}

fn contents() {
    let mut spare = Spare::new();
    let older = space(&mut spare, VALUES[0]);
    let younger = space(&mut spare, VALUES[1]);
    for round in 0..3 {
        for (space, value) in [(&older, VALUES[0]), (&younger, VALUES[1])] {
            space.enter();
            check_eq!(mmu::root(), space.root());
            check_eq!(probe::read(AT), Ok(value + round));
            check_eq!(probe::read_user(AT), Ok(value + round));
            // SAFETY: spare memory.
            check_eq!(unsafe { probe::write(AT, value + round + 1) }, Ok(()));
        }
    }
}

/// An instruction that has the TLB forget [`AT`], and perhaps more.
type Forget = fn(Reach);

/// Each of the four, between a switch and the first use.
fn invalidations() {
    let mut spare = Spare::new();
    let older = space(&mut spare, VALUES[0]);
    let younger = space(&mut spare, VALUES[1]);
    let ways: [(&str, Forget); 4] = [
        ("TLBIMVA", |reach| tlb::page(reach, AT, Asid(0))),
        ("TLBIMVAA", |reach| tlb::page_everywhere(reach, AT)),
        ("TLBIASID", |reach| tlb::address_space(reach, Asid(0))),
        ("TLBIALL", tlb::all),
    ];
    // Only the Multiprocessing Extensions have those that reach others (MPIDR.M; without them MPIDR reads as MIDR).
    let reaches: &[_] = match MPIDR::read() >> 31 {
        1 if MPIDR::read() != MIDR::read() => &[Reach::Local, Reach::InnerShareable],
        _ => &[Reach::Local],
    };
    older.enter();
    for (name, forget) in ways {
        for &reach in reaches {
            for (space, value) in [(&younger, VALUES[1]), (&older, VALUES[0])] {
                // The TLB holds the other space's page when TTBR0 changes.
                check!(probe::read(AT).is_ok());
                // SAFETY: both map the kernel alike, and what ASID 0 has in the TLB goes before its use.
                unsafe { mmu::set_root(space.root()) };
                forget(reach);
                dsb(ISH);
                isb();
                check_eq!(probe::read(AT), Ok(value), "{name}, {reach:?}");
            }
        }
    }
}

fn kernel_half() {
    let mut spare = Spare::new();
    let older = space(&mut spare, VALUES[0]);
    let younger = space(&mut spare, VALUES[1]);
    let mut leaves = 0;
    for space in [&older, &younger] {
        space.enter();
        let all = walk::visit(&kernel().view.node(), VirtRange::ALL, &mut |leaf| {
            leaves += 1;
            for at in [leaf.range.start(), leaf.range.last()] {
                let there = leaf.phys.checked_add(u64::from(at.0 - leaf.range.start().0));
                let kernel = mmu::translate(at, Query::KernelRead).ok();
                let user = mmu::translate(at, Query::UserRead).map_err(|fault| fault.kind);
                if kernel != there || user != Err(FaultKind::Permission) {
                    return ControlFlow::Break(at);
                }
            }
            ControlFlow::Continue(())
        });
        check_eq!(all, ControlFlow::Continue(()), "not as in swapper");
    }
    check!(leaves > 24, "{leaves} leaves in two spaces");
}

fn holes() {
    let mut spare = Spare::new();
    let older = space(&mut spare, VALUES[0]);
    let empty = Space::new();
    older.enter();
    check_eq!(probe::read(AT), Ok(VALUES[0]));
    empty.enter();
    let nothing = Err(Some(FaultKind::Translation));
    check_eq!(probe::read(AT).map_err(|record| record.kind()), nothing);
    support::leave();
    check_eq!(probe::read(AT).map_err(|record| record.kind()), nothing, "in swapper");
    older.enter();
    check_eq!(probe::read(AT), Ok(VALUES[0]));
}
