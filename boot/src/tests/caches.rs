//! Cache maintenance by address: which lines it touches, and that new code runs after it.

use armv7a_mm::armv7::cache;
use armv7a_mm::attr::Access;
use armv7a_mm::format::FaultKind;

use super::scratch::WINDOW;
use super::support::{self, Spare};
use super::windows::Mapping;
use crate::harness::Test;
use crate::{check_eq, probe};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "caches::ranges-may-end-at-the-top", run: ranges },
    Test { name: "caches::new-code-runs-once-published", run: code },
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
