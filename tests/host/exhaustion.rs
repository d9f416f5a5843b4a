//! Every operation that allocates, with each of its allocations failing in turn: a typed error, every table
//! as it was bit for bit, none leaked; then it succeeds.
//!
//! The numbers of tables are worked out by hand from the ranges and stand as (classic, LPAE).

use crate::support::exhaust::exhaust;
use crate::support::kernel::*;
use crate::support::model::Model;
use crate::support::*;

both_formats!(
    the_root_of_swapper,
    b34_map_into_nothing,
    b34_map_beside_what_is_mapped,
    map_into_a_sealed_swapper,
    cut_both_ends_of_one_leaf,
    b34_cut_two_leaves,
    cut_runs_needs_nothing,
    seal_with_eager_windows,
    pgd_alloc_seals_with_eager_windows,
    identity_mapping_in_the_user_half,
    identity_mapping_over_marked_entries,
);

/// The number that applies to the format.
fn tables<F: Format>(classic: usize, lpae: usize) -> usize {
    if is_classic::<F>() { classic } else { lpae }
}

const USER: Attrs = Attrs::user(Access::ReadWrite);

fn the_root_of_swapper<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    // And the pmd that pgds' own stand beside.
    let swapper = exhaust(&host, tables::<F>(1, 2), || Swapper::<F, _>::new(&host, &layout, PXN));
    host.audit(swapper.root(), &[]);
}

/// A page, a block, a page, across two root entries.
fn b34_map_into_nothing<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let wanted = range(0x3FFF_F000, 0x4020_1000);
    exhaust(&host, tables::<F>(2, 4), || pgd.map_at(wanted, 0x6FFF_F000, USER, LeafSizes::LARGEST));
    let mut model = Model::default();
    model.map(wanted, 0x6FFF_F000, USER).unwrap();
    model.assert_read(&host, pgd.root(), layout.user());
    host.audit(swapper.root(), &[pgd.root()]);
}

/// Some of the tables are there.
fn b34_map_beside_what_is_mapped<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    pgd.map_at(range(0x4020_1000, 0x4020_2000), 0x7000_0000, USER, LeafSizes::LARGEST).unwrap();
    let wanted = range(0x3FFF_F000, 0x4020_1000);
    // The table of the last page is there, and with LPAE the one above it.
    exhaust(&host, tables::<F>(1, 2), || pgd.map_at(wanted, 0x6FFF_F000, USER, LeafSizes::LARGEST));
    host.audit(swapper.root(), &[pgd.root()]);
}

/// Blocks are forbidden where pgds have copies: 4 MiB of pages.
fn map_into_a_sealed_swapper<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let pgd = pgd(&host, &mut swapper);
    let modules = range(0xBF40_0000, 0xBF80_0000);
    let code = Attrs::kernel(Access::ReadExecute);
    exhaust(&host, tables::<F>(4, 2), || {
        swapper.map_at(modules, 0x7000_0000, code, LeafSizes::LARGEST)
    });
    host.audit(swapper.root(), &[pgd.root()]);
}

/// What a cut can be part of.
type Cut<F> = for<'m> fn(&mut Pgd<'m, F, Host<F>>, VirtRange) -> Done;

/// Everything that cuts leaves.
fn cuts<F: Format>() -> [Cut<F>; 4] {
    [
        |pgd, range| pgd.unmap_now(range),
        |pgd, range| pgd.clear_now(range),
        |pgd, range| pgd.protect_now(range, Access::Read),
        |pgd, range| pgd.modify_now(range, |attrs| attrs.with_memory(MemoryType::NonCacheable)),
    ]
}

/// What is mapped around either end of a cut.
fn ends(mapped: VirtRange, cut: VirtRange) -> [VirtRange; 2] {
    [cut.start(), cut.last()].map(|end| {
        let around = VirtRange::aligned(end, 21);
        around.intersection(mapped).unwrap()
    })
}

fn check_cut<F: Format>(mapped: VirtRange, cut: VirtRange, tables: usize) {
    for operation in cuts::<F>() {
        let (host, layout) = (Host::<F>::new(), linux());
        let mut swapper = swapper(&host, &layout);
        let mut pgd = pgd(&host, &mut swapper);
        let to = u64::from(mapped.start().0);
        pgd.map_at(mapped, to, USER, LeafSizes::LARGEST).unwrap();
        let read = |root| ends(mapped, cut).map(|end| Model::read(&host, root, end));
        let before = read(pgd.root());
        exhaust(&host, tables, || operation(&mut pgd, cut));
        for (mut after, mut before) in read(pgd.root()).into_iter().zip(before) {
            assert!(after.part(cut) != before.part(cut), "it did something");
            after.clear(cut);
            before.clear(cut);
            assert!(after == before, "it did nothing else");
        }
        host.audit(swapper.root(), &[pgd.root()]);
        free(&host, pgd);
        host.audit(swapper.root(), &[]);
    }
}

fn cut_both_ends_of_one_leaf<F: Format>() {
    // A section becomes a table of pages; a block of a GiB one of blocks, of which one becomes pages.
    check_cut::<F>(
        range(0x4000_0000, 0x8000_0000),
        range(0x4000_3000, 0x4000_5000),
        tables::<F>(1, 2),
    );
    // Both ends in the last block.
    check_cut::<F>(
        range(0x4000_0000, 0x8000_0000),
        range(0x7FFF_8000, 0x7FFF_F000),
        tables::<F>(1, 2),
    );
    // A smaller leaf.
    check_cut::<F>(range(0x4020_0000, 0x4040_0000), range(0x4020_1000, 0x4020_2000), 1);
}

fn b34_cut_two_leaves<F: Format>() {
    // Two sections, or two blocks of one block of a GiB.
    check_cut::<F>(
        range(0x4000_0000, 0x8000_0000),
        range(0x4000_1000, 0x6000_1000),
        tables::<F>(2, 3),
    );
    // The first end is cut at every depth, the second lies between blocks.
    check_cut::<F>(
        range(0x4000_0000, 0x8000_0000),
        range(0x4000_1000, 0x6000_0000),
        tables::<F>(1, 2),
    );
    check_cut::<F>(
        range(0x4000_0000, 0x8000_0000),
        range(0x5000_0000, 0x6000_1000),
        tables::<F>(1, 2),
    );
    // Two blocks of a GiB.
    check_cut::<F>(
        range(0x4000_0000, 0xC000_0000 - (1 << 30)),
        range(0x4000_1000, 0x7FFF_F000),
        tables::<F>(2, 3),
    );
}

/// A run of pages becomes sixteen pages in place.
fn cut_runs_needs_nothing<F: Format>() {
    check_cut::<F>(range(0x4001_0000, 0x4003_0000), range(0x4001_1000, 0x4002_F000), 0);
}

/// Linux's layout with two eager windows.
fn eager() -> Layout {
    let spec = LayoutSpec::linux(0xC000_0000);
    // 4 MiB of modules in the shared slot, 8 MiB of vmalloc in the kernel's.
    let vmalloc = Window::new(0xF080_0000, 0xF100_0000).eager();
    layout(LayoutSpec { modules: Window::new(0xBF00_0000, 0xBF40_0000).eager(), vmalloc, ..spec })
}

fn seal_with_eager_windows<F: Format>() {
    let (host, layout) = (Host::<F>::new(), eager());
    let mut swapper = empty_swapper(&host, &layout);
    // A table for each MiB, 4 + 8 and the vectors'; two ptes below the pmd of the window's GiB, and a pmd for vmalloc
    // and the vectors.
    exhaust(&host, tables::<F>(13, 3), || swapper.seal());
    assert!(swapper.is_sealed());
    host.audit(swapper.root(), &[]);
    let mut pgd = pgd(&host, &mut swapper);
    // So nothing in them faults for want of a copy.
    let code = Attrs::kernel(Access::ReadExecute);
    swapper.map_at(range(0xBF00_0000, 0xBF00_1000), 0x7000_0000, code, LeafSizes::PAGES).unwrap();
    swapper.map_at(range(0xF0F0_0000, 0xF0F0_1000), 0x7000_1000, code, LeafSizes::PAGES).unwrap();
    assert_eq!(pgd.translate(VirtAddr(0xBF00_0000)).unwrap().phys, phys(0x7000_0000));
    assert_eq!(pgd.translate(VirtAddr(0xF0F0_0000)).unwrap().phys, phys(0x7000_1000));
    pgd.clear_now(layout.user()).unwrap();
    host.audit(swapper.root(), &[pgd.root()]);
}

fn pgd_alloc_seals_with_eager_windows<F: Format>() {
    let (host, layout) = (Host::<F>::new(), eager());
    let mut swapper = swapper(&host, &layout);
    // What is mapped in the windows already has tables: one MiB of each; the pmds and a pte of modules.
    let pgd = exhaust(&host, tables::<F>(10, 1) + tables::<F>(1, 2), || swapper.pgd_alloc());
    host.audit(swapper.root(), &[pgd.root()]);
}

fn identity_mapping_in_the_user_half<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    let before = host.counts();
    let identity = range(0x3FFF_F000, 0x4020_1000);
    exhaust(&host, tables::<F>(2, 4), || pgd.identity_add(identity, Access::ReadExecute));
    host.audit(swapper.root(), &[pgd.root()]);
    pgd.identity_del(identity).unwrap();
    assert_eq!(host.counts(), before);
}

fn identity_mapping_over_marked_entries<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    let before = host.counts();
    // Lowmem is mapped there, in blocks.
    let identity = range(0xC0FF_F000, 0xC110_1000);
    exhaust(&host, tables::<F>(2, 3), || pgd.identity_add(identity, Access::ReadExecute));
    host.audit(swapper.root(), &[pgd.root()]);
    pgd.identity_del(identity).unwrap();
    assert_eq!(host.counts(), before);
    host.audit(swapper.root(), &[pgd.root()]);
}
