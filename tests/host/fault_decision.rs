//! What a kernel is told to do about a fault: every kind of fault, of access, of leaf, from either mode.

use crate::support::kernel::*;
use crate::support::*;
use armv7a_mm::attr::Marks;
use armv7a_mm::format::{Fault, FaultKind};
use armv7a_mm::mm::{Decision, Found, Origin, decide};

both_formats!(
    every_access_to_every_leaf,
    user_addresses_that_are_not_mapped,
    the_kernel_half,
    nothing_that_tables_decide,
    user_space_is_closed,
    a_stale_fault_is_retried,
    what_it_says_leads_out,
);

const DATA: Attrs = Attrs::user(Access::ReadWrite);
const HERE: VirtAddr = VirtAddr(0x1_0000);
const ORIGINS: [Origin; 3] = [Origin::User, Origin::Kernel, Origin::KernelClosed];

/// A fault of a load, a store, or a fetch.
fn faults(kind: FaultKind) -> [Fault; 3] {
    let fault = fault(kind);
    [fault, Fault { write: true, ..fault }, Fault { instruction: true, ..fault }]
}

fn ask<F: Format>(
    swapper: &Swapper<'_, F, Host<F>>,
    pgd: &Pgd<'_, F, Host<F>>,
    fault: &Fault,
    va: VirtAddr,
    origin: Origin,
) -> Decision {
    // SAFETY: the pgd lives.
    unsafe { decide(&swapper.view(), pgd.root(), fault, va, origin) }
}

/// Every access, mark and age of a leaf, against every access to it.
fn every_access_to_every_leaf<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let page = VirtRange::page(HERE);
    for access in Access::ALL {
        for marks in 0..4 {
            for (young, user) in [(true, true), (false, true), (true, false), (false, false)] {
                let marks = Marks::from_bits(marks).unwrap();
                let attrs = Attrs { access, marks, young, user, ..DATA };
                pgd.map_at(page, 0x7000_0000, attrs, LeafSizes::PAGES).unwrap();
                let found = Found { frame: phys(0x7000_0000), attrs, span: page };
                for origin in [Origin::User, Origin::Kernel] {
                    for kind in
                        [FaultKind::Permission, FaultKind::Translation, FaultKind::AccessFlag]
                    {
                        for fault in faults(kind) {
                            // A copy goes by user mode's rights, and would fault for ever.
                            let reaches =
                                user || origin == Origin::Kernel && kind != FaultKind::Permission;
                            let allowed = match access {
                                Access::None => false,
                                Access::Read => !fault.write && !fault.instruction,
                                Access::ReadWrite => !fault.instruction,
                                // No kernel runs what is user space's.
                                Access::ReadExecute => {
                                    !(fault.write || fault.instruction && origin == Origin::Kernel)
                                }
                            };
                            let later = fault.write
                                && access != Access::None
                                && marks.contains(Marks::WRITE);
                            let wanted = match (reaches && allowed, reaches && later) {
                                (true, _) if young => Decision::Retry,
                                (true, _) => Decision::Old(found),
                                (false, true) => Decision::ReadOnly(found),
                                (false, false) => Decision::Forbidden(Some(found)),
                            };
                            let at = VirtAddr(HERE.0 + 0x123);
                            let real = ask(&swapper, &pgd, &fault, at, origin);
                            assert_eq!(real, wanted, "{fault:?} {origin:?} {attrs:?}");
                        }
                    }
                }
                pgd.unmap_now(page).unwrap();
            }
        }
    }
}

fn user_addresses_that_are_not_mapped<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let before = host.snapshot();
    for at in [0, 4, 0x2000, 0x4000_0000, 0xBEFF_FFFF].map(VirtAddr) {
        for origin in [Origin::User, Origin::Kernel] {
            for fault in faults(FaultKind::Translation) {
                assert_eq!(ask(&swapper, &pgd, &fault, at, origin), Decision::NotMapped);
            }
        }
    }
    // A table without the page is no other answer.
    pgd.map_at(VirtRange::page(HERE), 0x7000_0000, DATA, LeafSizes::PAGES).unwrap();
    let next = VirtAddr(HERE.0 + PAGE_SIZE);
    let fault = fault(FaultKind::Translation);
    assert_eq!(ask(&swapper, &pgd, &fault, next, Origin::User), Decision::NotMapped);
    pgd.unmap_now(VirtRange::page(HERE)).unwrap();
    audit::assert_same(&host.snapshot(), &before);
}

fn the_kernel_half<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let pgd = pgd(&host, &mut swapper);
    // Mapped after the pgd was made, where it has no entry yet.
    let late = VirtRange::page(VirtAddr(0xBF60_0000));
    let data = Attrs::kernel(Access::ReadWrite);
    swapper.map_at(late, 0x7000_0000, data, LeafSizes::PAGES).unwrap();
    let start = late.start();
    let fault = fault(FaultKind::Translation);
    assert_eq!(ask(&swapper, &pgd, &fault, start, Origin::User), Decision::Forbidden(None));
    assert_eq!(pgd.translate(start), None, "user mode gets nothing");
    for origin in [Origin::Kernel, Origin::KernelClosed] {
        assert_eq!(ask(&swapper, &pgd, &fault, start, origin), Decision::Retry);
        assert!(pgd.translate(start).is_some());
        let nowhere = VirtAddr(start.0 + PAGE_SIZE);
        assert_eq!(ask(&swapper, &pgd, &fault, nowhere, origin), Decision::Kernel);
    }
    for kind in [FaultKind::Permission, FaultKind::AccessFlag, FaultKind::Domain] {
        for fault in faults(kind) {
            for at in [0xC000_0000, start.0].map(VirtAddr) {
                for origin in [Origin::Kernel, Origin::KernelClosed] {
                    assert_eq!(ask(&swapper, &pgd, &fault, at, origin), Decision::Kernel);
                }
                let user = ask(&swapper, &pgd, &fault, at, Origin::User);
                assert_eq!(user, Decision::Forbidden(None));
            }
        }
    }
}

fn nothing_that_tables_decide<F: Format>() {
    use FaultKind::*;
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let pgd = pgd(&host, &mut swapper);
    for kind in [
        Alignment,
        Debug,
        AddressSize,
        CacheMaintenance,
        External,
        WalkExternal,
        Parity,
        WalkParity,
        TlbConflict,
        AsyncExternal,
        AsyncParity,
        Lockdown,
        Coprocessor,
        Reserved(7),
    ] {
        for at in [HERE, VirtAddr(0xC000_0000)] {
            for origin in ORIGINS {
                for fault in faults(kind) {
                    assert_eq!(ask(&swapper, &pgd, &fault, at, origin), Decision::Other(kind));
                }
            }
        }
    }
}

/// Closed by the domain or by a walk that is switched off: mapped or not, it is never tried again.
fn user_space_is_closed<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    pgd.map_at(VirtRange::page(HERE), 0x7000_0000, DATA, LeafSizes::PAGES).unwrap();
    for at in [HERE, VirtAddr(0x2_0000)] {
        for kind in [FaultKind::Translation, FaultKind::Domain, FaultKind::Permission] {
            for fault in faults(kind) {
                let closed = ask(&swapper, &pgd, &fault, at, Origin::KernelClosed);
                assert_eq!(closed, Decision::Closed);
            }
        }
    }
}

/// Another CPU mapped it, made it writable or young, before this one came to look.
fn a_stale_fault_is_retried<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let ask = |pgd: &Pgd<'_, F, Host<F>>, kind, write| {
        let fault = Fault { write, ..fault(kind) };
        ask(&swapper, pgd, &fault, HERE, Origin::User)
    };
    assert_eq!(ask(&pgd, FaultKind::Translation, true), Decision::NotMapped);
    let cow = DATA.mkcow().mkold();
    pgd.map_at(VirtRange::page(HERE), 0x7000_0000, cow, LeafSizes::PAGES).unwrap();
    assert!(matches!(ask(&pgd, FaultKind::Translation, false), Decision::Old(_)));
    // SAFETY: nobody reaches memory through these tables.
    unsafe { pgd.mkyoung(HERE) }.unwrap().pay();
    assert_eq!(ask(&pgd, FaultKind::Translation, false), Decision::Retry);
    assert_eq!(ask(&pgd, FaultKind::AccessFlag, false), Decision::Retry);
    assert!(matches!(ask(&pgd, FaultKind::Permission, true), Decision::ReadOnly(_)));
    // SAFETY: as above.
    unsafe { pgd.make_writable(HERE) }.unwrap().pay();
    assert_eq!(ask(&pgd, FaultKind::Permission, true), Decision::Retry);
}

/// What a kernel does by these words ends, and the access is allowed then.
fn what_it_says_leads_out<F: Format>() {
    for attrs in [DATA, DATA.mkclean(), DATA.mkcow(), DATA.mkold(), DATA.mkcow().mkold()] {
        let (host, layout) = (Host::<F>::new(), linux());
        let mut swapper = swapper(&host, &layout);
        let mut pgd = pgd(&host, &mut swapper);
        let fault = Fault { write: true, ..fault(FaultKind::Permission) };
        let mut steps = 0;
        loop {
            steps += 1;
            // SAFETY: nobody reaches memory through these tables.
            unsafe {
                match ask(&swapper, &pgd, &fault, HERE, Origin::User) {
                    Decision::Retry => break,
                    Decision::NotMapped => {
                        let page = VirtRange::page(HERE);
                        pgd.map_at(page, 0x7000_0000, attrs, LeafSizes::PAGES).unwrap();
                    }
                    Decision::ReadOnly(found) => {
                        assert_eq!(found.frame, phys(0x7000_0000));
                        pgd.break_cow(HERE, phys(0x7100_0000)).unwrap();
                    }
                    Decision::Old(_) => pgd.mkyoung(HERE).unwrap().pay(),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(steps <= 3, "{steps} for {attrs:?}");
        let leaf = pgd.translate(HERE).unwrap().leaf().unwrap();
        assert_eq!((leaf.attrs.access, leaf.attrs.young), (Access::ReadWrite, true));
        host.audit(swapper.root(), &[pgd.root()]);
    }
}
