//! Fault status registers, every code of both formats, against a table written from the manual
//! (Arm ARM DDI 0406C, B3.13.3), and against values that QEMU 7.2 showed.

use FaultKind::*;
use armv7a_mm::addr::VirtAddr;
use armv7a_mm::format::{Classic, Fault, FaultKind, Format, Lpae};

/// What a register lets through of a row.
#[derive(Clone, Copy, PartialEq, Debug)]
enum In {
    Both,
    /// "DFSR only."
    Data,
}
use In::{Both, Data};

/// One row: the status in binary digits as the manual prints it, kind, level (0: none), register, whether
/// the address is valid, and whether DFSR.Domain is.
type Row = (&'static str, FaultKind, usize, In, bool, bool);

/// Table B3-23, short descriptors: FS[4], FS[3:0]. Addresses by B3.12.2, the domain by B4.1, DFSR.
const SHORT: [Row; 22] = [
    ("00001", Alignment, 0, Both, true, false),
    ("00100", CacheMaintenance, 0, Data, true, false),
    ("01100", WalkExternal, 1, Both, true, false),
    ("01110", WalkExternal, 2, Both, true, true),
    ("11100", WalkParity, 1, Both, true, false),
    ("11110", WalkParity, 2, Both, true, true),
    ("00101", Translation, 1, Both, true, false),
    ("00111", Translation, 2, Both, true, true),
    ("00011", AccessFlag, 1, Both, true, true),
    ("00110", AccessFlag, 2, Both, true, true),
    ("01001", Domain, 1, Both, true, true),
    ("01011", Domain, 2, Both, true, true),
    // B4.1, DFSR: with LPAE, permission faults leave the domain unknown.
    ("01101", Permission, 1, Both, true, false),
    ("01111", Permission, 2, Both, true, false),
    ("00010", Debug, 0, Both, false, false),
    ("01000", External, 0, Both, true, false),
    ("10000", TlbConflict, 0, Both, true, false),
    ("10100", Lockdown, 0, Both, false, false),
    ("11010", Coprocessor, 0, Both, false, false),
    ("11001", Parity, 0, Both, true, false),
    ("10110", AsyncExternal, 0, Data, false, false),
    ("11000", AsyncParity, 0, Data, false, false),
];

/// Table B3-24, long descriptors: STATUS, with LL written out. 0000LL is ARMv8's (DDI 0487 G8.2, DFSR).
const LONG: [Row; 28] = [
    ("000000", AddressSize, 0, Both, true, false),
    ("000001", AddressSize, 1, Both, true, false),
    ("000010", AddressSize, 2, Both, true, false),
    ("000011", AddressSize, 3, Both, true, false),
    ("000101", Translation, 1, Both, true, false),
    ("000110", Translation, 2, Both, true, false),
    ("000111", Translation, 3, Both, true, false),
    ("001001", AccessFlag, 1, Both, true, false),
    ("001010", AccessFlag, 2, Both, true, false),
    ("001011", AccessFlag, 3, Both, true, false),
    ("001101", Permission, 1, Both, true, false),
    ("001110", Permission, 2, Both, true, false),
    ("001111", Permission, 3, Both, true, false),
    ("010000", External, 0, Both, true, false),
    ("011000", Parity, 0, Both, true, false),
    ("010001", AsyncExternal, 0, Data, false, false),
    ("011001", AsyncParity, 0, Data, false, false),
    ("010101", WalkExternal, 1, Both, true, false),
    ("010110", WalkExternal, 2, Both, true, false),
    ("010111", WalkExternal, 3, Both, true, false),
    ("011101", WalkParity, 1, Both, true, false),
    ("011110", WalkParity, 2, Both, true, false),
    ("011111", WalkParity, 3, Both, true, false),
    ("100001", Alignment, 0, Both, true, false),
    // B65: not 010010.
    ("100010", Debug, 0, Both, false, false),
    ("110000", TlbConflict, 0, Both, true, false),
    ("110100", Lockdown, 0, Both, false, false),
    ("111010", Coprocessor, 0, Both, false, false),
];

/// What the table says of `status` in DFSR or IFSR.
fn expected(rows: &[Row], status: u8, instruction: bool) -> Row {
    let listed = rows.iter().copied().find(|row| u8::from_str_radix(row.0, 2) == Ok(status));
    listed.filter(|row| row.3 == Both || !instruction).unwrap_or((
        "",
        Reserved(status),
        0,
        Both,
        false,
        false,
    ))
}

/// Every status, in both registers, with every value of the bits beside it.
fn check<F: Format>(rows: &[Row], bits: u32, word: impl Fn(u32) -> u32) {
    for status in 0..1u32 << bits {
        for (beside, instruction) in (0..8u32).flat_map(|b| [(b, false), (b, true)]) {
            let (wnr, ext, cm) = (beside & 1 != 0, beside & 2 != 0, beside & 4 != 0);
            // Domain 9 in bits 7:4, where the short layout has it.
            let fsr =
                word(status) | u32::from(wnr) << 11 | u32::from(ext) << 12 | u32::from(cm) << 13;
            let (_, kind, level, _, address_valid, has_domain) =
                expected(rows, status as u8, instruction);
            let asynchronous = matches!(kind, AsyncExternal | AsyncParity);
            let maintenance = !instruction && (cm || kind == CacheMaintenance);
            let external = matches!(kind, External | WalkExternal | AsyncExternal);
            let wanted = Fault {
                kind,
                depth: level.checked_sub(1),
                // B21: what maintains a cache is no write, though WnR says so.
                write: wnr && !instruction && !maintenance && !asynchronous && kind != Debug,
                maintenance,
                instruction,
                ext: ext && external,
                address_valid,
                domain: (has_domain && !instruction).then_some(9),
            };
            let fault = F::decode_fault(fsr, instruction);
            assert_eq!(fault, wanted, "{} {fsr:#x}", F::NAME);
            let far = VirtAddr(0x8765_4321);
            assert_eq!(fault.address(far.0), address_valid.then_some(far));
        }
    }
}

#[test]
fn b21_b65_r28_every_short_status() {
    check::<Classic>(&SHORT, 5, |status| (status & 16) << 6 | 9 << 4 | status & 15);
}

#[test]
fn b21_b65_r28_every_long_status() {
    check::<Lpae>(&LONG, 6, |status| 1 << 9 | status);
}

/// Bits that are reserved, or another format's, change nothing.
#[test]
fn other_bits_do_not_count() {
    for noise in [0xffff_c000, 1 << 8] {
        assert_eq!(
            Classic::decode_fault(0x807 | noise, false),
            Classic::decode_fault(0x807, false)
        );
        assert_eq!(Lpae::decode_fault(0xa0f | noise, false), Lpae::decode_fault(0xa0f, false));
    }
    // IFSR has neither WnR nor CM nor a domain.
    assert_eq!(Classic::decode_fault(0x28f7, true), Classic::decode_fault(0x7, true));
}

/// What QEMU 7.2 (cortex-a15, cortex-a7) wrote into DFSR for faults whose cause was known.
#[test]
fn measured() {
    let short = [
        (0x005, Translation, 1, None),
        (0x007, Translation, 2, Some(0)),
        (0x05b, Domain, 2, Some(5)),
        (0x05f, Permission, 2, None),
        (0x00d, Permission, 1, None),
        (0x00f, Permission, 2, None),
        (0x003, AccessFlag, 1, Some(0)),
        (0x006, AccessFlag, 2, Some(0)),
    ];
    for (fsr, kind, level, domain) in short {
        let fault = Classic::decode_fault(fsr, false);
        assert_eq!((fault.kind, fault.depth), (kind, Some(level - 1)), "{fsr:#x}");
        assert_eq!((fault.domain, fault.write), (domain, false), "{fsr:#x}");
    }
    let long = [
        (0x205, Translation, Some(0), false),
        (0x206, Translation, Some(1), false),
        (0x207, Translation, Some(2), false),
        (0x20b, AccessFlag, Some(2), false),
        (0x20e, Permission, Some(1), false),
        (0x20f, Permission, Some(2), false),
        (0xa0f, Permission, Some(2), true),
        (0x210, External, None, false),
        (0x201, AddressSize, Some(0), false),
        (0x203, AddressSize, Some(2), false),
    ];
    for (fsr, kind, depth, write) in long {
        let fault = Lpae::decode_fault(fsr, false);
        assert_eq!((fault.kind, fault.depth, fault.write), (kind, depth, write), "{fsr:#x}");
    }
    // IFSR after a fetch through a table with PXNTable.
    let fetch = Lpae::decode_fault(0x20e, true);
    assert_eq!((fetch.kind, fetch.depth, fetch.instruction), (Permission, Some(1), true));
}

/// What a user reads: what, which level, where.
#[test]
fn printed() {
    let lines = [
        (Classic::decode_fault(0x80f, false), "permission fault at level 2, writing to 0xc0001000"),
        (
            Classic::decode_fault(0x05b, false),
            "domain fault at level 2 in domain 5, reading from 0xc0001000",
        ),
        (Lpae::decode_fault(0x205, true), "translation fault at level 1, executing at 0xc0001000"),
        (
            Lpae::decode_fault(0x2a07, false),
            "translation fault at level 3, maintaining a cache at 0xc0001000",
        ),
        (Classic::decode_fault(0x406, false), "asynchronous external abort, address unknown"),
        (
            Lpae::decode_fault(0x23f, false),
            "fault of reserved status 0x3f, reading, address unknown",
        ),
    ];
    for (fault, line) in lines {
        assert_eq!(fault.at(0xc000_1000).to_string(), line);
    }
    let fault = Classic::decode_fault(0x80f, false);
    assert_eq!(fault.to_string(), "permission fault at level 2, writing");
    assert_eq!(fault.address(0xc000_1000), Some(VirtAddr(0xc000_1000)));
    assert_eq!(Classic::decode_fault(0x406, false).address(0xc000_1000), None);
}
