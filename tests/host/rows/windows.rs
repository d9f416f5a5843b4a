//! What the kernel maps when address spaces are there already.

use armv7a_mm::attr::MemoryType;
use armv7a_mm::mm::window::Vmalloc;
use armv7a_mm::mm::{Pmds, Verdict};

use crate::support::kernel::*;
use crate::support::*;

both_formats!(
    b06_eager_windows_may_end_inside_an_entry,
    b10_a_remapped_section_is_seen_by_every_space,
    b10_an_area_of_before_the_seal_goes_everywhere,
);

const DATA: Attrs = Attrs::kernel(Access::ReadWrite);

/// Windows that are apart, and none of whose ends lies where an entry of any table ends.
fn b06_eager_windows_may_end_inside_an_entry<F: Format>() {
    let windows =
        [(0xBF00_0000, 0xBF30_5000), (0xF0F0_3000, 0xF130_5000), (0xFFC8_0000, 0xFFE1_1000)];
    let [modules, vmalloc, fixmap] = windows.map(|(start, end)| Window::new(start, end).eager());
    let spec = LayoutSpec { modules, vmalloc, fixmap, ..LayoutSpec::linux(0xC000_0000) };
    let (host, layout) = (Host::<F>::new(), layout(spec));
    let mut swapper = empty_swapper(&host, &layout);
    let pgds = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    let ends = windows.into_iter().flat_map(|(start, end)| [start, end - PAGE_SIZE]);
    for (at, n) in ends.map(VirtAddr).zip(0..) {
        let to = 0x7000_0000 + n * u64::from(PAGE_SIZE);
        swapper.map_at(VirtRange::page(at), to, DATA, LeafSizes::LARGEST).unwrap();
        for pgd in &pgds {
            assert_eq!(pgd.translate(at).map(|found| found.phys), Some(phys(to)), "{at}");
        }
    }
    host.audit(swapper.root(), &pgds.each_ref().map(Pgd::root));
}

/// Room for sections and blocks, unmapped and mapped elsewhere: no space keeps the old root entry.
fn b10_a_remapped_section_is_seen_by_every_space<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let pgds = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    for start in [0xBF40_0000, 0xF200_0000] {
        let window = range(start, start + 0x40_0000);
        let places = [window.start(), VirtAddr(start + 0x1F_F000), VirtAddr(start + 0x3F_F000)];
        for to in [0x7000_0000, 0x7200_0000, 0x7100_0000] {
            swapper.map_at(window, to, DATA, LeafSizes::LARGEST).unwrap();
            for (pgd, at) in pgds.iter().flat_map(|pgd| places.map(|at| (pgd, at))) {
                let wanted = phys(to + u64::from(at.0 - start));
                if let Some(stale) = pgd.translate(at) {
                    assert_eq!(stale.phys, wanted, "{at} before any fault");
                }
                assert_eq!(touch(&swapper, pgd, at.0), Verdict::Retry, "{at}");
                assert_eq!(pgd.translate(at).map(|found| found.phys), Some(wanted), "{at}");
            }
            swapper.unmap_now(window).unwrap();
            for (pgd, at) in pgds.iter().flat_map(|pgd| places.map(|at| (pgd, at))) {
                assert_eq!(pgd.translate(at), None, "{at}");
                assert_eq!(touch(&swapper, pgd, at.0), Verdict::Kernel, "{at}");
            }
        }
    }
    host.audit(swapper.root(), &pgds.each_ref().map(Pgd::root));
}

/// An area with room for sections and blocks, of before the first pgd: once it is unmapped no space keeps it, whatever
/// comes in its place.
fn b10_an_area_of_before_the_seal_goes_everywhere<F: Format>() {
    for pmds in [Pmds::OnDemand, Pmds::Always] {
        let spec = LayoutSpec { pmds, ..LayoutSpec::linux(0xC000_0000) };
        let (host, layout) = (Host::<F>::new(), layout(spec));
        let mut swapper = swapper(&host, &layout);
        let mut window = Vmalloc::<F, Host<F>, 4>::new(range(0xF100_0000, 0xF600_0000));
        let (device, bytes) = (MemoryType::Device, 0x20_0000);
        // SAFETY: nobody reaches memory through these tables; so for all of these.
        let at = unsafe { window.ioremap(&mut swapper, phys(0x1000_0000), bytes, device) }.unwrap();
        let pgd = pgd(&host, &mut swapper);
        let seen = |swapper: &Swapper<'_, F, _>| {
            touch(swapper, &pgd, at.0);
            pgd.translate(at).map(|found| found.phys)
        };
        assert_eq!(seen(&swapper), Some(phys(0x1000_0000)));
        // SAFETY: as above.
        unsafe { window.iounmap(&mut swapper, at) }.unwrap();
        window.purge();
        assert_eq!(seen(&swapper), None);
        // SAFETY: as above.
        let again = unsafe { window.ioremap(&mut swapper, phys(0x2000_0000), bytes, device) };
        assert_eq!(again, Ok(at));
        assert_eq!(seen(&swapper), Some(phys(0x2000_0000)));
        host.audit(swapper.root(), &[pgd.root()]);
    }
}
