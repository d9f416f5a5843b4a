//! What edits owe, operation by operation. That it is owed at all, and that it is paid in time, is checked
//! by the host machine in every test (`support/debts.rs`); that it checks, by `bites.rs`.

use crate::support::kernel::*;
use crate::support::*;
use armv7a_mm::table::context::Context;

both_formats!(
    b44_r2_r29_the_recipe,
    one_by_one_up_to_a_limit,
    b32_b50_at_the_top_of_the_address_space,
    r2_code_is_predicted,
    merged_debts_are_paid_once,
    debts_of_two_machines_stay_apart,
    debts_of_one_context_stay_its_own,
    an_unpaid_debt_is_paid_when_dropped,
    nothing_changed_nothing_owed,
    freeing_an_address_space,
    identity_mappings_are_forgotten_everywhere,
    what_stays_empty_owes_nothing,
);

const USER: Attrs = Attrs::user(Access::ReadWrite);
const ASID: Asid = Asid(0x5A);
const BASE: u32 = 0x4000_0000;

/// A pgd with so many pages mapped one by one from `BASE` on, and one more that keeps the tables in use.
fn with_pages<'m, F: Format>(
    host: &'m Host<F>,
    layout: &'m Layout,
    pages: u32,
    asid: Option<Asid>,
) -> Pgd<'m, F, Host<F>> {
    let mut pgd = pgd(host, &mut swapper(host, layout));
    // SAFETY: nobody runs in it.
    unsafe { pgd.set_asid(asid) };
    let whole = range(BASE, BASE + (pages + 1) * PAGE_SIZE);
    pgd.map_at(whole, 0x7000_0000, USER, LeafSizes::PAGES).unwrap();
    host.take_log();
    pgd
}

fn pages(from: u32, count: u32) -> VirtRange {
    range(from, from + count * PAGE_SIZE)
}

/// The log without the stores and cleans that come first.
fn debts<F: Format>(host: &Host<F>) -> Vec<Op> {
    let log = host.take_log();
    let first = log.iter().position(|op| !matches!(op, Op::Store { .. } | Op::Clean));
    log[first.unwrap_or(log.len())..].to_vec()
}

/// Stores, cleans, DSB ISHST, TLBI, DSB ISH, ISB; then the tables are freed (R29).
fn b44_r2_r29_the_recipe<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut pgd = with_pages(&host, &layout, 1, Some(ASID));
    pgd.unmap_now(pages(BASE, 1)).unwrap();
    let log = host.take_log();
    assert!(
        matches!(log[0], Op::Store { at: _, depth, new: 0, live: true, .. } if depth + 1 == F::LEVELS.len())
    );
    let cleans = log.iter().position(|op| *op != Op::Clean && !matches!(op, Op::Store { .. }));
    let rest = &log[cleans.unwrap()..];
    assert!(log[..cleans.unwrap()].contains(&Op::Clean));
    assert_eq!(rest, [Op::DsbIshst, Op::Mva(VirtAddr(BASE), ASID), Op::DsbIsh, Op::Isb]);

    // The last page takes the tables with it: walk caches may hold them under any address.
    pgd.unmap_now(pages(BASE + PAGE_SIZE, 1)).unwrap();
    let freed = if is_classic::<F>() { vec![Op::Free(1)] } else { vec![Op::Free(1), Op::Free(2)] };
    let mut wanted = vec![Op::DsbIshst, Op::ByAsid(ASID), Op::DsbIsh, Op::Isb];
    wanted.extend(freed);
    assert_eq!(debts(&host), wanted);
}

/// 32 pages are forgotten one by one, 33 all at once; with an ASID, without, and in swapper.
fn one_by_one_up_to_a_limit<F: Format>() {
    for asid in [Some(ASID), None] {
        for count in [1, 16, 32, 33, 100] {
            let (host, layout) = (Host::<F>::new(), linux());
            let mut pgd = with_pages(&host, &layout, count, asid);
            pgd.protect_now(pages(BASE, count), Access::Read).unwrap();
            let one = |page| {
                let va = VirtAddr(BASE + page * PAGE_SIZE);
                asid.map_or(Op::Mvaa(va), |asid| Op::Mva(va, asid))
            };
            let mut wanted = vec![Op::DsbIshst];
            match count {
                ..=32 => wanted.extend((0..count).map(one)),
                _ => wanted.push(asid.map_or(Op::All, Op::ByAsid)),
            }
            wanted.extend([Op::DsbIsh, Op::Isb]);
            assert_eq!(debts(&host), wanted);
        }
    }
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    host.take_log();
    let page = VirtAddr(layout.spec().vmalloc.start + 0x5000);
    swapper.unmap_now(VirtRange::page(page)).unwrap();
    assert_eq!(debts(&host), [Op::DsbIshst, Op::Mvaa(page), Op::DsbIsh, Op::Isb]);
}

/// The last page's successor is no address.
fn b32_b50_at_the_top_of_the_address_space<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = empty_swapper(&host, &layout);
    let top = range(0xFFFF_D000, 0);
    swapper.map_at(top, 0x7000_0000, Attrs::kernel(Access::Read), LeafSizes::PAGES).unwrap();
    host.take_log();
    swapper.unmap_now(top).unwrap();
    let pages = [0xFFFF_D000, 0xFFFF_E000, 0xFFFF_F000].map(|va| Op::Mvaa(VirtAddr(va)));
    let [a, b, c] = pages;
    assert_eq!(debts(&host), [Op::DsbIshst, a, b, c, Op::DsbIsh, Op::Isb]);
}

/// Predictions go where code was or will be, and only there.
fn r2_code_is_predicted<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut pgd = with_pages(&host, &layout, 4, Some(ASID));
    let page = pages(BASE, 1);
    let mut steps: Vec<(bool, Done)> = Vec::new();
    let mut note = |done| steps.push((host.take_log().contains(&Op::Bpiall), done));
    note(pgd.protect_now(page, Access::Read));
    note(pgd.protect_now(page, Access::ReadExecute));
    note(pgd.protect_now(page, Access::Read));
    note(pgd.unmap_now(page));
    note(pgd.protect_now(pages(BASE + PAGE_SIZE, 1), Access::ReadExecute));
    note(pgd.unmap_now(pages(BASE + PAGE_SIZE, 1)));
    assert!(steps.iter().all(|(_, done)| done.is_ok()));
    let predicted: Vec<bool> = steps.iter().map(|(predicted, _)| *predicted).collect();
    assert_eq!(predicted, [false, true, true, false, true, true]);
}

/// Two edits, one set of barriers; address spaces that differ are all forgotten.
fn merged_debts_are_paid_once<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgds = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    for (pgd, n) in pgds.iter_mut().zip(1..) {
        // SAFETY: nobody runs in it.
        unsafe { pgd.set_asid(Some(Asid(n))) };
        pgd.map_at(pages(BASE, 9), 0x7000_0000, USER, LeafSizes::PAGES).unwrap();
        // Below LPAE's pmd, more than its first entry.
        pgd.map_at(pages(BASE + (8 << 20), 1), 0x7000_0000, USER, LeafSizes::PAGES).unwrap();
    }
    host.take_log();
    let mut late = pgds[0].unmap_late(pages(BASE, 1)).unwrap();
    late.merge(pgds[0].unmap_late(pages(BASE + 2 * PAGE_SIZE, 1)).unwrap());
    assert_eq!(late.range(), Some(pages(BASE, 3)), "one range that holds both");
    assert!(debts(&host).is_empty(), "nothing is paid yet");
    late.pay();
    let mva = |page| Op::Mva(VirtAddr(BASE + page * PAGE_SIZE), Asid(1));
    assert_eq!(debts(&host), [Op::DsbIshst, mva(0), mva(1), mva(2), Op::DsbIsh, Op::Isb]);

    let in_use = host.counts();
    let mut late = pgds[0].clear_late(layout.user()).unwrap();
    late.merge(pgds[1].clear_late(layout.user()).unwrap());
    assert_eq!(host.counts(), in_use, "tables are kept until it is paid");
    host.take_log();
    late.pay();
    let log = host.take_log();
    // Nobody looked whether there was code.
    assert_eq!(log[..5], [Op::DsbIshst, Op::All, Op::Bpiall, Op::DsbIsh, Op::Isb]);
    let tables = if is_classic::<F>() { 4 } else { 6 };
    let freed = log.iter().filter(|op| matches!(op, Op::Free(_))).count();
    assert_eq!(freed, tables, "both address spaces' tables are freed");
    host.audit(swapper.root(), &pgds.each_ref().map(Pgd::root));
}

/// Each machine's tables go back to itself.
fn debts_of_two_machines_stay_apart<F: Format>() {
    let (hosts, layout) = ([(); 2].map(|()| Host::<F>::new()), linux());
    let mut swappers = hosts.each_ref().map(|host| swapper(host, &layout));
    let [mut one, mut other] = swappers.each_mut().map(|swapper| swapper.pgd_alloc().unwrap());
    let before = hosts.each_ref().map(Host::counts);
    for pgd in [&mut one, &mut other] {
        pgd.map_at(pages(BASE, 4), 0x7000_0000, USER, LeafSizes::PAGES).unwrap();
    }
    let mut debt = one.clear_late(layout.user()).unwrap();
    debt.merge(other.clear_late(layout.user()).unwrap());
    assert_eq!(hosts[1].counts(), before[1], "paid at once");
    debt.pay();
    assert_eq!(hosts[0].counts(), before[0]);
}

/// A space that no CPU ran has nothing in any TLB, however many debts are merged; with another's they are everybody's.
fn debts_of_one_context_stay_its_own<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let [mut one, mut other] = [(); 2].map(|()| swapper.pgd_alloc().unwrap());
    let contexts = [&one, &other].map(|pgd| Context::new(pgd.root()));
    for (pgd, context) in [&mut one, &mut other].into_iter().zip(&contexts) {
        pgd.map_at(pages(BASE, 4), 0x7000_0000, USER, LeafSizes::PAGES).unwrap();
        assert_eq!(pgd.asid(), None);
        // SAFETY: no CPU runs it, and the context outlives it.
        unsafe { pgd.set_context(context) };
        assert_eq!(pgd.asid(), None);
    }
    host.take_log();
    let mut debt = one.unmap_late(pages(BASE, 1)).unwrap();
    debt.merge(one.unmap_late(pages(BASE + PAGE_SIZE, 1)).unwrap());
    debt.pay();
    assert!(!host.take_log().iter().any(|op| op.is_tlbi()));
    let mut debt = one.unmap_late(pages(BASE + 2 * PAGE_SIZE, 1)).unwrap();
    debt.merge(other.unmap_late(pages(BASE, 1)).unwrap());
    debt.pay();
    assert_eq!(
        host.take_log().iter().filter(|op| op.is_tlbi()).count(),
        3,
        "by address, in all spaces"
    );
    // SAFETY: as above.
    unsafe { one.set_asid(Some(ASID)) };
    assert_eq!(one.asid(), Some(ASID));
    // SAFETY: no TTBR ever held them.
    unsafe {
        one.pgd_free();
        other.pgd_free();
    }
}

fn an_unpaid_debt_is_paid_when_dropped<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut pgd = with_pages(&host, &layout, 1, Some(ASID));
    drop(pgd.unmap_late(pages(BASE, 1)).unwrap());
    assert_eq!(debts(&host), [Op::DsbIshst, Op::Mva(VirtAddr(BASE), ASID), Op::DsbIsh, Op::Isb]);
}

fn nothing_changed_nothing_owed<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut pgd = with_pages(&host, &layout, 1, Some(ASID));
    let late = pgd.clear_late(range(0x5000_0000, 0x9000_0000)).unwrap();
    assert!(late.is_empty());
    late.pay();
    assert_eq!(host.take_log(), []);
    let late = pgd.protect_late(pages(BASE, 1), Access::Read).unwrap();
    assert!(!late.is_empty());
    assert_eq!(late.range(), Some(pages(BASE, 1)));
    late.pay();
    host.take_log();
    let refused = pgd.unmap_now(range(BASE, 0x9000_0000));
    assert_eq!(refused, Err(EditError::NotMapped { at: VirtAddr(BASE + 2 * PAGE_SIZE) }));
    assert_eq!(host.take_log(), []);
}

/// The address space is forgotten before its first table is freed (R29).
fn freeing_an_address_space<F: Format>() {
    for (asid, op) in [(Some(ASID), Op::ByAsid(ASID)), (None, Op::All)] {
        let (host, layout) = (Host::<F>::new(), linux());
        let pgd = with_pages(&host, &layout, 1, asid);
        free(&host, pgd);
        let log = host.take_log();
        let tlbi = log.iter().position(|entry| entry.is_tlbi()).unwrap();
        assert_eq!(log[tlbi], op);
        assert!(!log[..tlbi].iter().any(|op| matches!(op, Op::Free(_))));
        let freed = log.iter().filter(|op| matches!(op, Op::Free(_))).count();
        // The root and a pte table; with LPAE the window's pmd and the pages' own.
        assert_eq!(freed, if is_classic::<F>() { 2 } else { 4 });
    }
}

/// The kernel's global entries may translate the same addresses: no ASID names those.
fn identity_mappings_are_forgotten_everywhere<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut pgd = swapper(&host, &layout).pgd_alloc().unwrap();
    // SAFETY: nobody runs in it.
    unsafe { pgd.set_asid(Some(ASID)) };
    let identity = pages(0xC000_0000, 2);
    pgd.identity_add(identity, Access::ReadExecute).unwrap();
    host.take_log();
    let late = pgd.identity_del_late(identity).unwrap();
    assert!(!late.is_empty() && late.range() == Some(VirtRange::ALL));
    late.pay();
    let log = host.take_log();
    let tlbi = log.iter().position(|op| op.is_tlbi()).unwrap();
    assert_eq!(log[tlbi..tlbi + 4], [Op::All, Op::Bpiall, Op::DsbIsh, Op::Isb]);
    assert!(log[tlbi..].iter().any(|op| matches!(op, Op::Free(_))));
}

/// A table that stays is looked into, though all that it translates is cleared.
fn what_stays_empty_owes_nothing<F: Format>() {
    let host = Host::<F>::new();
    let layout = layout(LayoutSpec { pmds: Pmds::Always, ..LayoutSpec::linux(0xC000_0000) });
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let gib = range(0x4000_0000, 0x8000_0000);
    assert!(pgd.clear_late(gib).unwrap().is_empty());
    pgd.map_at(pages(BASE, 1), 0x7000_0000, USER, LeafSizes::PAGES).unwrap();
    assert!(!pgd.clear_late(gib).unwrap().is_empty());
    assert!(pgd.clear_late(gib).unwrap().is_empty());
}
