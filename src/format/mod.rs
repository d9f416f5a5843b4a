//! The two page-table formats: data and pure functions, no memory, no instruction.
//!
//! A [`Format`] is a table of [`Level`]s and two functions, [`encode`](Format::encode) and
//! [`decode`](Format::decode), between descriptors and what they mean ([`Entry`]). All that lies above is
//! written once against these.
//!
//! Depth counts from the root: 0 is the pgd. The manual's "level n" is depth + 1.
//!
//! # Laws
//! For every format, depth, entry and word:
//! - `decode(d, encode(d, e)?) == e`, and `encode(d, decode(d, w))? == w` unless that is [`Entry::Reserved`];
//! - the all-zero word is [`Entry::Absent`] at every depth;
//! - a word that decodes to a leaf or a table is one that the manual defines; no word makes decode panic.

use core::fmt;
use core::hash::Hash;
use core::ops::{BitAnd, BitOr, BitXor, Not};

use crate::addr::PhysAddr;
use crate::attr::{Attrs, MemoryType};

pub mod classic;
pub mod control;
pub mod fault;
mod level;
pub mod lpae;
pub mod memory;
mod split;

pub use classic::Classic;
pub use fault::{Fault, FaultKind};
pub use level::{Geometry, Level, RUN, Runs, TableKind};
pub use lpae::Lpae;
pub use split::Split;

/// The format of this build: LPAE with the feature `lpae`, classic without.
#[cfg(feature = "lpae")]
pub type Active = Lpae;
/// The format of this build: LPAE with the feature `lpae`, classic without.
#[cfg(not(feature = "lpae"))]
pub type Active = Classic;

/// Who owns the table that a table entry points to: what pgd_free asks.
///
/// LPAE keeps it in bits 56 and 55 of the descriptor, which the hardware ignores (B3.6.1); classic in the
/// domain field (B3.5.1), where it decides at the same time what DACR can close.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Owner {
    /// swapper_pg_dir. Never freed through any entry, never written through a copy. Classic: domain 0.
    Swapper,
    /// The tree that holds the entry: user space's. Classic: domain 1.
    User,
    /// The tree that holds the entry, and the kernel needs it at all times: low vectors, identity
    /// mappings, the window's private pmd. Classic: domain 2.
    Kernel,
}

/// An entry that points to a table of the next level.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct TableEntry {
    /// Where the table lies.
    pub table: PhysAddr,
    /// Who frees it.
    pub owner: Owner,
    /// Whether privileged execution is forbidden below.
    pub pxn: bool,
}

/// An entry that maps memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Leaf {
    /// Where the memory lies. In an identical run: of the whole run.
    pub frame: PhysAddr,
    /// What may be done with it.
    pub attrs: Attrs,
    /// Whether it is one of a run of sixteen.
    pub run: bool,
    /// Whether privileged execution is forbidden, where the level has such a bit.
    pub pxn: bool,
}

/// What a descriptor means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Entry {
    /// Nothing is mapped: the all-zero word.
    Absent,
    /// A table of the next level.
    Table(TableEntry),
    /// Memory.
    Leaf(Leaf),
    /// An encoding that the manual reserves, or one that this crate never writes (memory both writable
    /// and executable, executable device memory, foreign domains, invalid words with content). An edit that meets it
    /// refuses it; traces and visits stop at it. Where it is a table to the hardware, translations and edits of pages below
    /// go through it, too.
    Reserved,
}

/// Why an entry has no descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum EncodeError {
    /// The level has no entry of this kind.
    NoSuchEntry {
        /// Depth from the root.
        depth: usize,
    },
    /// The frame or table is not aligned to what it is used as.
    Misaligned {
        /// The address in question.
        at: PhysAddr,
    },
    /// The address does not fit this kind of entry: beyond 4 GiB in classic, but for supersections.
    OutOfReach {
        /// The address in question.
        at: PhysAddr,
    },
    /// Device or strongly-ordered memory cannot be executable: speculative fetches would reach it
    /// (DDI 0406C A3.5.5).
    ExecutableDevice(MemoryType),
    /// The classic format has no outer shareable leaves.
    OuterShareable,
    /// This kind of entry cannot hold the combination: a user supersection, a run of inaccessible leaves.
    Unsupported,
    /// A reserved entry is never written.
    Reserved,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchEntry { depth } => write!(f, "no such entry at depth {depth}"),
            Self::Misaligned { at } => write!(f, "{at} is not aligned to the size of the entry"),
            Self::OutOfReach { at } => {
                write!(f, "{at} is beyond what this kind of entry can reach")
            }
            Self::ExecutableDevice(memory) => write!(f, "{memory:?} memory cannot be executable"),
            Self::OuterShareable => f.write_str("the classic format has no outer shareable leaves"),
            Self::Unsupported => f.write_str("this kind of entry cannot hold these attributes"),
            Self::Reserved => f.write_str("a reserved entry cannot be written"),
        }
    }
}

impl core::error::Error for EncodeError {}

/// What the table code relies on with its pointers is this crate's to say: no other format, no other word.
mod sealed {
    pub trait Format {}
    pub trait Descriptor {}
    impl Format for super::Classic {}
    impl Format for super::Lpae {}
    impl Descriptor for u32 {}
    impl Descriptor for u64 {}
}

/// A descriptor as the hardware reads it: `u32` or `u64`, and nothing else.
pub trait Descriptor:
    sealed::Descriptor
    + Copy
    + Eq
    + Hash
    + fmt::Debug
    + fmt::LowerHex
    + Default
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
    + Not<Output = Self>
    + Send
    + Sync
    + 'static
{
    /// From the low bits of `word`.
    fn from_u64(word: u64) -> Self;
    /// To a number, zero-extended.
    fn as_u64(self) -> u64;
    /// The sum; a leaf plus the span of its level is the next leaf.
    fn step(self, by: Self) -> Self;
}

impl Descriptor for u32 {
    #[inline]
    fn from_u64(word: u64) -> Self {
        word as u32
    }
    #[inline]
    fn as_u64(self) -> u64 {
        self.into()
    }
    #[inline]
    fn step(self, by: Self) -> Self {
        self.wrapping_add(by)
    }
}

impl Descriptor for u64 {
    #[inline]
    fn from_u64(word: u64) -> Self {
        word
    }
    #[inline]
    fn as_u64(self) -> u64 {
        self
    }
    #[inline]
    fn step(self, by: Self) -> Self {
        self.wrapping_add(by)
    }
}

/// Where a walk goes from a descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Walk {
    /// To the table there.
    Table(PhysAddr),
    /// To memory.
    Memory {
        /// Where it begins.
        base: PhysAddr,
        /// The bits of a virtual address that it keeps: one less than the bytes from `base` on, which in an
        /// identical run are those of all sixteen leaves.
        offset: u32,
    },
    /// Nowhere: nothing is mapped.
    Fault,
}

/// A page-table format: [`Classic`] or [`Lpae`], and no other.
pub trait Format: sealed::Format + Copy + Eq + fmt::Debug + Send + Sync + 'static {
    /// What the format is called in output: `classic` or `lpae`.
    const NAME: &'static str;
    /// The levels, root first: two or three.
    const LEVELS: &'static [Level];
    /// How leaves form runs, at the levels where they do.
    const RUNS: Runs;
    /// The ways to share the address space between TTBR0 and TTBR1, in the order of their sizes from 1 on.
    const SPLITS: &'static [Split];
    /// A descriptor.
    type Raw: Descriptor;

    /// The level at `depth`; the last, for what lies deeper, so that no depth makes it panic.
    #[inline]
    fn level(depth: usize) -> &'static Level {
        &Self::LEVELS[depth.min(Self::LEVELS.len() - 1)]
    }

    /// Which addresses entries at `depth`, one of [`LEVELS`](Self::LEVELS), translate.
    #[inline]
    fn geometry(depth: usize) -> Geometry {
        Geometry::at(Self::LEVELS, depth)
    }

    /// The descriptor of `entry` at `depth`.
    ///
    /// # Errors
    /// What the format cannot express there, see [`EncodeError`].
    #[inline]
    fn encode(depth: usize, entry: Entry) -> Result<Self::Raw, EncodeError> {
        match entry {
            Entry::Absent => Ok(Self::Raw::default()),
            Entry::Table(table) => Self::encode_table(depth, table),
            Entry::Leaf(leaf) => Self::encode_leaf(depth, leaf),
            Entry::Reserved => Err(EncodeError::Reserved),
        }
    }

    /// The descriptor of `table` at `depth`: [`encode`](Self::encode) of an [`Entry::Table`].
    ///
    /// # Errors
    /// As for `encode`.
    fn encode_table(depth: usize, table: TableEntry) -> Result<Self::Raw, EncodeError>;

    /// The descriptor of `leaf` at `depth`: [`encode`](Self::encode) of an [`Entry::Leaf`].
    ///
    /// # Errors
    /// As for `encode`.
    fn encode_leaf(depth: usize, leaf: Leaf) -> Result<Self::Raw, EncodeError>;

    /// What `raw` means at `depth`, one of [`LEVELS`](Self::LEVELS). Total: every word has an answer.
    fn decode(depth: usize, raw: Self::Raw) -> Entry;

    /// The table that `raw` at `depth` points to, if it does: the part of [`decode`](Self::decode) that
    /// walks need first.
    fn decode_table(depth: usize, raw: Self::Raw) -> Option<TableEntry>;

    /// Where a walk goes from `raw` at `depth`: what the hardware makes of it, in fewer instructions than
    /// [`decode`](Self::decode), also for words that this crate never writes. A leaf without access
    /// counts as memory.
    fn walk(depth: usize, raw: Self::Raw) -> Walk;

    /// Whether the table entry `raw` carries swapper's mark ([`Owner::Swapper`]).
    fn is_marked(raw: Self::Raw) -> bool;

    /// What a table of ptes holds if its entries have `common` bits in common, set in each: `Some` if every one
    /// is a leaf, and whether one may be executable. `None` where the bits do not tell.
    fn leaves_by_common_bits(common: Self::Raw) -> Option<bool>;

    /// A run's leaf `raw` at `depth` as if it stood alone: of an identical run the first, which has the run's frame. What
    /// is in no run stays as it is: tables and absent entries, too. `None` if no such leaf reaches so far: a supersection
    /// above 4 GiB.
    fn alone(depth: usize, raw: Self::Raw) -> Option<Self::Raw>;

    /// The bits of a leaf's descriptor at `depth` that hold its frame; the others are its attributes.
    /// `run` asks for those of a run's leaf.
    fn frame_mask(depth: usize, run: bool) -> Self::Raw;

    /// What a fault status register says: DFSR where `instruction` is false, else IFSR.
    fn decode_fault(fsr: u32, instruction: bool) -> Fault;
}
