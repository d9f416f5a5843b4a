//! Short descriptors by hand (DDI 0406C B3.5).

use armv7a_mm::format::FaultKind;
use armv7a_mm::table::inspect::{DomainAccess, Intent, LeafKind, Regs, Request};

use crate::{AFE, EE, M, Machine};

const KERNEL_READ: Request = Request::kernel(Intent::Read);
const KERNEL_WRITE: Request = Request::kernel(Intent::Write);
const USER_READ: Request = Request::user(Intent::Read);

/// The first-level table at 0x4000, domain 0 a client.
fn regs() -> Regs {
    Regs { ttbr0: 0x4000, dacr: 1, ..Regs::default() }
}

/// One first-level word for 0xC000_0000: entry 0xC00, at 0x4000 + 0x3000.
fn first(regs: Regs, word: u32) -> Machine {
    Machine::new(regs).word(0x7000, word)
}

/// A table word for 0xC000_0000 (its table at 0x8000, domain 0) and the second-level word of page 0x12.
fn second(regs: Regs, word: u32) -> Machine {
    first(regs, 0x8001).word(0x8048, word)
}

/// B3.5.1: base 31:20, nG 17, S 16, AP[2] 15, TEX 14:12, AP[1:0] 11:10, domain 8:5, XN 4, C 3, B 2, PXN 0.
#[test]
fn section() {
    // 0x402 << 20, TEX = 001, AP = 001, XN, C, B.
    let machine = first(regs(), 0x4020_141e);
    let leaf = machine.leaf(0xc00a_bcde);
    assert_eq!((leaf.kind, leaf.frame.as_u64()), (LeafKind::Section, 0x4020_0000));
    assert_eq!((leaf.range.start().0, leaf.range.bytes()), (0xc000_0000, 1 << 20));
    assert_eq!(leaf.entry.unwrap().as_u64(), 0x7000);
    assert_eq!((leaf.global, leaf.young, leaf.non_secure), (true, true, false));
    assert_eq!(machine.ask(0xc00a_bcde, KERNEL_READ), Ok(0x402a_bcde));
    assert_eq!(machine.rights(0xc000_0000), "rw-/---");
    // The next section is not mapped.
    assert_eq!(machine.ask(0xc010_0000, KERNEL_READ), Err((FaultKind::Translation, 1)));
    // nG and NS.
    let leaf = first(regs(), 0x402a_0c02).leaf(0xc000_0000);
    assert_eq!((leaf.global, leaf.non_secure), (false, true));
}

/// PXN sections are type 0b11, which is reserved on CPUs without PXN (ID_MMFR0 below 4).
#[test]
fn b45_r8_section_pxn() {
    let word = 0x4020_0c03;
    assert_eq!(first(regs(), word).rights(0xc000_0000), "rw-/rwx");
    let old = Regs { id_mmfr0: 3, ..regs() };
    assert_eq!(first(old, word).ask(0xc000_0000, USER_READ), Err((FaultKind::Translation, 1)));
    for (id_mmfr0, has) in [(0x1020_1103, false), (0x1020_1104, true), (0x1020_1105, true)] {
        let cpu = Regs { id_mmfr0, ..regs() };
        assert_eq!(first(cpu, word).walk(0xc000_0000).is_ok(), has, "{id_mmfr0:#x}");
        assert_eq!(Regs { ttbcr: 1 << 31, ..cpu }.is_long(), id_mmfr0 & 0xf == 5);
    }
    // PXN of a table word (bit 2) is ignored there, and holds for all its pages elsewhere.
    let table = |regs| first(regs, 0x8005).word(0x8048, 0x6789_a032);
    assert_eq!(table(regs()).rights(0xc001_2000), "rw-/rwx");
    assert_eq!(table(old).rights(0xc001_2000), "rwx/rwx");
}

/// B3.5.1: bit 18; PA[39:36] in 8:5, PA[35:32] in 23:20, PA[31:24] in 31:24; always domain 0.
#[test]
fn r6_supersection_above_4_gib() {
    // PA 0x12_3400_0000, AP = 001; the low nibble of the high part would be domain 1, which is closed.
    let word = 0x3424_0422;
    let entry = 0x4000 + 0xc5a * 4;
    let machine = Machine::new(regs()).word(entry, word);
    assert_eq!(machine.ask(0xc5a1_2345, KERNEL_READ), Ok(0x12_34a1_2345));
    let leaf = machine.leaf(0xc5a1_2345);
    assert_eq!((leaf.kind, leaf.kind.depth()), (LeafKind::Supersection, Some(0)));
    assert_eq!((leaf.range.start().0, leaf.range.bytes()), (0xc5a0_0000, 1 << 20));
    assert_eq!(leaf.domain.unwrap().number, 0);
    // All ones: the highest there is.
    let top = Machine::new(regs()).word(0x4000 + 0xfff * 4, 0xfff4_05e2);
    assert_eq!(top.ask(0xffff_ffff, KERNEL_READ), Ok(0xff_ffff_ffff));
    // Sixteen equal words make one region of 16 MiB.
    let whole = (0xc50..0xc60).fold(Machine::new(regs()), |m, i| m.word(0x4000 + i * 4, word));
    let regions: Vec<_> = whole.inspector().regions().collect();
    assert_eq!(regions.len(), 1);
    assert_eq!((regions[0].range.start().0, regions[0].range.bytes()), (0xc500_0000, 16 << 20));
    assert_eq!(regions[0].frame.as_u64(), 0x12_3400_0000);
}

/// B3.5.1: small page: base 31:12, nG 11, S 10, AP[2] 9, TEX 8:6, AP[1:0] 5:4, C 3, B 2, 1, XN 0.
#[test]
fn small_page() {
    let machine = second(regs(), 0x6789_a032);
    assert_eq!(machine.ask(0xc001_2bcd, USER_READ), Ok(0x6789_abcd));
    assert_eq!(machine.trace.borrow()[..], [0x7000, 0x8048]);
    let leaf = machine.leaf(0xc001_2bcd);
    assert_eq!(
        (leaf.kind, leaf.range.start().0, leaf.range.bytes()),
        (LeafKind::SmallPage, 0xc001_2000, 4096)
    );
    assert_eq!((leaf.global, leaf.kind.depth()), (true, Some(1)));
    assert_eq!(machine.rights(0xc001_2000), "rwx/rwx");
    assert_eq!(second(regs(), 0x6789_a033).rights(0xc001_2000), "rw-/rw-");
    assert!(!second(regs(), 0x6789_a832).leaf(0xc001_2000).global);
    assert_eq!(machine.ask(0xc001_3000, USER_READ), Err((FaultKind::Translation, 2)));
    // NS is bit 3 of the table's word.
    assert!(first(regs(), 0x8009).word(0x8048, 0x6789_a032).leaf(0xc001_2000).non_secure);
    // A table word's base is 31:10: the last table of 1 KiB.
    let high = first(regs(), 0xffff_fc01).word(0xffff_fffc, 0x0000_1032);
    assert_eq!(high.ask(0xc00f_f004, USER_READ), Ok(0x1004));
}

/// B3.5.1: large page: base 31:16, XN 15, TEX 14:12; the rest as in a small page.
#[test]
fn r7_large_page() {
    // One of sixteen words, for page 0x1B.
    let machine = first(regs(), 0x8001).word(0x8000 + 0x1b * 4, 0x6789_8031);
    assert_eq!(machine.ask(0xc001_bcde, USER_READ), Ok(0x6789_bcde));
    assert_eq!(machine.leaf(0xc001_b000).kind, LeafKind::LargePage);
    assert_eq!(machine.leaf(0xc001_b000).frame.as_u64(), 0x6789_b000);
    assert_eq!(machine.rights(0xc001_b000), "rw-/rw-");
    let executable = first(regs(), 0x8001).word(0x8000 + 0x1b * 4, 0x6789_0031);
    assert_eq!(executable.rights(0xc001_b000), "rwx/rwx");
}

/// B3.7.1, AP[2:0] with SCTLR.AFE = 0, on sections and pages.
#[test]
fn b45_r9_permissions_without_access_flag() {
    let table =
        ["---/---", "rwx/---", "rwx/r-x", "rwx/rwx", "---/---", "r-x/---", "r-x/r-x", "r-x/r-x"];
    for (ap, wanted) in (0u32..).zip(table) {
        let (high, low) = (ap >> 2, ap & 3);
        assert_eq!(first(regs(), 0x4020_0002 | high << 15 | low << 10).rights(0xc000_0000), wanted);
        assert_eq!(second(regs(), 0x6789_a002 | high << 9 | low << 4).rights(0xc001_2000), wanted);
    }
}

/// B3.7.1, AP[2:1] with SCTLR.AFE = 1; AP[0] is the access flag, checked before all else (B3.12).
#[test]
fn r9_permissions_with_access_flag() {
    let with = Regs { sctlr: AFE, ..regs() };
    let table = ["rwx/---", "rwx/rwx", "r-x/---", "r-x/r-x"];
    for (ap, wanted) in (0u32..).zip(table) {
        let (high, low) = (ap >> 1, (ap & 1) << 1);
        let section = 0x4020_0002 | high << 15 | low << 10;
        let page = 0x6789_a002 | high << 9 | low << 4;
        assert_eq!(first(with, section | 1 << 10).rights(0xc000_0000), wanted);
        assert_eq!(second(with, page | 1 << 4).rights(0xc001_2000), wanted);
        for request in Request::ALL {
            let closed = Regs { dacr: 0, ..with };
            for regs in [with, closed] {
                let old = first(regs, section);
                assert_eq!(old.ask(0xc000_0000, request), Err((FaultKind::AccessFlag, 1)));
                assert!(!old.leaf(0xc000_0000).young);
                let old = second(regs, page);
                assert_eq!(old.ask(0xc001_2000, request), Err((FaultKind::AccessFlag, 2)));
            }
            // SCTLR.HA: the hardware would set the flag instead.
            let managed = Regs { sctlr: AFE | 1 << 17, ..regs() };
            assert_eq!(first(managed, section).rights(0xc000_0000), wanted);
        }
    }
}

/// B3.12.3 and B4.1, DACR: each domain has two bits in DACR. B3.13.3: the fault's level is the leaf's.
#[test]
fn r21_r22_domains() {
    // A section and a table in domain 5; the memory is read-only for all, and never executable.
    let section = 0x4020_8cb2 | 5 << 5 | 1 << 4;
    let machine = |field: u32| {
        // Every other domain is a manager's.
        let regs = Regs { dacr: !(3 << 10) | field << 10, ..regs() };
        first(regs, section).word(0x7004, 0x8001 | 5 << 5).word(0x8048, 0x6789_a233)
    };
    let (at_section, at_page) = (0xc000_0000, 0xc011_2000);
    for field in [0b00, 0b10] {
        let closed = machine(field);
        assert_eq!(closed.ask(at_section, KERNEL_READ), Err((FaultKind::Domain, 1)));
        assert_eq!(closed.ask(at_page, KERNEL_READ), Err((FaultKind::Domain, 2)));
        assert!(closed.leaf(at_page).domain.unwrap().is_closed());
        assert_eq!(closed.rights(at_section), "---/---");
    }
    let client = machine(0b01);
    assert_eq!(client.leaf(at_section).domain.unwrap().access, DomainAccess::Client);
    assert_eq!(
        (client.rights(at_section), client.rights(at_page)),
        ("r--/r--".into(), "r--/r--".into())
    );
    assert_eq!(client.ask(at_page, KERNEL_WRITE), Err((FaultKind::Permission, 2)));
    // A manager's accesses are not checked, execute-never included.
    let manager = machine(0b11);
    assert_eq!(
        (manager.rights(at_section), manager.rights(at_page)),
        ("rwx/rwx".into(), "rwx/rwx".into())
    );
    // Each of the sixteen has its own two bits.
    for (domain, open) in (0..16u32).flat_map(|d| (0..16u32).map(move |o| (d, o))) {
        let regs = Regs { dacr: 1 << (2 * open), ..regs() };
        let passes = first(regs, 0x4020_0402 | domain << 5).ask(at_section, KERNEL_READ).is_ok();
        assert_eq!(passes, domain == open, "domain {domain} where {open} is open");
    }
    // What is not mapped is a translation fault, whatever the domain.
    assert_eq!(machine(0).ask(0xc010_0000, KERNEL_READ), Err((FaultKind::Translation, 2)));
    let fault = machine(0).walk(0xc010_0000).unwrap_err();
    assert_eq!(fault.domain, Some(5));
}

/// B3.5.4: TTBCR.N = 1..=7 gives TTBR0 the lowest 1 << (32 - N) bytes and a table of 16 KiB >> N, aligned
/// to its size; TTBR1's is always 16 KiB. PD0 and PD1 close a half.
#[test]
fn r17_ttbr_split() {
    for n in 0..=7u32 {
        let size = 0x4000u64 >> n;
        // Aligned to its own size and no more; junk below is walk attributes.
        let (low, high) = (0x1000_0000 + size, 0x2000_4000);
        let regs =
            Regs { ttbcr: n, ttbr0: low | 0x6a, ttbr1: high | 0x6a, dacr: 1, ..Regs::default() };
        let at = |va: u32, regs| Machine::new(regs).walk(va).unwrap_err().entry.map(|e| e.as_u64());
        let border = 1u64 << (32 - n);
        let last = (border - 1) as u32;
        // With N = 0 the size is 16 KiB and the base is aligned to it.
        assert_eq!(at(0, regs), Some(low), "N = {n}");
        assert_eq!(at(last, regs), Some(low + size - 4), "N = {n}");
        let closed = |pd: u32| Regs { ttbcr: n | pd, ..regs };
        assert_eq!(at(last, closed(1 << 4)), None, "PD0, N = {n}");
        assert_eq!(at(last, closed(1 << 5)), Some(low + size - 4), "PD1, N = {n}");
        let hole = Machine::new(closed(1 << 4)).walk(0).unwrap_err();
        assert_eq!((hole.kind, hole.depth), (FaultKind::Translation, 0));
        assert_eq!((hole.range.start().0, hole.range.last().0), (0, last));
        if n > 0 {
            let first = border as u32;
            assert_eq!(at(first, regs), Some(high + (border >> 20) * 4), "N = {n}");
            assert_eq!(at(u32::MAX, regs), Some(high + 0x3ffc), "N = {n}");
            assert_eq!(at(first, closed(1 << 5)), None, "PD1, N = {n}");
            assert_eq!(at(first, closed(1 << 4)), Some(high + (border >> 20) * 4), "PD0, N = {n}");
            let hole = Machine::new(closed(1 << 5)).walk(u32::MAX).unwrap_err();
            assert_eq!((hole.range.start().0, hole.range.last().0), (first, u32::MAX));
        }
    }
}

/// B3.7.2: SCTLR.WXN and UWXN.
#[test]
fn write_implies_execute_never() {
    let (wxn, uwxn) = (1 << 19, 1 << 20);
    // AP = 010: the kernel may write, the user read.
    let asked = |sctlr, ap: u32| {
        first(Regs { sctlr, ..regs() }, 0x4020_0002 | ap << 10).rights(0xc000_0000)
    };
    assert_eq!(asked(wxn, 0b10), "rw-/r-x");
    assert_eq!(asked(uwxn, 0b10), "rwx/r-x");
    assert_eq!(asked(wxn, 0b11), "rw-/rw-");
    assert_eq!(asked(uwxn, 0b11), "rw-/rwx");
}

/// SCTLR.EE: the same table, stored the other way round.
#[test]
fn big_endian_tables() {
    let regs = Regs { sctlr: EE, ..regs() };
    let machine = first(regs, 0x8001u32.swap_bytes()).word(0x8048, 0x6789_a032u32.swap_bytes());
    assert_eq!(machine.ask(0xc001_2bcd, USER_READ), Ok(0x6789_abcd));
}

/// Memory that cannot be read is an external abort on the walk, at the level of the descriptor.
#[test]
fn unreadable_tables() {
    let mut machine = first(regs(), 0x8001 | 3 << 5);
    machine.fill = None;
    let fault = machine.walk(0xc001_2000).unwrap_err();
    assert_eq!((fault.kind, fault.depth, fault.domain), (FaultKind::WalkExternal, 1, Some(3)));
    assert_eq!(fault.entry.unwrap().as_u64(), 0x8048);
    assert_eq!(machine.ask(0xd000_0000, KERNEL_READ), Err((FaultKind::WalkExternal, 1)));
    assert_eq!(machine.inspector().leaves().count(), 0);
}

/// SCTLR.M = 0: every address is itself for everyone, and no memory is read (B3.2.1).
#[test]
fn mmu_off() {
    let mut machine = first(regs(), 0x4020_0002);
    machine.regs.sctlr &= !M;
    machine.fill = None;
    assert_eq!(machine.rights(0xc001_2000), "rwx/rwx");
    assert_eq!(machine.ask(u32::MAX, USER_READ), Ok(0xffff_ffff));
    let all: Vec<_> = machine.inspector().spans().collect();
    assert_eq!(all.len(), 1);
    let leaf = all[0].unwrap();
    assert_eq!((leaf.kind, leaf.range.bytes(), leaf.entry), (LeafKind::Flat, 1 << 32, None));
    assert_eq!((leaf.global, leaf.young, leaf.domain), (true, true, None));
    assert_eq!((leaf.contiguous, leaf.non_secure), (false, false));
    assert!(machine.trace.borrow().is_empty());
}

/// What the fault status registers would say.
#[test]
fn status_of_a_fault() {
    let machine = second(regs(), 0x6789_a212);
    let fault = |request| {
        let va = armv7a_mm::addr::VirtAddr(0xc001_2000);
        machine.inspector().translate(va, request).unwrap_err().status(request)
    };
    use armv7a_mm::format::{Classic, Format};
    // Permission, second level: FS = 0b01111; WnR.
    assert_eq!(fault(KERNEL_WRITE), Classic::decode_fault(0x80f, false));
    assert_eq!(fault(USER_READ), Classic::decode_fault(0x00f, false));
    assert_eq!(fault(Request::user(Intent::Execute)), Classic::decode_fault(0x00f, true));
}
