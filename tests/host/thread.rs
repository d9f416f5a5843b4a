//! Six cases in which a pgd and swapper meet, each in both formats: the window in a root entry shared with user space, a
//! dying pgd, an identity mapping over kernel entries, low vectors, a pgd_alloc that fails, where the window lies.

use crate::support::audit::assert_same;
use crate::support::exhaust::exhaust;
use crate::support::kernel::*;
use crate::support::model::{Model, assert_whole_runs};
use crate::support::*;
use armv7a_mm::mm::Verdict;

both_formats!(
    window_shares_a_root_entry,
    b05_abort_on_the_window_of_a_dying_pgd,
    b01_identity_mapping_lands_on_marked_entries,
    low_vectors,
    low_vectors_in_a_private_table,
    b05_pgd_alloc_unwinds,
    placements_of_the_window,
);

/// Tables of a pgd from birth: what `counts` grow by.
fn born<F: Format>(classic: [usize; 3], lpae: [usize; 3]) -> [usize; 3] {
    if is_classic::<F>() { classic } else { lpae }
}

fn sum(a: [usize; 3], b: [usize; 3]) -> [usize; 3] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

/// What `tree` maps of the kernel half, where swapper maps something.
fn kernel_half<F: Format>(host: &Host<F>, root: PhysAddr, layout: &Layout) -> Model {
    Model::read(host, root, layout.kernel())
}

/// Case 1: a private pmd for the window, which user space can neither free nor keep from being freed.
fn window_shares_a_root_entry<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let before = host.counts();
    let mine = host.snapshot_of(swapper.root());
    let mut pgd = pgd(&host, &mut swapper);
    assert_eq!(host.counts(), sum(before, born::<F>([1, 0, 0], [1, 1, 0])));
    let wanted = kernel_half(&host, swapper.root(), &layout);
    assert!(wanted == kernel_half(&host, pgd.root(), &layout), "the kernel half is swapper's");

    // User space comes and goes next to the window.
    let user = range(0xBEFF_F000, 0xBF00_0000);
    pgd.map_at(user, 0x7000_0000, Attrs::user(Access::ReadWrite), LeafSizes::LARGEST).unwrap();
    assert_eq!(host.counts(), sum(before, born::<F>([1, 1, 0], [1, 1, 1])));
    pgd.unmap_now(user).unwrap();
    assert_eq!(host.counts(), sum(before, born::<F>([1, 0, 0], [1, 1, 0])));
    pgd.clear_now(layout.user()).unwrap();
    assert_eq!(host.counts(), sum(before, born::<F>([1, 0, 0], [1, 1, 0])));
    assert!(wanted == kernel_half(&host, pgd.root(), &layout));
    host.audit(swapper.root(), &[pgd.root()]);

    free(&host, pgd);
    assert_eq!(host.counts(), before);
    assert_same(&host.snapshot_of(swapper.root()), &mine);
    host.audit(swapper.root(), &[]);
}

/// Case 2: what a fault copied into a dying pgd is swapper's still.
fn b05_abort_on_the_window_of_a_dying_pgd<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut dying = pgd(&host, &mut swapper);
    let other = pgd(&host, &mut swapper);
    let with_both = host.counts();
    let user = Attrs::user(Access::ReadWrite);
    dying.map_at(range(0x8000, 0x20_0000), 0x7000_8000, user, LeafSizes::LARGEST).unwrap();
    dying.map_at(range(0xBEC0_0000, 0xBF00_0000), 0x7100_0000, user, LeafSizes::PAGES).unwrap();

    // Modules, pkmap and vmalloc grow after the pgds were made.
    let data = Attrs::kernel(Access::ReadWrite);
    let places = [0xBF40_0000, 0xBFE8_0000, 0xF400_0000];
    for (n, place) in places.into_iter().enumerate() {
        let range = range(place, place + 0x2000);
        let to = 0x7200_0000 + ((n as u64) << 20);
        swapper.map_at(range, to, data, LeafSizes::LARGEST).unwrap();
        assert_eq!(swapper.translate(VirtAddr(place)).unwrap().phys, phys(to));
    }
    let mine = host.snapshot_of(swapper.root());
    let in_use = host.counts();

    dying.clear_now(layout.user()).unwrap();
    for place in places {
        host.take_log();
        assert_eq!(touch(&swapper, &dying, place + 0x1234), Verdict::Retry);
        let log = host.take_log();
        let stores = log.iter().filter(|op| matches!(op, Op::Store { .. })).count();
        assert!(stores <= 1, "an entry is copied with one store, once");
        assert!(!log.iter().any(|op| op.is_tlbi()), "no TLB remembers a fault");
        assert_eq!(dying.translate(VirtAddr(place)), swapper.translate(VirtAddr(place)));
        assert_eq!(touch(&swapper, &dying, place), Verdict::Retry, "another CPU was faster");
        assert_eq!(touch(&swapper, &dying, place + 0x2000), Verdict::Kernel, "not mapped");
    }
    assert_eq!(in_use[2], host.counts()[2] + born::<F>([0; 3], [0, 0, 3])[2], "user tables went");
    host.audit(swapper.root(), &[dying.root(), other.root()]);

    free(&host, dying);
    assert_same(&host.snapshot_of(swapper.root()), &mine);
    for place in places {
        assert_eq!(touch(&swapper, &other, place), Verdict::Retry);
        assert_eq!(other.translate(VirtAddr(place)), swapper.translate(VirtAddr(place)));
    }
    host.audit(swapper.root(), &[other.root()]);
    free(&host, other);
    assert_same(&host.snapshot_of(swapper.root()), &mine);
    assert!(with_both[0] == host.counts()[0] + 2);
    host.audit(swapper.root(), &[]);
}

/// Identity mappings of RAM at 0x8000_0000: pages, a part of a block and of a run, a block, more blocks,
/// across root entries.
const IDENTITY: [(u32, u32); 7] = [
    (0x8020_1000, 0x8020_3000),
    (0x8020_8000, 0x8029_0000),
    (0x8010_0000, 0x8020_0000),
    (0x8020_0000, 0x8040_0000),
    (0x801F_F000, 0x8060_1000),
    (0x8000_0000, 0x8300_0000),
    (0x7FFF_F000, 0x8000_1000),
];

/// Case 3: PHYS_OFFSET > PAGE_OFFSET. Swapper's tables stay as they are, what is mapped beside the identity
/// mapping keeps working, and del restores what was there.
fn b01_identity_mapping_lands_on_marked_entries<F: Format>() {
    let linux = LayoutSpec::linux(0x4000_0000);
    check_identity_mappings::<F>(&layout(linux));
    check_identity_mappings::<F>(&layout(LayoutSpec { pmds: Pmds::Always, ..linux }));
}

fn check_identity_mappings<F: Format>(layout: &Layout) {
    let around = range(0x7FF0_0000, 0x8400_0000);
    // Blocks of a GiB, runs of blocks, blocks, runs of pages, pages.
    for to in [0xC000_0000, 0xC200_0000, 0xC020_0000, 0xC001_0000, 0xC000_1000] {
        let host = Host::<F>::new();
        let mut swapper = high_ram(&host, layout, to);
        // An identity mapping is for a pgd that no CPU runs on.
        let mut pgd = swapper.pgd_alloc().unwrap();
        let untouched = host.snapshot();
        let before = Model::read(&host, swapper.root(), around);
        let wholes = [(0x8000_0000, 0xC000_0000), (0x4000_0000, 0xC000_0000)];
        for (start, end) in IDENTITY.into_iter().chain(wholes) {
            let identity = range(start, end);
            let mine = host.snapshot_of(swapper.root());
            pgd.identity_add(identity, Access::ReadExecute).unwrap();
            assert_same(&host.snapshot_of(swapper.root()), &mine);

            let mut wanted = before.clone();
            let attrs = Attrs::kernel(Access::ReadExecute).with_global(false);
            let hidden = identity.intersection(around).unwrap();
            wanted.clear(hidden);
            wanted.map(hidden, hidden.start().0.into(), attrs).unwrap();
            wanted.assert_read(&host, pgd.root(), around);
            assert_whole_runs(&host, pgd.root());
            host.audit(swapper.root(), &[pgd.root()]);

            let again = pgd.identity_add(identity, Access::Read).unwrap_err();
            assert!(matches!(again, EditError::Mapped { at, .. } if at == identity.start()));
            pgd.identity_del(identity).unwrap();
            assert_same(&host.snapshot(), &untouched);
            let gone = pgd.identity_del(identity).unwrap_err();
            assert!(matches!(gone, EditError::NotMapped { at } if at == identity.start()));
            assert_same(&host.snapshot(), &untouched);
        }
        pgd.identity_add(range(0x801F_F000, 0x8060_1000), Access::ReadWrite).unwrap();
        // SAFETY: it was never in a TTBR; the identity mapping goes with it.
        unsafe { pgd.pgd_free() };
        host.audit(swapper.root(), &[]);
    }
}

/// Case 4: every pgd has the vectors, in tables of its own, which unmapping leaves and pgd_free frees.
fn low_vectors<F: Format>() {
    let (host, layout) = (Host::<F>::new(), low_vectors_layout(0xC000_0000));
    check_low_vectors(&host, &layout, born::<F>([1, 1, 0], [1, 2, 1]));
}

/// Case 4, where the window shares the root entry of address 0, and where every root entry has a table.
fn low_vectors_in_a_private_table<F: Format>() {
    let (host, layout) = (Host::<F>::new(), low_vectors_layout(0x4000_0000));
    check_low_vectors(&host, &layout, born::<F>([1, 1, 0], [1, 1, 1]));
    let spec = LayoutSpec { pmds: Pmds::Always, ..*layout.spec() };
    let (host, layout) = (Host::<F>::new(), crate::support::kernel::layout(spec));
    check_low_vectors(&host, &layout, born::<F>([1, 1, 0], [1, 4, 1]));
}

fn low_vectors_layout(page_offset: u32) -> Layout {
    crate::support::kernel::low_vectors(page_offset)
}

fn check_low_vectors<F: Format>(host: &Host<F>, layout: &Layout, born: [usize; 3]) {
    let mut swapper = swapper(host, layout);
    let before = host.counts();
    let mine = host.snapshot_of(swapper.root());
    let mut pgd = pgd(host, &mut swapper);
    assert_same(&host.snapshot_of(swapper.root()), &mine);
    host.audit(swapper.root(), &[pgd.root()]);
    assert_eq!(host.counts(), sum(before, born));
    let vectors = |pgd: &Pgd<'_, F, Host<F>>| pgd.translate(VirtAddr(0x8)).map(|to| to.phys);
    assert_eq!(vectors(&pgd), Some(phys(0x6300_0008)));

    // Every TLBI, and no moment without vectors, while user space fills and empties the first tables.
    let user = Attrs::user(Access::ReadWrite);
    host.take_log();
    pgd.map_at(range(0x2000, 0x40_0000), 0x7000_2000, user, LeafSizes::LARGEST).unwrap();
    assert!(!host.take_log().iter().any(|op| op.is_tlbi()), "nothing was replaced");
    assert_eq!(vectors(&pgd), Some(phys(0x6300_0008)));
    pgd.protect_now(range(0x2000, 0x40_0000), Access::Read).unwrap();
    pgd.unmap_now(range(0x2000, 0x40_0000)).unwrap();
    pgd.clear_now(layout.user()).unwrap();
    assert_eq!(vectors(&pgd), Some(phys(0x6300_0008)));
    assert_eq!(host.counts(), sum(before, born));
    host.audit(swapper.root(), &[pgd.root()]);

    // The vectors are the kernel's alone.
    let page = range(0, 0x1000);
    assert_eq!(pgd.unmap_now(page), Err(EditError::OutOfBounds { at: VirtAddr(0) }));
    assert_eq!(swapper.unmap_now(page), Err(EditError::Sealed { at: VirtAddr(0) }));
    assert_eq!(swapper.protect_now(page, Access::Read), Err(EditError::Sealed { at: VirtAddr(0) }));

    // Behind their page is nothing of swapper's.
    let behind = Err(EditError::OutOfBounds { at: VirtAddr(0x1000) });
    assert_eq!(swapper.unmap_now(range(0, 0x2000)), behind);

    free(host, pgd);
    assert_eq!(host.counts(), before);
    assert_same(&host.snapshot_of(swapper.root()), &mine);
    host.audit(swapper.root(), &[]);
}

/// Case 5: whichever allocation fails, what was allocated before is given back.
fn b05_pgd_alloc_unwinds<F: Format>() {
    let cases = [
        (LayoutSpec::linux(0xC000_0000), born::<F>([1, 0, 0], [1, 1, 0])),
        (LayoutSpec::modules_at_border(0xC000_0000), [1, 0, 0]),
        (*low_vectors_layout(0xC000_0000).spec(), born::<F>([1, 1, 0], [1, 2, 1])),
        (
            LayoutSpec { pmds: Pmds::Always, ..LayoutSpec::linux(0x8000_0000) },
            born::<F>([1, 0, 0], [1, 4, 0]),
        ),
    ];
    for (spec, born) in cases {
        let (host, layout) = (Host::<F>::new(), layout(spec));
        let mut swapper = swapper(&host, &layout);
        let first = exhaust(&host, born.iter().sum(), || swapper.pgd_alloc());
        let second = exhaust(&host, born.iter().sum(), || swapper.pgd_alloc());
        host.audit(swapper.root(), &[first.root(), second.root()]);
        // SAFETY: neither was in a TTBR.
        unsafe {
            first.pgd_free();
            second.pgd_free();
        }
        host.audit(swapper.root(), &[]);
    }
}

/// Case 6: the three placements of the window, measured: the tables that each pgd needs, and whether a use
/// of a new mapping in the window faults once.
fn placements_of_the_window<F: Format>() {
    let linux = LayoutSpec::linux(0xC000_0000);
    let border = LayoutSpec::modules_at_border(0xC000_0000);
    let placements = [
        // (layout, tables of a pgd, a new mapping in a used root entry of the window faults)
        (linux, born::<F>([1, 0, 0], [1, 1, 0]), true),
        (border, [1, 0, 0], is_classic::<F>()),
        (LayoutSpec { pmds: Pmds::Always, ..linux }, born::<F>([1, 0, 0], [1, 4, 0]), true),
        (LayoutSpec { pmds: Pmds::Always, ..border }, born::<F>([1, 0, 0], [1, 4, 0]), true),
    ];
    for (spec, born, faults) in placements {
        let (host, layout) = (Host::<F>::new(), layout(spec));
        let mut swapper = swapper(&host, &layout);
        let before = host.counts();
        let pgd = pgd(&host, &mut swapper);
        assert_eq!(host.counts(), sum(before, born));
        let window = VirtAddr(spec.modules.start + 0x40_0000);
        let module = VirtRange::page(window);
        let code = Attrs::kernel(Access::ReadExecute);
        swapper.map_at(module, 0x7200_0000, code, LeafSizes::LARGEST).unwrap();
        assert_eq!(pgd.translate(window).is_none(), faults);
        assert_eq!(touch(&swapper, &pgd, window.0), Verdict::Retry);
        assert_eq!(pgd.translate(window), swapper.translate(window));
        host.audit(swapper.root(), &[pgd.root()]);
        // Unmapped and mapped again, swapper's table serves every pgd.
        swapper.unmap_now(module).unwrap();
        assert_eq!(pgd.translate(window), None);
        assert_eq!(touch(&swapper, &pgd, window.0), Verdict::Kernel);
        swapper.map_at(module, 0x7300_0000, code, LeafSizes::LARGEST).unwrap();
        assert_eq!(pgd.translate(window).unwrap().phys, phys(0x7300_0000));
        free(&host, pgd);
        host.audit(swapper.root(), &[]);
    }
}
