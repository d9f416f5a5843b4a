//! Whether aborts are caught at all: every later test leans on it.

use armv7a_mm::addr::VirtAddr;
use armv7a_mm::armv7::mmu::{self, Query};
use armv7a_mm::format::FaultKind;

use crate::faults::Vector;
use crate::harness::Test;
use crate::{check, check_eq, image, probe};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "faults::data-abort-is-caught", run: data_abort },
    Test { name: "faults::store-says-that-it-wrote", run: store },
    Test { name: "faults::prefetch-abort-is-caught", run: prefetch_abort },
    Test { name: "faults::call-returns-its-value", run: call },
    Test { name: "faults::user-load-of-kernel-memory-faults", run: user_load },
    Test { name: "faults::user-store-to-kernel-memory-faults", run: user_store },
    Test { name: "faults::user-mode-cannot-fetch-kernel-code", run: user_mode },
    Test { name: "faults::hardware-translates-as-loaded", run: hardware },
];

fn data_abort() {
    let record = probe::read(probe::UNMAPPED).expect_err("nothing is mapped there");
    check_eq!(record.vector, Vector::Data);
    check_eq!(record.far, probe::UNMAPPED.0);
    check_eq!(record.kind(), Some(FaultKind::Translation), "{record}");
    check!(record.fault().is_some_and(|fault| !fault.write), "{record}");
}

fn store() {
    // SAFETY: nothing is mapped there.
    let record = unsafe { probe::write(probe::UNMAPPED, 0) }.expect_err("nothing is mapped there");
    check!(record.fault().is_some_and(|fault| fault.write), "{record}");
}

fn prefetch_abort() {
    // SAFETY: nothing is mapped there.
    let record = unsafe { probe::execute(probe::UNMAPPED) }.expect_err("nothing is mapped there");
    check_eq!(record.vector, Vector::Prefetch);
    check_eq!((record.far, record.pc), (probe::UNMAPPED.0, probe::UNMAPPED.0));
    check_eq!(record.kind(), Some(FaultKind::Translation), "{record}");
}

extern "C" fn seven() -> u32 {
    7
}

fn call() {
    let at = VirtAddr(seven as *const () as u32);
    // SAFETY: it is a function.
    check_eq!(unsafe { probe::execute(at) }, Ok(7));
}

fn user_load() {
    let at = image::rodata().start();
    check!(probe::read(at).is_ok());
    let record = probe::read_user(at).expect_err("users have no business there");
    check_eq!(record.kind(), Some(FaultKind::Permission), "{record}");
}

fn user_store() {
    let at = image::rodata().start();
    // SAFETY: it faults; if not, it stored what was there.
    let record = unsafe { probe::write_user(at, probe::read(at).unwrap_or(0)) }
        .expect_err("not theirs to write");
    check_eq!(record.kind(), Some(FaultKind::Permission), "{record}");
    check!(record.fault().is_some_and(|fault| fault.write), "{record}");
}

fn user_mode() {
    let at = VirtAddr(seven as *const () as u32);
    // SAFETY: user mode does not get as far as its first instruction.
    let record = unsafe { probe::user(at, 0, VirtAddr(0)) };
    check_eq!((record.vector, record.psr & 0x1F), (Vector::Prefetch, 0x10));
    check_eq!(record.kind(), Some(FaultKind::Permission), "{record}");
}

fn hardware() {
    let at = image::rodata().start();
    let (kernel, user) =
        (mmu::translate(at, Query::KernelRead), mmu::translate(at, Query::UserRead));
    check!(kernel.is_ok_and(|pa| pa.is_aligned(12)), "{kernel:?}");
    check_eq!(user.map_err(|fault| fault.kind), Err(FaultKind::Permission));
    let nothing = mmu::translate(probe::UNMAPPED, Query::KernelRead);
    check_eq!(nothing.map_err(|fault| fault.kind), Err(FaultKind::Translation));
}
