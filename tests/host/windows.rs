//! ioremap and vmalloc: where areas lie, what is mapped there, what is refused, and when addresses and frames come
//! back.

use crate::support::exhaust::exhaust;
use crate::support::frames::Frames;
use crate::support::kernel::*;
use crate::support::model::{Model, pages};
use crate::support::random::Random;
use crate::support::*;
use armv7a_mm::mm::Verdict;
use armv7a_mm::mm::window::{AreaError, AreaKind, Areas, PhysRange, Vmalloc, WindowError};

both_formats!(
    ioremap_keeps_the_offset,
    ioremap_by_memory_type,
    ioremap_refuses,
    b62_r20_ram_has_one_type,
    ioremap_chooses_leaves,
    ioremap_aligns_for_leaves,
    addresses_are_free_after_a_flush,
    what_another_cpu_pays_is_complete,
    vmalloc_scattered,
    vmalloc_without_tables,
    vmalloc_without_frames,
    vmalloc_beyond_reach,
    every_space_sees_it,
    random_areas,
);

type Window<'m, F, const N: usize> = Vmalloc<'m, F, Host<F>, N>;

/// 1 MiB of vmalloc, which starts off every border.
const PLACE: (u32, u32) = (0xF0F0_3000, 0xF100_3000);

fn window<'m, F: Format, const N: usize>() -> Window<'m, F, N> {
    Vmalloc::new(range(PLACE.0, PLACE.1))
}

/// The calls without their promises: nobody reaches memory through the tables of a host.
trait Calls<'m, F: Format> {
    fn io(
        &mut self,
        swapper: &mut Swapper<'m, F, Host<F>>,
        at: u64,
        bytes: u64,
    ) -> Result<VirtAddr, WindowError>;
    fn unmap(
        &mut self,
        swapper: &mut Swapper<'m, F, Host<F>>,
        at: VirtAddr,
    ) -> Result<(), WindowError>;
    fn take(
        &mut self,
        swapper: &mut Swapper<'m, F, Host<F>>,
        pages: u32,
        frames: &mut Frames<'_, F>,
    ) -> Result<VirtRange, WindowError>;
    fn give(
        &mut self,
        swapper: &mut Swapper<'m, F, Host<F>>,
        at: VirtAddr,
        frames: &mut Frames<'_, F>,
    ) -> Result<(), WindowError>;
}

impl<'m, F: Format, const N: usize> Calls<'m, F> for Window<'m, F, N> {
    fn io(
        &mut self,
        swapper: &mut Swapper<'m, F, Host<F>>,
        at: u64,
        bytes: u64,
    ) -> Result<VirtAddr, WindowError> {
        // SAFETY: nobody reaches memory through these tables; so for all of these.
        unsafe { self.ioremap(swapper, phys(at), bytes, MemoryType::Device) }
    }
    fn unmap(
        &mut self,
        swapper: &mut Swapper<'m, F, Host<F>>,
        at: VirtAddr,
    ) -> Result<(), WindowError> {
        // SAFETY: as above.
        unsafe { self.iounmap(swapper, at) }
    }
    fn take(
        &mut self,
        swapper: &mut Swapper<'m, F, Host<F>>,
        pages: u32,
        frames: &mut Frames<'_, F>,
    ) -> Result<VirtRange, WindowError> {
        // SAFETY: as above.
        unsafe { self.vmalloc(swapper, pages, frames) }
    }
    fn give(
        &mut self,
        swapper: &mut Swapper<'m, F, Host<F>>,
        at: VirtAddr,
        frames: &mut Frames<'_, F>,
    ) -> Result<(), WindowError> {
        // SAFETY: as above.
        unsafe { self.vfree(swapper, at, frames) }
    }
}

/// What swapper maps in the window.
fn mapped<F: Format>(host: &Host<F>, swapper: &Swapper<'_, F, Host<F>>) -> Model {
    Model::read(host, swapper.root(), range(PLACE.0, PLACE.1))
}

fn ioremap_keeps_the_offset<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let pgd = pgd(&host, &mut swapper);
    let mut window = window::<F, 8>();
    // A byte, a page, a byte more than a page, across a page's border.
    for (at, bytes, want) in [
        (0x0900_0004, 1, 1),
        (0x0900_0000, 0x1000, 1),
        (0x0900_0000, 0x1001, 2),
        (0x0900_0FFC, 8, 2),
        (0xFFFF_FFFF, 1, 1),
    ] {
        let va = window.io(&mut swapper, at, bytes).unwrap();
        assert_eq!(va.0 & 0xFFF, at as u32 & 0xFFF);
        let found = swapper.translate(va).unwrap();
        assert_eq!((found.phys, found.leaf().unwrap().attrs), (phys(at), Attrs::device()));
        let real = mapped(&host, &swapper);
        assert_eq!(real.0.len(), want, "no page more than it takes");
        let last = VirtAddr(va.align_down(12).0 + (want as u32) * PAGE_SIZE);
        assert_eq!(swapper.translate(last), None, "the guard");
        window.unmap(&mut swapper, va).unwrap();
        assert!(mapped(&host, &swapper).0.is_empty());
        assert_eq!(window.unmap(&mut swapper, va), Err(WindowError::NoSuchArea { at: va }));
    }
    window.purge();
    host.audit(swapper.root(), &[pgd.root()]);
}

fn ioremap_by_memory_type<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut window = window::<F, 8>();
    for memory in MemoryType::ALL {
        // SAFETY: nobody reaches memory through these tables.
        let va = unsafe { window.ioremap(&mut swapper, phys(0x0900_0010), 16, memory) }.unwrap();
        let attrs = swapper.translate(va).unwrap().leaf().unwrap().attrs;
        assert_eq!(attrs, Attrs::kernel(Access::ReadWrite).with_memory(memory));
        host.take_log();
        window.unmap(&mut swapper, va).unwrap();
        // What speculation may read is forgotten at once.
        let flushed = host.take_log().into_iter().any(Op::is_tlbi);
        assert_eq!(flushed, memory.is_normal(), "{memory:?}");
    }
    assert_eq!(window.areas().retired(), 0, "what was owed before is paid with it");
    host.assert_paid();
}

fn ioremap_refuses<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut window = window::<F, 3>();
    let kept = window.io(&mut swapper, 0x0900_0000, 0x10_0000 - 0x5000).unwrap();
    let before = host.snapshot();
    let full = WindowError::Area(AreaError::WindowFull);
    for (at, bytes, error) in [
        (0x0900_0000, 0, WindowError::Empty),
        (PhysAddr::MAX.as_u64(), 2, WindowError::PhysOverflow { start: PhysAddr::MAX }),
        (0x1000, u64::MAX, WindowError::PhysOverflow { start: phys(0x1000) }),
        (0x0900_0000, 0x4000, full),
        (0x0900_0FFF, 0x3002, full),
        (0, 1 << 40, full),
    ] {
        assert_eq!(window.io(&mut swapper, at, bytes), Err(error), "{bytes:#x} at {at:#x}");
        audit::assert_same(&host.snapshot(), &before);
        assert_eq!(window.areas().count(), 1);
    }
    // The last place there is takes three pages and its guard.
    let beyond = window.io(&mut swapper, 0xFFFF_F000, 0x2000);
    if is_classic::<F>() {
        assert!(matches!(beyond, Err(WindowError::Edit(EditError::Encode(_)))), "{beyond:?}");
        audit::assert_same(&host.snapshot(), &before);
        assert_eq!(window.areas().count(), 1);
    } else {
        window.unmap(&mut swapper, beyond.unwrap()).unwrap();
    }
    window.io(&mut swapper, 0x0900_0000, 0x3000).unwrap();
    assert_eq!(window.io(&mut swapper, 0x0900_0000, 1), Err(full));
    window.unmap(&mut swapper, kept).unwrap();
    // A third area, then the list is full, whatever the room.
    window.io(&mut swapper, 0x0900_0000, 1).unwrap();
    window.io(&mut swapper, 0x0900_0000, 1).unwrap();
    let many = WindowError::Area(AreaError::TooManyAreas);
    assert_eq!(window.io(&mut swapper, 0x0900_0000, 1), Err(many));
    // Somebody else's mapping in the window.
    let mut other = Vmalloc::<F, Host<F>, 4>::new(range(PLACE.0, PLACE.1));
    let taken = other.io(&mut swapper, 0x0900_0000, 0x10_0000 - 0x1000);
    assert!(matches!(taken, Err(WindowError::Edit(EditError::Mapped { .. }))), "{taken:?}");
    assert_eq!(other.areas().count(), 0);
}

fn b62_r20_ram_has_one_type<F: Format>() {
    let ram = [(0x4000_0000, 0x47FF_FFFF), (0x6400_0000, 0x67FF_FFFF)];
    let ram = ram.map(|(first, last)| PhysRange { first: phys(first), last: phys(last) });
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut window = window::<F, 4>();
    window.refuse_ram(&ram);
    for (at, bytes, first) in [
        (0x3FFF_F000, 0x1001, 0x4000_0000),
        (0x4123_4567, 1, 0x4123_4567),
        (0x47FF_FFFF, 0x1000, 0x47FF_FFFF),
        (0x6000_0000, 0x1000_0000, 0x6400_0000),
    ] {
        let error = Err(WindowError::Ram { at: phys(first) });
        assert_eq!(window.io(&mut swapper, at, bytes), error);
    }
    assert_eq!(window.areas().count(), 0);
    window.io(&mut swapper, 0x4800_0000, 0x1000).unwrap();
    window.io(&mut swapper, 0x3FFF_F000, 0x1000).unwrap();
    // With the linear map's type there is no second one.
    let same = MemoryType::WriteBackWriteAllocate;
    // SAFETY: nobody reaches memory through these tables.
    unsafe { window.ioremap(&mut swapper, phys(0x4123_4000), 16, same) }.unwrap();
}

/// The leaves of the 1 MiB, 2 MiB and larger that devices come in, before sealing as after: no section, which would be
/// the root's own, and stay in every pgd.
fn ioremap_chooses_leaves<F: Format>() {
    let cases = [
        // Physical address, bytes, the leaf's span: classic, LPAE.
        (0x1000_0000, 0x8000, [0x1000, 0x1000]),
        (0x1000_0000, 0x1_0000, [0x1_0000, 0x1_0000]),
        (0x1000_3000, 0x2_0000, [0x1_0000, 0x1_0000]),
        (0x1000_0000, 0x10_0000, [0x1_0000, 0x1_0000]),
        (0x1000_0000, 0x40_0000, [0x1_0000, 0x20_0000]),
        (0x1230_0000, 0x40_0000, [0x1_0000, 0x20_0000]),
        (0x1000_0000, 0x200_0000, [0x1_0000, 0x200_0000]),
    ];
    for sealed in [false, true] {
        let (host, layout) = (Host::<F>::new(), linux());
        let mut swapper = swapper(&host, &layout);
        if sealed {
            swapper.seal().unwrap();
        }
        for (at, bytes, spans) in cases {
            let mut window = Vmalloc::<F, Host<F>, 4>::new(range(0xF0F0_3000, 0xF600_0000));
            let va = window.io(&mut swapper, at, bytes).unwrap();
            let middle = VirtAddr(va.0 + bytes as u32 / 2);
            let found = swapper.translate(middle).unwrap();
            assert_eq!(found.phys, phys(at + bytes / 2));
            let wanted = spans[usize::from(!is_classic::<F>())];
            assert_eq!(found.span().bytes(), wanted, "{bytes:#x} at {at:#x}, sealed: {sealed}");
            window.unmap(&mut swapper, va).unwrap();
        }
        host.audit(swapper.root(), &[]);
    }
}

/// Addresses are as the memory is aligned, as far as leaves of that size may be made.
fn ioremap_aligns_for_leaves<F: Format>() {
    for sealed in [false, true] {
        let (host, layout) = (Host::<F>::new(), linux());
        let mut swapper = swapper(&host, &layout);
        if sealed {
            swapper.seal().unwrap();
        }
        let mut window: Window<'_, F, 8> = Vmalloc::new(range(0xF100_3000, 0xF1F0_0000));
        assert_eq!(window.io(&mut swapper, 0x7000_0000, 0x1000), Ok(VirtAddr(0xF100_3000)));
        // Sections are the root's own, which pgds have copies of; large pages and LPAE's blocks are not.
        let wanted = if is_classic::<F>() { 0xF101_0000 } else { 0xF120_0000 };
        assert_eq!(window.io(&mut swapper, 0x7020_0000, 0x20_0000), Ok(VirtAddr(wanted)));
    }
}

/// Addresses that may be in a TLB are not given out; one flush pays for all.
fn addresses_are_free_after_a_flush<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut window = Vmalloc::<F, Host<F>, 8>::new(range(PLACE.0, PLACE.0 + 0x8000));
    let mut seen = Vec::new();
    host.take_log();
    for _ in 0..4 {
        let va = window.io(&mut swapper, 0x0900_0000, 4).unwrap();
        assert!(!seen.contains(&va), "{va} may still be in a TLB");
        seen.push(va);
        window.unmap(&mut swapper, va).unwrap();
    }
    assert!(!host.take_log().into_iter().any(Op::is_tlbi), "nothing is flushed so far");
    assert_eq!((window.areas().count(), window.areas().retired()), (0, 4));
    // No address is left: those that were are forgotten, and come again.
    let va = window.io(&mut swapper, 0x0900_0000, 4).unwrap();
    assert!(seen.contains(&va));
    host.assert_paid();
    let barriers = host.take_log().into_iter().filter(|&op| op == Op::DsbIsh).count();
    assert_eq!(barriers, 1, "one flush");
    window.unmap(&mut swapper, va).unwrap();
    window.purge();
    host.audit(swapper.root(), &[]);
    // Dropped, it pays.
    let va = window.io(&mut swapper, 0x0900_0000, 4).unwrap();
    window.unmap(&mut swapper, va).unwrap();
    drop(window);
    host.audit(swapper.root(), &[]);
}

/// A clean is completed by the CPU that issued it alone.
fn what_another_cpu_pays_is_complete<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut window = window::<F, 8>();
    let va = window.io(&mut swapper, 0x0900_0000, 4).unwrap();
    host.take_log();
    window.unmap(&mut swapper, va).unwrap();
    let log = host.take_log();
    let clean = log.iter().rposition(|&op| op == Op::Clean).unwrap();
    assert!(log[clean..].contains(&Op::DsbIshst));
}

fn vmalloc_scattered<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let pgd = pgd(&host, &mut swapper);
    let place = range(PLACE.0, PLACE.1 + 0x10_0000);
    let mut window = Vmalloc::<F, Host<F>, 8>::new(place);
    let mut frames = Frames::new(&host, 1000);
    // Over the border of a table in both formats.
    let _before = window.take(&mut swapper, 0xF8, &mut frames).unwrap();
    let mut areas = Vec::new();
    for count in [1, 4, 2] {
        let first = frames.taken.len();
        let area = window.take(&mut swapper, count, &mut frames).unwrap();
        assert_eq!(area.bytes(), u64::from(count * PAGE_SIZE));
        let model = Model::read(&host, swapper.root(), place);
        for (page, frame) in pages(area).zip(&frames.taken[first..]) {
            let wanted = (frame.as_u64(), Attrs::kernel(Access::ReadWrite));
            assert_eq!(model.0.get(&page), Some(&wanted));
        }
        assert_eq!(frames.taken.len() - first, count as usize);
        areas.push(area);
    }
    for area in &areas {
        assert_eq!(swapper.translate(VirtAddr(area.last().0 + 1)), None, "the guard");
        assert_eq!(swapper.translate(VirtAddr(area.start().0 - 1)), None, "the one before");
    }
    // An area of one kind is not the other's, nor is an address in its middle.
    let at = areas[1].start();
    assert_eq!(window.unmap(&mut swapper, at), Err(WindowError::NoSuchArea { at }));
    let at = VirtAddr(at.0 + PAGE_SIZE);
    assert_eq!(window.give(&mut swapper, at, &mut frames), Err(WindowError::NoSuchArea { at }));
    assert_eq!(window.take(&mut swapper, 0, &mut frames), Err(WindowError::Empty));
    let wanted = frames.taken[0xF9..0xFD].to_vec();
    window.give(&mut swapper, areas[1].start(), &mut frames).unwrap();
    assert_eq!(frames.given, wanted, "its own frames, in order");
    assert_eq!(Model::read(&host, swapper.root(), areas[1]), Model::default());
    host.audit(swapper.root(), &[pgd.root()]);
    // Another takes its place, by the addresses of which no TLB knows.
    let again = window.take(&mut swapper, 4, &mut frames).unwrap();
    assert_eq!(again, areas[1]);
}

fn vmalloc_without_tables<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let pgd = pgd(&host, &mut swapper);
    // Across four tables, with LPAE three.
    let place = range(0xF100_0000 - 0x10_0000, 0xF140_0000);
    let mut window = Vmalloc::<F, Host<F>, 4>::new(place);
    let mut frames = Frames::new(&host, 2000);
    let tables = if is_classic::<F>() { 4 } else { 3 };
    let area = exhaust(&host, tables, || {
        let done = window.take(&mut swapper, 0x3F0, &mut frames);
        assert!(done.is_ok() || frames.taken.is_empty(), "no frame is asked for in vain");
        assert!(done.is_ok() || window.areas().count() == 0);
        done
    });
    assert_eq!(Model::read(&host, swapper.root(), place).0.len(), 0x3F0);
    window.give(&mut swapper, area.start(), &mut frames).unwrap();
    assert!(frames.taken.is_empty());
    host.audit(swapper.root(), &[pgd.root()]);
}

/// Frames run out after each of so many.
fn vmalloc_without_frames<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut window = window::<F, 4>();
    for left in 0..40 {
        let mut frames = Frames::new(&host, left);
        let error = window.take(&mut swapper, 40, &mut frames);
        assert_eq!(error, Err(WindowError::OutOfFrames));
        assert_eq!((frames.left, frames.taken.len(), window.areas().count()), (left, 0, 0));
        assert!(mapped(&host, &swapper).0.is_empty());
        host.audit(swapper.root(), &[]);
    }
    let mut frames = Frames::new(&host, 40);
    window.take(&mut swapper, 40, &mut frames).unwrap();
    assert_eq!(frames.left, 0);
}

/// A frame that the format does not reach is given back like the others.
fn vmalloc_beyond_reach<F: Format>() {
    use armv7a_mm::mm::window::FrameSource;
    struct Last(u64, u32);
    impl FrameSource for Last {
        fn allocate(&mut self) -> Option<PhysAddr> {
            self.0 += u64::from(PAGE_SIZE);
            self.1 += 1;
            Some(phys(self.0 - u64::from(PAGE_SIZE)))
        }
        fn free(&mut self, _: PhysAddr) {
            self.1 -= 1;
        }
    }
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut window = window::<F, 4>();
    let mut frames = Last(0xFFFF_E000, 0);
    // SAFETY: nobody reaches memory through these tables.
    let done = unsafe { window.vmalloc(&mut swapper, 3, &mut frames) };
    if is_classic::<F>() {
        assert!(matches!(done, Err(WindowError::Edit(EditError::Encode(_)))), "{done:?}");
        assert_eq!((frames.1, window.areas().count()), (0, 0));
        assert!(mapped(&host, &swapper).0.is_empty());
    } else {
        let last = VirtAddr(done.unwrap().start().0 + 2 * PAGE_SIZE);
        assert_eq!(swapper.translate(last).unwrap().phys, phys(0x1_0000_0000));
    }
    host.audit(swapper.root(), &[]);
}

/// By a fault each where the window is not eager; with no fault at all where it is.
fn every_space_sees_it<F: Format>() {
    for eager in [false, true] {
        let spec = LayoutSpec::linux(0xC000_0000);
        let vmalloc = if eager { spec.vmalloc.eager() } else { spec.vmalloc };
        let (host, layout) = (Host::<F>::new(), layout(LayoutSpec { vmalloc, ..spec }));
        let mut swapper = empty_swapper(&host, &layout);
        let pgds = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
        let (mut window, mut frames) = (window::<F, 8>(), Frames::new(&host, 100));
        let io = window.io(&mut swapper, 0x0900_0004, 4).unwrap();
        let stack = window.take(&mut swapper, 2, &mut frames).unwrap();
        for pgd in &pgds {
            for at in [io, stack.start(), stack.last()] {
                if eager {
                    assert!(pgd.translate(at).is_some(), "{at} before any fault");
                }
                assert_eq!(touch(&swapper, pgd, at.0), Verdict::Retry);
                assert_eq!(
                    pgd.translate(at).map(|found| found.phys),
                    swapper.translate(at).map(|found| found.phys)
                );
            }
            let guard = stack.last().0 + 1;
            assert_eq!(touch(&swapper, pgd, guard), Verdict::Kernel, "the guard");
        }
        window.unmap(&mut swapper, io).unwrap();
        window.give(&mut swapper, stack.start(), &mut frames).unwrap();
        for pgd in &pgds {
            assert_eq!(pgd.translate(io), None);
            assert_eq!(pgd.translate(stack.start()), None);
        }
        window.purge();
        host.audit(swapper.root(), &pgds.each_ref().map(Pgd::root));
    }
}

/// Everything at once, against what the plain model maps.
fn random_areas<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let pgd = pgd(&host, &mut swapper);
    let place = range(PLACE.0, PLACE.1);
    let (mut window, mut frames) = (window::<F, 24>(), Frames::new(&host, 200));
    let mut random = Random::new(0x0A4EA5);
    let (mut model, mut live) = (Model::default(), Vec::new());
    for step in 0..3000 {
        host.fail_after((random.below(8) == 0).then_some(random.below(2) as usize));
        match random.below(5) {
            0 | 1 => {
                let at = 0x1000_0000 + u64::from(random.below(0x20_0000));
                let bytes = u64::from(random.pick(&[1_u32, 0x1000, 0x2345, 0x1_0000, 0x4_4000]));
                if let Ok(va) = window.io(&mut swapper, at, bytes) {
                    let first = va.align_down(12);
                    let last = VirtRange::page(VirtAddr(va.0 + (bytes - 1) as u32));
                    let area = VirtRange::page(first).hull(last);
                    model.map(area, at & !0xFFF, Attrs::device()).expect("no area over another");
                    live.push((va, area, false));
                }
            }
            2 => {
                let first = frames.taken.len();
                let pages = 1 + random.below(20);
                if let Ok(area) = window.take(&mut swapper, pages, &mut frames) {
                    for (page, frame) in
                        crate::support::model::pages(area).zip(&frames.taken[first..])
                    {
                        let page = VirtRange::page(VirtAddr(page * PAGE_SIZE));
                        let data = Attrs::kernel(Access::ReadWrite);
                        model.map(page, frame.as_u64(), data).expect("no area over another");
                    }
                    live.push((area.start(), area, true));
                } else {
                    assert_eq!(frames.taken.len(), first);
                }
            }
            3 if !live.is_empty() => {
                let (va, area, memory) = live.swap_remove(random.below(live.len() as u32) as usize);
                if memory {
                    window.give(&mut swapper, va, &mut frames).unwrap();
                } else {
                    window.unmap(&mut swapper, va).unwrap();
                }
                model.clear(area);
            }
            _ if random.below(10) == 0 => window.purge(),
            _ => {}
        }
        host.fail_after(None);
        assert_eq!(window.areas().count(), live.len());
        for (_, area, _) in &live {
            assert_eq!(model.0.get(&(area.last().0 / PAGE_SIZE + 1)), None, "a guard");
        }
        if step % 16 == 0 {
            model.assert_read(&host, swapper.root(), place);
        }
    }
    assert!(live.len() > 5, "it is used");
    window.purge();
    host.audit(swapper.root(), &[pgd.root()]);
}

/// The list of areas against the plainest model: a bit per page.
#[test]
fn areas_against_a_model() {
    const FIRST: u32 = 0xFFFF_0000 / PAGE_SIZE - 200;
    const IO: AreaKind = AreaKind::Io(MemoryType::Device);
    for seed in 0..20 {
        let place = range(FIRST * PAGE_SIZE, if seed % 2 == 0 { 0 } else { 0xFFFF_0000 });
        let end = FIRST + (place.bytes() / u64::from(PAGE_SIZE)) as u32;
        let mut areas = Areas::<20>::new(place);
        let mut random = Random::new(seed);
        // Pages in use with their guards, and areas: in use and retired.
        let mut used = vec![false; 300];
        let (mut live, mut old) = (Vec::<VirtRange>::new(), Vec::<VirtRange>::new());
        assert_eq!(areas.allocate(0, 12, 0, IO), Err(AreaError::WindowFull), "no area is empty");
        let span = |area: &VirtRange| {
            let first = (area.start().0 / PAGE_SIZE - FIRST) as usize;
            first..first + (area.bytes() / u64::from(PAGE_SIZE)) as usize + 1
        };
        for _ in 0..2000 {
            match random.below(6) {
                0..=2 => {
                    let (count, shift) = (1 + random.below(30), 12 + random.below(5));
                    let like = random.next();
                    let unit = 1 << (shift - 12);
                    let fits = |&first: &u32| {
                        (u64::from(first) ^ like >> 12).is_multiple_of(unit)
                            && first + count < end
                            && !used[(first - FIRST) as usize..][..count as usize + 1]
                                .contains(&true)
                    };
                    let there = (FIRST..end).any(|first| fits(&first));
                    match areas.allocate(count, shift, like, IO) {
                        Ok(area) => {
                            assert!(fits(&(area.start().0 / PAGE_SIZE)));
                            assert_eq!(area.bytes(), u64::from(count * PAGE_SIZE));
                            used[span(&area)].fill(true);
                            live.push(area);
                        }
                        Err(AreaError::TooManyAreas) => assert_eq!(live.len() + old.len(), 20),
                        Err(AreaError::WindowFull) => assert!(!there, "there is a gap"),
                    }
                }
                3 if !live.is_empty() => {
                    let area = live.swap_remove(random.below(live.len() as u32) as usize);
                    assert!(areas.release(VirtAddr(area.start().0 + random.below(PAGE_SIZE))));
                    used[span(&area)].fill(false);
                    assert!(!areas.release(area.start()), "twice");
                }
                4 if !live.is_empty() => {
                    let area = live.swap_remove(random.below(live.len() as u32) as usize);
                    assert!(areas.retire(area.start()));
                    assert!(!areas.retire(area.start()) && areas.find(area.start()).is_none());
                    old.push(area);
                }
                5 if random.below(20) == 0 => {
                    areas.reclaim();
                    old.drain(..).for_each(|area| used[span(&area)].fill(false));
                }
                _ => {}
            }
            let mut sorted = live.clone();
            sorted.sort_by_key(|area| area.start());
            assert!(areas.iter().map(|(area, _)| area).eq(sorted));
            assert_eq!((areas.count(), areas.retired()), (live.len(), old.len()));
            for area in &live {
                assert_eq!(areas.find(area.start()), Some((*area, IO)));
            }
            let nowhere = VirtAddr(random.next() as u32);
            let known = live.iter().any(|area| area.start() == nowhere.align_down(12));
            assert_eq!(areas.find(nowhere).is_some(), known);
        }
    }
}

/// What is free behind the last area is taken before what is free in front of it.
#[test]
fn areas_go_on_behind_the_last() {
    let mut areas = Areas::<8>::new(range(0xF200_1000, 0xF300_0000));
    let mut take = |shift| areas.allocate(1, shift, 0, AreaKind::Memory).unwrap().start();
    // On 64 KiB: fifteen pages in front of it are free.
    assert_eq!(take(16), VirtAddr(0xF201_0000));
    assert_eq!(take(12), VirtAddr(0xF201_2000));
    assert_eq!(take(16), VirtAddr(0xF202_0000));
    assert_eq!(take(12), VirtAddr(0xF202_2000));
}
