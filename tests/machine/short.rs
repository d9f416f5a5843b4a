//! Short descriptors as the hardware reads them (DDI 0406C B3.5.1).

use super::fault::{Cause, Status};
use super::leaf::{Allowed, Inherit, Leaf, Memory, Share, Word, first};
use super::regs::{Regs, cached};
use super::walk::Begin;

/// Where a walk starts: TTBCR.N splits the addresses between TTBR0 and TTBR1 (B3.5.4).
pub fn begin(regs: &Regs, va: u32) -> Begin {
    let n = regs.ttbcr & 0b111;
    let low = n == 0 || va >> (32 - n) == 0;
    let (pd, ttbr, bits) =
        if low { (1 << 4, regs.ttbr0, 32 - n) } else { (1 << 5, regs.ttbr1, 32) };
    if regs.ttbcr & pd != 0 {
        return Begin::Fault(Status::new(Cause::Translation, 1));
    }
    // TTBR0[31:14-N] and VA[31-N:20]; TTBR1 is always the full 16 KiB.
    let index_bits = bits - 20;
    let base = (ttbr as u32) >> (index_bits + 2) << (index_bits + 2);
    let index = va >> 20 & ((1 << index_bits) - 1);
    Begin::At { depth: 0, word: u64::from(base | index << 2), table: u64::from(base) }
}

/// What `raw` at `depth` means for the entry that translates `va`.
pub fn decode(depth: usize, raw: u32, va: u32, inherit: Inherit, regs: &Regs) -> Word {
    match (depth, raw & 0b11) {
        (_, 0b00) => Word::Invalid,
        (0, 0b01) => Word::Table(
            u64::from(raw & 0xFFFF_FC00),
            Inherit { domain: field(raw, 5, 4) as u8, pxn: bit(raw, 2), ..inherit },
        ),
        (0, _) if bit(raw, 18) => Word::Leaf(supersection(raw, va, regs)),
        (0, _) => Word::Leaf(section(raw, va, regs)),
        (_, 0b01) => Word::Leaf(large(raw, va, inherit, regs)),
        _ => Word::Leaf(small(raw, va, inherit, regs)),
    }
}

fn bit(raw: u32, at: u32) -> bool {
    raw >> at & 1 != 0
}

fn field(raw: u32, at: u32, bits: u32) -> u32 {
    raw >> at & ((1 << bits) - 1)
}

/// The fields of a leaf, taken from where its kind has them.
struct Fields {
    base: u64,
    shift: u32,
    step: u32,
    tex: u32,
    /// AP[2:0].
    ap: u32,
    s: bool,
    ng: bool,
    xn: bool,
    pxn: bool,
    domain: u8,
}

fn section(raw: u32, va: u32, regs: &Regs) -> Leaf {
    let fields = Fields {
        base: u64::from(raw & 0xFFF0_0000),
        shift: 20,
        domain: field(raw, 5, 4) as u8,
        ..first_level(raw)
    };
    fields.leaf(raw, va, 1, regs)
}

fn supersection(raw: u32, va: u32, regs: &Regs) -> Leaf {
    // PA[35:32] are bits 23:20, PA[39:36] bits 8:5; the domain is 0.
    let high = field(raw, 20, 4) | field(raw, 5, 4) << 4;
    let base = u64::from(raw & 0xFF00_0000) | u64::from(high) << 32;
    Fields { base, ..first_level(raw) }.leaf(raw, va, 1, regs)
}

/// What sections and supersections share.
fn first_level(raw: u32) -> Fields {
    Fields {
        base: 0,
        shift: 24,
        step: 20,
        tex: field(raw, 12, 3),
        ap: field(raw, 10, 2) | field(raw, 15, 1) << 2,
        s: bit(raw, 16),
        ng: bit(raw, 17),
        xn: bit(raw, 4),
        pxn: bit(raw, 0),
        domain: 0,
    }
}

fn large(raw: u32, va: u32, inherit: Inherit, regs: &Regs) -> Leaf {
    let fields = Fields {
        base: u64::from(raw & 0xFFFF_0000),
        shift: 16,
        tex: field(raw, 12, 3),
        xn: bit(raw, 15),
        ..second_level(raw, inherit)
    };
    fields.leaf(raw, va, 2, regs)
}

fn small(raw: u32, va: u32, inherit: Inherit, regs: &Regs) -> Leaf {
    let fields = Fields {
        base: u64::from(raw & 0xFFFF_F000),
        tex: field(raw, 6, 3),
        xn: bit(raw, 0),
        ..second_level(raw, inherit)
    };
    fields.leaf(raw, va, 2, regs)
}

/// What large and small pages share; domain and PXN are their table's.
fn second_level(raw: u32, inherit: Inherit) -> Fields {
    Fields {
        base: 0,
        shift: 12,
        step: 12,
        tex: 0,
        ap: field(raw, 4, 2) | field(raw, 9, 1) << 2,
        s: bit(raw, 10),
        ng: bit(raw, 11),
        xn: false,
        pxn: inherit.pxn,
        domain: inherit.domain,
    }
}

impl Fields {
    fn leaf(&self, raw: u32, va: u32, level: u32, regs: &Regs) -> Leaf {
        let cb = field(raw, 2, 2);
        let (memory, share) = if regs.tre() {
            regs.remapped((self.tex & 1) << 2 | cb, self.s)
        } else {
            plain(self.tex, cb, self.s)
        };
        let (mut kernel, mut user) = permissions(self.ap, regs.afe());
        kernel.execute = kernel.read && !self.xn && !self.pxn;
        user.execute = user.read && !self.xn;
        never(&mut kernel, &mut user, regs);
        Leaf {
            offset: self.base.wrapping_sub(u64::from(first(va, self.shift))),
            shift: self.shift,
            step: self.step,
            level,
            global: !self.ng,
            young: !regs.afe() || self.ap & 1 != 0,
            domain: self.domain,
            kernel,
            user,
            memory,
            share,
        }
    }
}

/// SCTLR.WXN and UWXN (B3.7.2).
pub fn never(kernel: &mut Allowed, user: &mut Allowed, regs: &Regs) {
    if regs.wxn() {
        kernel.execute &= !kernel.write;
        user.execute &= !user.write;
    }
    if regs.uwxn() {
        kernel.execute &= !user.write;
    }
}

/// AP[2:0] (B3.7.1): who may read and write. With AFE = 1 AP[0] is the access flag, and AP[2:1] means what it
/// means in table B3-8 with AP[0] = 1.
fn permissions(ap: u32, afe: bool) -> (Allowed, Allowed) {
    const NOTHING: Allowed = Allowed { read: false, write: false, execute: false };
    const READ: Allowed = Allowed { read: true, ..NOTHING };
    const WRITE: Allowed = Allowed { write: true, ..READ };
    match if afe { ap | 1 } else { ap } {
        0b001 => (WRITE, NOTHING),
        0b010 => (WRITE, READ),
        0b011 => (WRITE, WRITE),
        0b101 => (READ, NOTHING),
        0b110 | 0b111 => (READ, READ),
        // 0b000 is no access; 0b100 is reserved.
        _ => (NOTHING, NOTHING),
    }
}

/// TEX, C and B without TEX remap (table B3-10).
fn plain(tex: u32, cb: u32, s: bool) -> (Memory, Share) {
    let normal = if s { Share::Outer } else { Share::Non };
    match (tex, cb) {
        (0b000, 0b00) => (Memory::StronglyOrdered, Share::Outer),
        (0b000, 0b01) => (Memory::Device, Share::Outer),
        (0b010, 0b00) => (Memory::Device, Share::Non),
        (0b000, _) => (Memory::Normal(cached(cb), cached(cb)), normal),
        (0b001, 0b00) => (Memory::Normal(cached(0), cached(0)), normal),
        (0b001, 0b11) => (Memory::Normal(cached(1), cached(1)), normal),
        (0b100.., _) => (Memory::Normal(cached(cb), cached(tex)), normal),
        _ => (Memory::Unknown, Share::Outer),
    }
}
