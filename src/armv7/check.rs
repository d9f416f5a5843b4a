//! Whether the CPU translates as its tables say: a self-test for any kernel, on the machine itself.
//!
//! The CPU is asked by its address translation operations (ATS1C**, PAR; DDI 0406C B3.18.8), the tables are read by
//! [`walk`]. A register that holds something else than this crate thinks, a table that walks do not see as it was written,
//! a translation that was not forgotten: each shows as a [`Disagreement`], before it shows as something stranger.

use core::fmt;
use core::ops::ControlFlow;

use super::mmu::{self, Query};
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::attr::{Access, Attrs, MemoryType, Shareability};
use crate::format::control::{Answer, Registers};
use crate::format::{Active, FaultKind, Leaf};
use crate::table::mem::TableMemory;
use crate::table::node::Node;
use crate::table::walk;

/// What an access comes to: where it goes, or the fault and the depth that it names.
pub type Outcome = Result<PhysAddr, (FaultKind, Option<usize>)>;

/// An address that CPU and tables do not agree about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disagreement {
    /// Where an access goes, or how it fails.
    Access {
        /// The address.
        va: VirtAddr,
        /// The access.
        query: Query,
        /// What the CPU says.
        cpu: Outcome,
        /// What the tables say.
        tables: Outcome,
    },
    /// What kind of memory lies there.
    Memory {
        /// The address.
        va: VirtAddr,
        /// What the CPU says.
        cpu: Answer,
        /// What the tables say.
        tables: Attrs,
    },
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = |f: &mut fmt::Formatter<'_>, outcome: Outcome| match outcome {
            Ok(phys) => write!(f, "{phys}"),
            Err((kind, Some(depth))) => write!(f, "{kind} at depth {depth}"),
            Err((kind, None)) => write!(f, "{kind}"),
        };
        match *self {
            Self::Access { va, query, cpu, tables } => {
                write!(f, "{query:?} of {va}: the CPU says ")?;
                outcome(f, cpu)?;
                f.write_str(", the tables ")?;
                outcome(f, tables)
            }
            Self::Memory { va, cpu, tables } => write!(
                f,
                "{va}: the CPU says memory {:#04x}, {:?}, the tables {:?}, {:?}",
                cpu.memory, cpu.share, tables.memory, tables.share
            ),
        }
    }
}

impl core::error::Error for Disagreement {}

/// Asks the CPU about the ends of every leaf in `range` and of every gap between them, for each kind of access, and
/// compares its answers with what the tables below `root` say. How many addresses these were.
///
/// `root` is the one that this CPU walks for all of `range`. Nobody edits the tree meanwhile, handlers of interrupts do not
/// [ask](mmu::ask), and if user addresses are in the range, user space is open to the kernel
/// ([`uaccess`](super::uaccess)). Leaves that this crate never writes are left out.
///
/// # Errors
/// The first [`Disagreement`].
pub fn agree<M: TableMemory>(
    root: &Node<'_, Active, M>,
    range: VirtRange,
) -> Result<usize, Disagreement> {
    let mut asked = 0;
    let mut ends_agree = |range: VirtRange| {
        asked += 2;
        agree_at(root, range.start())?;
        agree_at(root, range.last())
    };
    // From here on nothing was asked yet.
    let mut rest = Some(range);
    let visited = walk::visit(root, range, &mut |mapped| {
        let Some(part) = mapped.range.intersection(range) else {
            return ControlFlow::Continue(());
        };
        let gap = rest.and_then(|rest| before(rest, part));
        rest = rest.and_then(|rest| behind(rest, part));
        match gap.map_or(Ok(()), &mut ends_agree).and_then(|()| ends_agree(part)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(disagreement) => ControlFlow::Break(disagreement),
        }
    });
    match visited {
        ControlFlow::Break(disagreement) => return Err(disagreement),
        ControlFlow::Continue(()) => rest.map_or(Ok(()), ends_agree)?,
    }
    Ok(asked)
}

/// What of `rest` lies before `part`.
fn before(rest: VirtRange, part: VirtRange) -> Option<VirtRange> {
    VirtRange::inclusive(rest.start(), VirtAddr(part.start().0.checked_sub(1)?)).ok()
}

/// What of `rest` lies behind `part`.
fn behind(rest: VirtRange, part: VirtRange) -> Option<VirtRange> {
    VirtRange::inclusive(VirtAddr(part.last().0.checked_add(1)?), rest.last()).ok()
}

/// [Asks](agree) about one address.
///
/// # Errors
/// The first [`Disagreement`].
pub fn agree_at<M: TableMemory>(
    root: &Node<'_, Active, M>,
    va: VirtAddr,
) -> Result<(), Disagreement> {
    let found = walk::translate(root, va).map(|found| found.leaf());
    if found == Some(None) {
        return Ok(());
    }
    for query in Query::ALL {
        let tables = outcome(root, va, query);
        let answer = mmu::ask(va, query);
        let cpu = answer.map(|answer| answer.address(va)).map_err(|f| (f.kind, f.depth));
        if cpu != tables {
            return Err(Disagreement::Access { va, query, cpu, tables });
        }
        if let (Ok(cpu), Some(Some(Leaf { attrs, .. }))) = (answer, found)
            && !is_alike(&cpu, attrs)
        {
            return Err(Disagreement::Memory { va, cpu, tables: attrs });
        }
    }
    Ok(())
}

/// What the tables below `root` say that an access comes to. Leaves that this crate never writes count as none.
pub fn outcome<M: TableMemory>(root: &Node<'_, Active, M>, va: VirtAddr, query: Query) -> Outcome {
    let found = walk::translate(root, va).and_then(|found| Some((found, found.leaf()?.attrs)));
    let Some((found, attrs)) = found else {
        return Err((FaultKind::Translation, walk::trace(root, va).count().checked_sub(1)));
    };
    let user = matches!(query, Query::UserRead | Query::UserWrite);
    let write = matches!(query, Query::KernelWrite | Query::UserWrite);
    let kind = if attrs.access == Access::None {
        FaultKind::Translation
    } else if !attrs.young {
        FaultKind::AccessFlag
    } else if user && !attrs.user || write && attrs.access != Access::ReadWrite {
        FaultKind::Permission
    } else {
        return Ok(found.phys);
    };
    Err((kind, Some(found.depth)))
}

/// Whether PAR names the memory that `attrs` ask for. In the classic format there is nothing to compare:
/// QEMU leaves its attribute fields zero. Under LPAE it hands out the descriptor's SH where the manual has what
/// the memory type makes of it.
fn is_alike(cpu: &Answer, attrs: Attrs) -> bool {
    let index = u32::from(attrs.memory.index());
    let [low, high] = Active::REMAP;
    let mair = if index < 4 { low >> (8 * index) } else { high >> (8 * (index - 4)) };
    let shares = [attrs.share, shareability(attrs)];
    !Active::LPAE || cpu.memory == mair as u8 && shares.contains(&cpu.share)
}

/// Who sees writes to memory of these attributes in order. What no cache holds is outer shareable whatever the descriptor
/// says: device memory everywhere, normal memory under LPAE (DDI 0406C B3.8.4).
pub fn shareability(attrs: Attrs) -> Shareability {
    match attrs.memory {
        MemoryType::StronglyOrdered | MemoryType::Device => Shareability::Outer,
        MemoryType::NonCacheable if Active::LPAE => Shareability::Outer,
        _ => attrs.share,
    }
}
