//! Edits whose ends cut leaves and runs, at every depth: what is cut is split, what is not stays as it was,
//! and what becomes empty is freed. Compared page by page with a plain model.

use crate::support::kernel::*;
use crate::support::model::{Model, assert_whole_runs};
use crate::support::shape::{Kind::*, shape};
use crate::support::*;
use armv7a_mm::table::flush::Flush;

both_formats!(
    cut_a_run_of_blocks,
    cut_a_block_of_a_gib,
    b37_b47_cut_user_blocks,
    what_is_not_cut_stays_large,
    b46_tables_go_with_their_last_leaf,
    tables_that_stay,
    b43_r4_changes_that_need_a_break,
    runs_change_while_absent,
    runs_that_cannot_change_as_runs,
    another_type_after_access_was_withdrawn,
);

const DATA: Attrs = Attrs::kernel(Access::ReadWrite);
const USER: Attrs = Attrs::user(Access::ReadWrite);

/// Every range whose ends are among `offsets` from `base`.
fn ranges(base: u32, offsets: &[u32]) -> Vec<VirtRange> {
    let starts = offsets.iter().enumerate();
    let pairs = starts.flat_map(|(n, start)| offsets[n + 1..].iter().map(move |end| (start, end)));
    pairs.map(|(start, end)| range(base + start, base + end)).collect()
}

/// Unmaps and protects each of `cuts` in what is mapped from `whole` to `to`, each time afresh.
fn check_kernel<F: Format>(whole: VirtRange, to: u64, cuts: &[VirtRange]) {
    for &cut in cuts {
        for unmap in [false, true] {
            let (host, layout) = (Host::<F>::new(), linux());
            let mut swapper = empty_swapper(&host, &layout);
            let mut model = Model::default();
            swapper.map_at(whole, to, DATA, LeafSizes::LARGEST).unwrap();
            model.map(whole, to, DATA).unwrap();
            if unmap {
                swapper.unmap_now(cut).unwrap();
                model.clear(cut);
            } else {
                swapper.protect_now(cut, Access::Read).unwrap();
                model.modify(cut, |attrs| attrs.with_access(Access::Read));
            }
            model.assert_read(&host, swapper.root(), whole);
            assert_whole_runs(&host, swapper.root());
            host.audit(swapper.root(), &[]);
        }
    }
}

/// Ends on every boundary that a leaf or run can have, next to it, and at the ends of the run.
const OFFSETS: [u32; 11] = [
    0, 0x1000, 0xF000, 0x1_0000, 0x10_0000, 0x1F_F000, 0x20_0000, 0xFF_0000, 0x100_0000,
    0x1FF_F000, 0x200_0000,
];

/// A run of 32 MiB with LPAE, two of 16 MiB in the classic format.
fn cut_a_run_of_blocks<F: Format>() {
    let whole = range(0xD200_0000, 0xD400_0000);
    check_kernel::<F>(whole, 0x7200_0000, &ranges(0xD200_0000, &OFFSETS));
}

fn cut_a_block_of_a_gib<F: Format>() {
    let offsets = [0, 0x1000, 0x20_0000, 0x3FE1_0000, 0x4000_0000];
    let layout = layout(LayoutSpec::linux(0x8000_0000));
    let whole = range(0x8000_0000, 0xC000_0000);
    for cut in ranges(0x8000_0000, &offsets) {
        let host = Host::<F>::new();
        let mut swapper = empty_swapper(&host, &layout);
        swapper.map_at(whole, 0x4000_0000, DATA, LeafSizes::LARGEST).unwrap();
        swapper.unmap_now(cut).unwrap();
        let ends = [cut.start().0.wrapping_sub(1), cut.start().0, cut.last().0, cut.last().0 + 1];
        for va in ends.map(VirtAddr).into_iter().filter(|va| whole.contains(*va)) {
            let wanted = (!cut.contains(va)).then(|| phys(u64::from(va.0) - 0x4000_0000));
            assert_eq!(swapper.translate(va).map(|to| to.phys), wanted, "{cut}: {va}");
        }
        let left = Model::read(&host, swapper.root(), whole).0.len() as u64;
        assert_eq!(left, (whole.bytes() - cut.bytes()) / u64::from(PAGE_SIZE));
        assert_whole_runs(&host, swapper.root());
        host.audit(swapper.root(), &[]);
    }
}

/// The same pgd again and again: what was split becomes large again once it was unmapped.
fn b37_b47_cut_user_blocks<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let born = host.counts();
    let whole = range(0x4000_0000, 0x4060_0000);
    let offsets = [0, 0x1000, 0x1_0000, 0x1F_F000, 0x20_0000, 0x20_1000, 0x5F_0000, 0x60_0000];
    for cut in ranges(0x4000_0000, &offsets) {
        let mut model = Model::default();
        pgd.map_at(whole, 0x7000_0000, USER, LeafSizes::LARGEST).unwrap();
        model.map(whole, 0x7000_0000, USER).unwrap();
        let large = shape(&host, pgd.root(), whole);
        assert_eq!(large, if is_classic::<F>() { vec![(6, Block)] } else { vec![(3, Block)] });
        pgd.modify_now(cut, Attrs::mkold).unwrap();
        model.modify(cut, Attrs::mkold);
        model.assert_read(&host, pgd.root(), whole);
        pgd.clear_now(cut).unwrap();
        model.clear(cut);
        model.assert_read(&host, pgd.root(), whole);
        assert_whole_runs(&host, pgd.root());
        host.audit(swapper.root(), &[pgd.root()]);
        host.assert_no_empty_table(pgd.root());
        pgd.clear_now(layout.user()).unwrap();
        assert_eq!(host.counts(), born);
    }
}

fn what_is_not_cut_stays_large<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let whole = range(0x4000_0000, 0x8000_0000);
    pgd.map_at(whole, 0x4000_0000, USER, LeafSizes::LARGEST).unwrap();
    pgd.unmap_now(range(0x4000_3000, 0x4000_4000)).unwrap();
    let wanted = if is_classic::<F>() {
        vec![(15, Page), (15, PageRun), (1023, Block)]
    } else {
        vec![(15, Page), (31, PageRun), (15, Block), (31, BlockRun)]
    };
    assert_eq!(shape(&host, pgd.root(), whole), wanted);
    free(&host, pgd);
    host.audit(swapper.root(), &[]);
}

/// Unmapped page by page, from either end: the last one takes its tables along, and what they become next holds
/// nothing of theirs.
fn b46_tables_go_with_their_last_leaf<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let born = host.counts();
    let pages = [0x3FFF_E000, 0x3FFF_F000, 0x4000_0000, 0x400F_F000, 0x4010_0000, 0x4020_0000];
    let page = |at| VirtRange::page(VirtAddr(at));
    for backwards in [false, true] {
        let mut model = Model::default();
        for at in pages {
            pgd.map_at(page(at), 0x7000_0000, USER, LeafSizes::LARGEST).unwrap();
            model.map(page(at), 0x7000_0000, USER).unwrap();
            // Their tables are those that others left the last time: nothing of those is in them.
            model.assert_read(&host, pgd.root(), layout.user());
        }
        let mut order = pages;
        if backwards {
            order.reverse();
        }
        for at in order {
            assert_ne!(host.counts(), born);
            pgd.unmap_now(page(at)).unwrap();
            model.clear(page(at));
            model.assert_read(&host, pgd.root(), layout.user());
            host.assert_no_empty_table(pgd.root());
            host.audit(swapper.root(), &[pgd.root()]);
        }
        assert_eq!(host.counts(), born);
    }
}

/// Swapper's tables stay, empty, and serve the same addresses again.
fn tables_that_stay<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let vmalloc = range(0xF200_1000, 0xF240_1000);
    swapper.map_at(vmalloc, 0x7000_1000, DATA, LeafSizes::PAGES).unwrap();
    let tables = host.counts();
    swapper.unmap_now(vmalloc).unwrap();
    assert_eq!(host.counts(), tables);
    assert!(Model::read(&host, swapper.root(), vmalloc).0.is_empty());
    swapper.map_at(vmalloc, 0x7100_0000, DATA, LeafSizes::LARGEST).unwrap();
    assert_eq!(host.counts(), tables);
    host.audit(swapper.root(), &[]);
}

/// Memory type and shareability change while nothing is there; the host insists on it. Permissions and
/// the access flag change in place.
fn b43_r4_changes_that_need_a_break<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    // A page, a block, a run.
    let whole = range(0x401F_F000, 0x4041_0000);
    pgd.map_at(whole, 0x701F_F000, USER, LeafSizes::LARGEST).unwrap();
    let mut model = Model::default();
    model.map(whole, 0x701F_F000, USER).unwrap();
    let changes: [fn(Attrs) -> Attrs; 7] = [
        |attrs| attrs.with_memory(MemoryType::NonCacheable),
        |attrs| Attrs { share: Shareability::Non, ..attrs },
        Attrs::mkold,
        |attrs| attrs.with_access(Access::ReadExecute),
        Attrs::mkclean,
        |attrs| attrs.with_access(Access::None),
        |attrs| attrs.with_access(Access::ReadWrite).with_memory(MemoryType::WriteBack),
    ];
    for change in changes {
        pgd.modify_now(whole, change).unwrap();
        model.modify(whole, change);
        model.assert_read(&host, pgd.root(), layout.user());
        assert_whole_runs(&host, pgd.root());
        host.audit(swapper.root(), &[pgd.root()]);
    }
}

/// Sixteen words that must agree at any time cannot be stored at once: so they are all absent, and forgotten, in between. What
/// no TLB can know needs no such moment.
fn runs_change_while_absent<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let run = range(0x4001_0000, 0x4002_0000);
    pgd.map_at(run, 0x7001_0000, USER, LeafSizes::LARGEST).unwrap();
    assert_eq!(shape(&host, pgd.root(), run), [(1, PageRun)]);
    let mut stored = |change: fn(Attrs) -> Attrs| {
        host.take_log();
        // SAFETY: nobody uses it.
        let late = unsafe { pgd.modify(run, change) }.unwrap();
        let (mut absent, mut forgotten, mut present) = (0, 0, 0);
        for op in host.take_log() {
            match op {
                Op::Store { new: 0, .. } => absent += 1,
                Op::Store { .. } => present += 1,
                op if op.is_tlbi() => forgotten = absent,
                _ => {}
            }
            assert!(present == 0 || absent == forgotten, "present again, and not forgotten");
        }
        late.pay();
        (absent, present)
    };
    assert_eq!(stored(|attrs| attrs.with_access(Access::Read)), (16, 16));
    assert_eq!(stored(Attrs::mkold), (16, 16));
    if !is_classic::<F>() {
        assert_eq!(stored(|attrs| attrs.with_access(Access::None)), (16, 16));
        assert_eq!(stored(|attrs| attrs.with_access(Access::Read)), (0, 16));
    }
    host.audit(swapper.root(), &[pgd.root()]);
}

/// Large pages cannot be inaccessible, supersections cannot be user space's: such a run becomes sixteen
/// leaves.
fn runs_that_cannot_change_as_runs<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let runs = range(0x4001_0000, 0x4004_0000);
    pgd.map_at(runs, 0x7001_0000, USER, LeafSizes::LARGEST).unwrap();
    assert_eq!(shape(&host, pgd.root(), runs), [(3, PageRun)]);
    let middle = range(0x4002_0000, 0x4003_0000);
    pgd.protect_now(middle, Access::None).unwrap();
    pgd.protect_now(middle, Access::Read).unwrap();
    let mut model = Model::default();
    model.map(runs, 0x7001_0000, USER).unwrap();
    model.modify(middle, |attrs| attrs.with_access(Access::Read));
    model.assert_read(&host, pgd.root(), layout.user());
    let wanted = if is_classic::<F>() {
        vec![(1, PageRun), (16, Page), (1, PageRun)]
    } else {
        vec![(3, PageRun)]
    };
    assert_eq!(shape(&host, pgd.root(), runs), wanted);
    host.audit(swapper.root(), &[pgd.root()]);
}

/// TLBs may know the old type until the withdrawal is paid for.
fn another_type_after_access_was_withdrawn<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let page = range(0x1_0000, 0x1_1000);
    let other = USER.with_memory(MemoryType::NonCacheable);
    let without = |attrs: Attrs| attrs.with_access(Access::None);
    // At once; in two steps; withdrawn together with the type.
    for steps in [
        vec![without(USER), other],
        vec![without(USER), without(other), other],
        vec![without(other), other],
    ] {
        pgd.map_at(page, 0x7000_0000, USER, LeafSizes::PAGES).unwrap();
        let mut late = Vec::new();
        for attrs in steps {
            // SAFETY: nobody uses it.
            late.push(unsafe { pgd.modify(page, |_| attrs) }.unwrap());
        }
        late.into_iter().for_each(Flush::pay);
        assert_eq!(pgd.translate(page.start()).unwrap().leaf().unwrap().attrs, other);
        pgd.unmap_now(page).unwrap();
    }
    free(&host, pgd);
}
