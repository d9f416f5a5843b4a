//! Cache maintenance by address: which lines it touches, and that new code runs after it.

use armv7a_mm::addr::VirtAddr;
use armv7a_mm::armv7::cache;
use armv7a_mm::format::{Active, FaultKind, Format, Level};
use armv7a_mm::table::mem::TableMemory;

use crate::harness::Test;
use crate::{check_eq, memory, probe, skip};

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
    let machine = memory::machine();
    let level: &'static Level = &Active::LEVELS[Active::LEVELS.len() - 1];
    let Ok(page) = machine.allocate(level) else { panic!("no memory") };
    let at = machine.virt(page);
    let mut answers = [Ok(0); 2];
    for (answer, value) in answers.iter_mut().zip([7, 9]) {
        // MOV r0, #value; BX lr
        for (i, word) in [0xE3A0_0000 | value, 0xE12F_FF1E].into_iter().enumerate() {
            // SAFETY: the page was just allocated.
            unsafe { at.cast::<u32>().add(i).write_volatile(word) };
        }
        cache::publish_code(at, 8);
        // SAFETY: the code just written keeps the procedure call standard.
        *answer = unsafe { probe::execute(VirtAddr(at as u32)) };
    }
    // SAFETY: allocated above, and nothing points to it.
    unsafe { machine.free(page, level) };
    if answers[0].is_err_and(|record| record.kind() == Some(FaultKind::Permission)) {
        skip!("the linear map does not execute");
    }
    check_eq!(answers, [Ok(7), Ok(9)]);
}
