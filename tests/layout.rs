//! Memory maps: a grid of those that can be, each run through pgd_alloc, faults and pgd_free; every reason
//! why one cannot be; and what faults mean.

mod support;

use armv7a_mm::format::FaultKind;
use armv7a_mm::mm::{LayoutError, Verdict, do_translation_fault};
use support::audit::assert_same;
use support::kernel::*;
use support::model::Model;
use support::*;

both_formats!(
    grid_of_layouts,
    grid_of_layouts_with_eager_windows,
    b11_verdicts,
    b09_half_of_a_pair_is_not_the_other,
    inaccessible_is_not_retried,
);

const DATA: Attrs = Attrs::kernel(Access::ReadWrite);

/// Three splits of the address space × four placements of the window × vectors.
fn grid() -> impl Iterator<Item = LayoutSpec> {
    let borders = [0x4000_0000, 0x8000_0000, 0xC000_0000];
    let specs = borders
        .into_iter()
        .flat_map(|border| [LayoutSpec::linux(border), LayoutSpec::modules_at_border(border)]);
    let specs = specs
        .flat_map(|spec| [Pmds::OnDemand, Pmds::Always].map(|pmds| LayoutSpec { pmds, ..spec }));
    specs.flat_map(|spec| {
        [Vectors::High, Vectors::Low].map(|vectors| LayoutSpec { vectors, ..spec })
    })
}

fn grid_of_layouts<F: Format>() {
    assert_eq!(grid().count(), 24);
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
        old.assert_read(&host, pgd.root(), layout.kernel());
        assert_eq!(pgd.translate(layout.vectors().start()).unwrap().phys, phys(0x6300_0000));
    }

    // The first and the last page of user space, which may lie next to the vectors and the window.
    let user = layout.user();
    let attrs = Attrs::user(Access::ReadExecute);
    for page in [user.start(), user.last()].map(VirtRange::page) {
        first.map_at(page, 0x7000_0000, attrs, LeafSizes::LARGEST).unwrap();
        assert_eq!(second.translate(page.start()), None);
    }
    assert_eq!(Model::read(&host, first.root(), user).0.len(), 2);

    // Something new in each window.
    let spec = layout.spec();
    for window in [spec.modules, spec.pkmap, spec.vmalloc, spec.fixmap] {
        let at = VirtAddr(window.end - 0x1_0000);
        swapper.map_at(VirtRange::page(at), 0x7100_0000, DATA, LeafSizes::LARGEST).unwrap();
        for pgd in [&first, &second] {
            assert!(!eager || pgd.translate(at).is_some(), "{at} faults in {spec:?}");
            assert_eq!(touch(&swapper, pgd, at.0), Verdict::Retry, "{at} in {spec:?}");
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
        assert_eq!(own(layout.task_size().0), !window || always);
        assert_eq!((own(0xFFFF_0000), own(0xC000_0000)), (always, always));
        assert!(!layout.has_private_table::<Classic>(layout.task_size()));
    }
}

/// Each reason, by as many ways as there are.
#[test]
fn layouts_that_cannot_be() {
    use LayoutError::*;
    const OK: LayoutSpec = LayoutSpec::linux(0xC000_0000);
    let window = support::Window::new;
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
        do_translation_fault(&swapper.view(), root, &fault(kind), VirtAddr(va), user_mode)
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
