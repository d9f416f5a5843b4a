//! Short descriptors, both directions (DDI 0406C B3.5.1), as read with SCTLR.TRE = SCTLR.AFE = 1.
//!
//! ```text
//!          31      20 19 18 17 16 15 14 12 11 10 9 8    5 4  3 2 1 0
//! section  base       NS  0 nG  S  RO SW T  U AF 0 domain XN C B 1 PXN
//! super    base  39:32 NS 1 nG  S  RO SW T  U AF 0 39:36  XN C B 1 PXN
//! table    base                             10 9 8 domain 0 NS PXN 0 1
//!
//!          31             16 15 14 12 11 10 9  8  6 5  4 3 2 1 0
//! large    base              XN SW T  nG  S RO  0   U AF C B 0 1
//! small    base                    12 nG  S RO SW T U AF C B 1 XN
//! ```
//!
//! `U` is AP\[1\], `RO` AP\[2\], `AF` AP\[0\]; {`T`, `C`, `B`} is the memory type's index, `SW` TEX\[2:1\].
//!
//! A leaf without access keeps its word but for bits 1:0, which are zero; `RO` is set in it, so that it is
//! never all zero. The other bits of an invalid word are software's (B3.5.1).

use crate::addr::PhysAddr;
use crate::attr::{Access, Attrs, Marks, MemoryType, Shareability};
use crate::format::{EncodeError, Entry, Leaf, Owner, TableEntry, Walk};

/// Bits 1:0 of a descriptor.
const KIND: u32 = 0b11;

// Where a small page has its attributes. In a section all of `FIELDS` lie `MOVED` bits further up, in a large page TEX
// alone.
const YOUNG: u32 = 1 << 4;
const USER: u32 = 1 << 5;
const TEX: u32 = 0b111 << TEX_SHIFT;
const TEX_SHIFT: u32 = 6;
const READ_ONLY: u32 = 1 << 9;
const SHARED: u32 = 1 << 10;
const NOT_GLOBAL: u32 = 1 << 11;
const FIELDS: u32 = 0xff << 4;
const MOVED: u32 = 6;
/// C and B, which all leaves have in one place.
const CACHE: u32 = 0b11 << CACHE_SHIFT;
const CACHE_SHIFT: u32 = 2;

const PGD_TABLE: u32 = 0b01;
const PGD_SECTION: u32 = 0b10;
const PGD_SECTION_PXN: u32 = 0b1;
const PGD_SECTION_XN: u32 = 1 << 4;
const PGD_SUPERSECTION: u32 = 1 << 18;
const PGD_TABLE_PXN: u32 = 1 << 2;
const PGD_DOMAIN: u32 = 5;
const PGD_DOMAIN_MASK: u32 = 0xf << PGD_DOMAIN;
/// Bit 9 is implementation defined, bit 19 is NS: zero in all that we write.
const PGD_SECTION_ZERO: u32 = 1 << 9 | 1 << 19;
/// Bits 9, 4 and 3 (NS): likewise.
const PGD_TABLE_ZERO: u32 = 1 << 9 | 1 << 4 | 1 << 3;

const PTE_LARGE: u32 = 0b01;
const PTE_SMALL: u32 = 0b10;
const PTE_SMALL_XN: u32 = 0b1;
const PTE_LARGE_XN: u32 = 1 << 15;
/// Where a small page has TEX.
const PTE_LARGE_ZERO: u32 = TEX;

const SECTION_BASE: u32 = 0xfff0_0000;
const SUPERSECTION_BASE: u32 = 0xff00_0000;
const SUPERSECTION_HIGH: u32 = 0x00f0_0000 | 0xf << PGD_DOMAIN;
const LARGE_BASE: u32 = 0xffff_0000;
const SMALL_BASE: u32 = 0xffff_f000;
const TABLE_BASE: u32 = 0xffff_fc00;

const PGD: usize = 0;
const PTE: usize = 1;

/// The user's and the kernel's domain, and the one for tables that a tree owns but the kernel needs.
const fn domain(owner: Owner) -> u32 {
    match owner {
        Owner::Swapper => 0,
        Owner::User => 1,
        Owner::Kernel => 2,
    }
}

/// See [`Format::decode`](crate::format::Format::decode).
#[inline]
pub(super) fn decode(depth: usize, raw: u32) -> Entry {
    debug_assert!(depth <= PTE);
    if raw == 0 {
        return Entry::Absent;
    }
    match decode_table(depth, raw) {
        Some(table) => Entry::Table(table),
        None if depth == PGD && raw & KIND == PGD_TABLE => Entry::Reserved,
        None => decode_leaf(depth, raw),
    }
}

/// See [`Format::walk`](crate::format::Format::walk).
#[inline]
pub(super) fn walk(depth: usize, raw: u32) -> Walk {
    let read_only = if depth == PGD { READ_ONLY << MOVED } else { READ_ONLY };
    match (depth, raw & KIND) {
        (_, 0) if raw & read_only == 0 => Walk::Fault,
        (PGD, PGD_TABLE) => Walk::Table(PhysAddr::from_u32(raw & TABLE_BASE)),
        _ => {
            let run = is_run(depth, raw);
            Walk::Memory { base: frame(depth, run, raw), offset: !base(depth, run) }
        }
    }
}

/// Whether a leaf is one of a run.
const fn is_run(depth: usize, raw: u32) -> bool {
    if depth == PGD { raw & PGD_SUPERSECTION != 0 } else { raw & KIND == PTE_LARGE }
}

/// The bits of a leaf that hold its frame's low 32.
const fn base(depth: usize, run: bool) -> u32 {
    match (depth, run) {
        (PGD, true) => SUPERSECTION_BASE,
        (PGD, false) => SECTION_BASE,
        (_, true) => LARGE_BASE,
        (_, false) => SMALL_BASE,
    }
}

/// A leaf's frame.
#[inline]
fn frame(depth: usize, run: bool, raw: u32) -> PhysAddr {
    let low = u64::from(raw & base(depth, run));
    let high =
        if depth == PGD && run { raw >> 20 & 0xf | (raw >> PGD_DOMAIN & 0xf) << 4 } else { 0 };
    PhysAddr::truncate(u64::from(high) << 32 | low)
}

/// See [`Format::is_marked`](crate::format::Format::is_marked).
#[inline]
pub(super) const fn is_marked(raw: u32) -> bool {
    raw & PGD_DOMAIN_MASK == domain(Owner::Swapper) << PGD_DOMAIN
}

/// See [`Format::leaves_by_common_bits`](crate::format::Format::leaves_by_common_bits).
#[inline]
pub(super) const fn leaves_by_common_bits(common: u32) -> Option<bool> {
    // Bit 1 makes a small page whatever else is set (B3.5.1).
    if common & PTE_SMALL != 0 { Some(common & PTE_SMALL_XN == 0) } else { None }
}

/// See [`Format::alone`](crate::format::Format::alone).
#[inline]
pub(super) fn alone(depth: usize, raw: u32) -> Option<u32> {
    if depth != PGD {
        return Some(alone_page(raw));
    }
    // In a table's entry the bit is the address's.
    if raw & 0b11 == PGD_TABLE || raw & PGD_SUPERSECTION == 0 {
        return Some(raw);
    }
    // The two differ in this bit, and in what lies above 4 GiB.
    (raw & SUPERSECTION_HIGH == 0).then_some(raw & !PGD_SUPERSECTION)
}

/// A large page's frame and attributes in a small one; what is no large page stays as it is.
const fn alone_page(raw: u32) -> u32 {
    if raw & (KIND | PTE_LARGE_ZERO) != PTE_LARGE {
        return raw;
    }
    let never = if raw & PTE_LARGE_XN != 0 { PTE_SMALL_XN } else { 0 };
    raw & (LARGE_BASE | FIELDS | CACHE) | raw >> MOVED & TEX | never | PTE_SMALL
}

/// See [`Format::frame_mask`](crate::format::Format::frame_mask).
#[inline]
pub(super) const fn frame_mask(depth: usize, run: bool) -> u32 {
    base(depth, run) | if depth == PGD && run { SUPERSECTION_HIGH } else { 0 }
}

/// See [`Format::encode_table`](crate::format::Format::encode_table).
#[inline]
pub(super) fn encode_table(depth: usize, entry: TableEntry) -> Result<u32, EncodeError> {
    if depth != PGD {
        return Err(EncodeError::NoSuchEntry { depth });
    }
    let base = base32(entry.table, TABLE_BASE)?;
    let pxn = if entry.pxn { PGD_TABLE_PXN } else { 0 };
    Ok(base | domain(entry.owner) << PGD_DOMAIN | pxn | PGD_TABLE)
}

/// See [`Format::decode_table`](crate::format::Format::decode_table).
#[inline]
pub(super) fn decode_table(depth: usize, raw: u32) -> Option<TableEntry> {
    if depth != PGD || raw & (PGD_TABLE_ZERO | 0b11) != PGD_TABLE {
        return None;
    }
    let owner = match raw >> PGD_DOMAIN & 0xf {
        0 => Owner::Swapper,
        1 => Owner::User,
        2 => Owner::Kernel,
        _ => return None,
    };
    let table = PhysAddr::from_u32(raw & TABLE_BASE);
    Some(TableEntry { table, owner, pxn: raw & PGD_TABLE_PXN != 0 })
}

/// See [`Format::encode_leaf`](crate::format::Format::encode_leaf).
#[inline]
pub(super) fn encode_leaf(depth: usize, leaf: Leaf) -> Result<u32, EncodeError> {
    if depth > PTE {
        return Err(EncodeError::NoSuchEntry { depth });
    }
    let Leaf { frame, attrs, run, pxn } = leaf;
    let (section, none) = (depth == PGD, attrs.access == Access::None);
    // Supersections know domain 0 alone, which is never closed. With bits 1:0 gone, a large page could not be told from
    // a small one, and a section has no PXN.
    if pxn && (none || !section) || run && if section { attrs.user } else { none } {
        return Err(EncodeError::Unsupported);
    }
    let bit = |set: bool, bit: u32| if set { bit } else { 0 };
    let (bits, never) = (encode_attrs(attrs)?, attrs.access != Access::ReadExecute);
    let (base, word) = if section {
        // A section that user mode may use lies in user space's domain, which DACR can close.
        let domain = domain(if attrs.user { Owner::User } else { Owner::Swapper }) << PGD_DOMAIN;
        let kind = PGD_SECTION | if run { PGD_SUPERSECTION } else { domain };
        let moved = (bits & FIELDS) << MOVED | bits & CACHE;
        let base = if run { supersection_base(frame)? } else { base32(frame, SECTION_BASE)? };
        (base, moved | kind | bit(never, PGD_SECTION_XN) | bit(pxn, PGD_SECTION_PXN))
    } else if run {
        let moved = bits & !TEX | (bits & TEX) << MOVED;
        (base32(frame, LARGE_BASE)?, moved | PTE_LARGE | bit(never, PTE_LARGE_XN))
    } else {
        (base32(frame, SMALL_BASE)?, bits | PTE_SMALL | bit(never, PTE_SMALL_XN))
    };
    Ok(base | if none { word & !KIND } else { word })
}

/// The bits of a supersection that hold `frame`.
fn supersection_base(frame: PhysAddr) -> Result<u32, EncodeError> {
    let (low, high) = (frame.as_u64() as u32, (frame.as_u64() >> 32) as u32);
    if low & !SUPERSECTION_BASE != 0 {
        return Err(EncodeError::Misaligned { at: frame });
    }
    Ok(low | (high & 0xf) << 20 | high >> 4 << PGD_DOMAIN)
}

#[inline]
fn decode_leaf(depth: usize, raw: u32) -> Entry {
    let (none, run) = (raw & KIND == 0, is_run(depth, raw));
    let (bits, never, pxn, frame) = if depth == PGD {
        let user = raw & USER << MOVED != 0;
        let domain = domain(if user { Owner::User } else { Owner::Swapper }) << PGD_DOMAIN;
        let foreign = if run { user } else { raw & PGD_DOMAIN_MASK != domain };
        if foreign || raw & PGD_SECTION_ZERO != 0 {
            return Entry::Reserved;
        }
        let bits = raw >> MOVED & FIELDS | raw & CACHE;
        let pxn = raw & PGD_SECTION_PXN != 0;
        (bits, raw & PGD_SECTION_XN != 0, pxn, frame(PGD, run, raw))
    } else if run {
        if raw & PTE_LARGE_ZERO != 0 {
            return Entry::Reserved;
        }
        let bits = raw & !TEX | raw >> MOVED & TEX;
        (bits, raw & PTE_LARGE_XN != 0, false, frame(PTE, true, raw))
    } else {
        // An invalid word has no XN of its own: its bit is part of the type.
        (raw, none || raw & PTE_SMALL_XN != 0, false, frame(PTE, false, raw))
    };
    let tex = bits >> TEX_SHIFT;
    let index = (tex & 1) << 2 | (bits & CACHE) >> CACHE_SHIFT;
    let Some(memory) = MemoryType::from_index(index as u8) else { return Entry::Reserved };
    let Some(access) = Access::from_bits(bits & READ_ONLY != 0, never, none, memory) else {
        return Entry::Reserved;
    };
    Entry::Leaf(Leaf {
        frame,
        attrs: Attrs {
            memory,
            access,
            user: bits & USER != 0,
            global: bits & NOT_GLOBAL == 0,
            share: if bits & SHARED != 0 { Shareability::Inner } else { Shareability::Non },
            young: bits & YOUNG != 0,
            marks: Marks::from_bits_truncate((tex >> 1) as u8),
        },
        run,
        pxn,
    })
}

/// The base field of `at`, whose low 32 bits must all lie in `mask`.
fn base32(at: PhysAddr, mask: u32) -> Result<u32, EncodeError> {
    if at.as_u64() > u64::from(u32::MAX) {
        return Err(EncodeError::OutOfReach { at });
    }
    let base = at.as_u64() as u32;
    if base & !mask != 0 {
        return Err(EncodeError::Misaligned { at });
    }
    Ok(base)
}

/// Bits 11:2 of a small page.
fn encode_attrs(attrs: Attrs) -> Result<u32, EncodeError> {
    if attrs.access == Access::ReadExecute && !attrs.memory.is_normal() {
        return Err(EncodeError::ExecutableDevice(attrs.memory));
    }
    if attrs.share == Shareability::Outer {
        return Err(EncodeError::OuterShareable);
    }
    let bit = |set: bool, bit: u32| if set { bit } else { 0 };
    let index = u32::from(attrs.memory.index());
    let tex = u32::from(attrs.marks.bits()) << 1 | index >> 2;
    Ok(index << CACHE_SHIFT & CACHE
        | tex << TEX_SHIFT
        | bit(attrs.access != Access::ReadWrite, READ_ONLY)
        | bit(attrs.user, USER)
        | bit(attrs.young, YOUNG)
        | bit(attrs.share == Shareability::Inner, SHARED)
        | bit(!attrs.global, NOT_GLOBAL))
}
