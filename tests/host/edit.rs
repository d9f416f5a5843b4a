//! Editing through pgds and swapper: which leaves are chosen, what is split, what is stored and what is
//! flushed. That each edit obeys break-before-make, publishes before it links and frees after it flushed is
//! checked by the host machine at every step (`support/host.rs`, `support/debts.rs`).

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::support::audit::assert_same;
use crate::support::kernel::*;
use crate::support::model::{Model, assert_whole_runs};
use crate::support::shape::{Kind, Kind::*, shape};
use crate::support::*;
use armv7a_mm::format::EncodeError;
use armv7a_mm::table::node::Node;
use armv7a_mm::table::walk;

both_formats!(
    largest_leaves,
    forbidden_leaves,
    alignment_of_the_memory_decides,
    user_space_has_no_supersections,
    r6_supersections_reach_beyond_4_gib,
    empty_tables_stay_in_use,
    b16_b36_no_access,
    r3_mapping_is_pure_insertion,
    first_conflict_is_named,
    r8_privileged_execution_is_closed,
    b27_r30_the_kernel_half_is_global,
    swapper_clears_and_modifies,
    visits_stop_when_told,
    readers_agree,
    a_table_below_the_root_is_no_tree,
);

const DATA: Attrs = Attrs::kernel(Access::ReadWrite);
const USER: Attrs = Attrs::user(Access::ReadWrite);

/// What applies to the format.
fn pick<F: Format, T>(classic: T, lpae: T) -> T {
    if is_classic::<F>() { classic } else { lpae }
}

/// Two pages, then up to the next 16 MiB and beyond, 1 MiB more, two runs of pages, three pages.
const LONG: (u32, u32) = (0xD0FF_E000, 0xD612_3000);

/// Maps `LONG` in `sizes` and says what became of it, and of the number of tables.
fn long_shape<F: Format>(to: u64, sizes: LeafSizes) -> (Vec<(usize, Kind)>, usize) {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = empty_swapper(&host, &layout);
    let range = range(LONG.0, LONG.1);
    swapper.map_at(range, to, DATA, sizes).unwrap();
    let mut model = Model::default();
    model.map(range, to, DATA).unwrap();
    model.assert_read(&host, swapper.root(), layout.kernel());
    assert_whole_runs(&host, swapper.root());
    host.audit(swapper.root(), &[]);
    (shape(&host, swapper.root(), range), host.counts().iter().sum())
}

fn largest_leaves<F: Format>() {
    let wanted = pick::<F, _>(
        (vec![(2, Page), (5, BlockRun), (1, Block), (2, PageRun), (3, Page)], 3),
        // One is the pmd of the modules' window.
        (vec![(2, Page), (8, Block), (2, BlockRun), (18, PageRun), (3, Page)], 5),
    );
    assert_eq!(long_shape::<F>(0x70FF_E000, LeafSizes::LARGEST), wanted);
}

fn forbidden_leaves<F: Format>() {
    // 0x5125 pages: 80 MiB of blocks, 1 MiB + 128 KiB, 5 pages.
    let blocks = pick::<F, _>(
        vec![(2, Page), (81, Block), (35, Page)],
        vec![(2, Page), (40, Block), (291, Page)],
    );
    assert_eq!(long_shape::<F>(0x70FF_E000, LeafSizes::BLOCKS).0, blocks);
    let runs = vec![(2, Page), (81 * 16 + 2, PageRun), (3, Page)];
    assert_eq!(long_shape::<F>(0x70FF_E000, LeafSizes::RUNS).0, runs);
    assert_eq!(long_shape::<F>(0x70FF_E000, LeafSizes::PAGES).0, vec![(0x5125, Page)]);
}

fn alignment_of_the_memory_decides<F: Format>() {
    let shape_at = |to| long_shape::<F>(to, LeafSizes::LARGEST).0;
    assert_eq!(shape_at(0x70FF_D000), vec![(0x5125, Page)]);
    let runs = vec![(2, Page), (81 * 16 + 2, PageRun), (3, Page)];
    assert_eq!(shape_at(0x7100_E000), runs);
    // 1 MiB: enough for sections; 2 MiB: for blocks, too.
    assert_eq!(
        shape_at(0x710F_E000),
        pick::<F, _>(vec![(2, Page), (81, Block), (2, PageRun), (3, Page)], runs)
    );
    let blocks = pick::<F, _>((81, Block), (40, Block));
    let tail = pick::<F, _>((2, PageRun), (18, PageRun));
    assert_eq!(shape_at(0x711F_E000), vec![(2, Page), blocks, tail, (3, Page)]);
}

fn user_space_has_no_supersections<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    pgd.map_at(range(0x4000_0000, 0x8200_0000), 0x4000_0000, USER, LeafSizes::LARGEST).unwrap();
    let wanted = pick::<F, _>(vec![(1056, Block)], vec![(1, Gib), (1, BlockRun)]);
    assert_eq!(shape(&host, pgd.root(), layout.user()), wanted);
    host.audit(swapper.root(), &[pgd.root()]);
}

fn r6_supersections_reach_beyond_4_gib<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = empty_swapper(&host, &layout);
    let high = range(0xD200_0000, 0xD400_0000);
    let to = 0xAB_3600_0000;
    swapper.map_at(high, to, DATA, LeafSizes::LARGEST).unwrap();
    let wanted = pick::<F, _>(vec![(2, BlockRun)], vec![(1, BlockRun)]);
    assert_eq!(shape(&host, swapper.root(), high), wanted);
    let second = swapper.translate(VirtAddr(0xD300_0123)).unwrap();
    assert_eq!(second.phys, phys(to + 0x100_0123));
    // What is smaller than a supersection reaches 4 GiB in the classic format.
    let before = host.snapshot();
    let out = |at| Err(EditError::Encode(EncodeError::OutOfReach { at: phys(at) }));
    let small = range(0xD400_0000, 0xD500_1000);
    let part = range(0xD200_0000, 0xD210_0000);
    let user = range(0xD500_0000, 0xD600_0000);
    if is_classic::<F>() {
        let beyond = swapper.map_at(small, to, DATA, LeafSizes::LARGEST);
        assert_eq!(beyond, out(to + 0x100_0000));
        assert_eq!(swapper.unmap_now(part), out(to));
        assert_eq!(swapper.protect_now(part, Access::Read), out(to));
        let forbidden = swapper.map_at(user, to, DATA, LeafSizes::BLOCKS);
        assert_eq!(forbidden, out(to));
        // Across 4 GiB.
        let across =
            swapper.map_at(range(0xD500_0000, 0xD500_3000), 0xFFFF_F000, DATA, LeafSizes::LARGEST);
        assert!(matches!(across, Err(EditError::Encode(EncodeError::OutOfReach { .. }))));
        for (end, to) in [(0xD520_0000, 0xFFF0_0000), (0xD540_0000, 0xFFD0_0000)] {
            let last = swapper.map_at(range(0xD500_0000, end), to, DATA, LeafSizes::PAGES);
            assert_eq!(last, out(0x1_0000_0000));
        }
        assert_same(&host.snapshot(), &before);
    } else {
        swapper.map_at(small, to, DATA, LeafSizes::LARGEST).unwrap();
        swapper.unmap_now(part).unwrap();
    }
    swapper.unmap_now(range(0xD300_0000, 0xD400_0000)).unwrap();
    assert_eq!(swapper.translate(VirtAddr(0xD300_0123)), None);
    host.audit(swapper.root(), &[]);
}

/// Swapper never frees a table: what is mapped where an empty one stands goes into it.
fn empty_tables_stay_in_use<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = empty_swapper(&host, &layout);
    let page = range(0xD230_0000, 0xD230_1000);
    swapper.map_at(page, 0x7000_0000, DATA, LeafSizes::LARGEST).unwrap();
    swapper.unmap_now(page).unwrap();
    let tables = host.counts();
    // One run, but for the table.
    let wide = range(0xD200_0000, pick::<F, _>(0xD300_0000, 0xD400_0000));
    swapper.map_at(wide, 0x7200_0000, DATA, LeafSizes::LARGEST).unwrap();
    assert_eq!(host.counts(), tables);
    let mut model = Model::default();
    model.map(wide, 0x7200_0000, DATA).unwrap();
    model.assert_read(&host, swapper.root(), layout.kernel());
    let wanted = pick::<F, _>(
        vec![(3, Block), (16, PageRun), (12, Block)],
        vec![(1, Block), (32, PageRun), (14, Block)],
    );
    assert_eq!(shape(&host, swapper.root(), wide), wanted);
    swapper.unmap_now(wide).unwrap();
    assert_eq!(host.counts(), tables);
    host.audit(swapper.root(), &[]);
}

/// Mapped for the kernel's bookkeeping, invalid for the hardware, gone when unmapped.
fn b16_b36_no_access<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let range = range(0x4001_0000, 0x4042_0000);
    pgd.map_at(range, 0x7001_0000, USER.with_access(Access::None), LeafSizes::LARGEST).unwrap();
    let last = |va| walk::trace(&pgd.node(), VirtAddr(va)).last().unwrap().raw;
    // A section and a page; LPAE's have bit 0 alone to say that they are invalid.
    assert_eq!([0x4010_0000, 0x4041_F000].map(|va| last(va) & 1), [0, 0]);
    let leaf = pgd.translate(VirtAddr(0x4041_F123)).unwrap();
    assert_eq!((leaf.phys, leaf.access()), (phys(0x7041_F123), Access::None));
    let again = pgd.map_at(range, 0x7001_0000, USER, LeafSizes::LARGEST);
    assert!(matches!(again, Err(EditError::Mapped { at, .. }) if at == range.start()));
    pgd.protect_now(range, Access::ReadExecute).unwrap();
    pgd.protect_now(range, Access::None).unwrap();
    pgd.unmap_now(range).unwrap();
    assert!(Model::read(&host, pgd.root(), layout.user()).0.is_empty());
    host.audit(swapper.root(), &[pgd.root()]);
    host.assert_no_empty_table(pgd.root());
}

/// No TLB remembers a fault. Each live descriptor is stored once.
fn r3_mapping_is_pure_insertion<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = empty_swapper(&host, &layout);
    host.take_log();
    // Into nothing, then beside it: new tables and old ones.
    swapper.map_at(range(LONG.0, LONG.1), 0x70FF_E000, DATA, LeafSizes::LARGEST).unwrap();
    swapper
        .map_at(range(LONG.1, LONG.1 + 0x2_D000), 0x7612_3000, DATA, LeafSizes::LARGEST)
        .unwrap();
    let log = host.take_log();
    assert!(!log.iter().any(|op| op.is_tlbi() || *op == Op::Bpiall));
    assert_eq!(log[log.len() - 2..], [Op::DsbIshst, Op::Isb]);
    let live = log.iter().filter_map(|op| match op {
        Op::Store { at, live: true, .. } => Some(*at),
        _ => None,
    });
    let mut stored = BTreeSet::new();
    assert!(live.clone().all(|at| stored.insert(at)), "a live descriptor was stored twice");
    assert!(!stored.is_empty());
}

/// The first page in the way, be it before, in, or behind the blocks of a range.
fn first_conflict_is_named<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let wide = range(0x401F_F000, 0x4080_3000);
    for places in [
        [0x401F_F000, 0x4020_0000, 0x4080_2000],
        [0x4020_0000, 0x4033_3000, 0x4080_0000],
        [0x4033_3000, 0x407F_F000, 0x4080_2000],
        [0x4080_1000, 0x4080_2000, 0x4080_2000],
    ] {
        for place in places {
            let page = VirtRange::page(VirtAddr(place));
            pgd.clear_now(page).unwrap();
            pgd.map_at(page, 0x7000_0000, USER, LeafSizes::LARGEST).unwrap();
        }
        let before = host.snapshot();
        let refused = pgd.map_at(wide, 0x701F_F000, USER, LeafSizes::LARGEST).unwrap_err();
        let EditError::Mapped { at, by: Entry::Leaf(leaf) } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((at, leaf.frame), (VirtAddr(places[0]), phys(0x7000_0000)));
        assert_same(&host.snapshot(), &before);
        pgd.clear_now(wide).unwrap();
    }
    host.audit(swapper.root(), &[pgd.root()]);
}

/// What user space maps is closed to privileged execution: by the leaf, or where it has no such bit by the
/// entry above it.
fn r8_privileged_execution_is_closed<F: Format>() {
    for (features, closed) in [(PXN, true), (Features { pxn: false }, false)] {
        let (host, layout) = (Host::<F>::new(), linux());
        let mut swapper = Swapper::<F, _>::new(&host, &layout, features).unwrap();
        let mut pgd = swapper.pgd_alloc().unwrap();
        let code = Attrs::user(Access::ReadExecute);
        pgd.map_at(range(0x401F_F000, 0x4041_3000), 0x701F_F000, code, LeafSizes::LARGEST).unwrap();
        pgd.protect_now(range(0x4020_0000, 0x4041_0000), Access::Read).unwrap();
        pgd.protect_now(range(0x4020_0000, 0x4041_0000), Access::ReadExecute).unwrap();
        for va in (0x401F_F000..0x4041_3000).step_by(PAGE_SIZE as usize).map(VirtAddr) {
            let pxn = walk::trace(&pgd.node(), va).any(|step| match step.entry {
                Entry::Leaf(leaf) => leaf.pxn,
                Entry::Table(table) => table.pxn,
                entry => panic!("{va}: {entry:?}"),
            });
            assert_eq!(pxn, closed, "{va}");
        }
        // SAFETY: it was never in a TTBR.
        unsafe { pgd.pgd_free() };
    }
}

/// Kernel mappings are global, user mappings are not; each half refuses the other's.
fn b27_r30_the_kernel_half_is_global<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let (page, kernel) = (range(0x4000_0000, 0x4000_1000), range(0xD000_0000, 0xD000_1000));
    let before = host.snapshot();
    let wrong = Err(EditError::WrongHalf);
    assert_eq!(pgd.map_at(page, 0, USER.with_global(true), LeafSizes::LARGEST), wrong);
    assert_eq!(swapper.map_at(kernel, 0, DATA.with_global(false), LeafSizes::LARGEST), wrong);
    assert_same(&host.snapshot(), &before);
    // Every kind of leaf, as it was made and after a change that asks for the other scope.
    let (user, kernel) = (range(LONG.0 - 0x9000_0000, LONG.1 - 0x9000_0000), range(LONG.0, LONG.1));
    pgd.map_at(user, 0x70FF_E000, USER, LeafSizes::LARGEST).unwrap();
    swapper.map_at(kernel, 0x70FF_E000, DATA, LeafSizes::LARGEST).unwrap();
    for change in [false, true] {
        if change {
            pgd.modify_now(user, |attrs| attrs.mkold().with_global(true)).unwrap();
            // SAFETY: nobody reaches memory through these tables.
            unsafe { swapper.modify(kernel, |attrs| attrs.mkold().with_global(false)) }
                .unwrap()
                .pay();
        }
        let mut kinds = BTreeSet::new();
        for root in [pgd.node(), swapper.view().node()] {
            let all = walk::visit(&root, VirtRange::ALL, &mut |mapped| {
                let kernels = layout.kernel().contains(mapped.range.start());
                assert_eq!(mapped.leaf.attrs.global, kernels, "{}", mapped.range);
                kinds.insert((kernels, mapped.depth, mapped.leaf.run));
                ControlFlow::<()>::Continue(())
            });
            assert!(all.is_continue());
        }
        assert_eq!(kinds.len(), pick::<F, _>(6, 8), "{kinds:?}");
    }
}

fn visits_stop_when_told<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    pgd.map_at(range(0x3FFF_E000, 0x4000_2000), 0x7000_0000, USER, LeafSizes::LARGEST).unwrap();
    let mut seen = Vec::new();
    let stop = pgd.visit(range(0x3FFF_F000, 0x4000_1000), |mapped| {
        seen.push((mapped.range.start().0, mapped.phys.as_u64()));
        if seen.len() == 2 { ControlFlow::Break("enough") } else { ControlFlow::Continue(()) }
    });
    assert_eq!(stop, ControlFlow::Break("enough"));
    assert_eq!(seen, [(0x3FFF_F000, 0x7000_1000), (0x4000_0000, 0x7000_2000)]);
    let mut count = 0u64;
    let all = pgd.visit(VirtRange::ALL, |mapped| {
        count += mapped.range.bytes();
        ControlFlow::<()>::Continue(())
    });
    assert!(all.is_continue());
    let pages = Model::read(&host, pgd.root(), VirtRange::ALL).0.len() as u64;
    assert_eq!(count, pages * u64::from(PAGE_SIZE));
}

/// Swapper takes what a pgd takes: holes skipped, attributes changed, leaves visited; the scope stays.
fn swapper_clears_and_modifies<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = empty_swapper(&host, &layout);
    let (part, hole) = (range(0xD000_0000, 0xD001_0000), range(0xD001_0000, 0xD002_0000));
    swapper.map_at(part, 0x7000_0000, DATA, LeafSizes::PAGES).unwrap();
    let buffer = |attrs: Attrs| attrs.with_memory(MemoryType::NonCacheable).with_global(false);
    // SAFETY: nobody walks these tables.
    unsafe {
        assert_eq!(
            swapper.modify(hole, buffer).err(),
            Some(EditError::NotMapped { at: hole.start() })
        );
        swapper.modify(part, buffer).unwrap().pay();
    }
    let mut seen = 0;
    let all = swapper.visit(VirtRange::ALL, |mapped| {
        assert_eq!(mapped.leaf.attrs, DATA.with_memory(MemoryType::NonCacheable));
        seen += mapped.range.bytes();
        ControlFlow::<()>::Continue(())
    });
    assert_eq!((all, seen), (ControlFlow::Continue(()), part.bytes()));
    // SAFETY: as above.
    unsafe { swapper.clear(part.hull(hole)) }.unwrap().pay();
    assert!(swapper.visit(VirtRange::ALL, |_| ControlFlow::Break(())).is_continue());
    host.audit(swapper.root(), &[]);
}

/// Every reader of a tree, in every kind of leaf, in and across runs.
fn readers_agree<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = empty_swapper(&host, &layout);
    let (long, to) = (range(LONG.0, LONG.1), 0x70FF_E000);
    swapper.map_at(long, to, DATA, LeafSizes::LARGEST).unwrap();
    let root = swapper.view().node();
    let behind = |va: VirtAddr| phys(to + u64::from(va.0 - LONG.0));
    for va in (LONG.0..LONG.1).step_by(0x7FFC).map(VirtAddr) {
        let found = swapper.translate(va).unwrap();
        let last = walk::trace(&root, va).last().unwrap();
        assert_eq!((found.phys, found.depth), (behind(va), depth_of::<F>(last.level)));
        let leaf = found.leaf().unwrap();
        assert_eq!((last.entry, found.span().contains(va)), (Entry::Leaf(leaf), true));
        let bytes = u64::from(last.level.span()) * if leaf.run { 16 } else { 1 };
        assert_eq!(found.span().bytes(), bytes);
    }
    let mut next = LONG.0;
    let all = walk::visit(&root, VirtRange::ALL, &mut |mapped| {
        assert_eq!((mapped.range.start().0, mapped.phys), (next, behind(VirtAddr(next))));
        assert_eq!(mapped.range.bytes(), u64::from(F::LEVELS[mapped.depth].span()));
        next = mapped.range.last().0 + 1;
        ControlFlow::<()>::Continue(())
    });
    assert_eq!((all, next), (ControlFlow::Continue(()), LONG.1));
    assert_eq!([LONG.0 - 1, LONG.1].map(|va| swapper.translate(VirtAddr(va)).is_none()), [true; 2]);
}

fn depth_of<F: Format>(level: &armv7a_mm::format::Level) -> usize {
    F::LEVELS.iter().position(|known| known == level).unwrap()
}

/// `translate` is safe: of a table that is no root it reads nothing.
fn a_table_below_the_root_is_no_tree<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut space = pgd(&host, &mut swapper);
    space.map_at(range(0x1_0000, 0x1_1000), 0x5000_0000, USER, LeafSizes::PAGES).unwrap();
    let last = walk::trace(&space.node(), VirtAddr(0x1_0000)).last().unwrap();
    let depth = depth_of::<F>(last.level);
    // SAFETY: a table of that depth lies there.
    let ptes = unsafe { Node::<F, _>::new(&host, last.table, depth) };
    for at in [0x1_0000, 0xFFF0_0000].map(VirtAddr) {
        assert!(walk::translate(&ptes, at).is_none());
    }
    free(&host, space);
}

/// Two supersections alike but for where they lie: sections reach the one and not the other.
#[test]
fn each_supersection_is_judged() {
    let (host, layout) = (Host::<Classic>::new(), linux());
    let mut swapper = empty_swapper(&host, &layout);
    const NEAR: u32 = 0xD000_0000;
    const FAR: u32 = 0xD100_0000;
    for (at, frame) in [(NEAR, 0x5000_0000), (FAR, 0x1_0000_0000)] {
        swapper.map_at(range(at, at + (16 << 20)), frame, DATA, LeafSizes::LARGEST).unwrap();
    }
    // What user space may reach is never a supersection.
    let change = |attrs| Attrs { user: true, ..attrs };
    let before = host.snapshot();
    let refused = EditError::Encode(EncodeError::OutOfReach { at: phys(0x1_0000_0000) });
    for start in [FAR, NEAR] {
        // SAFETY: nobody uses it.
        let done = unsafe { swapper.modify(range(start, FAR + (16 << 20)), change) };
        assert_eq!(done.map(|flush| flush.pay()), Err(refused));
        assert_same(&host.snapshot(), &before);
    }
    // SAFETY: as above.
    unsafe { swapper.modify(range(NEAR, FAR), change) }.unwrap().pay();
    for offset in (0..16 << 20).step_by(0x10_1000) {
        let found = swapper.translate(VirtAddr(NEAR + offset)).unwrap();
        assert_eq!(
            (found.phys, found.leaf().unwrap().attrs.user),
            (phys(0x5000_0000 + u64::from(offset)), true)
        );
    }
}

/// An entry that no pgd has a copy of is not sealed, whatever is changed with it.
#[test]
fn above_the_border_of_ttbr1_nothing_is_sealed() {
    let spec = LayoutSpec::linux(0x8000_0000).split_at(0x8000_0000);
    let (host, layout) = (Host::<Classic>::new(), layout(spec));
    let mut swapper = empty_swapper(&host, &layout);
    swapper.map_at(range(0x7FFF_F000, 0x8000_0000), 0x6000_0000, DATA, LeafSizes::PAGES).unwrap();
    swapper.map_at(range(0x8000_0000, 0x8020_0000), 0x5000_0000, DATA, LeafSizes::LARGEST).unwrap();
    let space = pgd(&host, &mut swapper);
    let whole = range(0x7FFF_F000, 0x8020_0000);
    assert_eq!(swapper.protect_now(whole, Access::Read), Ok(()));
    for at in [0x7FFF_F000, 0x8000_0000, 0x801F_F000].map(VirtAddr) {
        assert_eq!(swapper.translate(at).unwrap().access(), Access::Read);
    }
    free(&host, space);
}
