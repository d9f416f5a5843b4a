//! What each [`MemoryType`] is to the hardware: the one table from which PRRR, NMRR, MAIR0 and MAIR1 are
//! computed.
//!
//! Both formats index it with three bits of a leaf, so the same index means the same memory in both.

use crate::attr::MemoryType;

/// How normal memory is cached. The number is the RGN/IRGN/ORGN encoding that NMRR, TTBR0 and TTBCR share
/// (DDI 0406C B4.1, NMRR, TTBR0, TTBCR).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Cache {
    /// Not at all.
    Non = 0b00,
    /// Write-back, lines are allocated by writes too.
    WriteBackAllocate = 0b01,
    /// Write-through, no allocation by writes.
    WriteThrough = 0b10,
    /// Write-back, no allocation by writes.
    WriteBack = 0b11,
}

/// A memory type as the hardware knows it (DDI 0406C A3.5). Normal memory is cached alike by the inner and
/// the outer caches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Meaning {
    /// Strongly ordered.
    StronglyOrdered,
    /// Device, shareable.
    Device,
    /// Normal.
    Normal(Cache),
}

/// What a leaf's three-bit memory index means, 0 to 7. The unused indices 5 and 6 are strongly ordered:
/// the most cautious answer to a leaf that nobody should have written.
pub const INDICES: [Meaning; 8] = {
    let mut table = [Meaning::StronglyOrdered; 8];
    let mut i = 0;
    while i < MemoryType::ALL.len() {
        let memory = MemoryType::ALL[i];
        table[memory.index() as usize] = meaning(memory);
        i += 1;
    }
    table
};

/// What a memory type is to the hardware.
pub const fn meaning(memory: MemoryType) -> Meaning {
    match memory {
        MemoryType::StronglyOrdered => Meaning::StronglyOrdered,
        MemoryType::Device => Meaning::Device,
        MemoryType::WriteThrough => Meaning::Normal(Cache::WriteThrough),
        MemoryType::WriteBack => Meaning::Normal(Cache::WriteBack),
        MemoryType::NonCacheable => Meaning::Normal(Cache::Non),
        MemoryType::WriteBackWriteAllocate => Meaning::Normal(WALK),
    }
}

/// How table walks are cached: like the memory that tables lie in, else the walker and the kernel would
/// disagree about it (DDI 0406C B4.1, A3.5.7).
pub const WALK: Cache = Cache::WriteBackAllocate;

/// The index of an early map's memory: that of the kernel's RAM, and of tables.
pub const EARLY: u32 = MemoryType::WriteBackWriteAllocate.index() as u32;
