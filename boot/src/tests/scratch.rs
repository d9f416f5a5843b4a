//! Where tests map memory to play with, and how they use it.

use armv7a_mm::addr::{VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::FaultKind;

use crate::kernel::LAYOUT;
use crate::probe::{self, Probed};

/// In the user half, aligned to any kind of leaf but the 1 GiB block.
pub const HERE: VirtAddr = VirtAddr(0x1000_0000);

/// In the fixmap, behind the devices, aligned to a run of pages; swapper has its tables already.
pub const WINDOW: VirtAddr = VirtAddr(0xFFC9_0000);

/// Kernel data of one address space: what [`HERE`] may have, in every kind of leaf.
pub const DATA: Attrs = Attrs::kernel(Access::ReadWrite).with_global(false);

/// `range` from byte `offset` on, `bytes` long.
pub fn part(range: VirtRange, offset: u32, bytes: u64) -> VirtRange {
    VirtRange::new(VirtAddr(range.start().0 + offset), bytes).expect("it lies in the range")
}

/// Stops the run unless `at` is where tests alone map memory, and what they may write is spare.
fn assert_scratch(at: VirtAddr) {
    let window = VirtRange::aligned(WINDOW, 16);
    assert!(LAYOUT.user().contains(at) || window.contains(at), "{at} is not for tests to write");
}

/// Stores a word as the kernel.
///
/// # Errors
/// The abort that it took.
pub fn poke(at: VirtAddr, value: u32) -> Probed<()> {
    assert_scratch(at);
    // SAFETY: nobody else has anything there.
    unsafe { probe::write(at, value) }
}

/// Stores a word with user permissions.
///
/// # Errors
/// The abort that it took.
pub fn poke_user(at: VirtAddr, value: u32) -> Probed<()> {
    assert_scratch(at);
    // SAFETY: as above.
    unsafe { probe::write_user(at, value) }
}

/// What an access's fault was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Its kind.
    pub kind: FaultKind,
    /// The depth that it named.
    pub depth: Option<usize>,
    /// Whether it was a write's.
    pub write: bool,
}

impl Refusal {
    /// A read's.
    pub const fn read(kind: FaultKind, depth: usize) -> Option<Self> {
        Some(Self { kind, depth: Some(depth), write: false })
    }

    /// A write's.
    pub const fn write(kind: FaultKind, depth: usize) -> Option<Self> {
        Some(Self { kind, depth: Some(depth), write: true })
    }

    /// What an access came to, if it faulted.
    pub fn of<T>(outcome: Probed<T>) -> Option<Self> {
        let fault = outcome.err()?.fault()?;
        Some(Self { kind: fault.kind, depth: fault.depth, write: fault.write })
    }
}
