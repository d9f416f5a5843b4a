//! Tables: what a new one holds, what stands in the way of one, what lies in several.

use crate::support::audit::assert_same;
use crate::support::kernel::*;
use crate::support::model::Model;
use crate::support::*;

both_formats!(
    b39_ranges_across_several_tables,
    b40_b67_a_new_table_holds_nothing_else,
    b48_a_page_does_not_go_over_a_larger_leaf,
);

const DATA: Attrs = Attrs::kernel(Access::ReadWrite);
const USER: Attrs = Attrs::user(Access::ReadWrite);

/// From the middle of one table, over whole ones and a border of the root's, to the middle of another.
fn b39_ranges_across_several_tables<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let whole = range(0x3FD0_3000, 0x4070_5000);
    // Each inside of the one before, and no end near another's place in its table.
    let parts =
        [(0x3FDF_D000, 0x4061_2000), (0x3FEE_1000, 0x4053_4000), (0x3FFC_7000, 0x4045_6000)];
    let [inner, hole, again] = parts.map(|(start, end)| range(start, end));
    let mut model = Model::default();
    pgd.map_at(whole, 0x6FD0_2000, USER, LeafSizes::PAGES).unwrap();
    model.map(whole, 0x6FD0_2000, USER).unwrap();
    model.assert_read(&host, pgd.root(), layout.user());
    pgd.protect_now(inner, Access::Read).unwrap();
    model.modify(inner, |attrs| attrs.with_access(Access::Read));
    model.assert_read(&host, pgd.root(), layout.user());
    pgd.unmap_now(hole).unwrap();
    model.clear(hole);
    model.assert_read(&host, pgd.root(), layout.user());
    pgd.map_at(again, 0x5FC4_5000, USER, LeafSizes::PAGES).unwrap();
    model.map(again, 0x5FC4_5000, USER).unwrap();
    model.assert_read(&host, pgd.root(), layout.user());
    host.audit(swapper.root(), &[pgd.root()]);
}

/// The memory that tables are made of is full of garbage; what was not mapped is absent all the same, in
/// swapper, in a pgd from birth, below a new mapping and in the copies for an identity mapping.
fn b40_b67_a_new_table_holds_nothing_else<F: Format>() {
    let linux = LayoutSpec::linux(0xC000_0000);
    let specs = [
        linux,
        LayoutSpec { vectors: Vectors::Low, ..linux },
        LayoutSpec { pmds: Pmds::Always, ..linux },
        LayoutSpec { modules: linux.modules.eager(), fixmap: linux.fixmap.eager(), ..linux },
    ];
    for spec in specs {
        let (host, layout) = (Host::<F>::new(), layout(spec));
        let mut swapper = empty_swapper(&host, &layout);
        let mut mapped = Model::default();
        mapped.assert_read(&host, swapper.root(), VirtRange::ALL);
        let kernel = range(0xF080_5000, 0xF080_7000);
        swapper.map_at(kernel, 0x7000_0000, DATA, LeafSizes::LARGEST).unwrap();
        mapped.map(kernel, 0x7000_0000, DATA).unwrap();
        mapped.assert_read(&host, swapper.root(), VirtRange::ALL);
        let mut pgd = swapper.pgd_alloc().unwrap();
        mapped.assert_read(&host, pgd.root(), VirtRange::ALL);
        for user in [range(0x4000_3000, 0x4000_4000), range(0xBEFF_D000, 0xBEFF_E000)] {
            pgd.map_at(user, 0x7100_0000, USER, LeafSizes::LARGEST).unwrap();
            mapped.map(user, 0x7100_0000, USER).unwrap();
            mapped.assert_read(&host, pgd.root(), VirtRange::ALL);
        }
        for identity in [range(0x8000_1000, 0x8000_3000), range(0xF0FF_F000, 0xF100_1000)] {
            let attrs = Attrs::kernel(Access::Read).with_global(false);
            pgd.identity_add(identity, Access::Read).unwrap();
            mapped.map(identity, identity.start().0.into(), attrs).unwrap();
            mapped.assert_read(&host, pgd.root(), VirtRange::ALL);
        }
        host.audit(swapper.root(), &[pgd.root()]);
    }
}

/// A section is not taken for a table: the map is refused, and nothing is written.
fn b48_a_page_does_not_go_over_a_larger_leaf<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    // A run of pages, a block, runs of blocks, and a block of the root's; the classic format has sections for all
    // but the first.
    let leaves = [
        range(0x1001_0000, 0x1002_0000),
        range(0x1020_0000, 0x1040_0000),
        range(0x8000_0000, 0xA000_0000),
        range(0x4000_0000, 0x8000_0000),
    ];
    for whole in leaves {
        pgd.map_at(whole, whole.start().0.into(), USER, LeafSizes::LARGEST).unwrap();
    }
    let before = host.snapshot();
    let refused = |done: Done, at: VirtAddr| {
        assert!(
            matches!(done, Err(EditError::Mapped { at: first, by: Entry::Leaf(_) }) if first == at),
            "{at}: {done:?}"
        );
        assert_same(&host.snapshot(), &before);
    };
    for at in [0x1001_3000, 0x1020_0000, 0x103F_F000, 0x4000_0000, 0x7123_4000, 0x8FFF_F000] {
        let page = VirtRange::page(VirtAddr(at));
        for sizes in [LeafSizes::PAGES, LeafSizes::LARGEST] {
            refused(pgd.map_at(page, 0x7000_0000, USER, sizes), page.start());
        }
        refused(pgd.identity_add(page, Access::Read), page.start());
    }
    // Lowmem is made of sections or blocks.
    for at in [0xC000_0000, 0xC123_4000] {
        let page = VirtRange::page(VirtAddr(at));
        refused(swapper.map_at(page, 0x7000_0000, DATA, LeafSizes::PAGES), page.start());
    }
}
