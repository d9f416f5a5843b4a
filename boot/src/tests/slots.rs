//! kmap and kmap_local, used for real: any frame, and what was there before is not found in the slot any more.

use armv7a_mm::addr::{PAGE_SIZE, PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{Active, FaultKind};
use armv7a_mm::mm::window::{AreaError, LocalSlots, Pkmap, WindowError};
use armv7a_mm::table::error::EditError;

use super::scratch::Refusal;
use super::support::{self, Space, Spare};
use crate::harness::Test;
use crate::kernel::{LAYOUT, kernel};
use crate::{check, check_eq, probe, skip};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "slots::kmap-of-a-frame-above-the-linear-map", run: high },
    Test { name: "slots::a-slot-is-forgotten-before-it-is-used-again", run: again },
    Test { name: "slots::local-slots-nest", run: local },
];

/// The second MiB of pkmap, where no other test maps anything.
fn pkmap<const N: usize>() -> Pkmap<N> {
    Pkmap::new(VirtRange::aligned(VirtAddr(LAYOUT.spec().pkmap.start + (1 << 20)), 20))
}

fn high() {
    let (mut pkmap, mut swapper) = (pkmap::<8>(), kernel().swapper.lock());
    if !Active::LPAE {
        // SAFETY: refused.
        let beyond = unsafe { pkmap.kmap(&mut swapper, PhysAddr::truncate(1 << 32)) };
        check!(matches!(beyond, Err(WindowError::Edit(EditError::Encode(_)))), "{beyond:?}");
    }
    let Some(high) = kernel().high else { skip!("the linear map has all RAM") };
    let frames = [high.base, high.end() - u64::from(PAGE_SIZE)].map(PhysAddr::truncate);
    for (frame, value) in frames.into_iter().zip([0x1111_0000_u32, 0x2222_0000]) {
        support::assert_spare(frame, PAGE_SIZE.into());
        // SAFETY: spare memory is nobody's.
        let at = unsafe { pkmap.kmap(&mut swapper, frame) };
        let Ok(at) = at else { return check!(false, "{frame}: {at:?}") };
        // SAFETY: as above.
        check_eq!(unsafe { probe::write(at, value) }, Ok(()));
        // SAFETY: as above.
        check_eq!(unsafe { pkmap.kunmap(at) }, Ok(()));
    }
    // SAFETY: always this swapper.
    check_eq!(unsafe { pkmap.purge(&mut swapper) }, Ok(()));
    for (frame, value) in frames.into_iter().zip([0x1111_0000_u32, 0x2222_0000]) {
        // SAFETY: as above.
        let at = unsafe { pkmap.kmap(&mut swapper, frame) }.unwrap_or_default();
        check_eq!(probe::read(at), Ok(value), "{frame}");
        // SAFETY: as above.
        check_eq!(unsafe { pkmap.kunmap(at) }, Ok(()));
    }
    // SAFETY: always this swapper.
    check_eq!(unsafe { pkmap.purge(&mut swapper) }, Ok(()));
}

/// Frames that each hold their own number.
fn numbered<const N: usize>() -> [PhysAddr; N] {
    let mut spare = Spare::new();
    let mut number = 0;
    [(); N].map(|()| {
        let frame = spare.page();
        number += 1;
        support::write(frame, &[number]);
        frame
    })
}

fn again() {
    let (mut pkmap, frames) = (pkmap::<3>(), numbered::<10>());
    let space = Space::new();
    space.enter();
    let mut swapper = kernel().swapper.lock();
    // Twice round: each frame comes to a slot whose last frame the TLB has used.
    for (n, frame) in (0..20).map(|n| (n % 10, frames[n % 10])) {
        // SAFETY: spare memory is nobody's.
        let at = unsafe { pkmap.kmap(&mut swapper, frame) };
        let Ok(at) = at else { return check!(false, "{at:?}") };
        check_eq!(probe::read(at), Ok(n as u32 + 1), "{at}");
        // SAFETY: as above.
        check_eq!(unsafe { pkmap.kunmap(at) }, Ok(()));
    }
    // SAFETY: always this swapper.
    check_eq!(unsafe { pkmap.purge(&mut swapper) }, Ok(()));
    check_eq!(pkmap.in_use(), 0);
}

fn local() {
    let frames = numbered::<6>();
    let place = VirtRange::aligned(VirtAddr(0xFFD0_0000), 14);
    // SAFETY: this CPU, the only one, and no other test maps anything there.
    let slots = unsafe { LocalSlots::new(&mut kernel().swapper.lock(), place) };
    let Ok(mut slots) = slots else { return check!(false, "{:?}", slots.err()) };
    // SAFETY: spare memory is nobody's; this CPU, the only one.
    unsafe {
        for two in frames.windows(2) {
            let outer = slots.kmap_local(two[0]);
            let inner = slots.kmap_local(two[1]);
            let (Ok(outer), Ok(inner)) = (outer, inner) else {
                return check!(false, "{outer:?}, {inner:?}");
            };
            let numbers = [outer, inner].map(|at| probe::read(at).unwrap_or(0));
            check_eq!(numbers, [support::read(two[0]), support::read(two[1])]);
            check_eq!(slots.kunmap_local(outer), Err(WindowError::OutOfOrder { last: inner }));
            check_eq!(slots.kunmap_local(inner), Ok(()));
            check_eq!(slots.kunmap_local(outer), Ok(()));
            for at in [outer, inner] {
                let kind = Refusal::of(probe::read(at)).map(|refusal| refusal.kind);
                check_eq!(kind, Some(FaultKind::Translation), "{at} was in the TLB");
            }
        }
        let taken = [0, 1, 2, 3].map(|n| slots.kmap_local(frames[n]));
        check!(taken.iter().all(Result::is_ok));
        let full = WindowError::Area(AreaError::WindowFull);
        check_eq!(slots.kmap_local(frames[4]), Err(full));
        for at in taken.into_iter().rev().flatten() {
            check_eq!(slots.kunmap_local(at), Ok(()));
        }
    }
}
