//! Whether the CPU translates as its tables say: a self-test for any kernel, on the machine itself.
//!
//! The CPU is asked by its address translation operations (ATS1C**, PAR; DDI 0406C B3.18.8), the tables are read by
//! [`walk`]. A register that holds something else than this crate thinks, a table that walks do not see as it was written,
//! a translation that was not forgotten: most of these show as a [`Disagreement`], before they show as something stranger.

use core::fmt;
use core::ops::ControlFlow;

use super::mmu::{self, Query};
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::attr::{Access, Attrs, MemoryType, Shareability};
use crate::format::control::{Answer, Registers};
use crate::format::{Active, Entry, Fault, FaultKind, Leaf};
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
            Err((kind, Some(depth))) => write!(f, "{kind} at level {}", depth + 1),
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

/// Asks the CPU about both ends of every leaf in `range` and of every gap between them, for reads and writes by the kernel
/// and by user space, and compares its answers with what the tables below `root` say. How many addresses it was asked about.
///
/// `root` is the one that this CPU walks for all of `range`. The caller stays on this CPU with interrupts masked, or nobody
/// else [asks](mmu::ask) there meanwhile; nobody edits the tree; and if user addresses are in the range, user space is open
/// to the kernel ([`uaccess`](super::uaccess)). What a word of unknown meaning translates is left out.
///
/// # What it does not see
/// - Whether code may be executed, and what is global: the CPU is not to be asked.
/// - The kind of memory, in the classic format: QEMU's PAR does not name it.
/// - The middle of leaves and gaps, and what other CPUs remember.
///
/// Where a table lies in no memory at all, the question itself may abort.
///
/// # Errors
/// The first [`Disagreement`].
pub fn agree<M: TableMemory>(
    root: &Node<'_, Active, M>,
    range: VirtRange,
) -> Result<usize, Disagreement> {
    let mut asked = 0;
    let mut ends_agree = |range: VirtRange| {
        asked += usize::from(agree_at(root, range.start())?);
        if range.last() != range.start() {
            asked += usize::from(agree_at(root, range.last())?);
        }
        Ok(())
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

/// [Asks](agree) about one address. Whether there was something to ask: not where a word of unknown meaning translates it.
///
/// # Errors
/// The first [`Disagreement`].
pub fn agree_at<M: TableMemory>(
    root: &Node<'_, Active, M>,
    va: VirtAddr,
) -> Result<bool, Disagreement> {
    let leaf = walk::translate(root, va).and_then(|found| found.leaf());
    for query in Query::ALL {
        let Some(tables) = outcome(root, va, query) else { return Ok(false) };
        let answer = mmu::ask(va, query);
        let cpu = answer.map(|answer| answer.address(va)).map_err(|f| (f.kind, f.depth));
        if cpu != tables && !is_cut_short(&answer, cpu, tables) {
            return Err(Disagreement::Access { va, query, cpu, tables });
        }
        if let (Ok(cpu), Some(Leaf { attrs, .. })) = (answer, leaf)
            && !is_alike(&cpu, attrs)
        {
            return Err(Disagreement::Memory { va, cpu, tables: attrs });
        }
    }
    Ok(true)
}

/// What the tables below `root` say that an access comes to; `None` where a word of unknown meaning translates it.
pub fn outcome<M: TableMemory>(
    root: &Node<'_, Active, M>,
    va: VirtAddr,
    query: Query,
) -> Option<Outcome> {
    if walk::trace(root, va).any(|step| step.entry == Entry::Reserved) {
        return None;
    }
    let found = walk::translate(root, va).and_then(|found| Some((found, found.leaf()?.attrs)));
    let Some((found, attrs)) = found else {
        let depth = walk::trace(root, va).count().checked_sub(1);
        return Some(Err((FaultKind::Translation, depth)));
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
        return Some(Ok(found.phys));
    };
    Some(Err((kind, Some(found.depth))))
}

/// Whether the CPU says the same of a supersection but for the bits of its address above 4 GiB: QEMU leaves them zero in
/// PAR, where the manual has them in bits 23:16.
fn is_cut_short(answer: &Result<Answer, Fault>, cpu: Outcome, tables: Outcome) -> bool {
    let low = |phys: PhysAddr| phys.as_u64() as u32;
    matches!((answer, cpu, tables), (Ok(answer), Ok(cpu), Ok(tables))
        if answer.supersection && cpu.as_u64() == u64::from(low(tables)))
}

/// Whether PAR names the memory that `attrs` ask for. In the classic format there is nothing to compare:
/// QEMU leaves its attribute fields zero. Under LPAE it hands out the descriptor's SH where the manual has what
/// the memory type makes of it. Of normal memory, what caches are told to allocate is left out: a CPU may do otherwise,
/// and say so.
fn is_alike(cpu: &Answer, attrs: Attrs) -> bool {
    let mair = mair(attrs.memory);
    let shares = [attrs.share, shareability(attrs)];
    let is_normal = mair & 0xF0 != 0;
    let told = if is_normal { 0xCC } else { 0xFF };
    !Active::LPAE || (cpu.memory ^ mair) & told == 0 && shares.contains(&cpu.share)
}

/// MAIR's byte for memory of this type; under LPAE alone.
pub fn mair(memory: MemoryType) -> u8 {
    let [low, high] = Active::REMAP.map(u32::to_le_bytes);
    let bytes = low.into_iter().chain(high);
    bytes.into_iter().nth(memory.index().into()).unwrap_or_default()
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
