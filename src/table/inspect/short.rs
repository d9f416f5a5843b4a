//! The walk over short descriptors (DDI 0406C B3.5).

use super::bits::{bit, span};
use super::leaf::{Leaf, LeafKind, WalkFault};
use super::memory::Memory;
use super::regs::Regs;
use super::rights::{Domain, Permissions};
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::format::FaultKind;

/// Log2 of the bytes that a first-level and a second-level descriptor answer for.
const FIRST: u32 = 20;
const SECOND: u32 = 12;

/// The leaf for `va`, or why there is none. `read` reads one descriptor.
pub(super) fn walk(
    regs: &Regs,
    read: impl Fn(PhysAddr) -> Option<u32>,
    va: VirtAddr,
) -> Result<Leaf, WalkFault> {
    let entry = first_level(regs, va)?;
    let range = span(va, FIRST);
    let fault = |kind, depth, entry, range, domain| {
        Err(WalkFault { kind, depth, entry: Some(entry), range, domain })
    };
    let Some(first) = read(entry) else {
        return fault(FaultKind::WalkExternal, 0, entry, range, None);
    };
    match first & 0b11 {
        0b01 => {}
        0b10 => return Ok(section(regs, first, va, entry)),
        0b11 if regs.has_pxn() => return Ok(section(regs, first, va, entry)),
        _ => return fault(FaultKind::Translation, 0, entry, range, None),
    }
    let domain = Domain::new(regs, first >> 5);
    let entry = PhysAddr::from_u32(first & 0xffff_fc00 | va.as_u32() >> 10 & 0x3fc);
    let range = span(va, SECOND);
    let number = Some(domain.number);
    let Some(second) = read(entry) else {
        return fault(FaultKind::WalkExternal, 1, entry, range, number);
    };
    if second & 0b11 == 0 {
        return fault(FaultKind::Translation, 1, entry, range, number);
    }
    Ok(page(regs, first, second, domain, range, entry))
}

/// Where the first-level descriptor lies: TTBCR.N splits the address space between TTBR0 and TTBR1, and
/// PD0 and PD1 close a half (B3.5.4).
fn first_level(regs: &Regs, va: VirtAddr) -> Result<PhysAddr, WalkFault> {
    let n = regs.ttbcr & 7;
    let top = u32::MAX >> n;
    let low = va.as_u32() <= top;
    let (ttbr, n, closed) = if low { (regs.ttbr0, n, 1 << 4) } else { (regs.ttbr1, 0, 1 << 5) };
    if regs.ttbcr & closed != 0 {
        let (first, last) = if low { (0, top) } else { (top.wrapping_add(1), u32::MAX) };
        let range = VirtRange::inclusive(VirtAddr(first), VirtAddr(last)).unwrap_or(VirtRange::ALL);
        let kind = FaultKind::Translation;
        return Err(WalkFault { kind, depth: 0, entry: None, range, domain: None });
    }
    // TTBR0's table shrinks with its half: 16 KiB >> N, aligned to as much.
    let base = ttbr as u32 & u32::MAX << (14 - n);
    Ok(PhysAddr::from_u32(base | va.as_u32() >> 18 & !3))
}

/// A section or supersection (B3.5.1).
fn section(regs: &Regs, raw: u32, va: VirtAddr, entry: PhysAddr) -> Leaf {
    let range = span(va, FIRST);
    let wide = bit(raw, 18);
    let (kind, frame, domain) = if wide {
        let high = u64::from(raw >> 5 & 0xf) << 36 | u64::from(raw >> 20 & 0xf) << 32;
        let sixteenth = u64::from(range.start().as_u32() & 0x00f0_0000);
        let frame = high | u64::from(raw & 0xff00_0000) | sixteenth;
        (LeafKind::Supersection, frame, 0)
    } else {
        (LeafKind::Section, u64::from(raw & 0xfff0_0000), raw >> 5)
    };
    let fields = Fields {
        kind,
        frame: PhysAddr::truncate(frame),
        texcb: raw >> 10 & 0b1_1100 | raw >> 2 & 0b11,
        s: bit(raw, 16),
        ap: raw >> 13 & 0b100 | raw >> 10 & 0b11,
        xn: bit(raw, 4),
        pxn: bit(raw, 0),
        ng: bit(raw, 17),
        ns: bit(raw, 19),
    };
    fields.leaf(regs, Domain::new(regs, domain), range, entry)
}

/// A large or a small page; PXN, NS and the domain are its first-level descriptor's (B3.5.1).
fn page(
    regs: &Regs,
    first: u32,
    raw: u32,
    domain: Domain,
    range: VirtRange,
    entry: PhysAddr,
) -> Leaf {
    let small = bit(raw, 1);
    let (kind, frame, tex, xn) = if small {
        (LeafKind::SmallPage, raw & 0xffff_f000, raw >> 6, bit(raw, 0))
    } else {
        let sixteenth = range.start().as_u32() & 0xf000;
        (LeafKind::LargePage, raw & 0xffff_0000 | sixteenth, raw >> 12, bit(raw, 15))
    };
    let fields = Fields {
        kind,
        frame: PhysAddr::from_u32(frame),
        texcb: (tex & 7) << 2 | raw >> 2 & 0b11,
        s: bit(raw, 10),
        ap: raw >> 7 & 0b100 | raw >> 4 & 0b11,
        xn,
        pxn: bit(first, 2),
        ng: bit(raw, 11),
        ns: bit(first, 3),
    };
    fields.leaf(regs, domain, range, entry)
}

/// The fields of a leaf, which lie elsewhere in each kind of descriptor.
struct Fields {
    kind: LeafKind,
    frame: PhysAddr,
    texcb: u32,
    s: bool,
    ap: u32,
    xn: bool,
    pxn: bool,
    ng: bool,
    ns: bool,
}

impl Fields {
    fn leaf(self, regs: &Regs, domain: Domain, range: VirtRange, entry: PhysAddr) -> Leaf {
        let (memory, share) = Memory::short(regs, self.texcb, self.s);
        let data = if regs.afe() {
            Permissions::from_ap21(bit(self.ap, 2), bit(self.ap, 1))
        } else {
            Permissions::from_ap210(self.ap)
        };
        let pxn = self.pxn && regs.has_pxn();
        let rights = data.with_execution(regs, self.xn, pxn).in_domain(domain);
        Leaf {
            range,
            frame: self.frame,
            kind: self.kind,
            entry: Some(entry),
            memory,
            share,
            kernel: rights.kernel,
            user: rights.user,
            global: !self.ng,
            young: !regs.afe() || bit(self.ap, 0),
            contiguous: false,
            non_secure: self.ns,
            domain: Some(domain),
        }
    }
}
