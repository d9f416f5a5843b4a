//! Long descriptors by hand (DDI 0406C B3.6).

use armv7a_mm::format::FaultKind;
use armv7a_mm::table::inspect::{Intent, LeafKind, Regs, Request};

use crate::{EE, Machine};

const EAE: u32 = 1 << 31;
const READ: Request = Request::kernel(Intent::Read);

/// The first table at 0x1_2340_0000, above 4 GiB; all 4 GiB by TTBR0, with an ASID that does not count.
fn regs() -> Regs {
    Regs { ttbcr: EAE, ttbr0: 0x00ab_0001_2340_0000, ..Regs::default() }
}

const ROOT: u64 = 0x1_2340_0000;

/// First-level entry 3 points to a table at 0x8000, its entry 5 to one at 0x9000; `page` is its entry 7:
/// address 0xC0A0_7000.
fn tree(first: u64, second: u64, page: u64) -> Machine {
    Machine::new(regs())
        .long(ROOT + 3 * 8, 0x8003 | first)
        .long(0x8000 + 5 * 8, 0x9003 | second)
        .long(0x9000 + 7 * 8, page)
}

/// B3.6.1: address 39:12, nG 11, AF 10, SH 9:8, AP[2:1] 7:6, NS 5, AttrIndx 4:2; contiguous 52, PXN 53,
/// XN 54.
#[test]
fn page() {
    let machine = tree(0, 0, 0x12_3456_7403);
    assert_eq!(machine.ask(0xc0a0_7abc, READ), Ok(0x12_3456_7abc));
    assert_eq!(machine.trace.borrow()[..], [ROOT + 24, ROOT + 28, 0x8028, 0x802c, 0x9038, 0x903c]);
    let leaf = machine.leaf(0xc0a0_7abc);
    assert_eq!((leaf.kind, leaf.kind.depth()), (LeafKind::Page, Some(2)));
    assert_eq!((leaf.range.start().0, leaf.range.bytes()), (0xc0a0_7000, 4096));
    assert_eq!((leaf.global, leaf.contiguous, leaf.non_secure), (true, false, false));
    assert_eq!(machine.rights(0xc0a0_7000), "rwx/---");
    let flags = |bits: u64| tree(0, 0, 0x5403 | bits).leaf(0xc0a0_7000);
    assert!(!flags(1 << 11).global);
    assert!(flags(1 << 52).contiguous);
    assert!(flags(1 << 5).non_secure);
    // 58:55 are the software's; 63:59 count in tables only; the address has 40 bits.
    for ignored in [0xf << 55, 0x1f << 59, 0xfff << 40] {
        assert_eq!(flags(ignored), flags(0));
    }
    assert_eq!(tree(0, 0, 0xff_ffff_f403).ask(0xc0a0_7fff, READ), Ok(0xff_ffff_ffff));
}

/// AP[2:1], XN and PXN.
#[test]
fn permissions() {
    let rights = |bits: u64| tree(0, 0, 0x5403 | bits).rights(0xc0a0_7000);
    assert_eq!(rights(0), "rwx/---");
    assert_eq!(rights(1 << 6), "rwx/rwx");
    assert_eq!(rights(2 << 6), "r-x/---");
    assert_eq!(rights(3 << 6), "r-x/r-x");
    assert_eq!(rights(3 << 6 | 1 << 53), "r--/r-x");
    assert_eq!(rights(3 << 6 | 1 << 54), "r--/r--");
    assert_eq!(rights(1 << 6 | 3 << 53), "rw-/rw-");
    // SCTLR.WXN, UWXN.
    let under = |sctlr: u32, bits: u64| {
        let mut machine = tree(0, 0, 0x5403 | bits);
        machine.regs.sctlr |= sctlr;
        machine.rights(0xc0a0_7000)
    };
    assert_eq!(under(1 << 19, 1 << 6), "rw-/rw-");
    assert_eq!(under(1 << 19, 3 << 6), "r-x/r-x");
    assert_eq!(under(1 << 20, 1 << 6), "rw-/rwx");
    assert_eq!(under(1 << 20, 0), "rwx/---");
}

/// B3.6.2: PXNTable 59, XNTable 60, APTable 62:61, NSTable 63, at either level of tables, restrict.
#[test]
fn r23_hierarchical_permissions() {
    let all = 0x5403 | 1 << 6;
    for (first, second) in [(true, false), (false, true), (true, true)] {
        let under = |bit: u32, page| {
            let at = |level: bool| u64::from(level) << bit;
            tree(at(first), at(second), page)
        };
        let rights = |bit, page| under(bit, page).rights(0xc0a0_7000);
        assert_eq!(rights(59, all), "rw-/rwx");
        assert_eq!(rights(60, all), "rw-/rw-");
        assert_eq!(rights(61, all), "rwx/---");
        assert_eq!(rights(62, all), "r-x/r-x");
        // They never grant.
        assert_eq!(rights(62, 0x5403), "r-x/---");
        assert!(under(63, all).leaf(0xc0a0_7000).non_secure);
        // 58:52 of a table are the software's; bit 55 is Linux's mark of swapper's tables.
        for bit in 52..=58 {
            assert_eq!(rights(bit, all), "rwx/rwx");
        }
    }
    assert_eq!(tree(1 << 61, 1 << 62, all).rights(0xc0a0_7000), "r-x/---");
    assert_eq!(tree(1 << 62 | 1 << 59, 1 << 60, all).rights(0xc0a0_7000), "r--/r--");
    // A block below a table is restricted too: measured, IFSR 0x20e.
    let machine = tree(1 << 59, 0, 0).long(0x8000, 0x12_0060_0401);
    assert_eq!(machine.rights(0xc000_0000), "rw-/---");
    let fetch = Request::kernel(Intent::Execute);
    assert_eq!(machine.ask(0xc000_0000, fetch), Err((FaultKind::Permission, 2)));
}

/// B3.6.1: blocks of 1 GiB at the first level (39:30) and 2 MiB at the second (39:21).
#[test]
fn blocks() {
    let machine = Machine::new(regs()).long(ROOT + 8, 0x12_4000_0401);
    assert_eq!(machine.ask(0x7654_3210, READ), Ok(0x12_7654_3210));
    let leaf = machine.leaf(0x7654_3210);
    assert_eq!(
        (leaf.kind, leaf.range.start().0, leaf.range.bytes()),
        (LeafKind::Block1G, 0x4000_0000, 1 << 30)
    );
    // The address field below a block's size is ignored.
    let machine = tree(0, 0, 0).long(0x8000 + 511 * 8, 0x12_347f_f401);
    assert_eq!(machine.ask(0xffff_ffff, READ), Ok(0x12_347f_ffff));
    let leaf = machine.leaf(0xffff_ffff);
    assert_eq!(
        (leaf.kind, leaf.range.start().0, leaf.range.bytes()),
        (LeafKind::Block2M, 0xffe0_0000, 2 << 20)
    );
}

/// Type 0b01 is reserved at the third level; types with bit 0 clear are invalid at every one (R10).
#[test]
fn r10_invalid_descriptors() {
    assert_eq!(tree(0, 0, 0x5401).ask(0xc0a0_7000, READ), Err((FaultKind::Translation, 3)));
    for junk in [0u64, 2, !3, !1] {
        let at = |level| Err((FaultKind::Translation, level));
        assert_eq!(tree(0, 0, junk).ask(0xc0a0_7000, READ), at(3));
        assert_eq!(tree(0, 0, 0).long(0x8028, junk).ask(0xc0a0_7000, READ), at(2));
        assert_eq!(tree(0, 0, 0).long(ROOT + 24, junk).ask(0xc0a0_7000, READ), at(1));
    }
    // The hole is what the descriptor spans.
    let hole = tree(0, 0, 0).walk(0x4000_1234).unwrap_err();
    assert_eq!((hole.range.start().0, hole.range.bytes()), (0x4000_0000, 1 << 30));
    let hole = tree(0, 0, 0).walk(0xc000_1234).unwrap_err();
    assert_eq!((hole.range.start().0, hole.range.bytes()), (0xc000_0000, 2 << 20));
    let hole = tree(0, 0, 0).walk(0xc0a0_1234).unwrap_err();
    assert_eq!((hole.range.start().0, hole.range.bytes()), (0xc0a0_1000, 4096));
}

/// B3.6.1: bit 10 clear is an access flag fault at the leaf's level, before permissions.
#[test]
fn access_flag() {
    for request in Request::ALL {
        assert_eq!(tree(0, 0, 0x5003).ask(0xc0a0_7000, request), Err((FaultKind::AccessFlag, 3)));
        let block = Machine::new(regs()).long(ROOT, 1);
        assert_eq!(block.ask(0, request), Err((FaultKind::AccessFlag, 1)));
        let mut managed = tree(0, 0, 0x5003);
        // SCTLR.HA has no say over long descriptors.
        managed.regs.sctlr |= 1 << 17;
        assert_eq!(managed.ask(0xc0a0_7000, request), Err((FaultKind::AccessFlag, 3)));
    }
}

/// All 64 pairs of T0SZ and T1SZ, at every border (B3.6.4 to B3.6.6; R18).
#[test]
fn r18_ttbr_regions() {
    const TOP: u64 = 1 << 32;
    for (t0, t1) in (0..8u32).flat_map(|t0| (0..8u32).map(move |t1| (t0, t1))) {
        // Where TTBR0's addresses end and TTBR1's begin.
        let (end, start) = match (t0, t1) {
            (0, 0) => (TOP, TOP),
            (0, _) => (TOP - (TOP >> t1), TOP - (TOP >> t1)),
            (_, 0) => (TOP >> t0, TOP >> t0),
            _ => (TOP >> t0, TOP - (TOP >> t1)),
        };
        // Tables aligned to their own size and no more.
        let bytes = |size: u32| if size < 2 { 32 >> size } else { 16384 >> size };
        let (low, high) = (0x10_0000_0000 + bytes(t0), 0x20_0000_0000 + bytes(t1));
        // What is below their alignment is no address.
        let (ttbr0, ttbr1) = (low | (bytes(t0) - 1), high | (bytes(t1) - 1));
        let open = Regs { ttbcr: EAE | t1 << 16 | t0, ttbr0, ttbr1, ..Regs::default() };
        let borders = [0, end, start, TOP, TOP / 2, TOP / 4, TOP - TOP / 4];
        let probes = borders.iter().flat_map(|&b| [b.wrapping_sub(1), b]).filter(|&va| va < TOP);
        for va in probes {
            let (side, base, size) = if va < end {
                (0, low, t0)
            } else if va >= start {
                (1, high, t1)
            } else {
                (2, 0, 0)
            };
            for epd in 0..4u32 {
                let regs = Regs { ttbcr: open.ttbcr | (epd & 1) << 7 | (epd >> 1) << 23, ..open };
                let fault = Machine::new(regs).walk(va as u32).unwrap_err();
                let context = format!("T0SZ {t0} T1SZ {t1} EPD {epd} at {va:#x}: {fault}");
                assert_eq!(fault.kind, FaultKind::Translation, "{context}");
                let entry = fault.entry.map(|e| e.as_u64());
                if side == 2 || epd >> side & 1 != 0 {
                    assert_eq!((entry, fault.depth), (None, 0), "{context}");
                    let range =
                        [(0, end - 1), (start, TOP - 1), (end, start.wrapping_sub(1))][side];
                    let seen = (u64::from(fault.range.start().0), u64::from(fault.range.last().0));
                    assert_eq!(seen, range, "{context}");
                    continue;
                }
                // A region of 1 GiB or less starts at the second level.
                let (depth, shift) = if size > 1 { (1, 21) } else { (0, 30) };
                let index = (va % (TOP >> size)) >> shift;
                assert_eq!((entry, fault.depth), (Some(base + index * 8), depth), "{context}");
                let (first, last) = if side == 0 { (0, end - 1) } else { (start, TOP - 1) };
                assert!(u64::from(fault.range.start().0) >= first, "{context}");
                assert!(u64::from(fault.range.last().0) <= last, "{context}");
            }
        }
    }
}

/// A block that both TTBRs' tables hold a part of: each part goes where its own block says.
#[test]
fn block_across_the_border() {
    // TTBR0 has 32 MiB, TTBR1 the rest, with a whole first table of its own.
    let regs = Regs { ttbcr: EAE | 7, ttbr0: 0x4000, ttbr1: 0x5000, ..Regs::default() };
    let machine = Machine::new(regs).long(0x5000, 0x12_4000_0401).long(0x4000, 0x0060_0401);
    assert_eq!(machine.ask(0x001f_ffff, READ), Ok(0x007f_ffff));
    assert_eq!(machine.ask(0x0200_0000, READ), Ok(0x12_4200_0000));
    assert_eq!(machine.ask(0x3fff_ffff, READ), Ok(0x12_7fff_ffff));
    let leaf = machine.leaf(0x3000_0000);
    assert_eq!((leaf.range.start().0, leaf.range.last().0), (0x0200_0000, 0x3fff_ffff));
    assert_eq!(leaf.frame.as_u64(), 0x12_4200_0000);
    assert_eq!(machine.inspector().leaves().count(), 2);
}

/// Linux's TTBR1: T1SZ = 2, the second-level table of 3 to 4 GiB.
#[test]
fn linux_split() {
    let regs = Regs { ttbcr: 0xb502_3500, ttbr0: 0x4000, ttbr1: 0x7000, ..Regs::default() };
    let machine = Machine::new(regs).long(0x7000 + 5 * 8, 0x0060_0401).long(0x4000, 0x8003);
    assert_eq!(machine.ask(0xc0a1_2345, READ), Ok(0x0061_2345));
    // T0SZ = 0: TTBR0 has the other three GiB, from the first level.
    assert_eq!(machine.ask(0xbfff_ffff, READ), Err((FaultKind::Translation, 1)));
    assert_eq!(machine.ask(0, READ), Err((FaultKind::Translation, 2)));
}

/// TTBCR.EAE counts only where the CPU has LPAE; the remap and access flag bits of SCTLR not at all.
#[test]
fn eae_needs_lpae() {
    let old = Regs { id_mmfr0: 4, ttbcr: EAE, ttbr0: 0x4000, dacr: 1, ..Regs::default() };
    assert!(!old.is_long());
    assert_eq!(Machine::new(old).word(0x4000, 0x4020_0402).ask(0x1234, READ), Ok(0x4020_1234));
    assert!(regs().is_long());
}

/// SCTLR.EE: the doubleword is stored the other way round.
#[test]
fn big_endian_tables() {
    let mut machine = Machine::new(regs()).long(ROOT, 0x0000_0012_4000_0401u64.swap_bytes());
    machine.regs.sctlr |= EE;
    assert_eq!(machine.ask(0x1234, READ), Ok(0x12_4000_1234));
}

/// Half a descriptor is none.
#[test]
fn unreadable_tables() {
    for (missing, level) in [(ROOT + 28, 1), (0x8028, 2), (0x802c, 2), (0x9038, 3)] {
        let mut machine = tree(0, 0, 0x5403);
        machine.fill = None;
        machine.words.remove(&missing);
        assert_eq!(machine.ask(0xc0a0_7000, READ), Err((FaultKind::WalkExternal, level)));
        assert_eq!(machine.walk(0xc0a0_7000).unwrap_err().entry.unwrap().as_u64(), missing & !7);
    }
}
