//! The fault status of short descriptors (DDI 0406C B3.13.3; B4.1, DFSR and IFSR).

use crate::format::{Fault, FaultKind};

/// What `fsr` says: DFSR where `instruction` is false, else IFSR.
///
/// The status has 5 bits: FS\[4\] is bit 10, FS\[3:0\] are bits 3:0. DFSR.Domain is bits 7:4. Bit 9, which
/// tells the formats apart on CPUs that have both, is not looked at: the caller knows its format.
#[inline]
pub fn decode(fsr: u32, instruction: bool) -> Fault {
    let status = (fsr >> 6 & 0b1_0000 | fsr & 0b1111) as u8;
    let fault = Fault::new(fsr, instruction, status, KINDS[usize::from(status)]);
    let domain = !instruction && knows_domain(fault.kind, fault.depth);
    Fault { domain: domain.then_some((fsr >> 4 & 0xf) as u8), ..fault }
}

/// Kind and depth of each status: a look at a table is less than a jump by one.
static KINDS: [(FaultKind, Option<usize>); 32] = {
    let mut kinds = [(FaultKind::Alignment, None); 32];
    let mut status = 0;
    while status < kinds.len() {
        kinds[status] = kind(status as u8);
        status += 1;
    }
    kinds
};

/// Kind and depth of a status. Sections fault at depth 0, pages at depth 1; the access flag breaks the
/// pattern of the others, which have the level in bit 1.
const fn kind(status: u8) -> (FaultKind, Option<usize>) {
    use FaultKind::*;
    let by_bit_1 = Some((status >> 1 & 1) as usize);
    match status {
        0b00001 => (Alignment, None),
        0b00010 => (Debug, None),
        0b00011 => (AccessFlag, Some(0)),
        0b00110 => (AccessFlag, Some(1)),
        0b00100 => (CacheMaintenance, None),
        0b00101 | 0b00111 => (Translation, by_bit_1),
        0b01000 => (External, None),
        0b01001 | 0b01011 => (Domain, by_bit_1),
        0b01100 | 0b01110 => (WalkExternal, by_bit_1),
        0b01101 | 0b01111 => (Permission, by_bit_1),
        0b10000 => (TlbConflict, None),
        0b10100 => (Lockdown, None),
        0b10110 => (AsyncExternal, None),
        0b11000 => (AsyncParity, None),
        0b11001 => (Parity, None),
        0b11010 => (Coprocessor, None),
        0b11100 | 0b11110 => (WalkParity, by_bit_1),
        _ => (Reserved(status), None),
    }
}

/// Whether DFSR.Domain means something: a first-level descriptor had been read, which holds the domain,
/// and the fault is not a permission fault (there it is unknown on CPUs with LPAE, B4.1).
const fn knows_domain(kind: FaultKind, depth: Option<usize>) -> bool {
    match kind {
        FaultKind::Domain | FaultKind::AccessFlag => true,
        FaultKind::Translation | FaultKind::WalkExternal | FaultKind::WalkParity => {
            matches!(depth, Some(1))
        }
        _ => false,
    }
}
