//! The live tables as a stranger sees them: walked by the CPU's own registers and by nothing else that this
//! crate believes about them.

use core::fmt;

use armv7a_mm::addr::PhysAddr;
use armv7a_mm::armv7::cp15::ID_MMFR0;
use armv7a_mm::armv7::mmu::WalkState;
use armv7a_mm::table::inspect::{Inspector, Leaf, Memory, Regs, Rights};

use crate::image;
use crate::kernel::Kernel;

/// This CPU's registers, and the RAM of the linear map to read tables from.
pub fn inspector(kernel: &Kernel) -> Inspector<impl Fn(PhysAddr) -> Option<u32>> {
    let state = WalkState::read();
    let regs = Regs {
        sctlr: state.sctlr,
        ttbcr: state.ttbcr,
        ttbr0: state.ttbr0,
        ttbr1: state.ttbr1,
        dacr: state.dacr,
        mair0: state.remap[0],
        mair1: state.remap[1],
        id_mmfr0: ID_MMFR0::read(),
    };
    let ram = kernel.linear;
    Inspector::new(regs, move |at: PhysAddr| {
        if at.as_u64() < ram.base || at.as_u64() >= ram.end() {
            return None;
        }
        let at = image::placement().virt(at).0 as *const u32;
        // SAFETY: the linear map has it; a word that is not a table's is as good as any other.
        Some(unsafe { at.read_volatile() })
    })
}

/// How memory can be both written and executed, or worse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Breach {
    /// By one mapping, whoever may do the one and whoever the other.
    Mapping(Leaf),
    /// A device from which instructions may be fetched.
    Device(Leaf),
    /// By one mapping each.
    Alias {
        /// Writes.
        write: Leaf,
        /// Executes the same memory.
        execute: Leaf,
    },
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mapping(leaf) => write!(f, "writable and executable: {leaf}"),
            Self::Device(leaf) => write!(f, "an executable device: {leaf}"),
            Self::Alias { write, execute } => {
                write!(f, "writable: {write}, and executable: {execute}")
            }
        }
    }
}

/// What any privilege level may do.
fn rights(leaf: &Leaf) -> Rights {
    leaf.kernel | leaf.user
}

/// Whether two leaves map a byte of the same memory.
fn share_memory(a: &Leaf, b: &Leaf) -> bool {
    let end = |leaf: &Leaf| leaf.frame.as_u64() + leaf.range.bytes();
    a.frame.as_u64() < end(b) && b.frame.as_u64() < end(a)
}

/// How many leaves there are: none of them both writable and executable, and no memory that the kernel
/// executes by one of them writable by another.
///
/// # Errors
/// The first [`Breach`].
pub fn write_xor_execute(kernel: &Kernel) -> Result<usize, Breach> {
    let machine = inspector(kernel);
    let mut leaves = 0;
    for leaf in machine.leaves() {
        leaves += 1;
        if !rights(&leaf).contains(Rights::EXECUTE) {
            continue;
        }
        if rights(&leaf).contains(Rights::WRITE) {
            return Err(Breach::Mapping(leaf));
        }
        if !matches!(leaf.memory, Memory::Normal { .. }) {
            return Err(Breach::Device(leaf));
        }
    }
    // User code is the kernel's to write: how else would it get there.
    let executes = |leaf: &Leaf| leaf.kernel.contains(Rights::EXECUTE);
    for execute in machine.regions().filter(executes) {
        let writes =
            |leaf: &Leaf| rights(leaf).contains(Rights::WRITE) && share_memory(leaf, &execute);
        if let Some(write) = machine.regions().find(writes) {
            return Err(Breach::Alias { write, execute });
        }
    }
    Ok(leaves)
}
