//! Memory types by hand: TEX, C, B with and without remap, and MAIR (DDI 0406C B3.8).

use Cacheability::{NonCacheable, WriteBack, WriteThrough};
use Shareability::{Inner, Non, Outer};
use armv7a_mm::addr::VirtAddr;
use armv7a_mm::attr::Shareability;
use armv7a_mm::table::inspect::{Allocate, Cacheability, Intent, Memory, Regs, Request};

use crate::{Machine, TRE};

/// A section for address 0 with {TEX, C, B} and S, and what comes of it.
fn section(regs: Regs, texcb: u32, s: bool) -> (Memory, Shareability) {
    let word = 0x4020_0402 | texcb >> 2 << 12 | (texcb & 3) << 2 | u32::from(s) << 16;
    let regs = Regs { ttbr0: 0x4000, dacr: 1, ..regs };
    let leaf = Machine::new(regs).word(0x4000, word).leaf(0);
    // The same fields of a small page and a large page lie elsewhere.
    let table = |word| Machine::new(regs).word(0x4000, 0x8001).word(0x8000, word).leaf(0);
    let (tex, cb, s) = (texcb >> 2, texcb & 3, u32::from(s) << 10);
    for page in [table(0x12 | tex << 6 | cb << 2 | s), table(0x11 | tex << 12 | cb << 2 | s)] {
        assert_eq!((page.memory, page.share), (leaf.memory, leaf.share), "{texcb:#07b}");
    }
    (leaf.memory, leaf.share)
}

const fn hints(read: bool, write: bool, transient: bool) -> Allocate {
    Allocate { read, write, transient }
}

const NC: Cacheability = NonCacheable;
const WT: Cacheability = WriteThrough(hints(true, false, false));
const WB: Cacheability = WriteBack(hints(true, false, false));
const WBWA: Cacheability = WriteBack(hints(true, true, false));

const fn normal(inner: Cacheability, outer: Cacheability) -> Memory {
    Memory::Normal { inner, outer }
}

/// B3.8.2: the 5-bit encoding of CPUs without TEX remap.
#[test]
fn without_remap() {
    // A CPU without LPAE, which tells shareable device memory from other.
    let regs = Regs { id_mmfr0: 3, ..Regs::default() };
    let by_s = [(false, Non), (true, Outer)];
    for (s, share) in by_s {
        let rows = [
            (0b00000, Memory::StronglyOrdered, Outer),
            (0b00001, Memory::Device, Outer),
            (0b00010, normal(WT, WT), share),
            (0b00011, normal(WB, WB), share),
            (0b00100, normal(NC, NC), share),
            (0b00101, Memory::Reserved, share),
            (0b00110, Memory::ImplementationDefined, share),
            (0b00111, normal(WBWA, WBWA), share),
            (0b01000, Memory::Device, Non),
            (0b01001, Memory::Reserved, share),
            (0b01010, Memory::Reserved, share),
            (0b01011, Memory::Reserved, share),
            (0b01100, Memory::Reserved, share),
            (0b01111, Memory::Reserved, share),
        ];
        for (texcb, memory, share) in rows {
            assert_eq!(section(regs, texcb, s), (memory, share), "{texcb:#07b} S {s}");
        }
        // 1BBAA: BB the outer, AA the inner policy.
        let policies = [NC, WBWA, WT, WB];
        for (bb, outer) in (0u32..).zip(policies) {
            for (aa, inner) in (0u32..).zip(policies) {
                let texcb = 0b10000 | bb << 2 | aa;
                assert_eq!(section(regs, texcb, s), (normal(inner, outer), share), "{texcb:#07b}");
            }
        }
    }
    // With LPAE there is one kind of device memory.
    assert_eq!(section(Regs::default(), 0b01000, false), (Memory::Device, Outer));
}

/// B3.8.3 with Linux's PRRR and NMRR, as measured.
#[test]
fn remapped_as_linux() {
    let regs = Regs { sctlr: TRE, mair0: 0xff0a_81a8, mair1: 0x40e0_40e0, ..Regs::default() };
    let rows = [
        (0, Memory::StronglyOrdered, Outer),
        (1, normal(NC, NC), Inner),
        (2, normal(WT, WT), Inner),
        (3, normal(WB, WB), Inner),
        (4, Memory::Device, Outer),
        (5, Memory::StronglyOrdered, Outer),
        (6, Memory::ImplementationDefined, Inner),
        (7, normal(WBWA, WBWA), Inner),
    ];
    for (n, memory, shared) in rows {
        for tex21 in 0..4 {
            // TEX[2:1] is the software's.
            let texcb = tex21 << 3 | n;
            assert_eq!(section(regs, texcb, true), (memory, shared), "{n}");
            let private = if shared == Inner { Non } else { shared };
            assert_eq!(section(regs, texcb, false), (memory, private), "{n}");
        }
    }
}

/// PRRR and NMRR field by field: TRn, ORn, IRn, DSn, NSn, NOSn.
#[test]
fn remap_fields() {
    let with = |mair0, mair1| Regs { sctlr: TRE, mair0, mair1, id_mmfr0: 3, ..Regs::default() };
    // TR2 = normal; OR2 = write-back write-allocate, IR2 = write-through.
    let regs = with(0b10 << 4, 0b01 << 20 | 0b10 << 4);
    assert_eq!(section(regs, 2, true), (normal(WT, WBWA), Non));
    // NS0 turns S round; NOS2 = 0 is outer, 1 is inner.
    assert_eq!(section(with(0b10 << 4 | 1 << 18, 0), 2, false), (normal(NC, NC), Outer));
    assert_eq!(section(with(0b10 << 4 | 1 << 19, 0), 2, true), (normal(NC, NC), Outer));
    let inner = 0b10 << 4 | 1 << 19 | 1 << 26;
    assert_eq!(section(with(inner, 0), 2, true), (normal(NC, NC), Inner));
    assert_eq!(section(with(inner, 0), 2, false), (normal(NC, NC), Non));
    // DS0, DS1.
    assert_eq!(section(with(0b01 << 2 | 1 << 16, 0), 1, false), (Memory::Device, Outer));
    assert_eq!(section(with(0b01 << 2 | 1 << 16, 0), 1, true), (Memory::Device, Non));
    assert_eq!(section(with(0b01 << 2 | 1 << 17, 0), 1, true), (Memory::Device, Outer));
    // TR7 = 0b11 is reserved.
    assert_eq!(section(with(0b11 << 14, 0), 7, true).0, Memory::Reserved);
}

/// A 1 GiB block at address 0 with AttrIndx and SH.
fn block(mair: u64, index: u64, sh: u64) -> (Memory, Shareability) {
    let (mair0, mair1) = (mair as u32, (mair >> 32) as u32);
    let regs = Regs { ttbr0: 0x4000, ttbcr: 1 << 31, mair0, mair1, ..Regs::default() };
    let leaf = Machine::new(regs).long(0x4000, 0x401 | index << 2 | sh << 8).leaf(0);
    (leaf.memory, leaf.share)
}

/// B4.1, MAIR0: the 256 bytes of MAIR, at each index.
#[test]
fn mair() {
    for byte in 0..=255u64 {
        let cache = |nibble: u64| {
            let (r, w) = (nibble & 2 != 0, nibble & 1 != 0);
            match nibble {
                0b0100 => NC,
                0b0001..=0b0011 => WriteThrough(hints(r, w, true)),
                0b0101..=0b0111 => WriteBack(hints(r, w, true)),
                0b1000..=0b1011 => WriteThrough(hints(r, w, false)),
                _ => WriteBack(hints(r, w, false)),
            }
        };
        let wanted = match byte {
            0x00 => Memory::StronglyOrdered,
            0x04 => Memory::Device,
            _ if byte >> 4 == 0 || byte & 15 == 0 => Memory::Reserved,
            _ => normal(cache(byte & 15), cache(byte >> 4)),
        };
        for index in 0..8 {
            let (memory, share) = block(byte << (8 * index), index, 0b11);
            assert_eq!(memory, wanted, "{byte:#04x} at {index}");
            let cached = matches!(memory, Memory::Normal { .. }) && memory != normal(NC, NC);
            assert_eq!(share, if cached { Inner } else { Outer }, "{byte:#04x} at {index}");
        }
    }
    assert_eq!(block(0xff, 0, 0b00).1, Non);
    assert_eq!(block(0xff, 0, 0b01).1, Non);
    assert_eq!(block(0xff, 0, 0b10).1, Outer);
}

/// B3.2.1: with the MMU off, data is strongly ordered, and instructions are cached as SCTLR.I says.
#[test]
fn mmu_off() {
    for (sctlr, fetched) in [(0, normal(NC, NC)), (1 << 12, normal(WT, WT))] {
        let mut machine = Machine::new(Regs::default());
        machine.regs.sctlr = sctlr;
        let ask = |intent| {
            machine
                .inspector()
                .translate(VirtAddr(0x1000), Request::kernel(intent))
                .unwrap()
                .leaf
                .memory
        };
        assert_eq!(ask(Intent::Read), Memory::StronglyOrdered);
        assert_eq!(ask(Intent::Execute), fetched);
    }
}

/// The words of a drawing.
#[test]
fn printed() {
    let text = [
        (normal(WBWA, WBWA), "normal wb-rwa"),
        (normal(NC, WT), "normal nc/wt-ra"),
        (normal(WriteBack(hints(false, true, true)), NC), "normal wb-wa-tr/nc"),
        (Memory::Device, "device"),
    ];
    for (memory, wanted) in text {
        assert_eq!(memory.to_string(), wanted);
    }
    let regs = Regs { ttbr0: 0x4000, dacr: 1, id_mmfr0: 3, ..Regs::default() };
    let leaf = Machine::new(regs).word(0x4000, 0x4020_141e).leaf(0);
    assert_eq!(
        leaf.to_string(),
        "0x00000000..=0x000fffff -> 0x0040200000 section      kernel rw- user --- normal wb-rwa unshared \
         global domain 0"
    );
}
