//! The library's reading of a descriptor against the machine's, which shares no code with it.

use armv7a_mm::addr::PhysAddr;
use armv7a_mm::attr::{Access, Attrs, Marks, MemoryType, Shareability};
use armv7a_mm::format::control::{Registers, sctlr};
use armv7a_mm::format::{Descriptor, Entry, Leaf, Owner, TableEntry};

use super::leaf::{self, Allowed, Cached, Inherit, Memory, Share, Word};
use super::regs::Regs;
use super::walk::decode;

/// An address that is translated: no part of it is zero.
const VA: u32 = 0x9876_5432;

/// The registers that the library runs with.
fn regs<F: Registers>() -> Regs {
    Regs { ttbcr: F::TTBCR, sctlr: sctlr::ON, dacr: F::DACR, remap: F::REMAP, ..Regs::default() }
}

/// What the machine takes from a leaf.
pub fn leaf<F: Registers>(depth: usize, raw: u64) -> Option<leaf::Leaf> {
    match decode(&regs::<F>(), depth, raw, VA, Inherit::default()) {
        Word::Leaf(leaf) => Some(leaf),
        _ => None,
    }
}

/// Compares what both say of `raw` at `depth`.
///
/// # Panics
/// If they differ, or if the library refuses a word that it could have written.
pub fn compare<F: Registers>(depth: usize, raw: u64) {
    let entry = F::decode(depth, F::Raw::from_u64(raw));
    let word = decode(&regs::<F>(), depth, raw, VA, Inherit::default());
    let same = match (entry, word) {
        (Entry::Absent, Word::Invalid) => raw == 0,
        (Entry::Leaf(leaf), Word::Invalid) => leaf.attrs.access == Access::None,
        (Entry::Leaf(leaf), Word::Leaf(it)) => says_leaf::<F>(depth, &leaf, &it),
        (Entry::Table(table), Word::Table(at, below)) => says_table::<F>(&table, at, below),
        (Entry::Reserved, Word::Invalid) => true,
        (Entry::Reserved, Word::Leaf(it)) => !could_write_leaf::<F>(depth, raw, &it),
        (Entry::Reserved, Word::Table(at, below)) => !could_write_table::<F>(depth, raw, at, below),
        _ => false,
    };
    assert!(same, "{depth}: {raw:#x} is {entry:x?}, and {word:x?} to the machine");
}

/// Both formats keep who owns a table where the hardware does not mind; the classic one in the domain.
fn says_table<F: Registers>(table: &TableEntry, at: u64, below: Inherit) -> bool {
    let domain = match table.owner {
        _ if F::LPAE => 0,
        Owner::Swapper => 0,
        Owner::User => 1,
        Owner::Kernel => 2,
    };
    let expected = Inherit { domain, pxn: table.pxn, ..Inherit::default() };
    table.table.as_u64() == at && below == expected
}

fn says_leaf<F: Registers>(depth: usize, leaf: &Leaf, it: &leaf::Leaf) -> bool {
    let Leaf { frame, attrs, run, pxn } = *leaf;
    let level = F::LEVELS[depth].shift;
    let shift = level + if run { 4 } else { 0 };
    // A contiguous leaf says where it lies itself, a supersection or large page where all sixteen do.
    let unit = if F::LPAE { level } else { shift };
    let write = attrs.access == Access::ReadWrite;
    let execute = attrs.access == Access::ReadExecute;
    let user = attrs.user;
    let in_users_domain = !F::LPAE && depth == 0 && user;
    it.phys(VA) == frame.as_u64() + u64::from(VA & ((1 << unit) - 1))
        && (it.shift, it.step) == (shift, level)
        && it.kernel == Allowed { read: true, write, execute: execute && !pxn }
        && it.user == Allowed { read: user, write: user && write, execute: user && execute }
        && (it.global, it.young) == (attrs.global, attrs.young)
        && it.domain == u8::from(in_users_domain)
        && it.memory == memory(attrs.memory)
        && (!attrs.memory.is_normal() || it.share == share(attrs.share))
}

/// Whether the library has an entry that says the same and is written so.
fn could_write_table<F: Registers>(depth: usize, raw: u64, at: u64, below: Inherit) -> bool {
    let Some(table) = PhysAddr::new(at) else { return false };
    [Owner::Swapper, Owner::User, Owner::Kernel].into_iter().any(|owner| {
        let entry = Entry::Table(TableEntry { table, owner, pxn: below.pxn });
        F::encode(depth, entry).is_ok_and(|word| word.as_u64() == raw)
    })
}

fn could_write_leaf<F: Registers>(depth: usize, raw: u64, it: &leaf::Leaf) -> bool {
    let level = F::LEVELS[depth].shift;
    let unit = if F::LPAE { level } else { it.shift };
    let frame = PhysAddr::new(it.phys(VA) & !((1 << unit) - 1));
    let known = MemoryType::ALL.into_iter().find(|known| memory(*known) == it.memory);
    let (Some(frame), Some(memory), false) = (frame, known, it.writes_and_executes()) else {
        return false;
    };
    let accesses: &[Access] =
        if it.kernel.write { &[Access::ReadWrite] } else { &[Access::Read, Access::ReadExecute] };
    // What device memory's descriptor says of shareability, and software's bits, the machine does not keep.
    let shares = [Shareability::Non, Shareability::Outer, Shareability::Inner];
    let shares =
        shares.into_iter().filter(|it_is| !memory.is_normal() || share(*it_is) == it.share);
    let all = shares.flat_map(|share| accesses.iter().map(move |access| (share, *access)));
    let all = all.flat_map(|it| (0..8).map(move |bits| (it, bits)));
    let mut entries = all.map(|((share, access), bits)| Leaf {
        frame,
        attrs: Attrs {
            memory,
            access,
            user: it.user.read,
            global: it.global,
            share,
            young: it.young,
            marks: Marks::from_bits_truncate(bits >> 1),
        },
        run: it.shift != it.step,
        pxn: bits & 1 != 0,
    });
    entries.any(|leaf| F::encode(depth, Entry::Leaf(leaf)).is_ok_and(|word| word.as_u64() == raw))
}

/// Who sees writes in order, in the machine's words.
pub fn share(share: Shareability) -> Share {
    match share {
        Shareability::Non => Share::Non,
        Shareability::Outer => Share::Outer,
        Shareability::Inner => Share::Inner,
    }
}

/// A memory type in the machine's words.
pub fn memory(memory: MemoryType) -> Memory {
    let normal = |cached| Memory::Normal(cached, cached);
    match memory {
        MemoryType::StronglyOrdered => Memory::StronglyOrdered,
        MemoryType::Device => Memory::Device,
        MemoryType::WriteThrough => normal(Cached::WriteThrough),
        MemoryType::WriteBack => normal(Cached::WriteBack),
        MemoryType::NonCacheable => normal(Cached::Not),
        MemoryType::WriteBackWriteAllocate => normal(Cached::WriteBackAllocate),
    }
}
