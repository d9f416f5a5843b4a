//! kmap and kmap_local: any frame for a while, and no slot is used again before it was forgotten.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::exhaust::exhaust;
use crate::support::kernel::*;
use crate::support::model::Model;
use crate::support::random::Random;
use crate::support::*;
use armv7a_mm::mm::Verdict;
use armv7a_mm::mm::window::{AreaError, LocalSlots, Pkmap, WindowError};

both_formats!(
    a_frame_has_one_address,
    whole_pages_are_used,
    frames_beyond_reach,
    slots_are_forgotten_before_they_are_used_again,
    neighbours_lie_apart,
    all_in_use,
    what_went_before_an_error_is_free,
    kmap_needs_a_table,
    kmap_in_every_space,
    random_kmaps,
    local_slots_are_a_stack,
    local_slots_flush_this_cpu,
    local_slots_need_their_place,
);

const FULL: WindowError = WindowError::Area(AreaError::WindowFull);
const DATA: Attrs = Attrs::kernel(Access::ReadWrite);

/// A part of pkmap in which swapper has nothing.
const PLACE: (u32, u32) = (0xBFE0_1000, 0xBFE0_9000);

fn pkmap<const N: usize>() -> Pkmap<N> {
    Pkmap::new(range(PLACE.0, PLACE.1))
}

/// [`Pkmap::kmap`] without its promise: nobody reaches memory through the tables of a host.
fn kmap<F: Format, const N: usize>(
    pkmap: &mut Pkmap<N>,
    swapper: &mut Swapper<'_, F, Host<F>>,
    frame: u64,
) -> Result<VirtAddr, WindowError> {
    // SAFETY: as it says.
    unsafe { pkmap.kmap(swapper, phys(frame)) }
}

fn kunmap<const N: usize>(pkmap: &mut Pkmap<N>, at: VirtAddr) -> Result<(), WindowError> {
    // SAFETY: as above.
    unsafe { pkmap.kunmap(at) }
}

fn purge<F: Format, const N: usize>(
    pkmap: &mut Pkmap<N>,
    swapper: &mut Swapper<'_, F, Host<F>>,
) -> Result<(), WindowError> {
    // SAFETY: always the same one.
    unsafe { pkmap.purge(swapper) }
}

/// A window that begins and ends within pages.
fn whole_pages_are_used<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let start = PLACE.0 + 0x800;
    let mut pkmap = Pkmap::<8>::new(range(start, start + 0x3000));
    for (frame, page) in [(0x7000_0000, 1), (0x7000_1000, 2)] {
        let at = kmap(&mut pkmap, &mut swapper, frame).unwrap();
        assert_eq!(swapper.translate(at).unwrap().phys, phys(frame));
        assert!((1..=2).contains(&((at.0 - PLACE.0) >> 12)), "{at} for page {page}");
    }
    let full = kmap(&mut pkmap, &mut swapper, 0x7000_2000);
    assert_eq!(full, Err(WindowError::Area(AreaError::WindowFull)));
    let none = kmap(&mut Pkmap::<8>::new(range(start, start + 0x800)), &mut swapper, 0x7000_0000);
    assert_eq!(none, Err(WindowError::Area(AreaError::WindowFull)));
}

fn a_frame_has_one_address<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pkmap = pkmap::<8>();
    let at = kmap(&mut pkmap, &mut swapper, 0x7000_0000).unwrap();
    let found = swapper.translate(at).unwrap();
    assert_eq!((found.phys, found.leaf().unwrap().attrs), (phys(0x7000_0000), DATA));
    assert_eq!(kmap(&mut pkmap, &mut swapper, 0x7000_0000), Ok(at));
    let other = kmap(&mut pkmap, &mut swapper, 0x7000_1000).unwrap();
    assert!(other != at && pkmap.in_use() == 2);
    // As often as it was mapped.
    kunmap(&mut pkmap, VirtAddr(at.0 + 0x123)).unwrap();
    kunmap(&mut pkmap, at).unwrap();
    assert_eq!(kunmap(&mut pkmap, at), Err(WindowError::NoSuchArea { at }));
    // It is found again as it was, without a store.
    host.take_log();
    assert_eq!(kmap(&mut pkmap, &mut swapper, 0x7000_0000), Ok(at));
    assert_eq!(host.take_log(), []);
    for at in [0, PLACE.0 - 1, PLACE.1, u32::MAX].map(VirtAddr) {
        assert_eq!(kunmap(&mut pkmap, at), Err(WindowError::NoSuchArea { at }));
    }
    kunmap(&mut pkmap, at).unwrap();
    kunmap(&mut pkmap, other).unwrap();
    purge(&mut pkmap, &mut swapper).unwrap();
    assert!(Model::read(&host, swapper.root(), range(PLACE.0, PLACE.1)).0.is_empty());
    host.audit(swapper.root(), &[]);
}

fn frames_beyond_reach<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pkmap = pkmap::<8>();
    for frame in [0xFFFF_F000, 0x1_0000_0000, 0xFF_FFFF_F000] {
        let done = kmap(&mut pkmap, &mut swapper, frame);
        if is_classic::<F>() && frame >> 32 != 0 {
            assert!(matches!(done, Err(WindowError::Edit(EditError::Encode(_)))), "{done:?}");
            assert_eq!(pkmap.in_use(), 1);
        } else {
            assert_eq!(swapper.translate(done.unwrap()).unwrap().phys, phys(frame));
        }
    }
    let odd = kmap(&mut pkmap, &mut swapper, 0x7000_0010);
    let start = phys(0x7000_0010);
    assert_eq!(odd, Err(WindowError::Edit(EditError::PhysMisaligned { start })));
}

fn slots_are_forgotten_before_they_are_used_again<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pkmap = pkmap::<8>();
    host.take_log();
    for n in 0..8 {
        let at = kmap(&mut pkmap, &mut swapper, 0x7000_0000 + n * 0x1000).unwrap();
        if n != 3 {
            kunmap(&mut pkmap, at).unwrap();
        }
    }
    assert!(!host.take_log().into_iter().any(Op::is_tlbi), "nothing is flushed so far");
    // The ninth needs a slot: seven are idle, and go by one flush. The host refuses a slot that a TLB may know.
    kmap(&mut pkmap, &mut swapper, 0x7000_8000).unwrap();
    let log = host.take_log();
    assert_eq!(log.iter().filter(|&&op| op == Op::DsbIsh).count(), 1, "one flush");
    let flushed = log.iter().rposition(|&op| op == Op::DsbIsh).unwrap();
    let made = |op: &Op| matches!(*op, Op::Store { new, live: true, .. } if new != 0);
    assert!(!log[..flushed].iter().any(made) && log[flushed..].iter().any(made));
    host.assert_paid();
    let model = Model::read(&host, swapper.root(), range(PLACE.0, PLACE.1));
    let mut frames: Vec<u64> = model.0.values().map(|&(frame, _)| frame).collect();
    frames.sort_unstable();
    assert_eq!(frames, [0x7000_3000, 0x7000_8000], "the one in use stayed");
    host.audit(swapper.root(), &[]);
}

/// Frames that follow each other start looking in different slots.
fn neighbours_lie_apart<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let alone = |n: u64| {
        let mut pkmap = pkmap::<8>();
        let at = kmap(&mut pkmap, &mut swapper, 0x7000_0000 + n * 0x1000).unwrap();
        kunmap(&mut pkmap, at).unwrap();
        purge(&mut pkmap, &mut swapper).unwrap();
        at
    };
    let places: BTreeSet<VirtAddr> = (0..8).map(alone).collect();
    assert!(places.len() >= 6, "{places:?}");
}

/// A purge that finds a slot unmapped by somebody else has freed those before it, and keeps those behind.
fn what_went_before_an_error_is_free<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pkmap = pkmap::<8>();
    let frames: Vec<u64> = (0..8).map(|i| 0x7000_0000 + (i << 12)).collect();
    let mut at: Vec<(VirtAddr, u64)> =
        frames.iter().map(|&to| (kmap(&mut pkmap, &mut swapper, to).unwrap(), to)).collect();
    at.sort_unstable_by_key(|(at, _)| at.0);
    // The fourth is in use: there is a run on each side.
    for (i, (at, _)) in at.iter().enumerate().filter(|(i, _)| *i != 3) {
        kunmap(&mut pkmap, *at).unwrap_or_else(|error| panic!("{i}: {error}"));
    }
    swapper.unmap_now(VirtRange::page(at[5].0)).unwrap();
    let hole = WindowError::Edit(EditError::NotMapped { at: at[5].0 });
    assert_eq!(purge(&mut pkmap, &mut swapper), Err(hole));
    host.assert_paid();
    for (i, &(at, to)) in at.iter().enumerate() {
        let found = swapper.translate(at).map(|found| found.phys);
        assert_eq!(found, (i >= 3 && i != 5).then_some(phys(to)), "{i}");
    }
    // In the run with the hole all are as before.
    assert_eq!(kmap(&mut pkmap, &mut swapper, at[6].1), Ok(at[6].0));
    for &(_, to) in &at[..3] {
        let again = kmap(&mut pkmap, &mut swapper, to).unwrap();
        assert_eq!(swapper.translate(again).unwrap().phys, phys(to));
    }
}

fn all_in_use<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    // The window has room for eight, whatever the books could hold.
    let mut pkmap = pkmap::<32>();
    let frame = |n: u64| 0x7000_0000 + n * 0x1000;
    let slots: Vec<_> = (0..8).map(|n| kmap(&mut pkmap, &mut swapper, frame(n)).unwrap()).collect();
    let before = host.snapshot();
    assert_eq!(kmap(&mut pkmap, &mut swapper, frame(8)), Err(FULL));
    audit::assert_same(&host.snapshot(), &before);
    assert_eq!(kmap(&mut pkmap, &mut swapper, frame(5)), Ok(slots[5]), "one that is there");
    kunmap(&mut pkmap, slots[2]).unwrap();
    assert_eq!(kmap(&mut pkmap, &mut swapper, frame(8)), Ok(slots[2]));
}

fn kmap_needs_a_table<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = empty_swapper(&host, &layout);
    let mut pkmap = pkmap::<8>();
    exhaust(&host, 1, || {
        assert_eq!(pkmap.in_use(), 0);
        kmap(&mut pkmap, &mut swapper, 0x7000_0000)
    });
}

fn kmap_in_every_space<F: Format>() {
    for eager in [false, true] {
        let spec = LayoutSpec::linux(0xC000_0000);
        let window = if eager { spec.pkmap.eager() } else { spec.pkmap };
        let (host, layout) = (Host::<F>::new(), layout(LayoutSpec { pkmap: window, ..spec }));
        let mut swapper = empty_swapper(&host, &layout);
        let pgd = pgd(&host, &mut swapper);
        let at = kmap(&mut pkmap::<8>(), &mut swapper, 0x7000_0000).unwrap();
        assert_eq!(pgd.translate(at).is_some(), eager);
        assert_eq!(touch(&swapper, &pgd, at.0), Verdict::Retry);
        assert_eq!(pgd.translate(at).unwrap().phys, phys(0x7000_0000));
    }
}

fn random_kmaps<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pkmap = pkmap::<8>();
    let mut random = Random::new(0x4A9);
    // Uses of each frame, by address.
    let mut uses: Vec<(VirtAddr, u64)> = Vec::new();
    for _ in 0..5000 {
        let frame = 0x7000_0000 + u64::from(random.below(20)) * 0x1000;
        match random.below(9) {
            0..=4 => match kmap(&mut pkmap, &mut swapper, frame) {
                Ok(at) => uses.push((at, frame)),
                Err(error) => {
                    let slots: BTreeMap<_, _> = uses.iter().copied().collect();
                    assert_eq!((error, slots.len()), (FULL, 8));
                }
            },
            8 if random.below(50) == 0 => purge(&mut pkmap, &mut swapper).unwrap(),
            _ if !uses.is_empty() => {
                let (at, _) = uses.swap_remove(random.below(uses.len() as u32) as usize);
                kunmap(&mut pkmap, at).unwrap();
            }
            _ => {}
        }
        let slots: BTreeMap<_, _> = uses.iter().copied().collect();
        assert_eq!(pkmap.in_use(), slots.len());
        for &(at, frame) in &uses {
            assert_eq!(swapper.translate(at).unwrap().phys, phys(frame));
        }
    }
    for (at, _) in uses {
        kunmap(&mut pkmap, at).unwrap();
    }
    purge(&mut pkmap, &mut swapper).unwrap();
    host.audit(swapper.root(), &[]);
}

/// Four slots of the fixmap.
fn local<'m, F: Format>(swapper: &mut Swapper<'m, F, Host<F>>) -> LocalSlots<'m, F, Host<F>> {
    // SAFETY: one CPU, and nobody reaches memory through these tables.
    unsafe { LocalSlots::new(swapper, range(0xFFD0_0000, 0xFFD0_4000)) }.unwrap()
}

fn local_slots_are_a_stack<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let pgd = pgd(&host, &mut swapper);
    let mut slots = local(&mut swapper);
    // SAFETY: as above; so for all of these.
    let mut map = |frame| unsafe { slots.kmap_local(phys(frame)) };
    let taken =
        [0x7000_0000, 0x7000_5000, 0x7000_0000, 0xFFFF_F000].map(|frame| map(frame).unwrap());
    assert_eq!(taken, [0, 1, 2, 3].map(|n| VirtAddr(0xFFD0_0000 + n * PAGE_SIZE)));
    assert_eq!(map(0x7000_9000), Err(FULL));
    for (at, frame) in taken.into_iter().zip([0x7000_0000, 0x7000_5000, 0x7000_0000, 0xFFFF_F000]) {
        let found = swapper.translate(at).unwrap();
        assert_eq!((found.phys, found.leaf().unwrap().attrs), (phys(frame), DATA));
        assert_eq!(touch(&swapper, &pgd, at.0), Verdict::Retry);
    }
    // SAFETY: as above.
    let mut unmap = |at| unsafe { slots.kunmap_local(at) };
    let last = taken[3];
    assert_eq!(unmap(taken[2]), Err(WindowError::OutOfOrder { last }));
    let beyond = VirtAddr(last.0 + PAGE_SIZE);
    assert_eq!(unmap(beyond), Err(WindowError::NoSuchArea { at: beyond }));
    for at in taken.into_iter().rev() {
        assert_eq!(unmap(VirtAddr(at.0 + 0xFFF)), Ok(()));
        assert_eq!(swapper.translate(at), None);
    }
    assert_eq!(unmap(taken[0]), Err(WindowError::NoSuchArea { at: taken[0] }));
    // SAFETY: as above.
    let beyond = unsafe { slots.kmap_local(phys(0x1_0000_0000)) };
    assert_eq!(beyond.is_err(), is_classic::<F>(), "{beyond:?}");
    // SAFETY: as above.
    let odd = unsafe { slots.kmap_local(phys(0x7000_0010)) };
    assert!(odd.is_err());
    assert_eq!(slots.in_use(), u32::from(!is_classic::<F>()));
}

fn local_slots_flush_this_cpu<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut slots = local(&mut swapper);
    host.take_log();
    for n in 0..10 {
        // SAFETY: as above. The host refuses a slot that a TLB may know.
        unsafe {
            let at = slots.kmap_local(phys(0x7000_0000 + n * 0x1000)).unwrap();
            slots.kunmap_local(at).unwrap();
            host.assert_paid();
            let log = host.take_log();
            assert!(log.contains(&Op::Local(at)));
            assert!(!log.into_iter().any(Op::is_tlbi), "no other CPU is asked");
        }
    }
    host.audit(swapper.root(), &[]);
}

fn local_slots_need_their_place<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let new = |swapper: &mut Swapper<'_, F, Host<F>>, place| {
        // SAFETY: as above.
        unsafe { LocalSlots::new(swapper, place) }.map(drop)
    };
    let before = host.snapshot();
    let table = 1 << F::LEVELS[F::LEVELS.len() - 2].shift;
    let border = 0xF200_0000 + table;
    for (place, error) in [
        (range(border - 0x1000, border + 0x1000), EditError::Misaligned),
        (VirtRange::new(VirtAddr(0xFFD0_0000), 0x800).unwrap(), EditError::Misaligned),
        (range(0x1000, 0x2000), EditError::OutOfBounds { at: VirtAddr(0x1000) }),
    ] {
        assert_eq!(new(&mut swapper, place), Err(error));
        audit::assert_same(&host.snapshot(), &before);
    }
    // A page, and a block of lowmem.
    for (start, first) in [(0xF080_4000, 0xF080_5000), (0xC000_1000, 0xC000_0000)] {
        let done = new(&mut swapper, range(start, start + 0x2000));
        assert!(matches!(done, Err(EditError::Mapped { at, .. }) if at.0 == first), "{done:?}");
        audit::assert_same(&host.snapshot(), &before);
    }
    let place = range(0xF200_0000, 0xF200_2000);
    exhaust(&host, 1, || new(&mut swapper, place));
    host.audit(swapper.root(), &[]);
}
