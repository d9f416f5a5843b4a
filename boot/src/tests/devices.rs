//! Device memory: peripherals answer through it, by name, and nothing of it runs.

use armv7a_mm::addr::{VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Attrs, MemoryType};
use armv7a_mm::format::FaultKind;
use armv7a_mm::table::edit::LeafSizes;

use super::scratch::HERE;
use super::support::Space;
use crate::board::Device;
use crate::faults::Vector;
use crate::harness::Test;
use crate::kernel::{Pgd, kernel};
use crate::{check, check_eq, probe, skip};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "devices::the-uart-identifies-itself", run: uart },
    Test { name: "devices::the-interrupt-controller-identifies-itself", run: interrupt_controller },
    Test { name: "devices::a-register-keeps-what-is-written", run: register },
    Test { name: "devices::user-space-may-have-one", run: user },
    Test { name: "devices::none-is-executed-or-a-user's", run: closed },
];

/// The last four identification registers of every PrimeCell (PL011: DDI 0183 3.3.18).
const PRIMECELL: [u32; 4] = [0x0D, 0xF0, 0x05, 0xB1];

/// The four registers from `offset` on, which hold a byte each.
fn bytes(device: VirtAddr, offset: u32) -> [Option<u32>; 4] {
    [0, 4, 8, 12].map(|i| probe::read(VirtAddr(device.0 + offset + i)).ok().map(|word| word & 0xFF))
}

/// Why a test of the UART is skipped.
const NO_UART: &str = "no PL011 is known on this board";

fn uart() {
    let Some(Device { at: uart, .. }) = kernel().devices.uart else { skip!("{NO_UART}") };
    check_eq!(bytes(uart, 0xFF0), PRIMECELL.map(Some));
    // Part 0x011 of designer 0x41, Arm; the revision is in the high nibble of the third.
    let [part, designer, revision, _] = bytes(uart, 0xFE0);
    check_eq!((part, designer), (Some(0x11), Some(0x10)));
    check_eq!(revision.map(|byte| byte & 0xF), Some(4));
}

fn interrupt_controller() {
    let Some(Device { at: gic, offset, .. }) = kernel().devices.gic else {
        skip!("no interrupt controller is known on this board");
    };
    check_eq!(bytes(gic, 0xFF0), PRIMECELL.map(Some));
    // GICD_PIDR2: the architecture. A GICv3 identifies itself in its sixteenth page, all before it in their first.
    let architecture = bytes(gic, 0xFE0)[2].map(|byte| byte >> 4);
    if offset != 0 {
        check!(matches!(architecture, Some(3 | 4)), "{architecture:?}");
        return;
    }
    check!(matches!(architecture, Some(1 | 2)), "{architecture:?}");
    // GICD_TYPER: how many interrupts, in 32s, and how many CPUs.
    let typer = probe::read(VirtAddr(gic.0 + 4)).unwrap_or(0);
    check!((typer & 0x1F) + 1 > 1, "{typer:#x}");
}

/// UARTIBRD, the baud rate's divisor: no baud rate matters here.
const IBRD: u32 = 0x24;

fn register() {
    let Some(Device { at: uart, .. }) = kernel().devices.uart else { skip!("{NO_UART}") };
    let at = VirtAddr(uart.0 + IBRD);
    let Ok(before) = probe::read(at) else { return check!(false, "it cannot be read") };
    for value in [0x1234, 0xFEDC] {
        // SAFETY: nobody uses the UART.
        check_eq!(unsafe { probe::write(at, value) }, Ok(()));
        check_eq!(probe::read(at), Ok(value));
    }
    // SAFETY: as above.
    check_eq!(unsafe { probe::write(at, before) }, Ok(()));
}

fn user() {
    let Some(Device { phys, .. }) = kernel().devices.uart else { skip!("{NO_UART}") };
    for memory in [MemoryType::Device, MemoryType::StronglyOrdered] {
        let mut space = Space::new();
        let attrs = Attrs::user(Access::ReadWrite).with_memory(memory);
        let range = VirtRange::page(HERE);
        // SAFETY: nobody uses the UART.
        let mapped = unsafe { Pgd::map(&mut space, range, phys, attrs, LeafSizes::PAGES) };
        check_eq!(mapped, Ok(()));
        space.enter();
        check_eq!(bytes(HERE, 0xFF0), PRIMECELL.map(Some));
        let byte = probe::read_user(VirtAddr(HERE.0 + 0xFF0));
        check_eq!(byte.map(|byte| byte & 0xFF), Ok(PRIMECELL[0]));
    }
}

fn closed() {
    if kernel().devices.iter().next().is_none() {
        skip!("no device is known on this board");
    }
    for Device { name, at, .. } in kernel().devices.iter() {
        let leaf = kernel().swapper.lock().translate(at).and_then(|found| found.leaf());
        check_eq!(leaf.map(|leaf| leaf.attrs), Some(Attrs::device()), "{name}");
        // SAFETY: it does not run.
        match unsafe { probe::execute(at) } {
            Ok(_) => check!(false, "{name} ran"),
            Err(record) => {
                check_eq!((record.vector, record.far), (Vector::Prefetch, at.0), "{name}");
                check_eq!(record.kind(), Some(FaultKind::Permission), "{name}");
            }
        }
        let read = probe::read_user(at).map_err(|record| record.kind());
        check_eq!(read, Err(Some(FaultKind::Permission)), "{name}");
    }
}
