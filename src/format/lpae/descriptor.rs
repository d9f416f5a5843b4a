//! Long descriptors, both directions (DDI 0406C B3.6.1 and B3.6.2).
//!
//! ```text
//!        63  60 59   58 57   56 55  54 53  52  51..40 39         12 11 10 9 8 7  6 5  4..2 1 0
//! leaf    0      0   N   SW[1:0]    XN PXN run   0     base          nG AF SH RO U NS  type 0/1 1
//! table   0     PXN  0   owner       0     0     0     base                 0              1 1
//! ```
//!
//! `RO` is AP\[2\], `U` AP\[1\]; bits 58:55 are the hardware's to ignore. Bit 1 is clear in a block, set in
//! a page. A leaf without access has bit 0 clear and `N` set, so that it is never all zero.

use crate::addr::PhysAddr;
use crate::attr::{Access, Attrs, Marks, MemoryType, Shareability};
use crate::format::{EncodeError, Entry, Leaf, Owner, TableEntry, Walk};

const VALID: u64 = 0b1;
/// Set in tables and pages, clear in blocks.
const NOT_BLOCK: u64 = 1 << 1;
const MEMORY: u32 = 2;
const USER: u64 = 1 << 6;
const READ_ONLY: u64 = 1 << 7;
const SHARE: u32 = 8;
const YOUNG: u64 = 1 << 10;
const NOT_GLOBAL: u64 = 1 << 11;
const BASE: u64 = 0xff_ffff_f000;
const CONTIGUOUS: u64 = 1 << 52;
const PXN: u64 = 1 << 53;
const XN: u64 = 1 << 54;
const MARKS: u32 = 55;
/// A leaf that is mapped without access, where the hardware sees nothing.
const NONE: u64 = 1 << NONE_SHIFT;
const NONE_SHIFT: u32 = 57;

/// What a leaf's access is, and that it is valid, by [`Access`]: a look at a table is less than four questions.
const ACCESS: [u64; 4] = {
    let mut bits = [0; 4];
    bits[Access::None as usize] = NONE | READ_ONLY | XN;
    bits[Access::Read as usize] = VALID | READ_ONLY | XN;
    bits[Access::ReadWrite as usize] = VALID | XN;
    bits[Access::ReadExecute as usize] = VALID | READ_ONLY;
    bits
};

/// The table is swapper's: Linux's L_PGD_SWAPPER.
const TABLE_SWAPPER: u64 = 1 << 55;
/// The table is this tree's, but the kernel needs it.
const TABLE_KERNEL: u64 = 1 << 56;
const TABLE_PXN: u64 = 1 << 59;

const PGD: usize = 0;
const PTE: usize = 2;

/// The bits of a base that a leaf at `depth` has.
const fn leaf_base(depth: usize) -> u64 {
    match depth {
        PGD => BASE & !((1 << 30) - 1),
        PTE => BASE,
        _ => BASE & !((1 << 21) - 1),
    }
}

/// See [`Format::decode`](crate::format::Format::decode).
#[inline]
pub(super) fn decode(depth: usize, raw: u64) -> Entry {
    if raw == 0 {
        return Entry::Absent;
    }
    match decode_table(depth, raw) {
        Some(table) => Entry::Table(table),
        None => decode_leaf(depth, raw),
    }
}

/// See [`Format::walk`](crate::format::Format::walk).
#[inline]
pub(super) fn walk(depth: usize, raw: u64) -> Walk {
    let kind = raw & (VALID | NOT_BLOCK);
    // What most walks meet, by one comparison.
    if kind == VALID | NOT_BLOCK {
        let base = PhysAddr::truncate(raw & BASE);
        return match depth {
            PTE => Walk::Memory { base, offset: !(BASE as u32) },
            _ => Walk::Table(base),
        };
    }
    // Blocks, and pages without access.
    core::hint::cold_path();
    let none = if depth == PTE { NOT_BLOCK } else { 0 };
    let is_block = depth < PTE && kind == VALID;
    if is_block || raw & NONE != 0 && kind == none {
        let base = leaf_base(depth);
        return Walk::Memory { base: PhysAddr::truncate(raw & base), offset: !(base as u32) };
    }
    Walk::Fault
}

/// See [`Format::is_marked`](crate::format::Format::is_marked).
#[inline]
pub(super) const fn is_marked(raw: u64) -> bool {
    raw & TABLE_SWAPPER != 0
}

/// See [`Format::leaves_by_common_bits`](crate::format::Format::leaves_by_common_bits).
#[inline]
pub(super) const fn leaves_by_common_bits(common: u64) -> Option<bool> {
    // Both bits make a page whatever else is set (B3.6.2).
    let page = VALID | NOT_BLOCK;
    if common & page == page { Some(common & XN == 0) } else { None }
}

/// See [`Format::alone`](crate::format::Format::alone).
#[inline]
pub(super) const fn alone(raw: u64) -> Option<u64> {
    Some(raw & !CONTIGUOUS)
}

/// See [`Format::frame_mask`](crate::format::Format::frame_mask).
#[inline]
pub(super) const fn frame_mask(depth: usize) -> u64 {
    leaf_base(depth)
}

/// See [`Format::encode_table`](crate::format::Format::encode_table).
#[inline]
pub(super) fn encode_table(depth: usize, entry: TableEntry) -> Result<u64, EncodeError> {
    if depth >= PTE {
        return Err(EncodeError::NoSuchEntry { depth });
    }
    if entry.table.as_u64() & !BASE != 0 {
        return Err(EncodeError::Misaligned { at: entry.table });
    }
    let owner = match entry.owner {
        Owner::Swapper => TABLE_SWAPPER,
        Owner::User => 0,
        Owner::Kernel => TABLE_KERNEL,
    };
    let pxn = if entry.pxn { TABLE_PXN } else { 0 };
    Ok(entry.table.as_u64() | owner | pxn | NOT_BLOCK | VALID)
}

/// See [`Format::decode_table`](crate::format::Format::decode_table).
#[inline]
pub(super) fn decode_table(depth: usize, raw: u64) -> Option<TableEntry> {
    let fixed = !(BASE | TABLE_SWAPPER | TABLE_KERNEL | TABLE_PXN);
    if depth == PTE || raw & fixed != NOT_BLOCK | VALID {
        return None;
    }
    let owner = match (raw & TABLE_SWAPPER != 0, raw & TABLE_KERNEL != 0) {
        (false, false) => Owner::User,
        (true, false) => Owner::Swapper,
        (false, true) => Owner::Kernel,
        (true, true) => return None,
    };
    let table = PhysAddr::truncate(raw & BASE);
    Some(TableEntry { table, owner, pxn: raw & TABLE_PXN != 0 })
}

/// See [`Format::encode_leaf`](crate::format::Format::encode_leaf).
#[inline]
pub(super) fn encode_leaf(depth: usize, leaf: Leaf) -> Result<u64, EncodeError> {
    if depth > PTE {
        return Err(EncodeError::NoSuchEntry { depth });
    }
    let attrs = leaf.attrs;
    if attrs.access == Access::ReadExecute && !attrs.memory.is_normal() {
        return Err(EncodeError::ExecutableDevice(attrs.memory));
    }
    if leaf.run && depth == PGD || leaf.pxn && attrs.access == Access::None {
        return Err(EncodeError::Unsupported);
    }
    if leaf.frame.as_u64() & !leaf_base(depth) != 0 {
        return Err(EncodeError::Misaligned { at: leaf.frame });
    }
    let bit = |set: bool, bits: u64| if set { bits } else { 0 };
    Ok(leaf.frame.as_u64()
        | ACCESS[attrs.access as usize]
        | bit(depth == PTE, NOT_BLOCK)
        | u64::from(attrs.memory.index()) << MEMORY
        | bit(attrs.user, USER)
        | (attrs.share as u64) << SHARE
        | bit(attrs.young, YOUNG)
        | bit(!attrs.global, NOT_GLOBAL)
        | bit(leaf.run, CONTIGUOUS)
        | bit(leaf.pxn, PXN)
        | u64::from(attrs.marks.bits()) << MARKS)
}

#[inline]
fn decode_leaf(depth: usize, raw: u64) -> Entry {
    let kind = if depth == PTE { NOT_BLOCK } else { 0 };
    let known = leaf_base(depth)
        | (0x3ff << MEMORY & !(1 << 5))
        | CONTIGUOUS
        | PXN
        | XN
        | (0b11 << MARKS)
        | NONE
        | VALID;
    let none = raw & NONE != 0;
    if (raw ^ kind) & !known != 0
        // Either valid or without access.
        || (raw ^ raw >> NONE_SHIFT) & VALID == 0
        || none && raw & PXN != 0
        || depth == PGD && raw & CONTIGUOUS != 0
    {
        return Entry::Reserved;
    }
    let Some(memory) = MemoryType::from_index((raw >> MEMORY & 0b111) as u8) else {
        return Entry::Reserved;
    };
    let Some(share) = Shareability::from_bits((raw >> SHARE & 0b11) as u8) else {
        return Entry::Reserved;
    };
    let Some(access) = Access::from_bits(raw & READ_ONLY != 0, raw & XN != 0, none, memory) else {
        return Entry::Reserved;
    };
    Entry::Leaf(Leaf {
        frame: PhysAddr::truncate(raw & leaf_base(depth)),
        attrs: Attrs {
            memory,
            access,
            user: raw & USER != 0,
            global: raw & NOT_GLOBAL == 0,
            share,
            young: raw & YOUNG != 0,
            marks: Marks::from_bits_truncate((raw >> MARKS) as u8),
        },
        run: raw & CONTIGUOUS != 0,
        pxn: raw & PXN != 0,
    })
}
