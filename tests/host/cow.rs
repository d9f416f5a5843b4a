//! Copy-on-write: what parent and child may do after a fork, what is counted, what a write makes of it.

use crate::support::audit::assert_same;
use crate::support::exhaust::exhaust;
use crate::support::frames::Frames;
use crate::support::kernel::*;
use crate::support::model::{Model, assert_whole_runs, pages};
use crate::support::random::Random;
use crate::support::*;
use armv7a_mm::attr::Marks;
use armv7a_mm::format::{Level, RUN};

both_formats!(
    both_lose_the_write,
    dirty_and_clean_survive,
    leaves_keep_their_sizes,
    the_ends_split_what_they_cut,
    nothing_in_the_way_is_replaced,
    what_lies_beside_is_not_in_the_way,
    whole_or_nothing,
    one_flush_for_the_parent,
    what_is_shared_stays_as_it_is,
    a_write_gets_a_copy,
    a_page_of_a_larger_leaf_gets_a_copy,
    the_last_owner_writes_again,
    old_leaves_become_young,
    pages_beside_the_low_vectors,
    no_table_for_what_is_not_shared,
    random_families,
    what_is_the_kernels_is_not_shared,
    errors_name_the_first_page_in_the_way,
    another_access_keeps_it_shared,
    another_access_minds_no_holes,
);

const DATA: Attrs = Attrs::user(Access::ReadWrite);
const CODE: Attrs = Attrs::user(Access::ReadExecute);
const COW: Attrs = Attrs { access: Access::Read, marks: Marks::WRITE.union(Marks::DIRTY), ..DATA };

type Space<'m, F> = Pgd<'m, F, Host<F>>;

fn fork<'m, F: Format>(
    parent: &mut Space<'m, F>,
    child: &mut Space<'m, F>,
    range: VirtRange,
    frames: &mut Frames<'_, F>,
) -> Result<(), EditError> {
    // SAFETY: nobody reaches memory through these tables.
    unsafe { parent.copy_on_write(child, range, frames) }.map(|flush| flush.pay())
}

/// What a space maps in the user half.
fn read<F: Format>(host: &Host<F>, pgd: &Space<'_, F>) -> Model {
    Model::read(host, pgd.root(), pgd.layout().user())
}

/// Every page of a model as it is after a fork.
fn cow(model: &Model) -> Model {
    Model(model.0.iter().map(|(&page, &(at, attrs))| (page, (at, attrs.mkcow()))).collect())
}

/// How often each frame of a model is mapped.
fn counted<F: Format>(model: &Model, frames: &Frames<'_, F>) -> bool {
    let mut mapped: Vec<u64> = model.0.values().map(|&(at, _)| at).collect();
    mapped.sort_unstable();
    let shared = frames.shared.iter().flat_map(|(&at, &times)| std::iter::repeat_n(at, times));
    shared.eq(mapped)
}

/// Text, data, a stack far up, memory without access: and around the window's table under LPAE.
fn populate<F: Format>(pgd: &mut Space<'_, F>) {
    for (start, end, to, attrs) in [
        (0x0001_0000, 0x0001_4000, 0x7001_0000, CODE),
        (0x0001_4000, 0x0002_3000, 0x7101_5000, DATA),
        (0x3FFF_E000, 0x4000_3000, 0x7200_0000, DATA),
        (0x5000_0000, 0x5000_1000, 0x7300_0000, DATA.with_access(Access::None)),
        (0xBEFF_0000, 0xBF00_0000, 0x7400_0000, DATA),
    ] {
        pgd.map_at(range(start, end), to, attrs, LeafSizes::PAGES).unwrap();
    }
}

/// Their table is there from birth, so nothing is made when user space's first page comes beside them.
fn pages_beside_the_low_vectors<F: Format>() {
    let (host, layout) = (Host::<F>::new(), low_vectors(0xC000_0000));
    let mut swapper = swapper(&host, &layout);
    let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    for at in [0x4000_0000, 0x2000] {
        parent.map_at(range(at, at + 0x1000), 0x7000_0000, DATA, LeafSizes::PAGES).unwrap();
    }
    let before = read(&host, &parent);
    assert_eq!(before.0.len(), 2);
    let mut frames = Frames::new(&host, 0);
    fork(&mut parent, &mut child, layout.user(), &mut frames).unwrap();
    assert_eq!(read(&host, &child).0, cow(&before).0);
    free(&host, parent);
    free(&host, child);
}

/// A table of the parent's that maps nothing in the range makes none of the child's.
fn no_table_for_what_is_not_shared<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    let page = range(0x4020_5000, 0x4020_6000);
    parent.map_at(page, 0x7000_0000, DATA, LeafSizes::PAGES).unwrap();
    let mut frames = Frames::new(&host, 0);
    let before = host.snapshot();
    for (start, end) in
        [(0x4020_0000, 0x4020_5000), (0x4020_6000, 0x4030_0000), (0x4000_0000, 0x4020_0000)]
    {
        fork(&mut parent, &mut child, range(start, end), &mut frames).unwrap();
        assert_same(&host.snapshot(), &before);
    }
    fork(&mut parent, &mut child, range(0x4000_0000, 0x4060_0000), &mut frames).unwrap();
    assert_eq!(read(&host, &child).0.len(), 1);
    free(&host, parent);
    free(&host, child);
}

/// Of a larger leaf that the range cuts a part is copied, beside what the child has in the same place.
fn what_lies_beside_is_not_in_the_way<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    let mut frames = Frames::new(&host, 0);
    parent.map_at(range(0x1000_0000, 0x1020_0000), 0x7000_0000, DATA, LeafSizes::LARGEST).unwrap();
    child.map_at(range(0x1000_0000, 0x1000_1000), 0x7777_7000, DATA, LeafSizes::PAGES).unwrap();
    let before = host.snapshot();
    let error = fork(&mut parent, &mut child, range(0x1000_0000, 0x1000_8000), &mut frames);
    assert!(matches!(error, Err(EditError::Mapped { at: VirtAddr(0x1000_0000), .. })), "{error:?}");
    audit::assert_same(&host.snapshot(), &before);
    fork(&mut parent, &mut child, range(0x1000_8000, 0x1020_0000), &mut frames).unwrap();
    assert_eq!(read(&host, &child).0.len(), 1 + 0x1F8);
    assert_eq!(read(&host, &parent).0.len(), 0x200);
    host.audit(swapper.root(), &[parent.root(), child.root()]);
    for space in [parent, child] {
        free(&host, space);
    }
    host.audit(swapper.root(), &[]);
}

fn both_lose_the_write<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    populate(&mut parent);
    let before = read(&host, &parent);
    let mut frames = Frames::new(&host, 0);
    fork(&mut parent, &mut child, layout.user(), &mut frames).unwrap();
    assert_eq!(read(&host, &parent), cow(&before));
    assert_eq!(read(&host, &child), cow(&before));
    assert!(before.0.values().any(|(_, attrs)| attrs.access == Access::ReadWrite));
    assert!(counted(&before, &frames));
    let roots = [parent.root(), child.root()];
    host.audit(swapper.root(), &roots);
    host.assert_no_empty_table(child.root());
    free(&host, parent);
    assert_eq!(read(&host, &child), cow(&before), "the child has tables of its own");
    host.audit(swapper.root(), &roots[1..]);
    free(&host, child);
    host.audit(swapper.root(), &[]);
}

fn dirty_and_clean_survive<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    let kinds = [
        DATA,
        DATA.mkclean(),
        DATA.mkdirty(),
        DATA.mkold(),
        DATA.mkclean().mkold(),
        DATA.wrprotect(),
        DATA.with_access(Access::Read),
        CODE,
        DATA.with_memory(MemoryType::NonCacheable),
    ];
    for (kind, n) in kinds.into_iter().zip(0..) {
        let page = VirtRange::page(VirtAddr(0x1_0000 + n * PAGE_SIZE));
        parent
            .map_at(page, 0x7000_0000 + u64::from(n * PAGE_SIZE), kind, LeafSizes::PAGES)
            .unwrap();
    }
    fork(&mut parent, &mut child, layout.user(), &mut Frames::new(&host, 0)).unwrap();
    for (kind, n) in kinds.into_iter().zip(0..) {
        for space in [&parent, &child] {
            let leaf = space.translate(VirtAddr(0x1_0000 + n * PAGE_SIZE)).unwrap().leaf().unwrap();
            let (was, is) = (kind, leaf.attrs);
            assert_ne!(is.access, Access::ReadWrite);
            assert_eq!(is.may_write(), was.may_write(), "{was:?}");
            assert_eq!(is.is_dirty(), was.is_dirty(), "{was:?}");
            assert_eq!((is.young, is.memory), (was.young, was.memory));
            assert_eq!(is.mkcow(), is, "twice is as once");
        }
    }
    host.audit(swapper.root(), &[parent.root(), child.root()]);
}

/// As after fork and mprotect: no access that is asked for lets a space write to what it shares, or to what is to be
/// read only.
fn another_access_keeps_it_shared<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    let page = VirtRange::page(VirtAddr(0x1_0000));
    parent.map_at(page, 0x7000_0000, DATA, LeafSizes::PAGES).unwrap();
    fork(&mut parent, &mut child, page, &mut Frames::new(&host, 0)).unwrap();
    let mut mprotect = |access| {
        // SAFETY: nobody reaches memory through these tables.
        unsafe { child.modify(page, |attrs| attrs.mprotect(access)) }.unwrap().pay();
        child.translate(page.start()).unwrap().leaf().unwrap().attrs
    };
    for access in [Access::Read, Access::ReadExecute, Access::None] {
        let attrs = mprotect(access);
        assert_eq!((attrs.access, attrs.may_write(), attrs.is_dirty()), (access, false, true));
        let attrs = mprotect(Access::ReadWrite);
        assert_eq!((attrs.access, attrs.may_write(), attrs.is_dirty()), (Access::Read, true, true));
    }
    // Alone, it writes on; and what it may write, it need not be asked for again.
    // SAFETY: as above.
    unsafe { child.make_writable(page.start()) }.unwrap().pay();
    // SAFETY: as above.
    unsafe { child.modify(page, |attrs| attrs.mprotect(Access::ReadWrite)) }.unwrap().pay();
    let attrs = child.translate(page.start()).unwrap().leaf().unwrap().attrs;
    assert_eq!(attrs.access, Access::ReadWrite);
}

/// Of a page here and there, a table that is full, blocks; and of nothing at all.
fn another_access_minds_no_holes<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut space = pgd(&host, &mut swapper);
    for (start, end) in [
        (0x0001_0000, 0x0001_1000),
        (0x0001_3000, 0x0001_4000),
        (0x0040_0000, 0x0060_0000),
        (0x0080_0000, 0x00A0_0000),
    ] {
        let sizes = if start < 0x80_0000 { LeafSizes::PAGES } else { LeafSizes::LARGEST };
        space.map_at(range(start, end), 0x7000_0000 + u64::from(start), DATA, sizes).unwrap();
    }
    let before = read(&host, &space);
    let all = range(0x0001_0000, 0x0090_1000);
    assert!(matches!(space.modify_now(all, Attrs::mkold), Err(EditError::NotMapped { .. })));
    assert_eq!(read(&host, &space), before);
    // SAFETY: nobody reaches memory through these tables.
    let flush = unsafe { space.modify_mapped(all, |attrs| attrs.mprotect(Access::Read)) };
    assert_eq!(flush.map(|flush| flush.range()), Ok(Some(all)));
    let expected = before.0.iter().map(|(&page, &(at, attrs))| {
        let inside = VirtAddr(page * PAGE_SIZE) <= all.last();
        (page, (at, if inside { attrs.mprotect(Access::Read) } else { attrs }))
    });
    assert_eq!(read(&host, &space), Model(expected.collect()));
    // SAFETY: as above.
    let nothing = unsafe { space.modify_mapped(range(0x2000_0000, 0x3000_0000), Attrs::mkold) };
    assert!(nothing.is_ok_and(|flush| flush.is_empty()));
    host.audit(swapper.root(), &[space.root()]);
}

/// Levels that have leaves, and whether in a run: their bytes.
fn sizes<F: Format>() -> impl Iterator<Item = (&'static Level, bool, u32)> {
    let leaves = F::LEVELS.iter().filter(|level| level.shift < 30);
    leaves
        .flat_map(|level| [(level, false, level.span()), (level, true, level.span() * RUN as u32)])
        // User space has no supersections.
        .filter(|&(level, run, _)| !(run && is_classic::<F>() && level.shift == 20))
}

fn leaves_keep_their_sizes<F: Format>() {
    for (level, run, bytes) in sizes::<F>() {
        let (host, layout) = (Host::<F>::new(), linux());
        let mut swapper = swapper(&host, &layout);
        let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
        let place = range(0x2000_0000, 0x2000_0000 + 2 * bytes);
        parent.map_at(place, 0x8000_0000, DATA, LeafSizes::LARGEST).unwrap();
        let span = |space: &Space<'_, F>| space.translate(place.last()).unwrap().span();
        assert_eq!(span(&parent).bytes(), u64::from(bytes), "{} in a run: {run}", level.name);
        let before = read(&host, &parent);
        let mut frames = Frames::new(&host, 0);
        fork(&mut parent, &mut child, layout.user(), &mut frames).unwrap();
        assert!(counted(&before, &frames));
        for space in [&parent, &child] {
            assert_eq!(read(&host, space), cow(&before));
            assert_eq!(span(space).bytes(), u64::from(bytes));
            assert_whole_runs(&host, space.root());
        }
        // Told of each leaf, or of each run that is one word sixteen times.
        let unit = if run && !is_classic::<F>() { level.span() } else { bytes };
        assert!(
            frames.calls.iter().all(|&(_, told)| told == u64::from(unit)),
            "{:?}",
            frames.calls
        );
        host.audit(swapper.root(), &[parent.root(), child.root()]);
    }
}

fn the_ends_split_what_they_cut<F: Format>() {
    for (_, _, bytes) in sizes::<F>().filter(|&(.., bytes)| bytes > PAGE_SIZE) {
        let (host, layout) = (Host::<F>::new(), linux());
        let mut swapper = swapper(&host, &layout);
        let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
        let start = 0x2000_0000;
        parent
            .map_at(range(start, start + 2 * bytes), 0x8000_0000, DATA, LeafSizes::LARGEST)
            .unwrap();
        let before = read(&host, &parent);
        let part = range(start + PAGE_SIZE, start + 2 * bytes - PAGE_SIZE);
        let mut frames = Frames::new(&host, 0);
        fork(&mut parent, &mut child, part, &mut frames).unwrap();
        let mut wanted = cow(&before.part(part));
        assert_eq!(read(&host, &child), wanted);
        assert!(counted(&wanted, &frames));
        for page in [pages(part).start() - 1, pages(part).end() + 1] {
            wanted.0.insert(page, before.0[&page]);
        }
        assert_eq!(read(&host, &parent), wanted);
        assert_whole_runs(&host, parent.root());
        assert_whole_runs(&host, child.root());
        host.audit(swapper.root(), &[parent.root(), child.root()]);
    }
}

fn nothing_in_the_way_is_replaced<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    populate(&mut parent);
    let mut frames = Frames::new(&host, 0);
    for at in [0x1_0000, 0x2_2000, 0x4000_2000, 0xBEFF_F000] {
        let page = VirtRange::page(VirtAddr(at));
        child.map_at(page, 0x7777_7000, DATA, LeafSizes::PAGES).unwrap();
        let before = host.snapshot();
        let error = fork(&mut parent, &mut child, layout.user(), &mut frames);
        assert!(
            matches!(error, Err(EditError::Mapped { at: found, .. }) if found.0 == at),
            "{error:?}"
        );
        audit::assert_same(&host.snapshot(), &before);
        child.unmap_now(page).unwrap();
    }
    // Next to what is mapped is no conflict, in the same table.
    let page = VirtRange::page(VirtAddr(0x2_3000));
    child.map_at(page, 0x7777_7000, DATA, LeafSizes::PAGES).unwrap();
    assert!(frames.calls.is_empty());
    fork(&mut parent, &mut child, layout.user(), &mut frames).unwrap();
    assert_eq!(read(&host, &child).0.len(), read(&host, &parent).0.len() + 1);
    host.audit(swapper.root(), &[parent.root(), child.root()]);
    // Not the kernel's half, nor below the first user address.
    let outside = fork(&mut parent, &mut child, range(0, 0x2000), &mut frames);
    assert!(matches!(outside, Err(EditError::OutOfBounds { .. })));
    let odd = VirtRange::new(VirtAddr(0x1_0000), 0x10).unwrap();
    assert_eq!(fork(&mut parent, &mut child, odd, &mut frames), Err(EditError::Misaligned));
}

fn whole_or_nothing<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    populate(&mut parent);
    let mut frames = Frames::new(&host, 0);
    // A pte table for each place, and with LPAE pmds for the first two GiB: the third is the child's from birth.
    let tables = if is_classic::<F>() { 5 } else { 7 };
    exhaust(&host, tables, || {
        let calls = frames.calls.len();
        let done = fork(&mut parent, &mut child, layout.user(), &mut frames);
        assert!(done.is_ok() || frames.calls.len() == calls, "counted in vain");
        done
    });
    host.audit(swapper.root(), &[parent.root(), child.root()]);

    // A cut block: tables for the split, and as many for the copy.
    let block = F::LEVELS[F::LEVELS.len() - 2].span();
    let place = range(0x2000_0000, 0x2000_0000 + block);
    let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    parent.map_at(place, 0x8000_0000, DATA, LeafSizes::LARGEST).unwrap();
    let part = range(0x2000_1000, 0x2000_0000 + block);
    let calls = frames.calls.len();
    exhaust(&host, if is_classic::<F>() { 2 } else { 3 }, || {
        let done = fork(&mut parent, &mut child, part, &mut frames);
        assert!(done.is_ok() || frames.calls.len() == calls, "counted in vain");
        done
    });
    assert_eq!(read(&host, &child), cow(&read(&host, &parent).part(part)));
}

fn one_flush_for_the_parent<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    // SAFETY: no TLB knows them.
    unsafe {
        parent.set_asid(Some(Asid(5)));
        child.set_asid(Some(Asid(6)));
    }
    populate(&mut parent);
    host.take_log();
    fork(&mut parent, &mut child, layout.user(), &mut Frames::new(&host, 0)).unwrap();
    let flushes: Vec<Op> = host.take_log().into_iter().filter(|op| op.is_tlbi()).collect();
    assert_eq!(flushes, [Op::ByAsid(Asid(5))]);
    host.assert_paid();
    // A second child: nothing is left to withdraw, so nothing to flush.
    let mut second = pgd(&host, &mut swapper);
    host.take_log();
    fork(&mut parent, &mut second, layout.user(), &mut Frames::new(&host, 0)).unwrap();
    assert!(!host.take_log().into_iter().any(Op::is_tlbi));
    host.audit(swapper.root(), &[parent.root(), child.root(), second.root()]);
}

fn what_is_shared_stays_as_it_is<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    populate(&mut parent);
    let before = read(&host, &parent);
    let mut frames = Frames::new(&host, 0);
    // SAFETY: nobody reaches memory through these tables.
    unsafe { parent.share(&mut child, layout.user(), &mut frames) }.unwrap();
    assert_eq!(read(&host, &parent), before);
    assert_eq!(read(&host, &child), before);
    assert!(counted(&before, &frames));
    host.audit(swapper.root(), &[parent.root(), child.root()]);
}

fn a_write_gets_a_copy<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    populate(&mut parent);
    fork(&mut parent, &mut child, layout.user(), &mut Frames::new(&host, 0)).unwrap();
    let old = read(&host, &parent);
    let at = VirtAddr(0x2_0123);
    // SAFETY: nobody reaches memory through these tables.
    let was = unsafe { child.break_cow(at, phys(0x7F00_0000)) };
    assert_eq!(was, Ok(phys(old.0[&0x20].0)));
    // Break before make: nothing is owed.
    host.assert_paid();
    let mut wanted = old.clone();
    wanted.0.insert(0x20, (0x7F00_0000, DATA.mkdirty().with_marks(COW.marks)));
    assert_eq!(read(&host, &child), wanted);
    assert_eq!(read(&host, &parent), old);
    // Nothing there; a copy that is none.
    for (at, copy, error) in [
        (0x9000_0000, 0x7F00_0000, EditError::NotMapped { at: VirtAddr(0x9000_0000) }),
        (0xC000_0000, 0x7F00_0000, EditError::OutOfBounds { at: VirtAddr(0xC000_0000) }),
    ] {
        // SAFETY: as above.
        assert_eq!(unsafe { child.break_cow(VirtAddr(at), phys(copy)) }, Err(error));
    }
    // SAFETY: as above.
    let odd = unsafe { child.break_cow(at, phys(0x7F00_0010)) };
    assert!(matches!(odd, Err(EditError::Encode(_))), "{odd:?}");
    assert_eq!(read(&host, &child), wanted);
    host.audit(swapper.root(), &[parent.root(), child.root()]);
}

fn a_page_of_a_larger_leaf_gets_a_copy<F: Format>() {
    for (_, _, bytes) in sizes::<F>().filter(|&(.., bytes)| bytes > PAGE_SIZE) {
        let (host, layout) = (Host::<F>::new(), linux());
        let mut swapper = swapper(&host, &layout);
        let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
        let place = range(0x2000_0000, 0x2000_0000 + bytes);
        parent.map_at(place, 0x8000_0000, DATA, LeafSizes::LARGEST).unwrap();
        fork(&mut parent, &mut child, layout.user(), &mut Frames::new(&host, 0)).unwrap();
        let mut wanted = read(&host, &child);
        let at = VirtAddr(0x2000_0000 + bytes / 2 + 0x10);
        let tables = host.counts().iter().sum::<usize>();
        // SAFETY: nobody reaches memory through these tables.
        let mut write = || unsafe { child.break_cow(at, phys(0x7F00_0000)) };
        // Every allocation of the split fails once.
        let mut was = Err(EditError::OutOfMemory);
        for succeed in 0.. {
            let before = host.snapshot();
            host.fail_after(Some(succeed));
            was = write();
            host.fail_after(None);
            if was != Err(EditError::OutOfMemory) {
                break;
            }
            audit::assert_same(&host.snapshot(), &before);
        }
        assert_eq!(was, Ok(phys(0x8000_0000 + u64::from(bytes) / 2)));
        assert!(host.counts().iter().sum::<usize>() >= tables);
        wanted.0.insert(at.0 / PAGE_SIZE, (0x7F00_0000, DATA.with_marks(COW.marks)));
        assert_eq!(read(&host, &child), wanted);
        assert_whole_runs(&host, child.root());
        host.audit(swapper.root(), &[parent.root(), child.root()]);
    }
}

fn the_last_owner_writes_again<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    populate(&mut parent);
    fork(&mut parent, &mut child, layout.user(), &mut Frames::new(&host, 0)).unwrap();
    let mut wanted = read(&host, &parent);
    // SAFETY: nobody reaches memory through these tables.
    unsafe { parent.make_writable(VirtAddr(0x2_0FFF)) }.unwrap().pay();
    wanted.0.insert(0x20, (wanted.0[&0x20].0, DATA.with_marks(COW.marks)));
    // What may not be written stays so.
    // SAFETY: as above.
    unsafe { parent.make_writable(VirtAddr(0x1_0000)) }.unwrap().pay();
    let code = wanted.0[&0x10];
    assert_eq!(code.1.access, Access::ReadExecute);
    wanted.0.insert(0x10, (code.0, code.1.with_marks(Marks::DIRTY)));
    assert_eq!(read(&host, &parent), wanted);
    host.audit(swapper.root(), &[parent.root(), child.root()]);
}

fn old_leaves_become_young<F: Format>() {
    for (_, _, bytes) in sizes::<F>() {
        let (host, layout) = (Host::<F>::new(), linux());
        let mut swapper = swapper(&host, &layout);
        let mut pgd = pgd(&host, &mut swapper);
        let place = range(0x2000_0000, 0x2000_0000 + 2 * bytes);
        pgd.map_at(place, 0x8000_0000, DATA.mkold(), LeafSizes::LARGEST).unwrap();
        let at = VirtAddr(0x2000_0000 + bytes - 1);
        // SAFETY: nobody reaches memory through these tables.
        unsafe { pgd.mkyoung(at) }.unwrap().pay();
        let mut wanted = Model::default();
        wanted.map(range(0x2000_0000, 0x2000_0000 + bytes), 0x8000_0000, DATA).unwrap();
        let second = range(0x2000_0000 + bytes, 0x2000_0000 + 2 * bytes);
        wanted.map(second, 0x8000_0000 + u64::from(bytes), DATA.mkold()).unwrap();
        assert_eq!(read(&host, &pgd), wanted, "the whole leaf, and no other");
        assert_whole_runs(&host, pgd.root());
        host.audit(swapper.root(), &[pgd.root()]);
    }
}

/// Spaces fork, write, unmap and die, an allocation failing now and then; each page has what the plainest fork would.
fn random_families<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut random = Random::new(0xF0_4C);
    let place = range(0x3FE0_0000, 0x4060_0000);
    let mut family: Vec<(Space<'_, F>, Model)> = vec![(pgd(&host, &mut swapper), Model::default())];
    let mut copies = 0x1_0000_0000_u64 - 0x1000_0000;
    for _ in 0..400 {
        let who = random.below(family.len() as u32) as usize;
        let start = place.start().0 + random.below(0x700) * PAGE_SIZE;
        let bytes = (1 + random.below(0x90)) * random.pick(&[1, 16]) * PAGE_SIZE;
        let part = range(start, (start + bytes).min(place.last().0 + 1));
        host.fail_after((random.below(6) == 0).then_some(random.below(3) as usize));
        let members = family.len();
        let (space, model) = &mut family[who];
        match random.below(5) {
            0 => {
                let to = 0x8000_0000 + u64::from(start & 0x00FF_FFFF);
                let attrs = random.pick(&[DATA, DATA, CODE, DATA.mkclean(), DATA.mkold()]);
                if space.map_at(part, to, attrs, LeafSizes::LARGEST).is_ok() {
                    model.map(part, to, attrs).unwrap();
                }
            }
            1 if members < 4 => {
                host.fail_after(None);
                let mut child = pgd(&host, &mut swapper);
                host.fail_after((random.below(3) == 0).then_some(random.below(4) as usize));
                let mut frames = Frames::new(&host, 0);
                let (space, model) = &mut family[who];
                let part = random.pick(&[part, place, layout.user()]);
                let done = fork(space, &mut child, part, &mut frames);
                host.fail_after(None);
                let copied = if done.is_ok() { cow(&model.part(part)) } else { Model::default() };
                assert!(counted(&copied, &frames));
                model.0.extend(copied.0.iter().map(|(&page, &mapping)| (page, mapping)));
                family.push((child, copied));
            }
            2 | 3 => {
                let found =
                    model.0.range(pages(part)).next().map(|(&page, &mapping)| (page, mapping));
                if let Some((page, (at, attrs))) = found {
                    let va = VirtAddr(page * PAGE_SIZE + 0x123);
                    copies += u64::from(PAGE_SIZE);
                    // SAFETY: nobody reaches memory through these tables.
                    let was = unsafe { space.break_cow(va, phys(copies)) };
                    if let Ok(was) = was {
                        assert_eq!(was, phys(at));
                        model.0.insert(page, (copies, attrs.mkdirty().mkyoung()));
                    } else {
                        assert_eq!(was, Err(EditError::OutOfMemory));
                    }
                }
            }
            _ if random.below(3) == 0 && members > 1 => {
                free(&host, family.swap_remove(who).0);
            }
            _ => {
                if space.clear_now(part).is_ok() {
                    model.clear(part);
                }
            }
        }
        host.fail_after(None);
        for (space, model) in &family {
            model.assert_read(&host, space.root(), place);
        }
        let roots: Vec<_> = family.iter().map(|(space, _)| space.root()).collect();
        host.audit(swapper.root(), &roots);
    }
}

/// An identity mapping in the user half is no memory of the space's.
fn what_is_the_kernels_is_not_shared<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    let own = range(0x4000_4000, 0x4000_5000);
    parent.map_at(range(0x4000_0000, 0x4000_1000), 0x7000_0000, DATA, LeafSizes::PAGES).unwrap();
    parent.identity_add(own, Access::ReadWrite).unwrap();
    let before = host.snapshot();
    let mut frames = Frames::new(&host, 0);
    let all = layout.user();
    let refused = fork(&mut parent, &mut child, all, &mut frames);
    assert!(
        matches!(refused, Err(EditError::Mapped { at, .. }) if at == own.start()),
        "{refused:?}"
    );
    assert_same(&host.snapshot(), &before);
    assert!(frames.shared.is_empty());
    parent.identity_del(own).unwrap();
    assert_eq!(fork(&mut parent, &mut child, all, &mut frames), Ok(()));
    assert_eq!(child.translate(VirtAddr(0x4000_0000)).unwrap().leaf().unwrap().attrs, COW);
    free(&host, parent);
    free(&host, child);
}

/// Where a leaf meets a table, it is the first page below; and nothing outside of what was asked for.
fn errors_name_the_first_page_in_the_way<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let [mut parent, mut child] = [(); 2].map(|()| pgd(&host, &mut swapper));
    let mut frames = Frames::new(&host, 0);
    let block = VirtRange::aligned(VirtAddr(0x4000_0000), F::LEVELS[F::LEVELS.len() - 2].shift);
    parent.map_at(block, 0x4000_0000, DATA, LeafSizes::BLOCKS).unwrap();
    let page = VirtRange::page(VirtAddr(0x4001_0000));
    child.map_at(page, 0x7777_7000, DATA, LeafSizes::PAGES).unwrap();
    let refused = fork(&mut parent, &mut child, layout.user(), &mut frames);
    let leaf = child.translate(page.start()).unwrap().leaf().unwrap();
    assert_eq!(refused, Err(EditError::Mapped { at: page.start(), by: Entry::Leaf(leaf) }));

    child.unmap_now(page).unwrap();
    parent.unmap_now(block).unwrap();
    let kernels = Attrs::kernel(Access::Read).with_global(false);
    parent.map_at(block, 0x4000_0000, kernels, LeafSizes::BLOCKS).unwrap();
    let part = range(0x4000_4000, 0x4000_8000);
    let leaf = parent.translate(part.start()).unwrap().leaf().unwrap();
    let refused = fork(&mut parent, &mut child, part, &mut frames);
    assert_eq!(refused, Err(EditError::Mapped { at: part.start(), by: Entry::Leaf(leaf) }));
}
