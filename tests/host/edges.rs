//! The ends of everything: address 0, the last page, ranges that end at 4 GiB, the last physical page; and
//! input that is refused with a typed error and changes nothing.

use crate::support::audit::assert_same;
use crate::support::kernel::*;
use crate::support::model::Model;
use crate::support::*;
use armv7a_mm::addr::RangeError;
use armv7a_mm::format::EncodeError;
use armv7a_mm::mm::Verdict;
use armv7a_mm::table::context::Whose;
use armv7a_mm::table::edit::{Editor, Policy, Ties};
use armv7a_mm::table::mem::{Maintenance, TableMemory};
use armv7a_mm::table::node::Node;
use armv7a_mm::table::walk;

both_formats!(
    b32_b33_all_of_the_address_space,
    b38_first_and_last_page,
    b14_b17_r24_last_physical_page,
    the_vectors_alone_are_below,
    b33_r19_misaligned_and_overflowing,
    not_this_trees_to_edit,
    swappers_tables_are_never_written,
    b10_sealed_entries,
    words_of_unknown_meaning,
    words_of_all_ones,
    identity_mappings_refused,
    another_scope_is_broken_first,
);

/// A pointer and a length as user space hands them over: all of it lies in its half, or it is refused.
#[test]
fn user_pointers() {
    let user = linux().user();
    let holds = |at, bytes| user.holds(VirtAddr(at), bytes);
    assert_eq!((user.start(), user.last()), (VirtAddr(0x2000), VirtAddr(0xBEFF_FFFF)));
    assert!(holds(0x2000, 1) && holds(0xBEFF_FFFF, 1) && holds(0x2000, 0xBEFF_E000));
    assert!(!holds(0x1FFF, 1) && !holds(0x1FFF, 2) && !holds(0, 0x1_0000));
    assert!(!holds(0xBF00_0000, 1) && !holds(0xBEFF_FFFF, 2) && !holds(0x2000, 0xBEFF_E001));
    for bytes in [0xFFFF_E000, 0xFFFF_FFFF, u32::MAX as usize - 0x1FFF, usize::MAX, usize::MAX - 1]
    {
        assert!(!holds(0x2000, bytes), "{bytes:#x} go round the top");
        assert!(!holds(0xBEFF_FFFF, bytes) && !holds(0xFFFF_FFFF, bytes));
    }
    assert!(!holds(0xFFFF_FFFF, 1) && !holds(0xFFFF_FFFF, 0x2002));
    assert!(holds(0xFFFF_FFFF, 0), "no bytes are nobody's");
    assert!(
        VirtRange::ALL.holds(VirtAddr(0), 1 << 32) && !VirtRange::ALL.holds(VirtAddr(1), 1 << 32)
    );
}

const DATA: Attrs = Attrs::kernel(Access::ReadWrite);
const USER: Attrs = Attrs::user(Access::ReadWrite);
const LARGEST: LeafSizes = LeafSizes::LARGEST;

/// A tree without halves: every address may be edited.
struct Anywhere;

impl Ties for Anywhere {}

/// An empty tree of that kind.
fn bare<F: Format>(host: &Host<F>) -> Editor<'static, '_, F, Host<F>> {
    let root = host.allocate(&F::LEVELS[0]).unwrap();
    // SAFETY: a root of its own, which is zeroed first.
    unsafe {
        let node = Node::<F, _>::new(host, root, 0);
        node.zero(node.all());
        node.clean(node.all());
        host.dsb_ish();
        host.activate(root);
        Editor::new(
            host,
            root,
            Policy { owner: Owner::User, pxn: false, whose: Whose::Everyone, ties: &Anywhere },
        )
    }
}

/// What the only root in use translates.
fn translate<F: Format>(host: &Host<F>, va: u32) -> Option<PhysAddr> {
    // SAFETY: the first table handed out is the root.
    let root = unsafe { Node::<F, _>::new(host, host.first_root(), 0) };
    walk::translate(&root, VirtAddr(va)).map(|to| to.phys)
}

/// Whatever range an editor is given: behind a copy of swapper's entry nothing is its own.
fn swappers_tables_are_never_written<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    // Pages under LPAE also behind a pmd, and a block in one.
    swapper.map_at(range(0xF200_0000, 0xF201_0000), 0x7000_0000, DATA, LARGEST).unwrap();
    if !is_classic::<F>() {
        swapper.map_at(range(0xF220_0000, 0xF240_0000), 0x7020_0000, DATA, LARGEST).unwrap();
    }
    let pgd = pgd(&host, &mut swapper);
    let policy = Policy { owner: Owner::User, pxn: false, whose: Whose::Everyone, ties: &Anywhere };
    // SAFETY: nobody else edits the tree.
    let mut editor = unsafe { Editor::<F, _>::new(&host, pgd.root(), policy) };
    let (root, bits) = (pgd.node(), editor.page_bits(USER).unwrap());
    let (before, frame) = (host.snapshot(), phys(0x7100_0000));
    host.take_log();
    for at in [0xF200_1000, 0xF200_F000, 0xF202_0000].map(VirtAddr) {
        let page = VirtRange::page(at);
        // SAFETY: nobody reaches memory through these tables.
        unsafe {
            let refused = Err(EditError::Reserved { at });
            assert_eq!(editor.map(page, frame, USER, LARGEST), refused);
            assert!(!Editor::map_page(&root, page, frame, bits));
            assert_eq!(Editor::map_page_in_new_table(&root, page, frame, bits, true), Ok(false));
            let hole = Err(EditError::NotMapped { at });
            assert_eq!(editor.unmap(page).map(drop), hole);
            assert_eq!(editor.protect(page, Access::Read).map(drop), hole);
        }
    }
    // Nor are tables linked in them.
    let end = if is_classic::<F>() { 0xF210_0000 } else { 0xF300_0000 };
    assert_eq!(editor.link_tables(range(0xF200_0000, end), &|_, _| true), Ok(()));
    // Nor is what they map cut.
    for all in [range(0xF200_0000, 0xF200_8000), range(0xF210_0000, 0xF230_0000)] {
        // SAFETY: as above.
        unsafe { editor.clear(all) }.unwrap().pay();
    }
    assert_same(&host.snapshot(), &before);
    let log = host.take_log();
    assert!(!log.iter().any(|op| matches!(op, Op::Allocate(_))), "{log:?}");
}

/// Ranges that end at 4 GiB, and the one that is everything.
fn b32_b33_all_of_the_address_space<F: Format>() {
    let host = Host::<F>::new();
    let mut tree = bare(&host);
    let all = VirtRange::ALL;
    // SAFETY: nobody reaches memory through these tables, here and below.
    unsafe {
        tree.map(all, phys(0), DATA, LARGEST).unwrap();
        assert_eq!(host.counts(), [1, 0, 0], "leaves of the root alone");
        let ends = [0, 0x7FFF_FFFF, 0x8000_0000, u32::MAX];
        assert_eq!(ends.map(|va| translate(&host, va)), ends.map(|va| Some(phys(va.into()))));
        tree.protect(all, Access::Read).unwrap().pay();
        // Cut at the first and at the last page.
        tree.protect(range(0x1000, 0xFFFF_F000), Access::ReadWrite).unwrap().pay();
        let model = |va| Model::read(&host, host.first_root(), VirtRange::page(VirtAddr(va)));
        for (va, access) in [
            (0, Access::Read),
            (0x1000, Access::ReadWrite),
            (0xFFFF_E000, Access::ReadWrite),
            (0xFFFF_F000, Access::Read),
        ] {
            let wanted = (u64::from(va), DATA.with_access(access));
            assert_eq!(model(va).0.values().next(), Some(&wanted));
        }
        tree.unmap(all).unwrap().pay();
        assert_eq!(host.counts(), [1, 0, 0]);
        assert_eq!(ends.map(|va| translate(&host, va)), [None; 4]);
        let refused = tree.unmap(all).map(drop);
        assert_eq!(refused, Err(EditError::NotMapped { at: VirtAddr(0) }));
        tree.clear(all).unwrap().pay();
    }
}

/// The first and the last entry of each table.
fn b38_first_and_last_page<F: Format>() {
    let host = Host::<F>::new();
    let mut tree = bare(&host);
    for va in [0, 0xFFFF_F000] {
        let page = VirtRange::page(VirtAddr(va));
        // SAFETY: as above.
        unsafe {
            tree.map(page, phys(0x1234_5000), DATA, LARGEST).unwrap();
            let beside = if va == 0 { 0x1000 } else { 0xFFFF_EFFF };
            let found = [va, va + 0xFFF, beside].map(|va| translate(&host, va));
            assert_eq!(found, [Some(phys(0x1234_5000)), Some(phys(0x1234_5FFF)), None]);
            host.take_log();
            tree.unmap(page).unwrap().pay();
        }
        assert!(host.take_log().iter().any(|op| op.is_tlbi()));
        assert_eq!(host.counts(), [1, 0, 0]);
    }
    // A range that ends at the top and starts where nothing is aligned.
    let tail = range(0xFE0F_F000, 0);
    // SAFETY: as above.
    unsafe {
        tree.map(tail, phys(0x500F_F000), DATA, LARGEST).unwrap();
        let mut model = Model::default();
        model.map(tail, 0x500F_F000, DATA).unwrap();
        model.assert_read(&host, host.first_root(), VirtRange::ALL);
        tree.unmap(range(0xFF0F_F000, 0)).unwrap().pay();
        model.clear(range(0xFF0F_F000, 0));
        model.assert_read(&host, host.first_root(), VirtRange::ALL);
        tree.unmap(range(0xFE0F_F000, 0xFF0F_F000)).unwrap().pay();
    }
    assert_eq!(host.counts(), [1, 0, 0]);
}

/// 40 bits, and in the classic format 32.
fn b14_b17_r24_last_physical_page<F: Format>() {
    let host = Host::<F>::new();
    let mut tree = bare(&host);
    let page = range(0x4000_0000, 0x4000_1000);
    let pages = range(0x4000_0000, 0x4000_2000);
    let [last, start] = [0xFF_FFFF_F000, 0xFF_FFFF_E000].map(phys);
    let mut map = |range, to| {
        // SAFETY: as above.
        let done = unsafe { tree.map(range, to, DATA, LARGEST) };
        if done.is_ok() {
            let behind = phys(to.as_u64() + range.bytes() - 1);
            let found = [range.start(), range.last()].map(|va| translate(&host, va.0));
            assert_eq!(found, [Some(to), Some(behind)]);
            let mut wanted = Model::default();
            wanted.map(range, to.as_u64(), DATA).unwrap();
            wanted.assert_read(&host, host.first_root(), range);
            // SAFETY: as above.
            unsafe { tree.unmap(range) }.unwrap().pay();
        }
        done
    };
    let (one, two) = if is_classic::<F>() {
        let beyond = |at| Err(EditError::Encode(EncodeError::OutOfReach { at }));
        (beyond(last), beyond(start))
    } else {
        (Ok(()), Ok(()))
    };
    assert_eq!((map(page, last), map(pages, start)), (one, two));
    assert_eq!(map(pages, last), Err(EditError::PhysOverflow { start: last }));
    assert_eq!(map(page, phys(0xFFFF_F000)), Ok(()));
    let run = range(0x4000_0000, 0x4100_0000);
    assert_eq!(map(run, phys(0xFF_FF00_0000)), Ok(()), "supersections and blocks reach the end");
    assert!(map(range(0x4000_0000, 0x4100_1000), phys(0xFF_FF00_0000)).is_err());
    assert_eq!(host.counts(), [1, 0, 0]);
}

/// Beside the page of low vectors nothing in the user half is swapper's.
fn the_vectors_alone_are_below<F: Format>() {
    let (host, layout) = (Host::<F>::new(), low_vectors(0xC000_0000));
    let mut swapper = swapper(&host, &layout);
    for at in [0x1000, 0x2000, 0x4000_0000] {
        let refused = Err(EditError::OutOfBounds { at: VirtAddr(at) });
        let page = VirtRange::page(VirtAddr(at));
        assert_eq!(swapper.map_at(page, 0x7000_0000, DATA, LeafSizes::PAGES), refused);
        assert_eq!(swapper.unmap_now(page), refused);
    }
}

fn b33_r19_misaligned_and_overflowing<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let before = host.snapshot();
    let odd = |start, bytes| VirtRange::new(VirtAddr(start), bytes).unwrap();
    for range in [odd(0x4000_0800, 0x1000), odd(0x4000_0000, 0x1001), odd(0x4000_0001, 0xFFF)] {
        let no = Err(EditError::Misaligned);
        assert_eq!(pgd.map_at(range, 0x7000_0000, USER, LARGEST), no);
        assert_eq!(pgd.unmap_now(range), no);
        assert_eq!(pgd.clear_now(range), no);
        assert_eq!(pgd.protect_now(range, Access::Read), no);
        assert_eq!(pgd.identity_add(range, Access::Read), no);
        assert_eq!(pgd.identity_del(range), no);
    }
    let page = range(0x4000_0000, 0x4000_1000);
    let inside = EditError::PhysMisaligned { start: phys(0x7000_0800) };
    assert_eq!(pgd.map_at(page, 0x7000_0800, USER, LARGEST), Err(inside));
    let device = USER.with_memory(MemoryType::Device).with_access(Access::ReadExecute);
    let executable = EditError::Encode(EncodeError::ExecutableDevice(MemoryType::Device));
    assert_eq!(pgd.map_at(page, 0x7000_0000, device, LARGEST), Err(executable));
    assert_same(&host.snapshot(), &before);
    pgd.map_at(page, 0x7000_0000, device.with_access(Access::Read), LARGEST).unwrap();
    assert_eq!(pgd.protect_now(page, Access::ReadExecute), Err(executable));
    pgd.unmap_now(page).unwrap();
    assert_same(&host.snapshot(), &before);
    assert_eq!(VirtRange::new(VirtAddr(5), 0), Err(RangeError::Empty));
    assert_eq!(VirtRange::new(VirtAddr(0xFFFF_F000), 0x1001), Err(RangeError::Overflow));
    assert_eq!(VirtRange::new(VirtAddr(1), u64::MAX), Err(RangeError::Overflow));
    assert_eq!(VirtRange::new(VirtAddr(0), 1 << 32), Ok(VirtRange::ALL));
    assert_eq!(VirtRange::inclusive(VirtAddr(2), VirtAddr(1)), Err(RangeError::Empty));
    assert_eq!(PhysAddr::new(1 << 40), None);
}

fn not_this_trees_to_edit<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let before = host.snapshot();
    let out = |at| Err(EditError::OutOfBounds { at: VirtAddr(at) });
    for (range, at) in [
        (range(0, 0x1000), 0),
        (range(0x1000, 0x3000), 0x1000),
        (range(0xBEFF_F000, 0xBF00_1000), 0xBF00_0000),
        (range(0xBF00_0000, 0xBF00_1000), 0xBF00_0000),
        (range(0xFFFF_F000, 0), 0xFFFF_F000),
        (VirtRange::ALL, 0),
    ] {
        assert_eq!(pgd.map_at(range, 0, USER, LARGEST), out(at));
        assert_eq!(pgd.unmap_now(range), out(at));
        assert_eq!(pgd.clear_now(range), out(at));
        assert_eq!(pgd.protect_now(range, Access::Read), out(at));
    }
    for range in [range(0, 0x1000), range(0xBEFF_F000, 0xBF00_1000), VirtRange::ALL] {
        let at = range.start().0;
        assert_eq!(swapper.map_at(range, 0, DATA, LARGEST), out(at));
        assert_eq!(swapper.unmap_now(range), out(at));
        assert_eq!(swapper.protect_now(range, Access::Read), out(at));
    }
    assert_same(&host.snapshot(), &before);
}

/// Once pgds hold copies, a present entry of swapper's does not change: not whole, not in part, at no depth.
fn b10_sealed_entries<F: Format>() {
    let linux = LayoutSpec::linux(0xC000_0000);
    // Sections at the root, or a block in the private pmd; with all pmds, blocks of lowmem too.
    for (spec, block) in
        [(linux, 0xBF40_0000), (LayoutSpec { pmds: Pmds::Always, ..linux }, 0xC020_0000)]
    {
        let (host, layout) = (Host::<F>::new(), layout(spec));
        let mut swapper = swapper(&host, &layout);
        let module = range(0xBF40_0000, 0xBF60_0000);
        swapper.map_at(module, 0x7000_0000, DATA, LARGEST).unwrap();
        let pgd = pgd(&host, &mut swapper);
        let before = host.snapshot();
        let whole = VirtRange::aligned(VirtAddr(block), 21);
        let page = VirtRange::page(VirtAddr(block + 0x3000));
        for range in [whole, page] {
            for done in [swapper.unmap_now(range), swapper.protect_now(range, Access::Read)] {
                assert!(
                    matches!(done, Err(EditError::Sealed { at }) if whole.contains(at) || at < whole.start()),
                    "{done:?}"
                );
            }
            let mapped = swapper.map_at(range, 0x7100_0000, DATA, LARGEST);
            assert!(matches!(mapped, Err(EditError::Mapped { at, .. }) if at == range.start()));
        }
        assert_same(&host.snapshot(), &before);
        // What lies below tables may change: every pgd sees it.
        swapper.protect_now(range(0xBF00_0000, 0xBF00_1000), Access::Read).unwrap();
        swapper.unmap_now(range(0xBF00_1000, 0xBF00_2000)).unwrap();
        host.audit(swapper.root(), &[pgd.root()]);
    }
    // The entry of the low vectors, though absent, and though no table: its table may be there from before.
    for was_mapped in [false, true] {
        let (host, layout) = (Host::<F>::new(), low_vectors(0xC000_0000));
        let mut swapper = empty_swapper(&host, &layout);
        let vectors = range(0, 0x1000);
        if was_mapped {
            swapper.map_at(vectors, 0x7000_0000, DATA, LARGEST).unwrap();
            swapper.unmap_now(vectors).unwrap();
        }
        let pgd = pgd(&host, &mut swapper);
        let before = host.snapshot();
        let sealed = Err(EditError::Sealed { at: VirtAddr(0) });
        assert_eq!(swapper.map_at(vectors, 0x7000_0000, DATA, LARGEST), sealed);
        assert_same(&host.snapshot(), &before);
        free(&host, pgd);
    }
}

/// Nor is one of all ones, above the ptes, taken for something that was met before.
fn words_of_all_ones<F: Format>() {
    let word = !F::Raw::default();
    let mut met = 0;
    for depth in 0..F::LEVELS.len() - 1 {
        if F::decode(depth, word) != Entry::Reserved {
            continue;
        }
        let (host, layout) = (Host::<F>::new(), linux());
        let mut swapper = swapper(&host, &layout);
        let mut pgd = pgd(&host, &mut swapper);
        let va = VirtAddr(0x4000_3000);
        pgd.map_at(range(0x4000_8000, 0x4000_9000), 0x7000_0000, USER, LARGEST).unwrap();
        let step = walk::trace(&pgd.node(), va).nth(depth).unwrap();
        host.plant(step.table, step.index, word);
        let before = host.snapshot();
        let refused = Err(EditError::Reserved { at: va });
        assert_eq!(pgd.unmap_now(VirtRange::page(va)), refused);
        assert_eq!(pgd.protect_now(VirtRange::page(va), Access::Read), refused);
        assert_same(&host.snapshot(), &before);
        met += 1;
    }
    assert_eq!(met, F::LEVELS.len() - 1);
}

/// A stray word at any depth stops walks, and edits refuse it.
fn words_of_unknown_meaning<F: Format>() {
    for depth in 0..F::LEVELS.len() {
        let (host, layout) = (Host::<F>::new(), linux());
        let mut swapper = swapper(&host, &layout);
        let mut pgd = swapper.pgd_alloc().unwrap();
        let va = VirtAddr(0x4000_3000);
        let page = VirtRange::page(va);
        // A neighbour brings the tables.
        pgd.map_at(range(0x4000_8000, 0x4000_9000), 0x7000_0000, USER, LARGEST).unwrap();
        let step = walk::trace(&pgd.node(), va).nth(depth).unwrap();
        host.plant(step.table, step.index, F::Raw::from_u64(0x1000));
        assert_eq!(F::decode(depth, F::Raw::from_u64(0x1000)), Entry::Reserved);
        let before = host.snapshot();
        let refused = Err(EditError::Reserved { at: va });
        assert_eq!(pgd.map_at(page, 0x7000_0000, USER, LARGEST), refused);
        assert_eq!(pgd.unmap_now(page), refused);
        assert_eq!(pgd.clear_now(page), refused);
        assert_eq!(pgd.protect_now(page, Access::Read), refused);
        assert_eq!(pgd.identity_add(page, Access::Read), refused);
        assert_eq!(pgd.identity_del(page), Err(EditError::NotMapped { at: va }));
        // Also in the middle of something larger.
        let wide = range(0x3FF0_0000, 0x4100_0000);
        let wide_refused = pgd.map_at(wide, 0x6FF0_0000, USER, LARGEST);
        assert!(matches!(wide_refused, Err(EditError::Reserved { .. } | EditError::Mapped { .. })));
        let cut = range(0x4000_1000, 0x4100_0000);
        assert!(matches!(pgd.clear_now(cut), Err(EditError::Reserved { .. })));
        assert_eq!(pgd.translate(va), None);
        assert_eq!(touch(&swapper, &pgd, va.0), Verdict::User);
        assert_same(&host.snapshot(), &before);
        // But not in a table that goes as a whole.
        let whole = depth == F::LEVELS.len() - 1;
        assert_eq!(pgd.clear_now(wide).is_ok(), whole);
        assert_eq!(host.snapshot().tables() < before.tables(), whole, "tables go if it does");
    }
}

fn identity_mappings_refused<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    pgd.map_at(range(0x4000_3000, 0x4000_4000), 0x7000_0000, USER, LARGEST).unwrap();
    let before = host.snapshot();
    // User space has something there.
    let taken = pgd.identity_add(range(0x3FF0_0000, 0x4010_0000), Access::Read);
    assert!(matches!(taken, Err(EditError::Mapped { at: VirtAddr(0x4000_3000), .. })), "{taken:?}");
    // Nothing, user space's, the kernel's: no identity mapping.
    for page in
        [0x4000_0000, 0x4000_3000, 0xC000_0000, 0xFFFF_F000].map(|at| VirtRange::page(VirtAddr(at)))
    {
        assert_eq!(pgd.identity_del(page), Err(EditError::NotMapped { at: page.start() }));
    }
    assert_same(&host.snapshot(), &before);
    // A part of a block, and a range of which a part is none.
    let block = range(0x8000_0000, 0x8020_0000);
    pgd.identity_add(block, Access::ReadExecute).unwrap();
    let with = host.snapshot();
    for (start, end, at) in [
        (0x8000_0000, 0x8000_1000, 0x8000_0000),
        (0x8000_0000, 0x8020_1000, 0x8020_0000),
        (0x7FFF_F000, 0x8020_0000, 0x7FFF_F000),
    ] {
        let refused = pgd.identity_del(range(start, end));
        assert_eq!(refused, Err(EditError::NotMapped { at: VirtAddr(at) }));
    }
    assert_same(&host.snapshot(), &with);
    pgd.identity_del(block).unwrap();
    // The first and the last page, and all that the kernel has.
    for (start, end) in [(0, 0x1000), (0xFFFF_F000, 0), (0xC000_0000, 0)] {
        pgd.identity_add(range(start, end), Access::Read).unwrap();
        assert_eq!(pgd.translate(VirtAddr(start)).unwrap().phys, phys(start.into()));
        host.audit(swapper.root(), &[pgd.root()]);
        pgd.identity_del(range(start, end)).unwrap();
        assert_same(&host.snapshot(), &before);
    }
}

/// Another scope, and nothing else: absent and forgotten in between. Swapper and pgds keep theirs, an editor need not.
fn another_scope_is_broken_first<F: Format>() {
    let host = Host::<F>::new();
    let mut editor = bare(&host);
    let page = VirtRange::page(VirtAddr(0x4000_0000));
    // SAFETY: nobody reaches memory through these tables.
    unsafe {
        editor.map(page, phys(0x7000_0000), DATA, LARGEST).unwrap();
        host.take_log();
        let change = |attrs: Attrs| attrs.with_global(false);
        let flush = editor.modify(page, &change).unwrap();
        assert!(host.take_log().into_iter().any(Op::is_tlbi), "before the flush is paid");
        flush.pay();
    }
}
