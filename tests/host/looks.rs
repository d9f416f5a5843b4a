//! What each operation reads and writes of the tables: what makes it fast is seen here, where a longer way would do the
//! same.

use crate::support::frames::Frames;
use crate::support::kernel::*;
use crate::support::*;
use armv7a_mm::format::FaultKind;
use armv7a_mm::mm::window::Vmalloc;
use armv7a_mm::mm::{Verdict, do_translation_fault};

both_formats!(
    one_page_takes_a_walk,
    many_pages_take_one_look_each,
    blocks_fill_a_new_table,
    identity_mappings_take_their_tables,
    windows_take_a_walk,
    spaces_take_their_root,
    forks_look_at_a_table_at_once,
    no_table_is_taken_in_vain,
);

const USER: Attrs = Attrs::user(Access::ReadWrite);
const DATA: Attrs = Attrs::kernel(Access::ReadWrite);
const PAGES: LeafSizes = LeafSizes::PAGES;

/// Runs `operation`, which may cost so much: `[classic, lpae]`, in the units of [`Host::take_cost`].
#[track_caller]
fn within<F: Format, T>(host: &Host<F>, most: [usize; 2], operation: impl FnOnce() -> T) -> T {
    host.take_cost();
    let done = operation();
    let (cost, most) = (host.take_cost(), most[usize::from(!is_classic::<F>())]);
    assert!(cost <= most, "tables were read and written for {cost}, where {most} is enough");
    assert!(cost * 16 > most * 15, "{cost} is enough: {most} is too lax");
    done
}

fn page(at: u32) -> VirtRange {
    VirtRange::page(VirtAddr(at))
}

fn one_page_takes_a_walk<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    pgd.map_at(range(0x4000_0000, 0x4000_4000), 0x7000_0000, USER, PAGES).unwrap();
    // In a table that is there: the first of its kind, and the next.
    let code = USER.with_access(Access::ReadExecute);
    within(&host, [26, 34], || pgd.map_at(page(0x4000_5000), 0x7100_0000, code, PAGES)).unwrap();
    within(&host, [24, 32], || pgd.map_at(page(0x4000_6000), 0x7100_0000, code, PAGES)).unwrap();
    // In a new table: its other entries are zeroed.
    within(&host, [296, 568], || pgd.map_at(page(0x4020_6000), 0x7100_0000, code, PAGES)).unwrap();
    within(&host, [24, 32], || pgd.protect_now(page(0x4000_5000), Access::Read)).unwrap();
    within(&host, [24, 32], || pgd.modify_now(page(0x4000_5000), Attrs::mkold)).unwrap();
    within(&host, [16, 24], || pgd.translate(VirtAddr(0x4000_5000))).unwrap();
    within(&host, [82, 130], || pgd.unmap_now(page(0x4000_5000))).unwrap();
    within(&host, [377, 681], || pgd.unmap_now(page(0x4020_6000))).unwrap();
    // Beyond what a page of the classic format reaches.
    let high = pgd.map_at(page(0x4000_8000), 0x1_0000_0000, code, PAGES);
    assert_eq!(high.is_err(), is_classic::<F>());
    // Swapper's.
    swapper.map_at(page(0xF200_0000), 0x7000_0000, DATA, PAGES).unwrap();
    within(&host, [24, 32], || swapper.map_at(page(0xF200_1000), 0x7100_0000, DATA, PAGES))
        .unwrap();
    within(&host, [66, 98], || swapper.unmap_now(page(0xF200_1000))).unwrap();
    let verdict = within(&host, [24, 48], || touch(&swapper, &pgd, 0xF200_0000));
    assert_eq!(verdict, Verdict::Retry);
    // What mostly comes late.
    swapper.map_at(page(0xBF20_1000), 0x7000_0000, DATA, PAGES).unwrap();
    let (view, fault) = (swapper.view(), fault(FaultKind::Translation));
    let va = VirtAddr(0xBF20_1000);
    // SAFETY: the pgd lives.
    let judge = || unsafe { do_translation_fault(&view, pgd.root(), &fault, va, false) };
    assert_eq!(within(&host, [24, 32], judge), Verdict::Retry);
}

fn many_pages_take_one_look_each<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let all = range(0x4000_0000, 0x4100_0000);
    within(&host, [5016, 5129], || pgd.map_at(all, 0x7000_0000, USER, PAGES)).unwrap();
    within(&host, [8968, 8640], || pgd.protect_now(all, Access::Read)).unwrap();
    let part = range(0x4000_8000, 0x4080_8000);
    within(&host, [4600, 4464], || pgd.protect_now(part, Access::ReadWrite)).unwrap();
    within(&host, [4864, 5096], || pgd.unmap_now(all)).unwrap();
    // Of what goes as a whole, a link is read and broken.
    pgd.map_at(all, 0x7000_0000, USER, PAGES).unwrap();
    within(&host, [640, 936], || pgd.clear_now(all)).unwrap();
    pgd.map_at(all, 0x7000_0000, USER, PAGES).unwrap();
    within(&host, [960, 1376], || pgd.clear_now(part)).unwrap();
}

/// Of a new table, what leaves will fill is not zeroed first.
fn blocks_fill_a_new_table<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let gib = range(0x4000_0000, 0x8000_0000);
    within(&host, [3096, 585], || pgd.map_at(gib, 0x7020_0000, USER, LeafSizes::LARGEST)).unwrap();
    within(&host, [24576, 8232], || pgd.unmap_now(gib)).unwrap();
}

/// One section in the middle of the linear map.
fn identity_mappings_take_their_tables<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = swapper.pgd_alloc().unwrap();
    let section = range(0xC120_0000, 0xC140_0000);
    within(&host, [184, 8256], || pgd.identity_add(section, Access::ReadExecute)).unwrap();
    within(&host, [304, 40], || pgd.identity_del(section)).unwrap();
    // One block, whatever the format.
    let block = VirtRange::aligned(section.start(), F::LEVELS[F::LEVELS.len() - 2].shift);
    within(&host, [160, 8256], || pgd.identity_add(block, Access::ReadExecute)).unwrap();
    within(&host, [144, 40], || pgd.identity_del(block)).unwrap();
}

fn windows_take_a_walk<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    swapper.seal().unwrap();
    let mut window: Vmalloc<'_, F, Host<F>, 8> = Vmalloc::new(range(0xF200_0000, 0xF300_0000));
    // SAFETY: nobody reaches memory through these tables; so for all of these.
    let mut io = |bytes| unsafe {
        window.ioremap(&mut swapper, phys(0x7000_0000), bytes, MemoryType::Device)
    };
    io(0x1000).unwrap();
    within(&host, [32, 40], || io(0x4000)).unwrap();
    within(&host, [304, 96], || io(0x2_0000)).unwrap();
}

fn spaces_take_their_root<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    swapper.seal().unwrap();
    let pgd = within(&host, [19704, 720], || swapper.pgd_alloc()).unwrap();
    // SAFETY: no TTBR holds it.
    within(&host, [8, 8], || unsafe { swapper.pgd_free(pgd) });
    let mut pgd = within(&host, [16, 16], || swapper.pgd_alloc()).unwrap();
    pgd.map_at(page(0x4000_0000), 0x7000_0000, USER, PAGES).unwrap();
    // SAFETY: as above.
    within(&host, [1056, 1120], || unsafe { swapper.pgd_free(pgd) });
}

/// The last page of each of four tables.
fn forks_look_at_a_table_at_once<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let [mut parent, mut child] = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    let all = range(0x4000_0000, 0x4080_0000);
    for end in [0x4020_0000, 0x4040_0000, 0x4060_0000, 0x4080_0000] {
        parent.map_at(page(end - 0x1000), 0x7000_0000, USER, PAGES).unwrap();
    }
    let mut frames = Frames::new(&host, 0);
    // SAFETY: nobody reaches memory through these tables.
    let mut fork = || unsafe { parent.copy_on_write(&mut child, all, &mut frames) };
    within(&host, [28288, 57457], || fork().unwrap().pay());
}

/// What a map reserves it uses, in all of user space, too.
fn no_table_is_taken_in_vain<F: Format>() {
    // No root entry is the kernel's and user space's.
    let (host, layout) = (Host::<F>::new(), layout(LayoutSpec::modules_at_border(0xC000_0000)));
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    for (start, end) in
        [(0x2000, 0xC000_0000), (0x3FFF_F000, 0x8000_1000), (0x3FF0_0000, 0x4010_0000)]
    {
        let all = range(start, end);
        let before: usize = host.counts().iter().sum();
        host.take_log();
        pgd.map_at(all, 0x1000_0000, USER, PAGES).unwrap();
        let log = host.take_log();
        let taken = log.iter().filter(|op| matches!(op, Op::Allocate(_))).count();
        assert!(!log.iter().any(|op| matches!(op, Op::Free(_))), "more were taken than used");
        assert_eq!(taken, host.counts().iter().sum::<usize>() - before);
        pgd.unmap_now(all).unwrap();
    }
}
