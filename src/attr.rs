//! What a mapping means, in words that both formats share.
//!
//! The classic format runs with SCTLR.TRE = 1 and SCTLR.AFE = 1, which gives its leaves the fields that
//! LPAE's have: a 3-bit memory index, AP\[2:1\], an access flag, two software bits. So one [`Attrs`] serves
//! both, and a writable mapping that can be executed cannot be written down.

use bitflags::bitflags;

/// A memory type, and at the same time its index: {TEX\[0\], C, B} in the classic format (PRRR and NMRR),
/// AttrIndx in LPAE (MAIR0 and MAIR1).
///
/// The numbers are those that the same three bits mean without TEX remap (DDI 0406C B3.8.2), so a
/// descriptor written before SCTLR.TRE is set means the same after. Index 5 is reserved there and index 6
/// implementation defined (B3.8.3): neither is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum MemoryType {
    /// Strongly ordered: every access in program order, no gathering.
    StronglyOrdered = 0,
    /// Device, shareable: registers of peripherals.
    Device = 1,
    /// Normal, write-through, no write-allocate.
    WriteThrough = 2,
    /// Normal, write-back, no write-allocate.
    WriteBack = 3,
    /// Normal, not cached: frame buffers, DMA buffers.
    NonCacheable = 4,
    /// Normal, write-back, write-allocate: what memory usually is, and what tables lie in.
    WriteBackWriteAllocate = 7,
}

impl MemoryType {
    /// Every memory type.
    pub const ALL: [Self; 6] = [
        Self::StronglyOrdered,
        Self::Device,
        Self::WriteThrough,
        Self::WriteBack,
        Self::NonCacheable,
        Self::WriteBackWriteAllocate,
    ];

    /// The index in the remap registers, 0 to 7.
    #[inline]
    pub const fn index(self) -> u8 {
        self as u8
    }

    /// The memory type of an index, `None` for the two that are not used.
    #[inline]
    pub const fn from_index(index: u8) -> Option<Self> {
        Some(match index {
            0 => Self::StronglyOrdered,
            1 => Self::Device,
            2 => Self::WriteThrough,
            3 => Self::WriteBack,
            4 => Self::NonCacheable,
            7 => Self::WriteBackWriteAllocate,
            _ => return None,
        })
    }

    /// Whether reads may be speculative and repeated; strongly-ordered and device memory is not.
    #[inline]
    pub const fn is_normal(self) -> bool {
        !matches!(self, Self::StronglyOrdered | Self::Device)
    }
}

/// Who may be relied on to see a write in order: the Shareability attribute (DDI 0406C A3.5.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Shareability {
    /// This CPU alone.
    Non = 0b00,
    /// The outer shareable domain. LPAE only: the classic S bit says inner or nothing.
    Outer = 0b10,
    /// The inner shareable domain: the CPUs that run one kernel.
    Inner = 0b11,
}

impl Shareability {
    /// That of these bits; `None` for those that are reserved.
    #[inline]
    pub(crate) const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0b00 => Self::Non,
            0b10 => Self::Outer,
            0b11 => Self::Inner,
            _ => return None,
        })
    }
}

/// What a leaf lets the CPU do.
///
/// There is no variant that writes and executes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Access {
    /// Nothing: mapped for the kernel's bookkeeping, invalid for the hardware (`PROT_NONE`).
    None,
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
    /// Read and execute.
    ReadExecute,
}

impl Access {
    /// Every access.
    pub const ALL: [Self; 4] = [Self::None, Self::Read, Self::ReadWrite, Self::ReadExecute];

    /// What a leaf of `memory` with these bits allows: AP\[2\], XN, and whether it is one without access. `None` for what
    /// this crate never writes.
    #[inline]
    pub(crate) const fn from_bits(
        read_only: bool,
        never_execute: bool,
        none: bool,
        memory: MemoryType,
    ) -> Option<Self> {
        match (read_only, never_execute, none) {
            (true, true, false) => Some(Self::Read),
            (false, true, false) => Some(Self::ReadWrite),
            (true, false, false) if memory.is_normal() => Some(Self::ReadExecute),
            (true, true, true) => Some(Self::None),
            _ => None,
        }
    }

    /// The same with writing allowed, which ends execution; nothing stays nothing.
    const fn writable(self) -> Self {
        if matches!(self, Self::None) { Self::None } else { Self::ReadWrite }
    }

    /// The same with writing withdrawn.
    const fn read_only(self) -> Self {
        if matches!(self, Self::ReadWrite) { Self::Read } else { self }
    }
}

bitflags! {
    /// The two software bits of a leaf, which the hardware never reads: TEX\[2:1\] in the classic format,
    /// bits 56 and 55 in LPAE.
    ///
    /// [`Attrs`]' dirty tracking gives them the names; a kernel that does not track may use both freely.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
    pub struct Marks: u8 {
        /// The mapping may be written, whatever the hardware permission says just now.
        const WRITE = 1;
        /// The memory has been written since it was last cleaned.
        const DIRTY = 2;
    }
}

/// What a mapping means.
// Laid out so that four fields are one load, see `words`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(C, align(4))]
pub struct Attrs {
    /// The memory type.
    pub memory: MemoryType,
    /// Who sees writes in order.
    pub share: Shareability,
    /// Whether the translation holds in every address space (nG = 0).
    pub global: bool,
    /// Whether user mode (PL0) may do it too.
    pub user: bool,
    /// What may be done.
    pub access: Access,
    /// The access flag: a leaf that is not young faults on its first use.
    pub young: bool,
    /// The software bits.
    pub marks: Marks,
}

impl Attrs {
    /// Kernel memory: write-back, inner shareable, global, young.
    pub const fn kernel(access: Access) -> Self {
        Self {
            memory: MemoryType::WriteBackWriteAllocate,
            access,
            user: false,
            global: true,
            share: Shareability::Inner,
            young: true,
            marks: Marks::empty(),
        }
    }

    /// User memory: write-back, inner shareable, of one address space, young.
    pub const fn user(access: Access) -> Self {
        Self { user: true, global: false, ..Self::kernel(access) }
    }

    /// The kernel's device registers: read, write, global.
    pub const fn device() -> Self {
        Self { memory: MemoryType::Device, ..Self::kernel(Access::ReadWrite) }
    }

    /// All of it in two words, equal where the attributes are: two comparisons instead of seven.
    #[inline]
    pub(crate) const fn words(self) -> [u32; 2] {
        let Self { memory, access, user, global, share, young, marks } = self;
        let first = [memory as u8, share as u8, global as u8, user as u8];
        let second = [access as u8, young as u8, marks.bits(), 0];
        [u32::from_le_bytes(first), u32::from_le_bytes(second)]
    }

    /// Memory type, shareability and scope in a word: what changes while a translation is absent (DDI 0406C B3.10.1).
    #[inline]
    pub(crate) const fn kind(self) -> u32 {
        self.words()[0] & 0x00ff_ffff
    }

    /// The same with another memory type.
    #[must_use]
    pub const fn with_memory(self, memory: MemoryType) -> Self {
        Self { memory, ..self }
    }

    /// The same with another access.
    #[must_use]
    pub const fn with_access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// The same, global or not.
    #[must_use]
    pub const fn with_global(self, global: bool) -> Self {
        Self { global, ..self }
    }

    /// The same with other software bits.
    #[must_use]
    pub const fn with_marks(self, marks: Marks) -> Self {
        Self { marks, ..self }
    }

    /// Whether the mapping may be written, now or after a fault that notes it as dirty.
    #[inline]
    pub const fn may_write(self) -> bool {
        matches!(self.access, Access::ReadWrite) || self.marks.contains(Marks::WRITE)
    }

    /// Whether the memory counts as written: noted so, or writable with nobody watching.
    #[inline]
    pub const fn is_dirty(self) -> bool {
        matches!(self.access, Access::ReadWrite) || self.marks.contains(Marks::DIRTY)
    }

    /// Used: the next access does not fault.
    #[must_use]
    pub const fn mkyoung(self) -> Self {
        Self { young: true, ..self }
    }

    /// Unused: the next access raises an access flag fault.
    #[must_use]
    pub const fn mkold(self) -> Self {
        Self { young: false, ..self }
    }

    /// Clean: where it may be written, the hardware permission is withdrawn and remembered in a mark.
    #[must_use]
    pub const fn mkclean(self) -> Self {
        Self {
            access: self.access.read_only(),
            marks: if self.may_write() { Marks::WRITE } else { Marks::empty() },
            ..self
        }
    }

    /// Dirty: noted in a mark, and the hardware permission is given back where it was withdrawn.
    #[must_use]
    pub const fn mkdirty(self) -> Self {
        Self {
            access: if self.may_write() { self.access.writable() } else { self.access },
            marks: self.marks.union(Marks::DIRTY),
            ..self
        }
    }

    /// Shared until it is written: the hardware permission to write is withdrawn and remembered in a mark, and what is
    /// dirty stays so. Twice is as once.
    #[must_use]
    pub const fn mkcow(self) -> Self {
        let write = if self.may_write() { Marks::WRITE } else { Marks::empty() };
        Self { marks: self.wrprotect().marks.union(write), ..self.wrprotect() }
    }

    /// No longer writable; what is dirty stays dirty.
    #[must_use]
    pub const fn wrprotect(self) -> Self {
        Self {
            access: self.access.read_only(),
            marks: if self.is_dirty() { Marks::DIRTY } else { Marks::empty() },
            ..self
        }
    }

    /// Writable: at once where it is dirty already, else after the fault that notes it. For memory that only this mapping
    /// has: what is shared until written ([`mkcow`](Self::mkcow)) is dirty as a rule, and would be written at once; see
    /// [`mprotect`](Self::mprotect).
    #[must_use]
    pub const fn mkwrite(self) -> Self {
        Self {
            access: if self.is_dirty() { self.access.writable() } else { self.access },
            marks: self.marks.union(Marks::WRITE),
            ..self
        }
    }

    /// With another access, as `mprotect` has it: what is writable already stays so, and what is to become writable takes a
    /// fault first ([`may_write`](Self::may_write)), as it may be shared, or watched for writes; any other access ends
    /// writing for good. What is dirty stays dirty.
    #[must_use]
    pub const fn mprotect(self, access: Access) -> Self {
        match (access, self.access) {
            (Access::ReadWrite, Access::ReadWrite) => self,
            (Access::ReadWrite, _) => {
                Self { access: Access::Read, marks: self.marks.union(Marks::WRITE), ..self }
            }
            _ => Self { access, ..self.wrprotect() },
        }
    }
}

/// An address space identifier, 8 bits (DDI 0406C B3.9.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(transparent)]
pub struct Asid(pub u8);
