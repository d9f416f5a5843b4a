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

/// One bit or field position per attribute; sections and pages place them differently.
struct Place {
    read_only: u32,
    user: u32,
    young: u32,
    shared: u32,
    not_global: u32,
    tex: u32,
}

const SECTION: Place =
    Place { read_only: 15, user: 11, young: 10, shared: 16, not_global: 17, tex: 12 };
const LARGE: Place = Place { read_only: 9, user: 5, young: 4, shared: 10, not_global: 11, tex: 12 };
const SMALL: Place = Place { tex: 6, ..LARGE };

const BUFFERABLE: u32 = 1 << 2;
const CACHEABLE: u32 = 1 << 3;

const PGD_TABLE: u32 = 0b01;
const PGD_SECTION: u32 = 0b10;
const PGD_SECTION_PXN: u32 = 0b1;
const PGD_SECTION_XN: u32 = 1 << 4;
const PGD_SUPERSECTION: u32 = 1 << 18;
const PGD_TABLE_PXN: u32 = 1 << 2;
const PGD_DOMAIN: u32 = 5;
/// Bit 9 is implementation defined, bit 19 is NS: zero in all that we write.
const PGD_SECTION_ZERO: u32 = 1 << 9 | 1 << 19;
/// Bits 9, 4 and 3 (NS): likewise.
const PGD_TABLE_ZERO: u32 = 1 << 9 | 1 << 4 | 1 << 3;

const PTE_LARGE: u32 = 0b01;
const PTE_SMALL: u32 = 0b10;
const PTE_SMALL_XN: u32 = 0b1;
const PTE_LARGE_XN: u32 = 1 << 15;
const PTE_LARGE_ZERO: u32 = 0b111 << 6;

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

/// See [`Format::encode`](crate::format::Format::encode).
#[inline]
pub(super) fn encode(depth: usize, entry: Entry) -> Result<u32, EncodeError> {
    match (depth, entry) {
        (_, Entry::Absent) => Ok(0),
        (PGD, Entry::Table(entry)) => encode_table(entry),
        (PGD, Entry::Leaf(leaf)) if leaf.run => encode_supersection(leaf),
        (PGD, Entry::Leaf(leaf)) => encode_section(leaf),
        (PTE, Entry::Leaf(leaf)) if leaf.run => encode_large(leaf),
        (PTE, Entry::Leaf(leaf)) => encode_small(leaf),
        (_, Entry::Reserved) => Err(EncodeError::Reserved),
        _ => Err(EncodeError::NoSuchEntry { depth }),
    }
}

/// See [`Format::decode`](crate::format::Format::decode).
#[inline]
pub(super) fn decode(depth: usize, raw: u32) -> Entry {
    if raw == 0 {
        return Entry::Absent;
    }
    if let Some(table) = decode_table(depth, raw) {
        return Entry::Table(table);
    }
    match (depth, raw & 0b11) {
        (PGD, PGD_TABLE) => Entry::Reserved,
        (PGD, _) if raw & PGD_SUPERSECTION != 0 => decode_supersection(raw),
        (PGD, _) => decode_section(raw),
        (PTE, PTE_LARGE) => decode_large(raw),
        (PTE, _) => decode_small(raw),
        _ => Entry::Reserved,
    }
}

/// See [`Format::walk`](crate::format::Format::walk).
#[inline]
pub(super) fn walk(depth: usize, raw: u32) -> Walk {
    let place = if depth == PGD { &SECTION } else { &SMALL };
    let memory = |base, mask: u32| Walk::Memory { base, offset: !mask };
    match (depth, raw & 0b11) {
        (_, 0) if raw & 1 << place.read_only == 0 => Walk::Fault,
        (PGD, PGD_TABLE) => Walk::Table(PhysAddr::from_u32(raw & TABLE_BASE)),
        (PGD, _) if raw & PGD_SUPERSECTION != 0 => {
            memory(supersection_frame(raw), SUPERSECTION_BASE)
        }
        (PGD, _) => memory(PhysAddr::from_u32(raw & SECTION_BASE), SECTION_BASE),
        (_, PTE_LARGE) => memory(PhysAddr::from_u32(raw & LARGE_BASE), LARGE_BASE),
        _ => memory(PhysAddr::from_u32(raw & SMALL_BASE), SMALL_BASE),
    }
}

fn supersection_frame(raw: u32) -> PhysAddr {
    let high = (raw >> 20 & 0xf) | (raw >> PGD_DOMAIN & 0xf) << 4;
    PhysAddr::truncate(u64::from(high) << 32 | u64::from(raw & SUPERSECTION_BASE))
}

/// See [`Format::is_marked`](crate::format::Format::is_marked).
#[inline]
pub(super) const fn is_marked(raw: u32) -> bool {
    raw & 0xf << PGD_DOMAIN == domain(Owner::Swapper) << PGD_DOMAIN
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
        return alone_page(raw);
    }
    // In a table's entry the bit is the address's.
    if raw & 0b11 == PGD_TABLE || raw & PGD_SUPERSECTION == 0 {
        return Some(raw);
    }
    // The two differ in this bit, and in what lies above 4 GiB.
    (raw & SUPERSECTION_HIGH == 0).then_some(raw & !PGD_SUPERSECTION)
}

/// Large pages have other bits in other places.
#[inline(never)]
fn alone_page(raw: u32) -> Option<u32> {
    match decode(PTE, raw) {
        Entry::Leaf(leaf) => encode_small(leaf).ok(),
        _ => Some(raw),
    }
}

/// See [`Format::frame_mask`](crate::format::Format::frame_mask).
#[inline]
pub(super) const fn frame_mask(depth: usize, run: bool) -> u32 {
    match (depth, run) {
        (PGD, true) => SUPERSECTION_BASE | SUPERSECTION_HIGH,
        (PGD, false) => SECTION_BASE,
        (_, true) => LARGE_BASE,
        (_, false) => SMALL_BASE,
    }
}

fn encode_table(entry: TableEntry) -> Result<u32, EncodeError> {
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

fn encode_section(leaf: Leaf) -> Result<u32, EncodeError> {
    let common = encode_section_attrs(leaf)?;
    // A section that user mode may use lies in user space's domain, which DACR can close.
    let domain = domain(if leaf.attrs.user { Owner::User } else { Owner::Swapper });
    Ok(base32(leaf.frame, SECTION_BASE)? | domain << PGD_DOMAIN | common)
}

fn decode_section(raw: u32) -> Entry {
    let Some((attrs, pxn)) = decode_section_attrs(raw) else { return Entry::Reserved };
    let owner = if attrs.user { Owner::User } else { Owner::Swapper };
    if raw >> PGD_DOMAIN & 0xf != domain(owner) {
        return Entry::Reserved;
    }
    let frame = PhysAddr::from_u32(raw & SECTION_BASE);
    Entry::Leaf(Leaf { frame, attrs, run: false, pxn })
}

fn encode_supersection(leaf: Leaf) -> Result<u32, EncodeError> {
    // Supersections know domain 0 alone, which is never closed.
    if leaf.attrs.user {
        return Err(EncodeError::Unsupported);
    }
    let common = encode_section_attrs(leaf)?;
    if !leaf.frame.is_aligned(24) {
        return Err(EncodeError::Misaligned { at: leaf.frame });
    }
    let base = leaf.frame.as_u64() as u32 & SUPERSECTION_BASE;
    let high = (leaf.frame.as_u64() >> 32) as u32;
    Ok(base | (high & 0xf) << 20 | (high >> 4) << PGD_DOMAIN | PGD_SUPERSECTION | common)
}

fn decode_supersection(raw: u32) -> Entry {
    let Some((attrs, pxn)) = decode_section_attrs(raw) else { return Entry::Reserved };
    if attrs.user {
        return Entry::Reserved;
    }
    Entry::Leaf(Leaf { frame: supersection_frame(raw), attrs, run: true, pxn })
}

fn encode_section_attrs(leaf: Leaf) -> Result<u32, EncodeError> {
    let kind = match (leaf.attrs.access, leaf.pxn) {
        (Access::None, true) => return Err(EncodeError::Unsupported),
        (Access::None, false) => 0,
        (_, pxn) => PGD_SECTION | if pxn { PGD_SECTION_PXN } else { 0 },
    };
    let never = if leaf.attrs.access == Access::ReadExecute { 0 } else { PGD_SECTION_XN };
    Ok(encode_attrs(leaf.attrs, &SECTION)? | never | kind)
}

/// The attributes and PXN, if they are ones that we write.
fn decode_section_attrs(raw: u32) -> Option<(Attrs, bool)> {
    if raw & PGD_SECTION_ZERO != 0 {
        return None;
    }
    let valid = raw & PGD_SECTION != 0;
    let attrs = decode_attrs(raw, &SECTION, valid, raw & PGD_SECTION_XN != 0)?;
    Some((attrs, raw & PGD_SECTION_PXN != 0))
}

fn encode_large(leaf: Leaf) -> Result<u32, EncodeError> {
    // With bits 1:0 gone, a large page could not be told from a small one.
    if leaf.pxn || leaf.attrs.access == Access::None {
        return Err(EncodeError::Unsupported);
    }
    let never = if leaf.attrs.access == Access::ReadExecute { 0 } else { PTE_LARGE_XN };
    let attrs = encode_attrs(leaf.attrs, &LARGE)?;
    Ok(base32(leaf.frame, LARGE_BASE)? | attrs | never | PTE_LARGE)
}

fn decode_large(raw: u32) -> Entry {
    if raw & PTE_LARGE_ZERO != 0 {
        return Entry::Reserved;
    }
    match decode_attrs(raw, &LARGE, true, raw & PTE_LARGE_XN != 0) {
        Some(attrs) => {
            let frame = PhysAddr::from_u32(raw & LARGE_BASE);
            Entry::Leaf(Leaf { frame, attrs, run: true, pxn: false })
        }
        None => Entry::Reserved,
    }
}

fn encode_small(leaf: Leaf) -> Result<u32, EncodeError> {
    if leaf.pxn {
        return Err(EncodeError::Unsupported);
    }
    let kind = match leaf.attrs.access {
        Access::None => 0,
        Access::ReadExecute => PTE_SMALL,
        _ => PTE_SMALL | PTE_SMALL_XN,
    };
    Ok(base32(leaf.frame, SMALL_BASE)? | encode_attrs(leaf.attrs, &SMALL)? | kind)
}

fn decode_small(raw: u32) -> Entry {
    let valid = raw & PTE_SMALL != 0;
    // An invalid word has no XN of its own: its bit is part of the type.
    match decode_attrs(raw, &SMALL, valid, !valid || raw & PTE_SMALL_XN != 0) {
        Some(attrs) => {
            let frame = PhysAddr::from_u32(raw & SMALL_BASE);
            Entry::Leaf(Leaf { frame, attrs, run: false, pxn: false })
        }
        None => Entry::Reserved,
    }
}

/// The base field of `at`, whose bits must all lie in `mask`.
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

fn encode_attrs(attrs: Attrs, place: &Place) -> Result<u32, EncodeError> {
    if attrs.access == Access::ReadExecute && !attrs.memory.is_normal() {
        return Err(EncodeError::ExecutableDevice(attrs.memory));
    }
    let shared = match attrs.share {
        Shareability::Non => 0,
        Shareability::Inner => 1,
        Shareability::Outer => return Err(EncodeError::OuterShareable),
    };
    let index = u32::from(attrs.memory.index());
    let tex = u32::from(attrs.marks.bits()) << 1 | index >> 2;
    Ok((index & 0b11) << 2
        | tex << place.tex
        | u32::from(attrs.access != Access::ReadWrite) << place.read_only
        | u32::from(attrs.user) << place.user
        | u32::from(attrs.young) << place.young
        | shared << place.shared
        | u32::from(!attrs.global) << place.not_global)
}

/// `None` for what we never write.
#[inline]
fn decode_attrs(raw: u32, place: &Place, valid: bool, never_execute: bool) -> Option<Attrs> {
    let tex = raw >> place.tex & 0b111;
    let index = (tex & 1) << 2 | (raw & (CACHEABLE | BUFFERABLE)) >> 2;
    let memory = MemoryType::from_index(index as u8)?;
    let access = match (raw >> place.read_only & 1 != 0, never_execute, valid) {
        (true, true, true) => Access::Read,
        (false, true, true) => Access::ReadWrite,
        (true, false, true) if memory.is_normal() => Access::ReadExecute,
        (true, true, false) => Access::None,
        _ => return None,
    };
    Some(Attrs {
        memory,
        access,
        user: raw >> place.user & 1 != 0,
        global: raw >> place.not_global & 1 == 0,
        share: if raw >> place.shared & 1 != 0 { Shareability::Inner } else { Shareability::Non },
        young: raw >> place.young & 1 != 0,
        marks: Marks::from_bits_truncate((tex >> 1) as u8),
    })
}
