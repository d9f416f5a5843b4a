//! The fault status of long descriptors (DDI 0406C B3.13.3; B4.1, DFSR and IFSR).

use crate::format::{Fault, FaultKind};

/// What `fsr` says: DFSR where `instruction` is false, else IFSR.
///
/// The status is bits 5:0. Bit 9, which tells the formats apart, is not looked at: the caller knows its
/// format. There is no domain.
#[inline]
pub fn decode(fsr: u32, instruction: bool) -> Fault {
    let status = (fsr & 0b11_1111) as u8;
    Fault::new(fsr, instruction, status, KINDS[usize::from(status)])
}

/// Kind and depth of each status: a look at a table is less than a jump by one.
static KINDS: [(FaultKind, Option<usize>); 64] = {
    let mut kinds = [(FaultKind::Alignment, None); 64];
    let mut status = 0;
    while status < kinds.len() {
        kinds[status] = kind(status as u8);
        status += 1;
    }
    kinds
};

/// Kind and depth of a status. Faults of a walk have the level in bits 1:0.
const fn kind(status: u8) -> (FaultKind, Option<usize>) {
    use FaultKind::*;
    match status {
        0b01_0000 => return (External, None),
        0b01_0001 => return (AsyncExternal, None),
        0b01_1000 => return (Parity, None),
        0b01_1001 => return (AsyncParity, None),
        0b10_0001 => return (Alignment, None),
        0b10_0010 => return (Debug, None),
        0b11_0000 => return (TlbConflict, None),
        0b11_0100 => return (Lockdown, None),
        0b11_1010 => return (Coprocessor, None),
        // ARMv8: the width of the address in TTBR0 or TTBR1.
        0b00_0000 => return (AddressSize, None),
        _ => {}
    }
    let walk = match status >> 2 {
        0b0000 => AddressSize,
        0b0001 => Translation,
        0b0010 => AccessFlag,
        0b0011 => Permission,
        0b0101 => WalkExternal,
        0b0111 => WalkParity,
        _ => return (Reserved(status), None),
    };
    match status & 0b11 {
        0 => (Reserved(status), None),
        level => (walk, Some(level as usize - 1)),
    }
}
