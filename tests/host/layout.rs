//! Memory maps: a grid of those that can be, each run through pgd_alloc, faults and pgd_free; every reason
//! why one cannot be; and what faults mean.

use crate::support::audit::assert_same;
use crate::support::kernel::*;
use crate::support::model::Model;
use crate::support::*;
use armv7a_mm::format::FaultKind;
use armv7a_mm::format::control::Registers;
use armv7a_mm::mm::{LayoutError, Verdict, do_translation_fault};
use armv7a_mm::table::walk;

both_formats!(
    grid_of_layouts,
    grid_of_layouts_with_eager_windows,
    swapper_starts_with_what_is_read_without_a_lock,
    private_tables_stay,
    the_missing_entry_alone_is_copied,
    what_is_copied,
    an_edit_is_copied_from_its_first_address,
    both_halves_are_visited,
    b64_r17_r18_nothing_above_the_border_is_copied,
    identity_mappings_end_at_the_border,
    b11_verdicts,
    b09_half_of_a_pair_is_not_the_other,
    inaccessible_is_not_retried,
);

const DATA: Attrs = Attrs::kernel(Access::ReadWrite);
const USER: Attrs = Attrs::user(Access::ReadWrite);

/// Three sizes of user space × four placements of the window × vectors × where TTBR1 takes over: nowhere, where the
/// kernel's linear map begins or the window does, and at 2 GiB whatever lies there.
fn grid() -> impl Iterator<Item = LayoutSpec> {
    let borders = [0x4000_0000, 0x8000_0000, 0xC000_0000];
    let specs = borders.into_iter().flat_map(|border| {
        [LayoutSpec::linux(border), LayoutSpec::modules_at_border(border)].into_iter().flat_map(
            move |spec| {
                let high = (border == 0x4000_0000).then_some(Some(0x8000_0000));
                let splits = [Some(None), Some(Some(border)), high].into_iter().flatten();
                splits.map(move |ttbr1| LayoutSpec { ttbr1, ..spec })
            },
        )
    });
    let specs = specs
        .flat_map(|spec| [Pmds::OnDemand, Pmds::Always].map(|pmds| LayoutSpec { pmds, ..spec }));
    specs.flat_map(|spec| {
        [Vectors::High, Vectors::Low].map(|vectors| LayoutSpec { vectors, ..spec })
    })
}

fn grid_of_layouts<F: Format>() {
    assert_eq!(grid().count(), 56);
    for spec in grid() {
        check_layout::<F>(&layout(spec), false);
    }
}

fn grid_of_layouts_with_eager_windows<F: Format>() {
    for spec in grid() {
        let modules = spec.modules.eager();
        let fixmap = spec.fixmap.eager();
        let pkmap = spec.pkmap.eager();
        let vmalloc = Window::new(0xF080_0000, 0xF100_0000).eager();
        let spec = LayoutSpec { modules, pkmap, vmalloc, fixmap, ..spec };
        check_layout::<F>(&layout(spec), true);
    }
}

/// Two pgds come, see all that swapper maps before and after, and go.
fn check_layout<F: Format>(layout: &Layout, eager: bool) {
    let host = Host::<F>::new();
    let mut swapper = swapper(&host, layout);
    let mut first = pgd(&host, &mut swapper);
    let second = pgd(&host, &mut swapper);
    let old = Model::read(&host, swapper.root(), layout.kernel());
    for pgd in [&first, &second] {
        let roots = [swapper.root(), pgd.root()];
        let seen = Model::read_space(&host, roots, layout, layout.kernel());
        old.assert_same(&seen, layout.kernel());
        assert_eq!(pgd.translate(layout.vectors().start()).unwrap().phys, phys(0x6300_0000));
        // What TTBR1 translates has no entry, or an absent one.
        let root = pgd.node();
        let above = root.index(layout.pgd_last::<F>()) + 1..root.count();
        assert!(root.is_absent(above.clone()), "{above:?} in {:?}", layout.spec());
        let last = layout.pgd_last::<F>();
        assert!(walk::trace(&root, last).count() > 0);
        if let Some(next) = last.0.checked_add(1)
            && root.count() < F::LEVELS[0].entries()
        {
            assert_eq!(walk::trace(&root, VirtAddr(next)).count(), 0, "beyond the root");
        }
    }

    // The first and the last page of user space, which may lie next to the vectors and the window.
    let user = layout.user();
    let attrs = Attrs::user(Access::ReadExecute);
    for page in [user.start(), user.last()].map(VirtRange::page) {
        first.map_at(page, 0x7000_0000, attrs, LeafSizes::LARGEST).unwrap();
        assert_eq!(second.translate(page.start()), None);
    }
    assert_eq!(Model::read(&host, first.root(), user).0.len(), 2);
    // Behind the last page there may be no entry to look at.
    let last = VirtRange::page(user.last());
    first.protect_now(last, Access::Read).unwrap();
    first.unmap_now(last).unwrap();
    assert_eq!(Model::read(&host, first.root(), user).0.len(), 1);

    // Something new in each window.
    let spec = layout.spec();
    for window in [spec.modules, spec.pkmap, spec.vmalloc, spec.fixmap] {
        let at = VirtAddr(window.end - 0x1_0000);
        swapper.map_at(VirtRange::page(at), 0x7100_0000, DATA, LeafSizes::LARGEST).unwrap();
        for pgd in [&first, &second] {
            assert!(!eager || pgd.translate(at).is_some(), "{at} faults in {spec:?}");
            // What TTBR1 translates is there at once.
            let upper = at > layout.pgd_last::<F>();
            assert!(!upper || pgd.translate(at).is_some(), "{at} faults in {spec:?}");
            let verdict = if upper { Verdict::Kernel } else { Verdict::Retry };
            assert_eq!(touch(&swapper, pgd, at.0), verdict, "{at} in {spec:?}");
            assert_eq!(pgd.translate(at).unwrap().phys, phys(0x7100_0000));
        }
    }
    host.audit(swapper.root(), &[first.root(), second.root()]);
    let mine = host.snapshot_of(swapper.root());
    free(&host, first);
    free(&host, second);
    assert_same(&host.snapshot_of(swapper.root()), &mine);
    host.audit(swapper.root(), &[]);
    assert_eq!(host.counts().iter().sum::<usize>(), mine.tables());
}

/// A private table stays for the pgd's life, also when there is nothing in it: a fault that needs it cannot allocate.
/// The root; under LPAE also the pmd of TTBR1's last GiB, and that of the GiB in which user space ends.
fn swapper_starts_with_what_is_read_without_a_lock<F: Format>() {
    for spec in grid() {
        let (host, layout) = (Host::<F>::new(), layout(spec));
        let swapper = empty_swapper(&host, &layout);
        let (task_size, last) = (layout.task_size().0, layout.pgd_last::<F>().0);
        let shared = task_size % (1 << 30) != 0 && task_size < last;
        let upper = last != u32::MAX && last > 0x8000_0000;
        let pmds = if is_classic::<F>() { 0 } else { usize::from(shared) + usize::from(upper) };
        assert_eq!(host.counts(), [1, pmds, 0], "{spec:x?}");
        host.audit(swapper.root(), &[]);
    }
}

fn private_tables_stay<F: Format>() {
    for spec in [LayoutSpec::linux(0xC000_0000), *low_vectors(0xC000_0000).spec()] {
        let (host, layout) = (Host::<F>::new(), layout(spec));
        let mut swapper = empty_swapper(&host, &layout);
        let mut pgd = pgd(&host, &mut swapper);
        let born = host.snapshot();
        for at in [layout.user().start(), VirtAddr(0x4000_0000), layout.user().last()] {
            let page = VirtRange::page(at);
            for take in [Pgd::unmap, Pgd::clear] {
                pgd.map_at(page, 0x7000_0000, USER, LeafSizes::PAGES).unwrap();
                // SAFETY: nobody reaches memory through these tables.
                unsafe { take(&mut pgd, page) }.unwrap().pay();
                assert_same(&host.snapshot(), &born);
            }
        }
        free(&host, pgd);
    }
}

/// A kernel half that begins with a GiB's first entries: what is missing is looked for by the address at each depth.
fn the_missing_entry_alone_is_copied<F: Format>() {
    let (host, layout) = (Host::<F>::new(), layout(LayoutSpec::linux(0x8120_0000)));
    let mut swapper = empty_swapper(&host, &layout);
    let pgd = pgd(&host, &mut swapper);
    for at in [0x8040_0000, 0x8060_0000, 0x80C0_0000] {
        let page = VirtRange::page(VirtAddr(at));
        swapper.map_at(page, 0x7000_0000, DATA, LeafSizes::PAGES).unwrap();
    }
    for at in [0x80C0_0000, 0x8060_0000, 0x8040_0000] {
        assert_eq!(pgd.translate(VirtAddr(at)), None);
        assert_eq!(touch(&swapper, &pgd, at), Verdict::Retry);
        assert_eq!(
            pgd.translate(VirtAddr(at)),
            swapper.translate(VirtAddr(at)),
            "one fault is enough"
        );
    }
    free(&host, pgd);
}

/// Where pgds hold copies: root entries of the kernel half, what is below a private table, and the low vectors' page.
fn what_is_copied<F: Format>() {
    let last = F::LEVELS.len() - 1;
    let at = |layout: &Layout, va| -> Vec<usize> {
        (0..=last).filter(|&depth| layout.is_copied::<F>(depth, VirtAddr(va))).collect()
    };
    let window = if is_classic::<F>() { vec![0] } else { vec![0, 1] };
    for (vectors, zero) in [(Vectors::High, vec![]), (Vectors::Low, vec![last])] {
        let layout = layout(LayoutSpec { vectors, ..LayoutSpec::linux(0xC000_0000) });
        for (va, wanted) in [
            (0, &zero),
            (0xFFF, &zero),
            (0x1000, &vec![]),
            (0x4000_0000, &vec![]),
            (0xBEFF_FFFF, &vec![]),
            (0xBF00_0000, &window),
            (0xC000_0000, &vec![0]),
            (u32::MAX, &vec![0]),
        ] {
            assert_eq!(at(&layout, va), *wanted, "{va:#x}, {vectors:?}");
        }
    }
}

/// Edits ask whether their first address is copied, and no other: in every layout that decides.
fn an_edit_is_copied_from_its_first_address<F: Format>() {
    for spec in grid() {
        for pmds in [spec.pmds, Pmds::Always] {
            let layout = layout(LayoutSpec { pmds, ..spec });
            let last = layout.pgd_last::<F>().0;
            let border = layout.task_size().0;
            let ends = [border, border.next_multiple_of(1 << 30), last, last.saturating_add(1)];
            let mut at: Vec<u32> =
                ends.iter().flat_map(|&end| [end.wrapping_sub(1), end]).collect();
            at.extend([0x8123_4000, 0xC000_0000, 0xF123_4000, u32::MAX]);
            at.retain(|&at| layout.kernel().contains(VirtAddr(at)));
            for (depth, &from, &to) in (0..F::LEVELS.len())
                .flat_map(|depth| at.iter().map(move |from| (depth, from)))
                .flat_map(|(depth, from)| at.iter().map(move |to| (depth, from, to)))
                .filter(|(_, from, to)| from <= to)
            {
                let [first, other] =
                    [from, to].map(|at| layout.is_copied::<F>(depth, VirtAddr(at)));
                assert!(first || !other, "{from:#x} to {to:#x} at {depth} in {:?}", layout.spec());
            }
        }
    }
}

/// Both halves are seen as they are walked: what the pgd has, up to its last address, and swapper's above.
fn both_halves_are_visited<F: Format>() {
    let border = 0x8000_0000;
    let splits = [LayoutSpec::linux(border), LayoutSpec::linux(border).split_at(border)];
    for spec in splits {
        let (host, layout) = (Host::<F>::new(), layout(spec));
        let mut swapper = empty_swapper(&host, &layout);
        let mut pgd = pgd(&host, &mut swapper);
        let page = |at| VirtRange::page(VirtAddr(at));
        pgd.map_at(page(0x4000_0000), 0x7000_0000, USER, LeafSizes::PAGES).unwrap();
        let last = layout.pgd_last::<F>();
        // On both sides of the border, and the last pages there are.
        let kernel = [0x7FFF_F000, 0x8000_0000, 0xFFFF_E000, 0xFFFF_F000];
        for at in kernel {
            swapper.map_at(page(at), 0x7100_0000, DATA, LeafSizes::PAGES).unwrap();
            // The vectors' table is there from birth.
            let seen = VirtAddr(at) > last || at >= 0xFFFF_0000;
            assert_eq!(pgd.translate(VirtAddr(at + 0xFFF)).is_some(), seen, "{at:#x}");
            if !seen {
                assert_eq!(touch(&swapper, &pgd, at), Verdict::Retry);
            }
        }
        let visited = |range| {
            let mut seen = Vec::new();
            let end = pgd.visit(range, |mapped| {
                seen.push(mapped.range.start().0);
                std::ops::ControlFlow::<()>::Continue(())
            });
            assert!(end.is_continue());
            seen
        };
        assert_eq!(visited(VirtRange::ALL)[..], [&[0x4000_0000][..], &kernel].concat());
        assert_eq!(visited(range(0x7FFF_F000, 0x8000_1000)), kernel[..2]);
        assert_eq!(visited(range(0x8000_0000, 0xFFFF_F000)), kernel[1..3]);
        assert_eq!(visited(page(0xFFFF_F000)), kernel[3..]);
        free(&host, pgd);
    }
}

/// With TTBR1 at a border a pgd has nothing from there on: its root is as small as the hardware allows, swapper's
/// entries there stay free to change, and TTBR1 points to where the hardware looks for them.
fn b64_r17_r18_nothing_above_the_border_is_copied<F: Registers>() {
    for split in F::SPLITS {
        let border = split.border.0;
        // Its walks have a table to start at from the start, whatever lies below the border in the same root entry.
        for page_offset in [0x4000_0000, 0x8000_0000, 0xC000_0000] {
            let spec = LayoutSpec::linux(page_offset).split_at(border);
            let Ok(layout) = Layout::new_for::<F>(spec) else { continue };
            let host = Host::<F>::new();
            let swapper = empty_swapper(&host, &layout);
            let upper = swapper.view().upper().map(|(split, _)| split);
            assert_eq!(upper, Some(split), "PAGE_OFFSET {page_offset:#x}, border {border:#x}");
        }
        // The kernel half is TTBR1's as a whole.
        let spec = LayoutSpec {
            page_offset: border,
            modules: Window::new(border, border),
            pkmap: Window::new(border, border),
            // As far as fits: the smallest upper part has 32 MiB.
            vmalloc: Window::new(0xFF00_0000, 0xFF80_0000),
            ..LayoutSpec::linux(0xC000_0000).split_at(border)
        };
        let layout = Layout::new_for::<F>(spec).unwrap();
        let host = Host::<F>::new();
        let mut swapper = empty_swapper(&host, &layout);
        let (found, table) = swapper.view().upper().unwrap();
        assert_eq!(found, split);
        let before = host.counts();
        let pgd = pgd(&host, &mut swapper);
        assert_eq!(host.counts(), [before[0] + 1, before[1], before[2]], "a root and no more");
        // 16 KiB >> N, aligned so (DDI 0406C B3.5.4); four entries under LPAE.
        let bytes = if F::LPAE { 32 } else { (16 << 10) >> split.size };
        assert_eq!(layout.pgd_level::<F>().table_bytes(), bytes);
        assert!(host.entries(pgd.root().as_u64(), 0).iter().all(|it| *it == Entry::Absent));
        assert_eq!(
            host.entries(pgd.root().as_u64(), 0).len(),
            bytes >> if F::LPAE { 3 } else { 2 }
        );

        // Whatever swapper maps above, sealed as it is, comes and goes for every pgd at once.
        let page = VirtRange::page(VirtAddr(0xFF20_0000));
        let block = VirtRange::new(VirtAddr(0xFE00_0000), 2 << 20).unwrap();
        for (range, to) in [(page, 0x7000_0000), (block, 0x7100_0000)] {
            swapper.map_at(range, to, DATA, LeafSizes::LARGEST).unwrap();
            assert_eq!(pgd.translate(range.start()).unwrap().phys, phys(to));
            assert_eq!(touch(&swapper, &pgd, range.start().0), Verdict::Kernel);
            // The first entry that a walk reads by TTBR1, from the register as the manual says (B3.5.5, B3.6.6).
            let ttbr1 = F::ttbr1(table, split);
            let (shift, bytes) = match (F::LPAE, split.depth) {
                (false, _) => (20, 4),
                (true, 0) => (30, 8),
                (true, _) => (21, 8),
            };
            let bits = if F::LPAE { 32 - split.size - shift } else { 12 };
            let base = if F::LPAE { ttbr1 } else { ttbr1 & 0xFFFF_C000 };
            assert_eq!(base % (bytes << bits), 0, "T1SZ or N = {}", split.size);
            let index = u64::from(range.start().0 >> shift) & ((1 << bits) - 1);
            let entry = swapper_entry(&host, base + index * bytes, split.depth);
            assert_ne!(entry, Entry::Absent, "{range} by TTBR1 {ttbr1:#x}");
            swapper.unmap_now(range).unwrap();
            assert_eq!(pgd.translate(range.start()), None);
        }
        let mine = host.counts();
        free(&host, pgd);
        assert_eq!(host.counts(), [mine[0] - 1, mine[1], mine[2]]);
        host.audit(swapper.root(), &[]);
    }
}

/// The entry at the physical address `at`, in a table at `depth`.
fn swapper_entry<F: Format>(host: &Host<F>, at: u64, depth: usize) -> Entry {
    let table = &F::LEVELS[depth];
    let base = at & !(table.table_bytes() as u64 - 1);
    let index = (at - base) as usize >> table.entry_shift;
    host.entries(base, depth)[index]
}

/// No pgd can hide what TTBR1 translates: an identity mapping that reaches there is refused, and nothing changes.
fn identity_mappings_end_at_the_border<F: Format>() {
    let host = Host::<F>::new();
    let layout = layout(LayoutSpec::linux(0x8000_0000).split_at(0x8000_0000));
    let mut swapper = swapper(&host, &layout);
    // SAFETY: never in a TTBR.
    let mut pgd = swapper.pgd_alloc().unwrap();
    let before = host.snapshot();
    let at = |at| Err(EditError::OutOfBounds { at: VirtAddr(at) });
    for (start, end, first) in [
        (0x8000_0000, 0x8010_0000, 0x8000_0000),
        (0x7FE0_0000, 0x8020_0000, 0x8000_0000),
        (0xFFF0_0000, 0, 0xFFF0_0000),
    ] {
        let range = range(start, end);
        assert_eq!(pgd.identity_add(range, Access::ReadExecute), at(first));
        assert_eq!(pgd.identity_del(range), at(first));
        assert_same(&host.snapshot(), &before);
    }
    // Up to the border it works as ever, over the window's entries too.
    let range = range(0x7FE0_0000, 0x8000_0000);
    pgd.identity_add(range, Access::ReadExecute).unwrap();
    assert_eq!(pgd.translate(range.last()).unwrap().phys, phys(0x7FFF_FFFF));
    assert_eq!(pgd.translate(VirtAddr(0x8000_0000)), swapper.translate(VirtAddr(0x8000_0000)));
    pgd.identity_del(range).unwrap();
    assert_same(&host.snapshot(), &before);
    // SAFETY: no TTBR holds it.
    unsafe { pgd.pgd_free() };
}

/// The parts of the address space fit together.
#[test]
fn halves() {
    for layout in grid().map(layout) {
        let (user, kernel) = (layout.user(), layout.kernel());
        assert_eq!(user.start(), VirtAddr(layout.spec().first_user_address));
        assert_eq!(user.last().0 + 1, layout.task_size().0);
        assert_eq!((kernel.start(), kernel.last()), (layout.task_size(), VirtAddr::MAX));
        assert!(kernel.encloses(layout.lowmem()) && !user.overlaps(layout.vectors()));
        assert_eq!(layout.lowmem().start().0, layout.spec().page_offset);
        assert_eq!(layout.lowmem().last().0 + 1, layout.spec().vmalloc.start);
        assert_eq!(kernel.contains(layout.vectors().start()), !layout.low_vectors());
        let window = layout.task_size().0.is_multiple_of(1 << 30);
        let own = |va| layout.has_private_table::<Lpae>(VirtAddr(va));
        let always = layout.spec().pmds == Pmds::Always;
        let upper = |va| VirtAddr(va) > layout.pgd_last::<Lpae>();
        assert_eq!(own(layout.task_size().0), !window || always && !upper(layout.task_size().0));
        assert_eq!(own(0xFFFF_0000), always && !upper(0xFFFF_0000));
        assert_eq!(own(0xC000_0000), always && !upper(0xC000_0000));
        assert!(!layout.has_private_table::<Classic>(layout.task_size()));
        // Closing user space must close nothing of the kernel's.
        let whole = layout.pgd_last::<Lpae>().0 == layout.task_size().0 - 1;
        assert_eq!(layout.user_can_be_closed::<Lpae>(), whole && !layout.low_vectors());
        assert!(layout.user_can_be_closed::<Classic>());
    }
}

/// Each reason, by as many ways as there are.
#[test]
fn layouts_that_cannot_be() {
    use LayoutError::*;
    const OK: LayoutSpec = LayoutSpec::linux(0xC000_0000);
    let window = crate::support::Window::new;
    let with = |change: fn(&mut LayoutSpec)| {
        let mut spec = OK;
        change(&mut spec);
        spec
    };
    assert!(Layout::new(OK).is_ok());
    let refused = [
        (LayoutSpec::linux(0), PageOffset),
        (LayoutSpec::linux(0xC010_0000), PageOffset),
        (LayoutSpec { page_offset: 0x00E0_0000, ..OK }, PageOffset),
        (with(|spec| spec.modules.start += 0x800), Window),
        (with(|spec| spec.fixmap.end -= 1), Window),
        (LayoutSpec { pkmap: window(0xBFF0_0000, 0xBFE0_0000), ..OK }, Window),
        (with(|spec| spec.modules.end += 0x1000), Order),
        (with(|spec| spec.pkmap.end += 0x1000), Order),
        (LayoutSpec { vmalloc: window(0xC000_0000, 0xC080_0000), ..OK }, Order),
        (with(|spec| spec.vmalloc.end = spec.fixmap.start + 0x1000), Order),
        (with(|spec| spec.fixmap.end = 0xFFFF_1000), Order),
        (LayoutSpec { modules: window(0xBF10_0000, 0xBFE0_0000), ..OK }, TaskSize),
        (LayoutSpec { first_user_address: 0x2800, ..OK }, FirstUserAddress),
        (LayoutSpec { first_user_address: 0xBF00_0000, ..OK }, FirstUserAddress),
        (LayoutSpec { first_user_address: 0, vectors: Vectors::Low, ..OK }, LowVectors),
        (OK.split_at(0), Border),
        (OK.split_at(0x8000_0000), Border),
        (OK.split_at(0xC010_0000), Border),
        (OK.split_at(0xFF00_0000), Border),
        (LayoutSpec::modules_at_border(0xC000_0000).split_at(0xBFFF_F000), Border),
    ];
    for (spec, error) in refused {
        assert_eq!(Layout::new(spec), Err(error), "{spec:?}");
        assert_eq!(error.to_string(), error.message());
    }
    let allowed = [
        LayoutSpec { first_user_address: 0, ..OK },
        LayoutSpec { first_user_address: 0x1000, vectors: Vectors::Low, ..OK },
        LayoutSpec { pkmap: window(0xBFE0_0000, 0xBFE0_0000), ..OK },
        LayoutSpec { fixmap: window(0xFFF0_0000, 0xFFFF_0000), ..OK },
    ];
    for spec in allowed {
        assert!(Layout::new(spec).is_ok(), "{spec:?}");
    }
    // A format without the border goes without, unless told otherwise.
    let spec = OK.split_at(0xC000_0000);
    assert_eq!(Layout::new_for::<Classic>(spec), Err(BorderOfFormat));
    assert_eq!(Layout::new(spec).map(|it| it.split::<Classic>()), Ok(None));
    assert_eq!(Layout::new_for::<Lpae>(spec), Layout::new(spec));
    assert_eq!(Layout::new(spec).map(|it| it.split::<Lpae>().map(|it| it.size)), Ok(Some(2)));
    let spec = LayoutSpec::linux(0x4000_0000).split_at(0x4000_0000);
    assert_eq!(Layout::new_for::<Lpae>(spec), Err(BorderOfFormat));
    assert_eq!(Layout::new_for::<Classic>(spec), Layout::new(spec));
    for (spec, error) in [(OK.split_at(0xFF00_0000), Border), (spec, BorderOfFormat)] {
        assert_eq!(
            Layout::new_for::<Lpae>(spec).map_err(|it| it.to_string()),
            Err(error.message().into())
        );
    }
}

#[test]
#[should_panic = "PAGE_OFFSET must be a multiple of 2 MiB"]
fn a_checked_layout_says_why() {
    let _ = Layout::checked(LayoutSpec::linux(0xC010_0000));
}

/// Only the kernel's own translation fault in its half, where swapper has something, is worth a retry.
fn b11_verdicts<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let pgd = pgd(&host, &mut swapper);
    let (module, user) = (0xBF40_0000, 0xBEFF_FFFF);
    let page = VirtRange::page(VirtAddr(module));
    swapper.map_at(page, 0x7000_0000, DATA, LeafSizes::LARGEST).unwrap();
    let judge = |kind, va, user_mode| {
        let root = pgd.root();
        // SAFETY: the pgd lives.
        unsafe {
            do_translation_fault(&swapper.view(), root, &fault(kind), VirtAddr(va), user_mode)
        }
    };
    use FaultKind::*;
    let others = [
        Alignment,
        Debug,
        AccessFlag,
        Domain,
        Permission,
        AddressSize,
        CacheMaintenance,
        External,
        WalkExternal,
        Parity,
        TlbConflict,
        AsyncExternal,
        Reserved(0),
    ];
    let before = host.snapshot();
    for kind in others {
        assert_eq!(judge(kind, module, false), Verdict::Kernel, "{kind:?}");
        assert_eq!(judge(kind, user, false), Verdict::User, "{kind:?}");
        assert_eq!(judge(kind, module, true), Verdict::User, "{kind:?}");
    }
    assert_eq!(judge(Translation, module, true), Verdict::User, "user space has no business there");
    assert_eq!(judge(Translation, user, false), Verdict::User);
    assert_eq!(judge(Translation, 0, false), Verdict::User);
    assert_eq!(judge(Translation, 0xFFFE_F000, false), Verdict::Kernel, "nothing is mapped");
    assert_same(&host.snapshot(), &before);
    assert_eq!(judge(Translation, module, false), Verdict::Retry);
    assert_eq!(pgd.translate(VirtAddr(module)), swapper.translate(VirtAddr(module)));
}

/// A fault copies the entry of its address, not its neighbour's.
fn b09_half_of_a_pair_is_not_the_other<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = empty_swapper(&host, &layout);
    let pgd = pgd(&host, &mut swapper);
    let (entry, neighbour) =
        if is_classic::<F>() { (0xBF30_0000, 0xBF20_0000) } else { (0xBF60_0000, 0xBF40_0000) };
    let page = VirtRange::page(VirtAddr(entry));
    swapper.map_at(page, 0x7000_0000, DATA, LeafSizes::LARGEST).unwrap();
    let before = host.snapshot();
    assert_eq!(touch(&swapper, &pgd, neighbour), Verdict::Kernel);
    assert_same(&host.snapshot(), &before);
    assert_eq!(touch(&swapper, &pgd, entry), Verdict::Retry);
    assert_eq!(touch(&swapper, &pgd, neighbour), Verdict::Kernel);
    assert_eq!(pgd.translate(VirtAddr(entry)).unwrap().phys, phys(0x7000_0000));
}

/// A page mapped without access faults again after any retry: it must end.
fn inaccessible_is_not_retried<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let before = pgd(&host, &mut swapper);
    let page = range(0xBF40_0000, 0xBF40_1000);
    swapper.map_at(page, 0x7000_0000, DATA.with_access(Access::None), LeafSizes::LARGEST).unwrap();
    let verdicts = [(); 3].map(|()| touch(&swapper, &before, 0xBF40_0000));
    assert_eq!(verdicts[1..], [Verdict::Kernel; 2]);
}
