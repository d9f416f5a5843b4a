//! Cache maintenance by address: which lines it touches, and that new code runs after it.

use armv7a_mm::armv7::barrier::{SY, dsb};
use armv7a_mm::armv7::cache;
use armv7a_mm::attr::Access;
use armv7a_mm::format::FaultKind;

use super::scratch::WINDOW;
use super::support::{self, Spare};
use super::windows::Mapping;
use crate::harness::Test;
use crate::{check, check_eq, probe};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "caches::ranges-may-end-at-the-top", run: ranges },
    Test { name: "caches::new-code-runs-once-published", run: code },
    Test { name: "caches::what-lies-beside-a-device's-bytes-stays", run: beside },
];

fn ranges() {
    let count = |from, bytes| cache::lines(from, bytes, 64).count();
    check_eq!(
        [count(0x1000, 0), count(0x1000, 1), count(0x103F, 1), count(0x103F, 2)],
        [0, 1, 1, 2]
    );
    // The end, 2^32, is no 32-bit number; and a range that claims more stops there.
    check_eq!(count(0xFFFF_F001, 0xFFF), 64);
    check_eq!(count(0xFFFF_FFFF, 1), 1);
    check_eq!(count(0xFFFF_FFC0, usize::MAX), 1);
    check_eq!(count(0, usize::MAX), 1 << 26);
    check_eq!(cache::lines(0xFFFF_FF81, 0x7F, 64).last(), Some(0xFFFF_FFC0));
}

fn beside() {
    // Lines that a device has only a part of are not thrown away.
    let whole = |from, bytes| {
        cache::lines(from, bytes, 64).map(move |at| cache::is_whole(at, from, bytes, 64))
    };
    check!(whole(0x103C, 0x8C).eq([false, true, true, false]));
    check!(whole(0x1040, 0x40).eq([true]));
    check!(whole(0x1041, 0x3F).eq([false]));
    check!(whole(0x1040, 0x3F).eq([false]));
    check!(whole(0xFFFF_FF80, 0x80).eq([true, true]));
    check!(whole(0xFFFF_FFBF, 0x41).eq([false, true]));

    // QEMU has no cache: of these, that they are instructions is all that it shows.
    let at = support::alias(Spare::new().page()).0 as *mut u8;
    let bytes = || (0..256).map(|i| (at.wrapping_add(i), i as u8));
    for (byte, value) in bytes() {
        // SAFETY: spare memory is nobody's.
        unsafe { byte.write_volatile(value) };
    }
    cache::clean_to_coherency(at, 128);
    // From inside one line into another, with whole ones between: what is written there is in memory, or may be lost.
    // SAFETY: as above.
    unsafe { cache::invalidate_to_coherency(at.wrapping_add(60), 140) };
    dsb(SY);
    // SAFETY: as above.
    let lost = bytes().find(|&(byte, value)| unsafe { byte.read_volatile() } != value);
    let outside = lost.filter(|&(_, value)| !(128..200).contains(&value));
    check_eq!(outside, None);
}

fn code() {
    let phys = Spare::new().page();
    let window = Mapping::page(WINDOW, phys);
    window.protect(Access::ReadExecute);
    let mut answers = [Ok(0); 2];
    for (answer, value) in answers.iter_mut().zip([7, 9]) {
        // Written through the linear map, run at another address.
        let at = support::alias(phys).0 as *mut u32;
        // MOV r0, #value; BX lr
        for (i, word) in [0xE3A0_0000 | value, 0xE12F_FF1E].into_iter().enumerate() {
            // SAFETY: spare memory is nobody's.
            unsafe { at.add(i).write_volatile(word) };
        }
        cache::publish_code(WINDOW.0 as *const u8, 8);
        // SAFETY: the code just written keeps the procedure call standard.
        *answer = unsafe { probe::execute(WINDOW) };
    }
    check_eq!(answers, [Ok(7), Ok(9)]);
    // Where it was written it does not run: nothing is writable and executable.
    // SAFETY: if it could be executed, it would return.
    let record = unsafe { probe::execute(support::alias(phys)) };
    check_eq!(record.map_err(|record| record.kind()), Err(Some(FaultKind::Permission)));
}
