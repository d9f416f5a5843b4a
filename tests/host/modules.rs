//! The window for modules: written or executed, in the manual's order, within branch range.

use crate::support::exhaust::exhaust;
use crate::support::frames::Frames;
use crate::support::kernel::*;
use crate::support::model::Model;
use crate::support::*;
use armv7a_mm::mm::Verdict;
use armv7a_mm::mm::window::{ModuleArea, Modules, WindowError};

both_formats!(
    b53_written_then_executed,
    constants_are_read_only,
    an_area_of_another_window,
    every_table_fails_once,
    seen_in_every_space,
    the_kernel_is_within_branch_range,
);

type Window<'m, F> = Modules<'m, F, Host<F>, 8>;

/// The kernel's text: 6 MiB behind PAGE_OFFSET.
fn text() -> VirtRange {
    range(0xC000_8000, 0xC060_0000)
}

/// A part of the window in which `swapper` has nothing.
fn window<'m, F: Format>() -> Window<'m, F> {
    Modules::within(range(0xBF20_0000, 0xBF80_0000), text()).unwrap()
}

fn leaves<F: Format>(swapper: &Swapper<'_, F, Host<F>>, area: VirtRange) -> Vec<Access> {
    let pages = (area.start().0..=area.last().0).step_by(PAGE_SIZE as usize);
    pages.map(|at| swapper.translate(VirtAddr(at)).unwrap().access()).collect()
}

fn b53_written_then_executed<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let pgd = pgd(&host, &mut swapper);
    let (mut window, mut frames) = (window(), Frames::new(&host, 100));
    // SAFETY: nobody reaches memory through these tables; so for all of these.
    let area = unsafe { window.allocate(&mut swapper, 0x2001, &mut frames) }.unwrap();
    let range = area.range();
    assert_eq!(leaves(&swapper, range), [Access::ReadWrite; 3]);
    host.take_log();
    // SAFETY: its own swapper.
    let area = unsafe { window.seal(&mut swapper, area) }.unwrap();
    assert_eq!(area.range(), range);
    assert_eq!(leaves(&swapper, range), [Access::ReadExecute; 3]);
    // No TLB lets anybody write any more when the code is published, which comes last.
    host.assert_paid();
    let log = host.take_log();
    assert_eq!(log.last(), Some(&Op::Code(range)));
    assert!(log.contains(&Op::Bpiall), "predictions of what was there");
    let taken = frames.taken.clone();
    // SAFETY: as above.
    unsafe { window.free(&mut swapper, area, &mut frames) }.unwrap();
    assert_eq!(frames.given, taken);
    assert!(Model::read(&host, swapper.root(), range).0.is_empty());
    host.audit(swapper.root(), &[pgd.root()]);
}

fn constants_are_read_only<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let (mut window, mut frames) = (window(), Frames::new(&host, 100));
    // SAFETY: as above.
    let area = unsafe { window.allocate(&mut swapper, 1, &mut frames) }.unwrap();
    // SAFETY: its own swapper.
    let area = unsafe { window.freeze(&mut swapper, area) }.unwrap();
    assert_eq!(leaves(&swapper, area.range()), [Access::Read]);
    host.audit(swapper.root(), &[]);
}

fn an_area_of_another_window<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let (mut window, mut frames) = (window(), Frames::new(&host, 100));
    let mut other: Window<'_, F> =
        Modules::within(range(0xBF80_0000, 0xBFC0_0000), text()).unwrap();
    // SAFETY: as above.
    let area = unsafe { other.allocate(&mut swapper, 0x1000, &mut frames) }.unwrap();
    let at = area.range().start();
    // SAFETY: its own swapper.
    let (area, error) = unsafe { window.seal(&mut swapper, area) }.unwrap_err();
    assert_eq!(
        (error, leaves(&swapper, area.range())),
        (EditError::OutOfBounds { at }, vec![Access::ReadWrite])
    );
    // SAFETY: as above.
    let freed = unsafe { window.free(&mut swapper, area, &mut frames) };
    let (area, error) = freed.unwrap_err();
    assert_eq!((error, frames.taken.len()), (WindowError::NoSuchArea { at }, 1));
    // Its own window has it still.
    // SAFETY: as above.
    assert!(unsafe { other.free(&mut swapper, area, &mut frames) }.is_ok());
    assert_eq!(frames.taken.len(), 0);
    // SAFETY: as above.
    let nothing = unsafe { window.allocate(&mut swapper, 0, &mut frames) };
    assert!(matches!(nothing, Err(WindowError::Empty)));
}

fn every_table_fails_once<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let _pgd = pgd(&host, &mut swapper);
    let (mut window, mut frames) = (window(), Frames::new(&host, 1000));
    // 2 MiB and a page from 0xBF20_0000 on.
    let tables = if is_classic::<F>() { 3 } else { 2 };
    let area = exhaust(&host, tables, || {
        // SAFETY: as above.
        let done = unsafe { window.allocate(&mut swapper, 0x20_1000, &mut frames) };
        assert!(done.is_ok() || frames.taken.is_empty() && window.areas().count() == 0);
        done
    });
    // Sealing needs none.
    host.fail_after(Some(0));
    // SAFETY: its own swapper.
    let area: ModuleArea<_> = unsafe { window.seal(&mut swapper, area) }.unwrap();
    // SAFETY: as above.
    unsafe { window.free(&mut swapper, area, &mut frames) }.unwrap();
    assert!(frames.taken.is_empty());
}

fn seen_in_every_space<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let pgds = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    let (mut window, mut frames) = (window(), Frames::new(&host, 10));
    // SAFETY: as above.
    let area = unsafe { window.allocate(&mut swapper, 0x1000, &mut frames) }.unwrap();
    let at = area.range().start();
    assert_eq!(touch(&swapper, &pgds[0], at.0), Verdict::Retry);
    // SAFETY: its own swapper.
    let _area = unsafe { window.seal(&mut swapper, area) }.unwrap();
    assert_eq!(touch(&swapper, &pgds[1], at.0), Verdict::Retry);
    for pgd in &pgds {
        assert_eq!(pgd.translate(at).unwrap().access(), Access::ReadExecute);
    }
    host.audit(swapper.root(), &pgds.each_ref().map(Pgd::root));
}

fn the_kernel_is_within_branch_range<F: Format>() {
    let layout = linux();
    let new = |text| Window::<'_, F>::new(&layout, text).is_ok();
    assert!(new(text()));
    // From the window's first instruction at 0xBF00_0000, a branch back from 0xC0FF_FFF8 reaches it: that is
    // 0x01FF_FFF8 bytes, and 8 more that the PC is ahead.
    assert!(new(range(0xC000_0000, 0xC0FF_FFFC)));
    assert!(!new(range(0xC000_0000, 0xC100_0000)));
    assert!(!new(range(0xC200_0000, 0xC200_1000)));
    let far = Window::<'_, F>::within(range(0x4000_0000, 0x4010_0000), text()).err().unwrap();
    assert!(far.to_string().contains("32 MiB"));
}
