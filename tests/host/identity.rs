//! Identity mappings beyond the case in `thread.rs`: several at once, beside user space's pages, and in
//! random sequences against a plain model.

use crate::support::audit::assert_same;
use crate::support::kernel::*;
use crate::support::model::{Model, assert_whole_runs};
use crate::support::random::Random;
use crate::support::*;
use armv7a_mm::mm::Verdict;
use armv7a_mm::table::mem::TableMemory;

both_formats!(
    each_restores_its_own_part,
    a_block_and_what_lies_beside_it,
    a_blocks_table_is_complete_before_it_is_linked,
    two_blocks_far_apart,
    a_block_over_a_table_of_swappers,
    a_block_over_what_nobody_knows,
    beside_user_pages,
    the_table_stays_open_for_the_others,
    nothing_else_is_one,
    what_it_cuts_must_be_in_reach,
    no_copy_goes_stale,
    random_sequences,
);

/// More than one at a time: each del restores its own part.
fn each_restores_its_own_part<F: Format>() {
    let layout = layout(LayoutSpec::linux(0x4000_0000));
    for to in [0xC000_0000, 0xC200_0000, 0xC001_0000] {
        let host = Host::<F>::new();
        let mut swapper = high_ram(&host, &layout, to);
        let mut pgd = swapper.pgd_alloc().unwrap();
        let untouched = host.snapshot();
        let around = range(0x8000_0000, 0x8200_0000);
        let before = Model::read(&host, swapper.root(), around);
        let parts =
            [(0x8000_0000, 0x8000_4000), (0x8000_4000, 0x8012_0000), (0x8040_0000, 0x8060_0000)];
        let attrs = Attrs::kernel(Access::Read).with_global(false);
        // In the order of adding, and against it.
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut wanted = before.clone();
            for (start, end) in parts {
                pgd.identity_add(range(start, end), Access::Read).unwrap();
                wanted.clear(range(start, end));
                wanted.map(range(start, end), start.into(), attrs).unwrap();
                wanted.assert_read(&host, pgd.root(), around);
            }
            for (start, end) in order.map(|n: usize| parts[n]) {
                pgd.identity_del(range(start, end)).unwrap();
                wanted.clear(range(start, end));
                wanted.0.extend(before.part(range(start, end)).0);
                wanted.assert_read(&host, pgd.root(), around);
                assert_whole_runs(&host, pgd.root());
                host.audit(swapper.root(), &[pgd.root()]);
            }
            assert_same(&host.snapshot(), &untouched);
        }
        // SAFETY: it was never in a TTBR.
        unsafe { pgd.pgd_free() };
    }
}

/// One block is a case of its own. What else is identity mapped stays when it goes, and it when that goes; what is none
/// is refused although as many pages are.
fn a_block_and_what_lies_beside_it<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    let untouched = host.snapshot();
    let shift = F::LEVELS[F::LEVELS.len() - 2].shift;
    let block = |n: u32| VirtRange::aligned(VirtAddr(0xC120_0000 + (n << shift)), shift);
    let page = VirtRange::page(VirtAddr(block(2).start().0 + 0x3000));
    let half = VirtRange::new(block(4).start(), block(4).bytes() / 2).unwrap();
    let there = |pgd: &Pgd<F, _>, range: VirtRange| {
        [range.start(), range.last()].map(|va| pgd.translate(va).unwrap().phys.as_u64())
            == [range.start(), range.last()].map(|va| va.0.into())
    };
    for beside in [page, block(1), block(3), half] {
        for [first, second] in [[block(0), beside], [beside, block(0)]] {
            for [gone, left] in [[first, second], [second, first]] {
                pgd.identity_add(first, Access::Read).unwrap();
                pgd.identity_add(second, Access::Read).unwrap();
                let again = pgd.identity_add(first, Access::Read);
                assert!(matches!(again, Err(EditError::Mapped { .. })), "{again:?}");
                pgd.identity_del(gone).unwrap();
                assert!(there(&pgd, left) && !there(&pgd, gone), "{gone} went");
                host.audit(swapper.root(), &[pgd.root()]);
                let before = host.snapshot();
                for none in [gone, block(5)] {
                    let refused = Err(EditError::NotMapped { at: none.start() });
                    assert_eq!(pgd.identity_del(none), refused);
                }
                assert_same(&host.snapshot(), &before);
                pgd.identity_del(left).unwrap();
                assert_same(&host.snapshot(), &untouched);
            }
        }
    }
}

/// A new table is clean, and a barrier stands between it and its link; in the classic format there is no table. The last
/// store is clean and published.
fn a_blocks_table_is_complete_before_it_is_linked<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    let shift = F::LEVELS[F::LEVELS.len() - 2].shift;
    let block = VirtRange::aligned(VirtAddr(0xC120_0000), shift);
    host.take_log();
    pgd.identity_add(block, Access::Read).unwrap();
    let log = host.take_log();
    let last = log.iter().rposition(|op| matches!(op, Op::Store { .. })).unwrap();
    assert_eq!(log[last + 1..], [Op::Clean, Op::DsbIshst, Op::Isb]);
    if !is_classic::<F>() {
        assert_eq!(log[last - 2..last], [Op::Clean, Op::DsbIshst]);
    }
    // What swapper has is put back, and clean before anything is forgotten.
    pgd.identity_del(block).unwrap();
    let log = host.take_log();
    let is_store = |op: &Op| matches!(op, Op::Store { .. });
    // In the classic format a run; else an entry, and what the list of tables to free is made of.
    let last = if is_classic::<F>() {
        log.iter().rposition(is_store)
    } else {
        log.iter().position(is_store)
    };
    assert_eq!(log[last.unwrap() + 1], Op::Clean);
}

/// Two, each alone in its root entry: whichever goes first, the other stays.
fn two_blocks_far_apart<F: Format>() {
    let (host, layout) = (Host::<F>::new(), layout(LayoutSpec::linux(0x4000_0000)));
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    let untouched = host.snapshot();
    let shift = F::LEVELS[F::LEVELS.len() - 2].shift;
    let blocks = [0x4120_0000, 0xF900_0000].map(|at| VirtRange::aligned(VirtAddr(at), shift));
    let there = |pgd: &Pgd<F, _>, block: VirtRange| {
        pgd.translate(block.last())
            .is_some_and(|found| found.phys.as_u64() == block.last().0.into())
    };
    for [gone, left] in [blocks, [blocks[1], blocks[0]]] {
        for block in blocks {
            pgd.identity_add(block, Access::Read).unwrap();
        }
        pgd.identity_del(gone).unwrap();
        assert!(there(&pgd, left) && !there(&pgd, gone), "{gone} went");
        assert_eq!(pgd.identity_del(gone), Err(EditError::NotMapped { at: gone.start() }));
        host.audit(swapper.root(), &[pgd.root()]);
        pgd.identity_del(left).unwrap();
        assert_same(&host.snapshot(), &untouched);
    }
}

/// Where swapper's entry is a table, no neighbour is touched: not the user's that shares sixteen root entries with it,
/// wherever the table lies.
fn a_block_over_a_table_of_swappers<F: Format>() {
    let spec = LayoutSpec::linux(0xC000_0000);
    let layout = layout(LayoutSpec { modules: Window::new(0xBFC0_0000, 0xBFE0_0000), ..spec });
    let (host, level) = (Host::<F>::new(), F::LEVELS.last().unwrap());
    let mut swapper = empty_swapper(&host, &layout);
    // The next table's address has the bit that makes a section a supersection.
    let mut before_it = Vec::new();
    while before_it
        .last()
        .is_none_or(|last: &PhysAddr| (last.as_u64() + level.table_bytes() as u64) >> 18 & 1 == 0)
    {
        before_it.push(host.allocate(level).unwrap());
    }
    let data = Attrs::kernel(Access::ReadWrite);
    swapper.map_at(range(0xBFC0_1000, 0xBFC0_2000), 0x7000_0000, data, LeafSizes::PAGES).unwrap();
    for table in before_it {
        // SAFETY: nothing points to it.
        unsafe { host.free(table, level) };
    }
    let mut pgd = swapper.pgd_alloc().unwrap();
    let user = Attrs::user(Access::ReadWrite);
    pgd.map_at(range(0xBF00_0000, 0xBF30_0000), 0x7100_0000, user, LeafSizes::PAGES).unwrap();
    let before = host.snapshot();
    let shift = F::LEVELS[F::LEVELS.len() - 2].shift;
    let block = VirtRange::aligned(VirtAddr(0xBFC0_0000), shift);
    pgd.identity_add(block, Access::Read).unwrap();
    pgd.identity_del(block).unwrap();
    let there = |va: u32| pgd.translate(VirtAddr(va)).map(|found| found.phys.as_u64());
    assert_eq!(there(0xBF00_0000), Some(0x7100_0000));
    assert_eq!(there(0xBF2F_FFFF), Some(0x712F_FFFF));
    assert_eq!(touch(&swapper, &pgd, 0xBFC0_1000), Verdict::Retry);
    host.audit(swapper.root(), &[pgd.root()]);
    assert_eq!(host.snapshot().tables(), before.tables());
}

/// A word that this crate never writes is refused where it would be overwritten, and no neighbour is parted from it.
fn a_block_over_what_nobody_knows<F: Format>() {
    if !is_classic::<F>() {
        return;
    }
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    // Invalid, with content: by its bit 18 one of sixteen.
    for root in [swapper.root(), pgd.root()] {
        host.plant(root, 0xF90, F::Raw::from_u64(0x4_1000));
    }
    let before = host.snapshot();
    let at = VirtAddr(0xF900_0000);
    let block = VirtRange::aligned(at, 20);
    assert_eq!(pgd.identity_add(block, Access::Read), Err(EditError::Reserved { at }));
    assert_same(&host.snapshot(), &before);
}

/// In the user half: user space's pages in the same tables are as before, and as closed to the
/// kernel as before.
fn beside_user_pages<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    let user = Attrs::user(Access::ReadExecute);
    pgd.map_at(range(0x4030_0000, 0x4030_2000), 0x7000_0000, user, LeafSizes::LARGEST).unwrap();
    let untouched = host.snapshot();
    for identity in [range(0x4030_4000, 0x4030_6000), range(0x402F_F000, 0x4030_0000)] {
        pgd.identity_add(identity, Access::ReadExecute).unwrap();
        host.audit(swapper.root(), &[pgd.root()]);
        pgd.identity_del(identity).unwrap();
        assert_same(&host.snapshot(), &untouched);
    }
    let taken = pgd.identity_add(range(0x402F_F000, 0x4030_3000), Access::Read).unwrap_err();
    assert!(matches!(taken, EditError::Mapped { at: VirtAddr(0x4030_0000), .. }), "{taken:?}");
    assert_same(&host.snapshot(), &untouched);
}

/// Of two beside user space's page, in one table or in two, the one that goes leaves the other as it was.
fn the_table_stays_open_for_the_others<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    let user = Attrs::user(Access::ReadExecute);
    for at in [0x4030_0000, 0x4050_0000] {
        pgd.map_at(range(at, at + 0x1000), 0x7000_0000, user, LeafSizes::PAGES).unwrap();
    }
    let untouched = host.snapshot();
    let stays = range(0x4030_4000, 0x4030_6000);
    pgd.identity_add(stays, Access::ReadExecute).unwrap();
    let one = host.snapshot();
    // In the same table; in the table beside it; a section or block.
    for (start, end) in
        [(0x4030_8000, 0x4030_9000), (0x4050_8000, 0x4050_9000), (0x4060_0000, 0x4080_0000)]
    {
        pgd.identity_add(range(start, end), Access::ReadExecute).unwrap();
        pgd.identity_del(range(start, end)).unwrap();
        assert_same(&host.snapshot(), &one);
        host.audit(swapper.root(), &[pgd.root()]);
    }
    pgd.identity_del(stays).unwrap();
    assert_same(&host.snapshot(), &untouched);
}

/// An identity mapping maps memory to itself, for the kernel.
fn nothing_else_is_one<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    let kernel = Attrs::kernel(Access::ReadWrite).with_global(false);
    let user = Attrs::user(Access::ReadWrite);
    for (at, to, attrs) in [
        (0x4010_0000, 0x4010_0000, user),
        (0x4020_0000, 0x4020_1000, kernel),
        (0x4030_0000, 0x4030_1000, user),
    ] {
        let page = VirtRange::page(VirtAddr(at));
        pgd.map_at(page, to, attrs, LeafSizes::PAGES).unwrap();
        let before = host.snapshot();
        assert_eq!(pgd.identity_del(page), Err(EditError::NotMapped { at: VirtAddr(at) }));
        assert_same(&host.snapshot(), &before);
    }
    // Swapper's map their addresses to others, for every address space.
    for at in [0xC010_0000, 0xC030_0000, 0xF200_0000] {
        let page = VirtRange::page(VirtAddr(at));
        assert_eq!(pgd.identity_del(page), Err(EditError::NotMapped { at: VirtAddr(at) }));
    }
}

/// What it takes out of a larger leaf is mapped in smaller ones meanwhile: not where these do not reach the memory.
fn what_it_cuts_must_be_in_reach<F: Format>() {
    let layout = layout(LayoutSpec::linux(0x4000_0000));
    let ram = 0x1_0000_0000;
    let host = Host::<F>::new();
    let mut swapper = high_ram(&host, &layout, ram);
    let mut pgd = swapper.pgd_alloc().unwrap();
    let before = host.snapshot();
    // A section of a supersection; a page of it.
    for (start, end) in [(0x8020_0000, 0x8040_0000), (0x8020_1000, 0x8020_2000)] {
        let added = pgd.identity_add(range(start, end), Access::ReadExecute);
        let reaches = !matches!(
            added,
            Err(EditError::Encode(armv7a_mm::format::EncodeError::OutOfReach { .. }))
        );
        assert_eq!(reaches, !is_classic::<F>(), "{added:?}");
        if added.is_ok() {
            pgd.identity_del(range(start, end)).unwrap();
        }
        assert_same(&host.snapshot(), &before);
    }
}

/// A fault brings no leaf into the tables of an identity mapping that swapper may take away again.
fn no_copy_goes_stale<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    let data = Attrs::kernel(Access::ReadWrite);
    let [first, second] = [0xF200_0000, 0xF200_1000].map(|at| VirtRange::page(VirtAddr(at)));
    swapper.map_at(first, 0x7000_0000, data, LeafSizes::PAGES).unwrap();
    pgd.identity_add(range(0xF200_8000, 0xF200_9000), Access::ReadExecute).unwrap();
    swapper.map_at(second, 0x7100_0000, data, LeafSizes::PAGES).unwrap();
    assert_eq!(touch(&swapper, &pgd, second.start().0), Verdict::Kernel);
    swapper.unmap_now(second).unwrap();
    assert_eq!(pgd.translate(second.start()), None);
    // A whole table may come: swapper never frees one.
    let beside = range(0xF260_0000, 0xF260_1000);
    swapper.map_at(beside, 0x7200_0000, data, LeafSizes::PAGES).unwrap();
    assert_eq!(touch(&swapper, &pgd, beside.start().0), Verdict::Retry);
    assert_eq!(pgd.translate(beside.start()), swapper.translate(beside.start()));
    host.audit(swapper.root(), &[pgd.root()]);
}

/// Where they come and go: on both sides of TASK_SIZE, and on lowmem.
const ZONES: [(u32, u32); 3] =
    [(0x3EC0_0000, 0x3F00_0000), (0x3F00_0000, 0x3F20_0000), (0x8000_0000, 0x8280_0000)];

/// A random range of pages in one of the zones.
fn any_range(random: &mut Random) -> VirtRange {
    let (start, end) = random.pick(&ZONES);
    let pages = (end - start) / PAGE_SIZE;
    let shift = random.pick(&[12, 12, 16, 20, 21]);
    let first = VirtAddr(start + random.below(pages) * PAGE_SIZE).align_down(shift);
    let bytes = (1 + random.below(4)) << random.pick(&[12, shift, shift]);
    range(first.0.max(start), (first.0 + bytes).clamp(first.0.max(start) + PAGE_SIZE, end))
}

/// Identity mappings and user pages come and go; what swapper maps is there wherever neither is.
fn random_sequences<F: Format>() {
    let layout = layout(LayoutSpec::linux(0x4000_0000));
    for (seed, to) in [(1, 0xC000_0000), (2, 0xC200_0000), (3, 0xC001_0000)] {
        let host = Host::<F>::new();
        let mut swapper = high_ram(&host, &layout, to);
        let code = Attrs::kernel(Access::ReadExecute);
        let modules = range(0x3F08_0000, 0x3F12_0000);
        swapper.map_at(modules, 0xA008_0000, code, LeafSizes::LARGEST).unwrap();
        let mut pgd = swapper.pgd_alloc().unwrap();
        let untouched = host.snapshot();
        let mine = host.snapshot_of(swapper.root());
        let read = |root, zone: &(u32, u32)| Model::read(&host, root, range(zone.0, zone.1));
        let kernel: Vec<Model> = ZONES.iter().map(|zone| read(swapper.root(), zone)).collect();
        let kernel = Model(kernel.into_iter().flat_map(|model| model.0).collect());
        let mut random = Random::new(seed);
        // What the pgd has of its own: user space's, and identity mappings.
        let mut own = Model::default();
        let identity = Attrs::kernel(Access::ReadExecute).with_global(false);
        let user = Attrs::user(Access::ReadWrite);
        let (mut done, mut added) = ([0; 4], Vec::new());
        for step in 0..500 {
            let kind = random.below(4) as usize;
            let any = match kind {
                // Mostly what was added, at times also something else.
                1 if !added.is_empty() && random.below(4) != 0 => random.pick(&added),
                _ => any_range(&mut random),
            };
            let before = host.snapshot();
            let result = match kind {
                0 => pgd.identity_add(any, Access::ReadExecute),
                1 => pgd.identity_del(any),
                2 => pgd.map_at(
                    any,
                    u64::from(any.start().0) + 0x1000_0000,
                    user,
                    LeafSizes::LARGEST,
                ),
                _ => pgd.clear_now(any),
            };
            let in_user = layout.user().encloses(any);
            let only = |attrs| {
                own.hole(any).is_none() && own.part(any).0.values().all(|own| own.1 == attrs)
            };
            match (kind, result) {
                (0, Ok(())) => {
                    own.map(any, any.start().0.into(), identity).unwrap();
                    added.push(any);
                }
                (2, Ok(())) => own.map(any, u64::from(any.start().0) + 0x1000_0000, user).unwrap(),
                (1, Ok(())) => {
                    assert!(only(identity), "{any} was not all identity mapping");
                    own.clear(any);
                    added.retain(|&old| old != any);
                }
                (_, Ok(())) => own.clear(any),
                (0 | 2, Err(EditError::Mapped { at, .. })) => {
                    let first = own.part(any).0.keys().next().map(|page| page * PAGE_SIZE);
                    assert_eq!(first, Some(at.0), "{any}");
                }
                // A part of a larger leaf cannot be deleted alone.
                (1, Err(EditError::NotMapped { at })) => assert!(any.contains(at)),
                (2 | 3, Err(EditError::OutOfBounds { .. })) => assert!(!in_user),
                (kind, result) => panic!("{kind} of {any}: {result:?}"),
            }
            done[kind] += usize::from(result.is_ok());
            if result.is_err() {
                assert_same(&host.snapshot(), &before);
            }
            if step % 16 != 0 {
                continue;
            }
            for zone in ZONES {
                let zone = range(zone.0, zone.1);
                let mut wanted = kernel.part(zone);
                wanted.0.extend(own.part(zone).0);
                wanted.assert_read(&host, pgd.root(), zone);
            }
            assert_whole_runs(&host, pgd.root());
            assert_same(&host.snapshot_of(swapper.root()), &mine);
            host.audit(swapper.root(), &[pgd.root()]);
        }
        assert!(done.iter().all(|&done| done > 10), "{done:?}");
        // One by one, whatever is left goes, and all is as it was.
        pgd.clear_now(layout.user()).unwrap();
        own.clear(layout.user());
        while let Some((&page, _)) = own.0.first_key_value() {
            let start = VirtAddr(page * PAGE_SIZE);
            let shift = [30, 25, 21, 20, 16, 12].into_iter().find(|&shift| {
                let part = VirtRange::aligned(start, shift);
                start.is_aligned(shift)
                    && own.hole(part).is_none()
                    && pgd.identity_del(part).is_ok()
            });
            own.clear(VirtRange::aligned(start, shift.expect("a leaf that starts there")));
        }
        assert_same(&host.snapshot(), &untouched);
    }
}
