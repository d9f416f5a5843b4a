//! Identity mappings.

use std::collections::BTreeMap;

use crate::support::audit::assert_same;
use crate::support::kernel::*;
use crate::support::model::{Model, assert_whole_runs};
use crate::support::random::Random;
use crate::support::*;

both_formats!(
    b01_the_rest_of_the_kernel_half_stays,
    b02_ten_thousand_come_and_go,
    b04_no_other_space_is_written,
    b56_exactly_the_pages_that_were_asked_for,
    b62_r20_the_type_is_the_linear_maps,
);

/// What an identity mapping is.
const IDENTITY: Attrs = Attrs::kernel(Access::ReadExecute).with_global(false);

/// In the entries of lowmem, modules, pkmap, vmalloc and the vectors, beside what is mapped there and over it.
const BESIDE: [(u32, u32); 6] = [
    (0xC010_0000, 0xC010_2000),
    (0xC3FF_F000, 0xC400_1000),
    (0xBF00_2000, 0xBF00_8000),
    (0xBFE0_1000, 0xBFE0_2000),
    (0xF080_0000, 0xF080_6000),
    (0xFFFF_1000, 0xFFFF_2000),
];

/// Every address of the kernel half but those asked for, however far away.
fn b01_the_rest_of_the_kernel_half_stays<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    let kernel = Model::read(&host, swapper.root(), layout.kernel());
    let mine = host.snapshot_of(swapper.root());
    for identity in BESIDE.map(|(start, end)| range(start, end)) {
        pgd.identity_add(identity, Access::ReadExecute).unwrap();
        let mut wanted = kernel.clone();
        wanted.clear(identity);
        wanted.map(identity, identity.start().0.into(), IDENTITY).unwrap();
        wanted.assert_read(&host, pgd.root(), layout.kernel());
        assert_whole_runs(&host, pgd.root());
        assert_same(&host.snapshot_of(swapper.root()), &mine);
        pgd.identity_del(identity).unwrap();
        kernel.assert_read(&host, pgd.root(), layout.kernel());
    }
    host.audit(swapper.root(), &[pgd.root()]);
}

/// From a page to 3 GiB, anywhere: no table is lost, and none kept.
fn b02_ten_thousand_come_and_go<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    let (born, untouched) = (host.counts(), host.snapshot());
    let mut random = Random::new(2);
    let mut most = born;
    for step in 0..10_000 {
        // As many lengths of each magnitude.
        let magnitude = 1 + random.below(20);
        let pages = (1 + random.below(1 << magnitude)).min(3 << 18);
        let start = VirtAddr(random.below((1 << 20) - pages) * PAGE_SIZE);
        let any = VirtRange::new(start, u64::from(pages) * u64::from(PAGE_SIZE)).unwrap();
        pgd.identity_add(any, Access::ReadExecute).unwrap();
        most = most.max(host.counts());
        pgd.identity_del(any).unwrap();
        assert_eq!(host.counts(), born, "{any}");
        host.take_log();
        if step % 500 == 0 {
            assert_same(&host.snapshot(), &untouched);
        }
    }
    assert!(most > born, "none took a table");
    assert_same(&host.snapshot(), &untouched);
}

/// The space that a CPU runs in is not borrowed: an identity mapping is written into the space it is asked of.
fn b04_no_other_space_is_written<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut active = pgd(&host, &mut swapper);
    let user = Attrs::user(Access::ReadWrite);
    active.map_at(range(0x8000, 0x20_8000), 0x7000_8000, user, LeafSizes::LARGEST).unwrap();
    let mut other = swapper.pgd_alloc().unwrap();
    // Swapper's tables are part of it.
    let theirs = host.snapshot_of(active.root());
    for (start, end) in BESIDE.into_iter().chain([(0x1_0000, 0x2_0000), (0x40_0000, 0x50_0000)]) {
        other.identity_add(range(start, end), Access::ReadExecute).unwrap();
        assert_same(&host.snapshot_of(active.root()), &theirs);
    }
    // SAFETY: it was never in a TTBR; the identity mappings go with it.
    unsafe { other.pgd_free() };
    assert_same(&host.snapshot_of(active.root()), &theirs);
    host.audit(swapper.root(), &[active.root()]);
}

/// No leaf reaches further than the range, in either half: what lies beside may be a device.
fn b56_exactly_the_pages_that_were_asked_for<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    let before = Model::read(&host, pgd.root(), VirtRange::ALL);
    let user = [
        (0x4020_3000, 0x4020_4000),
        (0x401F_F000, 0x4020_1000),
        (0x4020_0000, 0x4020_F000),
        (0x400F_F000, 0x4040_1000),
        (0x3FFF_F000, 0x4000_0000),
        // Most of a section, most of a block.
        (0x4050_1000, 0x4060_0000),
        (0x4060_0000, 0x407F_F000),
    ];
    for identity in BESIDE.into_iter().chain(user).map(|(start, end)| range(start, end)) {
        let mut wanted = before.clone();
        wanted.clear(identity);
        wanted.map(identity, identity.start().0.into(), IDENTITY).unwrap();
        pgd.identity_add(identity, Access::ReadExecute).unwrap();
        wanted.assert_read(&host, pgd.root(), VirtRange::ALL);
        pgd.identity_del(identity).unwrap();
    }
}

/// Memory that is mapped twice, as itself and in the linear map, has one type and one shareability.
fn b62_r20_the_type_is_the_linear_maps<F: Format>() {
    let (host, layout) = (Host::<F>::new(), layout(LayoutSpec::linux(0x4000_0000)));
    let mut swapper = high_ram(&host, &layout, 0xC020_0000);
    let mut pgd = swapper.pgd_alloc().unwrap();
    pgd.identity_add(range(0xC02F_F000, 0xC060_1000), Access::ReadExecute).unwrap();
    let (mut types, mut twice) = (BTreeMap::new(), 0);
    for (frame, attrs) in Model::read(&host, pgd.root(), VirtRange::ALL).0.into_values() {
        let this = (attrs.memory, attrs.share);
        if let Some(other) = types.insert(frame, this) {
            assert_eq!(other, this, "the memory at {frame:#x}");
            twice += 1;
        }
    }
    assert_eq!(twice, 0x302);
}
