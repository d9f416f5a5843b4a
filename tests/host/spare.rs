//! Address spaces that were freed and are kept for the next pgd_alloc.

use crate::support::kernel::*;
use crate::support::model::Model;
use crate::support::*;
use armv7a_mm::mm::Verdict;

both_formats!(
    comes_back_as_new,
    leftovers_are_freed,
    b49_what_swapper_maps_meanwhile_is_filled_in,
    an_identity_mapping_in_the_kernel_half_ends_it,
    one_in_the_user_half_does_not,
    low_vectors_leave_no_place,
    shrinks,
    memory_by_the_byte,
);

/// What an empty address space takes, and 1 GiB of small pages in it: numbers, not formulas.
fn memory_by_the_byte<F: Format>() {
    let (empty, gib) = match F::LEVELS.len() {
        // A pte table has 1 KiB.
        2 => (16 << 10, 1 << 20),
        // The 32 bytes of a root, and the table for Linux's window; a pmd and 512 tables of ptes.
        _ => (32 + (4 << 10), (2 << 20) + (4 << 10)),
    };
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    swapper.seal().unwrap();
    let bytes = || -> usize {
        let tables = F::LEVELS.iter().zip(host.counts());
        tables.map(|(level, count)| count * level.table_bytes()).sum()
    };
    let before = bytes();
    let mut pgd = swapper.pgd_alloc().unwrap();
    assert_eq!(bytes() - before, empty);
    let data = Attrs::user(Access::ReadWrite);
    pgd.map_at(range(0x4000_0000, 0x8000_0000), 0x8000_0000, data, LeafSizes::PAGES).unwrap();
    assert_eq!(bytes() - before, empty + gib);
    free(&host, pgd);
}

/// A pgd that was freed is the next one, and nobody could tell it from a new one.
fn comes_back_as_new<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let first = swapper.pgd_alloc().unwrap();
    let (root, new) = (first.root(), host.snapshot_of(first.root()));
    let counts = host.counts();
    host.take_log();
    // SAFETY: no TTBR holds it.
    unsafe { swapper.pgd_free(first) };
    assert_eq!(swapper.spare_pgds(), 1);
    let second = swapper.pgd_alloc().unwrap();
    let log = host.take_log();
    assert!(!log.contains(&Op::Bpiall), "nothing was mapped, so nothing was executed");
    let flushes = log.iter().filter(|op| op.is_tlbi()).count();
    assert_eq!(flushes, 1, "it may have run: walk caches may know its private tables");
    assert_eq!((second.root(), swapper.spare_pgds(), host.counts()), (root, 0, counts));
    audit::assert_same(&host.snapshot_of(root), &new);
    host.audit(swapper.root(), &[root]);
    free(&host, second);
}

/// User space leaves what it likes, blocks over region borders included; its tables are freed after a flush.
fn leftovers_are_freed<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    let (root, new, counts) = (pgd.root(), host.snapshot_of(pgd.root()), host.counts());
    let data = Attrs::user(Access::ReadWrite);
    let parts = [
        (range(0x2000, 0x3000), LeafSizes::LARGEST),
        (range(0x07FF_F000, 0x0800_1000), LeafSizes::LARGEST),
        (range(0x4000_0000, 0x8000_0000), LeafSizes::LARGEST),
        (range(0x8010_0000, 0x8030_0000), LeafSizes::PAGES),
        (range(0xBEFF_F000, 0xBF00_0000), LeafSizes::LARGEST),
    ];
    for (part, sizes) in parts {
        pgd.map_at(part, u64::from(part.start().0), data, sizes).unwrap();
    }
    host.take_log();
    // SAFETY: no TTBR holds it.
    unsafe { swapper.pgd_free(pgd) };
    assert!(host.take_log().iter().any(|op| op.is_tlbi()));
    host.assert_paid();
    assert_eq!(host.counts(), counts, "all but what it was born with");
    let again = swapper.pgd_alloc().unwrap();
    assert_eq!(again.root(), root);
    audit::assert_same(&host.snapshot_of(root), &new);
    free(&host, again);
}

/// A copy of swapper's entry is absent or right, however long the pgd was put by.
fn b49_what_swapper_maps_meanwhile_is_filled_in<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let pgd = swapper.pgd_alloc().unwrap();
    // SAFETY: no TTBR holds it.
    unsafe { swapper.pgd_free(pgd) };
    let window = range(0xBF60_0000, 0xBF60_1000);
    let data = Attrs::kernel(Access::ReadWrite);
    // SAFETY: nobody walks these tables.
    unsafe { swapper.map(window, phys(0x7300_0000), data, LeafSizes::LARGEST) }.unwrap();
    let pgd = swapper.pgd_alloc().unwrap();
    assert_eq!(pgd.translate(window.start()), None);
    assert_eq!(touch(&swapper, &pgd, window.start().0), Verdict::Retry);
    assert_eq!(pgd.translate(window.start()), swapper.translate(window.start()));
    free(&host, pgd);
}

/// What hides kernel mappings is not passed on.
fn an_identity_mapping_in_the_kernel_half_ends_it<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let before = host.counts();
    let mut pgd = swapper.pgd_alloc().unwrap();
    // SAFETY: nobody walks these tables.
    unsafe { pgd.identity_mapping_add(range(0xC010_0000, 0xC010_1000), Access::ReadExecute) }
        .unwrap();
    // SAFETY: no TTBR holds it.
    unsafe { swapper.pgd_free(pgd) };
    assert_eq!((swapper.spare_pgds(), host.counts()), (0, before));
    let pgd = swapper.pgd_alloc().unwrap();
    let kernel = layout.kernel();
    assert!(Model::read(&host, pgd.root(), kernel) == Model::read(&host, swapper.root(), kernel));
    free(&host, pgd);
}

/// It hides nothing of the kernel's.
fn one_in_the_user_half_does_not<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    let new = host.snapshot_of(pgd.root());
    pgd.identity_add(range(0x4000_0000, 0x4020_0000), Access::ReadExecute).unwrap();
    let root = pgd.root();
    // SAFETY: no TTBR holds it.
    unsafe { swapper.pgd_free(pgd) };
    assert_eq!(swapper.spare_pgds(), 1);
    assert_eq!(swapper.pgd_alloc().unwrap().root(), root);
    audit::assert_same(&host.snapshot_of(root), &new);
}

/// With low vectors the first entry is taken, so nothing can be chained through it.
fn low_vectors_leave_no_place<F: Format>() {
    let (host, layout) = (Host::<F>::new(), low_vectors(0xC000_0000));
    let mut swapper = swapper(&host, &layout);
    let before = host.counts();
    let pgd = swapper.pgd_alloc().unwrap();
    // SAFETY: no TTBR holds it.
    unsafe { swapper.pgd_free(pgd) };
    assert_eq!((swapper.spare_pgds(), host.counts()), (0, before));
}

/// Many are kept, and all go when memory is asked back.
fn shrinks<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let before = host.counts();
    let pgds: Vec<_> = (0..5).map(|_| swapper.pgd_alloc().unwrap()).collect();
    for pgd in pgds {
        // SAFETY: no TTBR holds it.
        unsafe { swapper.pgd_free(pgd) };
    }
    assert_eq!(swapper.spare_pgds(), 5);
    host.take_log();
    swapper.shrink();
    assert!(!host.take_log().iter().any(|op| op.is_tlbi()), "forgotten when they were freed");
    assert_eq!((swapper.spare_pgds(), host.counts()), (0, before));
    host.assert_paid();
}
