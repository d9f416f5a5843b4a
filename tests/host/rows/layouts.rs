//! Memory maps as machines have them, and as nobody would choose them.

use std::array::from_fn;

use crate::support::kernel::*;
use crate::support::model::{Model, assert_whole_runs};
use crate::support::random::Random;
use crate::support::*;

both_formats!(b18_ram_may_start_and_end_anywhere, b66_any_layout_with_any_pool_of_tables,);

const DATA: Attrs = Attrs::kernel(Access::ReadWrite);

/// On a section's border, a page next to one, and on the border of one of a pair.
const OFFSETS: [u32; 5] = [0, 0x1000, 0xF_F000, 0x10_0000, 0x1F_F000];

/// The linear map has all of a bank of RAM, and nothing beyond, wherever it starts and ends.
fn b18_ram_may_start_and_end_anywhere<F: Format>() {
    let layout = linux();
    for (start, end) in OFFSETS.iter().flat_map(|start| OFFSETS.map(|end| (*start, end))) {
        let host = Host::<F>::new();
        let mut swapper = empty_swapper(&host, &layout);
        let bank = range(0xC000_0000 + start, 0xC080_0000 + end);
        let to = 0x6400_0000 + u64::from(start);
        swapper.map_at(bank, to, DATA, LeafSizes::LARGEST).unwrap();
        let mut model = Model::default();
        model.map(bank, to, DATA).unwrap();
        model.assert_read(&host, swapper.root(), VirtRange::ALL);
        assert_whole_runs(&host, swapper.root());
    }
}

/// A memory map whose windows lie in order, if by chance; their borders are coarse or fine.
fn any_spec(random: &mut Random) -> LayoutSpec {
    let grain = random.pick(&[12, 20, 21, 21, 24]);
    let mut borders: [u32; 9] =
        from_fn(|_| (0x100_0000 + random.below(0xFEFF_0000)) >> grain << grain);
    borders.sort_unstable();
    let [task_size, a, b, c, page_offset, d, e, f, g] = borders;
    let mut window = |start, end| Window { eager: random.below(3) == 0, ..Window::new(start, end) };
    let (modules, pkmap) = (window(task_size & !0x1F_FFFF, a), window(b, c));
    let (vmalloc, fixmap) = (window(d, e), window(f, g));
    LayoutSpec {
        page_offset: page_offset & !0x1F_FFFF,
        modules,
        pkmap,
        vmalloc,
        fixmap,
        vectors: random.pick(&[Vectors::High, Vectors::Low]),
        first_user_address: random.pick(&[0, 0x1000, 0x2000, 0x20_0000]),
        pmds: random.pick(&[Pmds::OnDemand, Pmds::Always]),
        ttbr1: random.pick(&[None, None, Some(0x8000_0000), Some(0xC000_0000), Some(0xE000_0000)]),
    }
}

/// A short life with whatever tables there are: mappings at the ends of every window, before and after a pgd
/// is made, and in the pgd.
fn live<F: Format>(host: &Host<F>, layout: &Layout) -> Result<(), EditError> {
    let mut swapper = Swapper::<F, _>::new(host, layout, PXN)?;
    let spec = layout.spec();
    let windows = [spec.modules, spec.pkmap, spec.vmalloc, spec.fixmap];
    let windows = windows.into_iter().filter(|window| window.start < window.end);
    let pages: Vec<u32> = windows.flat_map(|it| [it.start, it.end - PAGE_SIZE]).collect();
    let mut place = |at: u32| {
        let page = VirtRange::page(VirtAddr(at));
        match swapper.map_at(page, 0x7000_0000, DATA, LeafSizes::LARGEST) {
            // A window of one page has one end.
            Err(EditError::Mapped { .. }) => Ok(()),
            done => done,
        }
    };
    place(layout.vectors().start().0)?;
    pages.iter().try_for_each(|&at| place(at))?;
    let mut pgd = swapper.pgd_alloc()?;
    let user = [layout.user().start(), layout.user().last()].map(VirtRange::page);
    let attrs = Attrs::user(Access::ReadWrite);
    let done = user.into_iter().try_for_each(|page| {
        pgd.map_at(page, 0x7100_0000, attrs, LeafSizes::LARGEST)?;
        let page = VirtRange::page(layout.lowmem().start());
        if page.start() > layout.pgd_last::<F>() {
            let refused = Err(EditError::OutOfBounds { at: page.start() });
            assert_eq!(pgd.identity_add(page, Access::ReadExecute), refused);
            return Ok(());
        }
        pgd.identity_add(page, Access::ReadExecute)?;
        pgd.identity_del(page)
    });
    host.audit(swapper.root(), &[pgd.root()]);
    // SAFETY: it was never in a TTBR.
    unsafe { pgd.pgd_free() };
    host.audit(swapper.root(), &[]);
    done
}

/// A layout that cannot be is refused with its reason, and tables that run out are an error, whenever they do.
fn b66_any_layout_with_any_pool_of_tables<F: Format>() {
    let mut random = Random::new(66);
    let (mut lived, mut starved, mut refused) = (0, 0, 0);
    for _ in 0..60 {
        let Ok(layout) = Layout::new(any_spec(&mut random)) else {
            refused += 1;
            continue;
        };
        for pool in [0, 1, 2, 3, 4, 5, 6, 8, 12, 20, 50, usize::MAX] {
            let host = Host::<F>::new();
            host.fail_after(Some(pool));
            match live(&host, &layout) {
                Ok(()) => lived += 1,
                Err(EditError::OutOfMemory) if pool != usize::MAX => starved += 1,
                Err(other) => panic!("{other} with {pool} tables in {:?}", layout.spec()),
            }
        }
    }
    assert!(lived > 50 && starved > 200 && refused > 5, "{lived} {starved} {refused}");
}
