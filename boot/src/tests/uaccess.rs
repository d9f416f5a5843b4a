//! Privileged access never: user space closed to the kernel, on the machine itself.
//!
//! In a world whose kernel half is TTBR1's, as LPAE needs it.

use core::arch::asm;

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::barrier::isb;
use armv7a_mm::armv7::cp15::{SCTLR, TTBR0_64};
use armv7a_mm::armv7::mmu::{self, Query};
use armv7a_mm::armv7::uaccess::{self, Saved, User, UserError};
use armv7a_mm::attr::{Access, Asid, Attrs};
use armv7a_mm::format::control::{Registers, sctlr};
use armv7a_mm::format::{Active, FaultKind};
use armv7a_mm::mm::{Layout, LayoutSpec};
use armv7a_mm::table::edit::LeafSizes;

use super::support::{self, Space, Spare};
use super::ttbr1::Shared;
use super::world::World;
use crate::faults::{self, SKIP, Vector};
use crate::harness::Test;
use crate::{check, check_eq, head, probe};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "uaccess::user-space-is-closed-and-opened", run: closed_and_open },
    Test { name: "uaccess::the-kernel-runs-while-it-is-closed", run: kernel_runs },
    Test { name: "uaccess::exceptions-close-it-and-restore-it", run: exceptions },
    Test { name: "uaccess::b08-copies-of-any-alignment", run: alignments },
    Test { name: "uaccess::copies-stop-at-the-very-byte", run: holes },
    Test { name: "uaccess::kernel-addresses-are-refused", run: refusals },
    Test { name: "uaccess::user-mode's-permissions-count", run: permissions },
    Test { name: "uaccess::b13-code-is-published-and-runs", run: code },
];

static LAYOUT: Layout = Layout::checked_for::<Active>(
    LayoutSpec { page_offset: head::PAGE_OFFSET, ..LayoutSpec::modules_at_border(0x8000_0000) }
        .split_at(0x8000_0000),
);

/// Two pages of user space, and a hole behind them.
const PAGES: VirtRange = VirtRange::aligned(VirtAddr(0x1234_4000), 13);
/// Bytes in them.
const BYTES: usize = 2 * 4096;
/// What nobody wrote.
const UNTOUCHED: u8 = 0x5C;

/// What byte `i` of user space holds, and of what is copied there.
const fn pattern(i: usize) -> u8 {
    (i * 7 + i / 256) as u8
}

/// A space whose user half is closed.
struct Closed {
    space: Space,
    frames: PhysAddr,
}

impl Closed {
    /// Fills the pages with the pattern.
    fn fill(&self) {
        let at = support::alias(self.frames).0 as *mut u8;
        // SAFETY: spare memory, which the linear map has.
        (0..BYTES).for_each(|i| unsafe { at.add(i).write_volatile(pattern(i)) });
    }

    /// What byte `i` of user space is, by the linear map.
    fn byte(&self, i: usize) -> u8 {
        let at = support::alias(self.frames).0 as *const u8;
        // SAFETY: as above.
        unsafe { at.add(i).read_volatile() }
    }
}

/// Runs `test` on a space with the pages, user space closed.
fn closed(test: impl FnOnce(&mut Closed)) {
    check!(LAYOUT.user_can_be_closed::<Active>());
    let mut spare = Spare::new();
    let mut world = World::new(&LAYOUT);
    let shared = Shared::new(&world);
    let mut space = Space::of(&mut world);
    let frames = spare.take(BYTES as u64, 13).expect("two pages are to spare");
    let mapped = space.map(PAGES, frames, Attrs::user(Access::ReadWrite), LeafSizes::PAGES);
    check_eq!(mapped, Ok(()));
    space.enter();
    if Active::LPAE {
        // SAFETY: the same tables, under an identifier that is not TTBR1's.
        unsafe { TTBR0_64::write(Active::ttbr0(space.root(), Asid(7))) };
        isb();
    }
    let mut closed = Closed { space, frames };
    closed.fill();
    faults::close_user(true);
    // SAFETY: the layout allows it.
    let was = unsafe { uaccess::close() };
    test(&mut closed);
    was.restore();
    faults::close_user(false);
    drop(closed);
    drop(shared);
}

fn open<R>(run: impl FnOnce(&User) -> R) -> R {
    uaccess::open(LAYOUT.user(), run)
}

/// The abort that closed user space takes: classic says which domain, LPAE knows of no table at all.
fn is_shut<T>(result: probe::Probed<T>) -> bool {
    let Err(fault) = result.map_err(|record| record.fault()) else { return false };
    let found = fault.map(|fault| (fault.kind, fault.depth, fault.domain));
    found
        == Some(if Active::LPAE {
            (FaultKind::Translation, Some(0), None)
        } else {
            (FaultKind::Domain, Some(1), Some(1))
        })
}

fn closed_and_open() {
    closed(|_| {
        let at = PAGES.start();
        let word = u32::from_ne_bytes([0, 1, 2, 3].map(pattern));
        for _ in 0..2 {
            check!(!uaccess::is_open());
            check!(is_shut(probe::read(at)));
            check!(is_shut(probe::read_user(at)));
            // SAFETY: it is closed.
            check!(is_shut(unsafe { probe::write(at, 0) }));
            for query in Query::ALL {
                check!(mmu::translate(at, query).is_err(), "{query:?}");
            }
            open(|user| {
                check!(uaccess::is_open());
                check_eq!(probe::read(at), Ok(word));
                check_eq!(user.read_u32(at), Ok(word));
                // Open within open changes nothing.
                open(|user| check_eq!(user.write_u32(at, word), Ok(())));
                check_eq!(probe::read_user(at), Ok(word));
            });
        }
        check!(is_shut(probe::read(at)));
    });
}

fn kernel_runs() {
    closed(|closed| {
        // Aborts are taken and returned from, memory is mapped and used, address spaces come and go.
        check!(probe::read(probe::UNMAPPED).is_err());
        let mut spare = Spare::new();
        let frame = (0..3).map(|_| spare.page()).last().unwrap_or(closed.frames);
        support::write(frame, &[0xFEED_F00D]);
        check_eq!(support::read(frame), 0xFEED_F00D);
        let page = VirtRange::page(VirtAddr(0x2000_0000));
        let data = Attrs::user(Access::ReadWrite);
        check_eq!(closed.space.map(page, frame, data, LeafSizes::PAGES), Ok(()));
        check!(is_shut(probe::read(page.start())));
        open(|user| check_eq!(user.read_u32(page.start()), Ok(0xFEED_F00D)));
        check!(closed.space.unmap(page).map(|flush| flush.pay()).is_ok());
        let left = open(|user| user.read_u32(page.start()));
        check_eq!(left, Err(UserError::Fault { copied: 0, at: page.start() }));
        let other = Space::new();
        drop(other);
    });
}

/// Takes an exception: whether user space was open, and whether it was while that was handled.
fn exception() -> Option<[bool; 2]> {
    faults::expect(SKIP);
    // SAFETY: an SVC is expected, which returns behind the NOP.
    unsafe { asm!("svc #0", "nop", out("lr") _, options(nostack)) }
    faults::taken().filter(|record| record.vector == Vector::Supervisor).map(|it| it.user_open)
}

fn exceptions() {
    closed(|_| {
        check_eq!(exception(), Some([false, false]));
        check!(!uaccess::is_open());
        open(|user| {
            for _ in 0..2 {
                check_eq!(exception(), Some([true, false]));
                check!(uaccess::is_open());
                check!(user.read_u32(PAGES.start()).is_ok());
            }
            let fault = probe::read(probe::UNMAPPED).map_err(|record| record.user_open);
            check_eq!(fault, Err([true, false]));
        });
        check!(!uaccess::is_open());
    });
}

fn alignments() {
    closed(|closed| {
        let was = SCTLR::read();
        for aligned in [0, sctlr::A] {
            // SAFETY: nothing here is unaligned, but for what is tested.
            unsafe { SCTLR::write(was | aligned) };
            isb();
            for length in [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64, 77] {
                for (theirs, ours) in (0..4).flat_map(|from| (0..4).map(move |to| (from, to))) {
                    copy(closed, theirs + 4090, ours, length);
                }
            }
        }
        // SAFETY: as it was.
        unsafe { SCTLR::write(was) };
        isb();
    });
}

/// Copies out of user space and back, one byte further on.
fn copy(closed: &Closed, offset: usize, start: usize, length: usize) {
    let mut buffer = [UNTOUCHED; 96];
    let at = VirtAddr(PAGES.start().0 + offset as u32);
    let place = start..start + length;
    let done = open(|user| user.read(at, &mut buffer[place.clone()]));
    check_eq!(done, Ok(()));
    for (i, &byte) in buffer.iter().enumerate() {
        let wanted = if place.contains(&i) { pattern(offset + i - start) } else { UNTOUCHED };
        check_eq!(byte, wanted, "byte {i} of {length} from {at}");
    }
    let back = VirtAddr(at.0 + 1);
    check_eq!(open(|user| user.write(back, &buffer[place.clone()])), Ok(()));
    for i in 0..96 {
        let k = offset - 8 + i;
        let copied = k > offset && k - offset <= length;
        let wanted = if copied { pattern(k - 1) } else { pattern(k) };
        check_eq!(closed.byte(k), wanted, "byte {i} of {length} to {back}");
    }
    closed.fill();
}

fn holes() {
    closed(|closed| {
        let mut buffer = [UNTOUCHED; 128];
        for before in [0, 1, 3, 4, 6, 16, 21, 40] {
            for start in 0..4 {
                let offset = BYTES - before;
                let at = VirtAddr(PAGES.start().0 + offset as u32);
                let hole =
                    Err(UserError::Fault { copied: before, at: VirtAddr(PAGES.last().0 + 1) });
                buffer.fill(UNTOUCHED);
                let to = &mut buffer[start..start + 80];
                check_eq!(open(|user| user.read(at, to)), hole, "{before} bytes to {start}");
                for (i, &byte) in buffer.iter().enumerate() {
                    let copied = i >= start && i - start < before;
                    let wanted = if copied { pattern(offset + i - start) } else { UNTOUCHED };
                    check_eq!(byte, wanted, "byte {i} of {before}");
                }
                let mut text = [0; 80];
                text.iter_mut().enumerate().for_each(|(i, byte)| *byte = !pattern(i));
                check_eq!(open(|user| user.write(at, &text)), hole, "{before} bytes");
                for i in 0..before {
                    check_eq!(closed.byte(offset + i), !pattern(i), "byte {i} of {before}");
                }
                check!(!uaccess::is_open());
                closed.fill();
            }
        }
    });
}

fn refusals() {
    closed(|_| {
        let secret = 0x5EC2_E700_u32;
        let kernel = VirtAddr(&raw const secret as u32);
        let end = LAYOUT.task_size().0;
        for (at, bytes) in [
            (kernel.0, 4),
            (end, 1),
            (end - 4, 5),
            (end - 1, 2),
            (0xFFFF_FFFC, 4),
            (0xFFFF_FFFE, 8),
            (0, 1),
            (LAYOUT.user().start().0 - 1, 2),
        ] {
            let at = VirtAddr(at);
            let mut buffer = [UNTOUCHED; 8];
            let refused = Err(UserError::OutOfBounds { at });
            check_eq!(open(|user| user.read(at, &mut buffer[..bytes])), refused);
            check_eq!(buffer, [UNTOUCHED; 8]);
            check_eq!(open(|user| user.write(at, &buffer[..bytes])), refused);
            check_eq!(open(|user| user.publish_code(at, bytes)), refused);
        }
        check_eq!(secret, 0x5EC2_E700);
        // No bytes are nobody's.
        check_eq!(open(|user| user.read(kernel, &mut [])), Ok(()));
    });
}

fn permissions() {
    closed(|closed| {
        let kernel = Attrs::kernel(Access::ReadWrite).with_global(false);
        let page = VirtRange::page(VirtAddr(0x3000_0000));
        let shut = Err(UserError::Fault { copied: 0, at: page.start() });
        for (attrs, readable) in
            [(kernel, false), (Attrs::user(Access::Read), true), (Attrs::user(Access::None), false)]
        {
            let mapped = closed.space.map(page, closed.frames, attrs, LeafSizes::PAGES);
            check_eq!(mapped, Ok(()));
            let mut byte = [UNTOUCHED];
            let read = open(|user| user.read(page.start(), &mut byte));
            check_eq!(read, if readable { Ok(()) } else { shut }, "{attrs:?}");
            check_eq!(byte, [if readable { pattern(0) } else { UNTOUCHED }]);
            check_eq!(open(|user| user.write(page.start(), &[0])), shut, "{attrs:?}");
            check_eq!(closed.byte(0), pattern(0));
            check!(closed.space.unmap(page).map(|flush| flush.pay()).is_ok());
        }
    });
}

fn code() {
    closed(|closed| {
        // mov r0, #42; svc #0
        let program: [u32; 2] = [0xE3A0_002A, 0xEF00_0000];
        for (i, word) in (0..).zip(program) {
            let at = VirtAddr(PAGES.start().0 + 4 * i);
            check_eq!(open(|user| user.write_u32(at, word)), Ok(()));
        }
        let published = open(|user| user.publish_code(PAGES.start(), size_of_val(&program)));
        check_eq!(published, Ok(()));
        let flush = closed.space.protect(PAGES, Access::ReadExecute);
        check!(flush.map(|flush| flush.pay()).is_ok());
        Saved::for_user_mode().restore();
        // SAFETY: it changes registers alone.
        let record = unsafe { probe::user(PAGES.start(), 0, PAGES.last()) };
        // SAFETY: the layout allows it.
        let was = unsafe { uaccess::close() };
        check!(was.was_open());
        check_eq!(
            (record.vector, record.r0, record.user_open),
            (Vector::Supervisor, 42, [true, false])
        );
    });
}
