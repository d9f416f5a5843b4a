//! What the machine reports: rules that a sequence of operations broke, and wrong things that were seen.

use super::fault::Status;
use super::leaf::Leaf;

/// One report. Addresses are virtual (`va`) or physical (`table`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Violation {
    // --- Seen: what a walk, a TLB or a cache really did.
    /// A walk read a table that was freed.
    WalkedFreed { cpu: usize, va: u32, table: u64 },
    /// A walk read a descriptor that was never written and published since the table was allocated.
    WalkedUnpublished { cpu: usize, va: u32, table: u64 },
    /// A walk left table memory altogether.
    WalkedOutside { cpu: usize, va: u32, at: u64 },
    /// Two TLB entries of different meaning matched one address (DDI 0406C B3.10.1).
    Conflict { cpu: usize, va: u32 },
    /// An access found what the kernel no longer means, or does not mean yet.
    Wrong { cpu: usize, va: u32, found: Found },
    /// An access found memory that may be written and executed, or of the other half's scope.
    Unsound { cpu: usize, va: u32, leaf: Leaf },
    /// A table was freed while a translation table base register, a walk cache or a TLB still knew it.
    Dangling { cpu: usize, table: u64, by: Holder },
    /// A CPU runs under an ASID by which it remembers what is not its address space's.
    AnothersAsid { cpu: usize, asid: u8, table: u64 },
    /// A CPU's load found a descriptor that nobody had written.
    ReadUninitialised { at: u64 },

    // --- Rules: what the order of operations does not guarantee.
    /// A descriptor was not written by one aligned store of its size (R11).
    Torn { at: u64, bytes: usize },
    /// A store to memory that is no allocated table.
    StoredOutside { at: u64 },
    /// A table that walks reach was written by a store that need not be whole.
    BulkToLive { at: u64 },
    /// A live descriptor was written twice with no barrier between.
    StoredTwice { va: u32 },
    /// A table was linked, or a root loaded, before all of it was cleaned and a barrier passed.
    LinkedUnpublished { va: u32, table: u64 },
    /// A descriptor points to something that is no allocated table, or to one linked for other addresses.
    LinkedWrong { va: u32, table: u64 },
    /// A valid entry became another one with no invalid one, invalidated, between (R4).
    NoBreakBeforeMake { va: u32 },
    /// A store to a live descriptor was not cleaned for walks that do not snoop (B31).
    NotCleaned { va: u32 },
    /// A store or clean was not completed by a barrier (R1).
    NoBarrier { va: u32 },
    /// A translation changed, and the operation ended before its invalidation was complete (R2).
    NotInvalidated { va: u32, stage: &'static str },
    /// Executable memory went, and branch predictions stayed (R2).
    NoBranchInvalidation { va: u32 },
    /// The operation ended with no ISB behind its last barrier (R1).
    NoIsb,
    /// A TLB was invalidated where nothing had changed (R3).
    NeedlessInvalidation,
    /// A table was freed while an entry still pointed to it.
    FreedLinked { table: u64 },
    /// A table was freed before the invalidation that it waited for was complete (R29).
    FreedBeforeFlush { table: u64, stage: &'static str },
    /// Memory was freed that was not allocated so.
    BadFree { at: u64 },
}

/// Who still knew a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// TTBR0 or TTBR1.
    Ttbr,
    /// A walk cache.
    WalkCache,
    /// A TLB entry read from the table.
    Tlb,
}

/// What an access came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// A translation: physical address and the leaf.
    Hit(u64, Leaf),
    /// A fault.
    Fault(Status),
    /// Several TLB entries at once.
    Conflict,
}

impl Violation {
    /// Whether something wrong was seen to happen, and not only a rule broken.
    pub fn is_seen(&self) -> bool {
        matches!(
            self,
            Self::WalkedFreed { .. }
                | Self::WalkedUnpublished { .. }
                | Self::WalkedOutside { .. }
                | Self::Conflict { .. }
                | Self::Wrong { .. }
                | Self::Unsound { .. }
                | Self::Dangling { .. }
                | Self::AnothersAsid { .. }
                | Self::ReadUninitialised { .. }
        )
    }
}
