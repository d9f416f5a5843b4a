//! The walk over long descriptors (DDI 0406C B3.6).

use super::bits::{bit, span};
use super::leaf::{Leaf, LeafKind, WalkFault};
use super::memory::Memory;
use super::regs::Regs;
use super::rights::Permissions;
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::format::FaultKind;

/// Log2 of the bytes that a descriptor answers for, by depth.
const SHIFT: [u32; 3] = [30, 21, 12];
/// Bits 39:12 of a descriptor.
const ADDRESS: u64 = 0xff_ffff_f000;

/// The leaf for `va`, or why there is none. `read` reads one descriptor.
pub(super) fn walk(
    regs: &Regs,
    read: impl Fn(PhysAddr) -> Option<u64>,
    va: VirtAddr,
) -> Result<Leaf, WalkFault> {
    let region = Region::of(regs, va);
    let Some((mut table, size)) = region.table else {
        let kind = FaultKind::Translation;
        return Err(WalkFault { kind, depth: 0, entry: None, range: region.range, domain: None });
    };
    // A region of at most 1 GiB starts at the second level (B3.6.6).
    let first = if size > 1 { 1 } else { 0 };
    // The first table is indexed by what the region leaves of the address, the others by 9 bits.
    let mut index = (va.as_u32() & u32::MAX >> size) >> SHIFT[first];
    let mut limits = Limits::default();
    for (depth, shift) in SHIFT.into_iter().enumerate().skip(first) {
        let entry = PhysAddr::truncate(table + u64::from(index) * 8);
        let span = span(va, shift);
        let range = span.intersection(region.range).unwrap_or(span);
        let fault = |kind| Err(WalkFault { kind, depth, entry: Some(entry), range, domain: None });
        let Some(raw) = read(entry) else {
            return fault(FaultKind::WalkExternal);
        };
        match (raw & 0b11, depth) {
            // Bit 1 clear is a block, which the third level does not have.
            (0b01, 0 | 1) | (0b11, 2) => {
                let within = range.start().as_u32() - span.start().as_u32();
                let base = raw & ADDRESS & u64::MAX << shift;
                let frame = PhysAddr::truncate(base + u64::from(within));
                return Ok(leaf(regs, raw, depth, limits, range, frame, entry));
            }
            (0b11, _) => {}
            _ => return fault(FaultKind::Translation),
        }
        limits = limits.with(raw);
        table = raw & ADDRESS;
        index = va.as_u32() >> (shift - 9) & 0x1ff;
    }
    // Not reached: the third level has leaves and faults only.
    let kind = FaultKind::Translation;
    Err(WalkFault { kind, depth: 2, entry: None, range: VirtRange::page(va), domain: None })
}

/// The addresses that one TTBR serves, or that none does.
struct Region {
    range: VirtRange,
    /// The first table and its TxSZ; none in a gap, or where EPD0 or EPD1 forbids the walk.
    table: Option<(u64, u32)>,
}

impl Region {
    /// The region of `va` (B3.6.4, B3.6.5): TTBR1 serves the top `1 << (32 - T1SZ)` bytes, or, with
    /// T1SZ = 0, what T0SZ leaves; TTBR0 the bottom `1 << (32 - T0SZ)`, or what T1SZ leaves.
    fn of(regs: &Regs, va: VirtAddr) -> Self {
        let (t0sz, t1sz) = (regs.ttbcr & 7, regs.ttbcr >> 16 & 7);
        // The first address of TTBR1, which with both sizes 0 serves none.
        let high = match (t0sz, t1sz) {
            (0, 0) => None,
            (_, 0) => Some((u32::MAX >> t0sz) + 1),
            _ => Some(!(u32::MAX >> t1sz)),
        };
        // The last of TTBR0: T0SZ = 0 reaches up to TTBR1.
        let low = match (t0sz, high) {
            (0, Some(high)) => high - 1,
            _ => u32::MAX >> t0sz,
        };
        let va = va.as_u32();
        let (first, last, ttbr) = match high {
            _ if va <= low => (0, low, Some((regs.ttbr0, t0sz, regs.ttbcr >> 7 & 1))),
            Some(high) if va >= high => {
                (high, u32::MAX, Some((regs.ttbr1, t1sz, regs.ttbcr >> 23 & 1)))
            }
            Some(high) => (low + 1, high - 1, None),
            None => (low, u32::MAX, None),
        };
        let range = VirtRange::inclusive(VirtAddr(first), VirtAddr(last)).unwrap_or(VirtRange::ALL);
        let table = match ttbr {
            Some((ttbr, size, 0)) => {
                // A first table of 4 >> TxSZ or 2048 >> TxSZ entries, aligned to its size (B4.1).
                let align = if size > 1 { 14 - size } else { 5 - size };
                Some((ttbr & PhysAddr::MAX.as_u64() & u64::MAX << align, size))
            }
            _ => None,
        };
        Self { range, table }
    }
}

/// What table descriptors forbid in all that lies below them (B3.6.2).
#[derive(Clone, Copy, Default)]
struct Limits {
    pxn: bool,
    xn: bool,
    no_user: bool,
    read_only: bool,
    ns: bool,
}

impl Limits {
    fn with(self, table: u64) -> Self {
        Self {
            pxn: self.pxn || bit(table, 59),
            xn: self.xn || bit(table, 60),
            no_user: self.no_user || bit(table, 61),
            read_only: self.read_only || bit(table, 62),
            ns: self.ns || bit(table, 63),
        }
    }
}

/// A block or a page (B3.6.1).
fn leaf(
    regs: &Regs,
    raw: u64,
    depth: usize,
    limits: Limits,
    range: VirtRange,
    frame: PhysAddr,
    entry: PhysAddr,
) -> Leaf {
    let (memory, share) = Memory::long(regs, (raw >> 2 & 7) as u32, (raw >> 8 & 3) as u32);
    let read_only = bit(raw, 7) || limits.read_only;
    let user = bit(raw, 6) && !limits.no_user;
    let rights = Permissions::from_ap21(read_only, user).with_execution(
        regs,
        bit(raw, 54) || limits.xn,
        bit(raw, 53) || limits.pxn,
    );
    Leaf {
        range,
        frame,
        kind: [LeafKind::Block1G, LeafKind::Block2M, LeafKind::Page][depth],
        entry: Some(entry),
        memory,
        share,
        kernel: rights.kernel,
        user: rights.user,
        global: !bit(raw, 11),
        young: bit(raw, 10),
        contiguous: bit(raw, 52),
        non_secure: bit(raw, 5) || limits.ns,
        domain: None,
    }
}
