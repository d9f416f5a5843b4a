//! What a decoded fault means: copy an entry from swapper and retry, hand it on, or a bug.

use super::view::SwapperView;
use crate::addr::{PhysAddr, VirtAddr};
use crate::attr::Access;
use crate::format::{Fault, FaultKind, Format, Walk};
use crate::table::flush::publish;
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::walk;

/// What to do about a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The pgd has now what swapper has: return, and the access succeeds.
    Retry,
    /// User space's business: an address of its half, or an access of its own to the kernel's.
    User,
    /// The kernel used an address of its half that is not mapped, or not for this.
    Kernel,
}

/// Judges a fault at `va`, taken while `root` was the active pgd. `user_mode` says whether PL0 was running.
///
/// Takes no lock and allocates nothing: fit for any context, also while the pgd is torn down.
///
/// In the classic format a [`CacheMaintenance`](FaultKind::CacheMaintenance) fault says in IFSR why: give that status here,
/// decoded, with DFAR's address (DDI 0406C B3.13).
///
/// # Safety
/// `root` is a pgd's of the same swapper, or its own; its root and its tables for the kernel half stay until this returns, as
/// they do while a CPU walks them.
#[inline]
pub unsafe fn do_translation_fault<F: Format, M: Machine>(
    swapper: &SwapperView<'_, F, M>,
    root: PhysAddr,
    fault: &Fault,
    va: VirtAddr,
    user_mode: bool,
) -> Verdict {
    if user_mode || !swapper.comes_late(va) {
        // SAFETY: the caller answers for it; so for the next.
        return unsafe { elsewhere(swapper, root, fault.kind, va, user_mode) };
    }
    if fault.kind != FaultKind::Translation {
        return Verdict::Kernel;
    }
    // SAFETY: as above.
    unsafe { sync(swapper, va, root) }
}

/// The verdict where a copy is seldom missing, or none can be: in the user half, and where TTBR1 walks swapper itself.
///
/// # Safety
/// As for [`do_translation_fault`].
#[cold]
unsafe fn elsewhere<F: Format, M: Machine>(
    swapper: &SwapperView<'_, F, M>,
    root: PhysAddr,
    kind: FaultKind,
    va: VirtAddr,
    user_mode: bool,
) -> Verdict {
    if user_mode || va < swapper.layout().task_size() {
        Verdict::User
    } else if kind == FaultKind::Translation && swapper.is_copied(va) {
        // SAFETY: the caller answers for it.
        unsafe { sync_from(swapper, va, root) }
    } else {
        Verdict::Kernel
    }
}

/// Copies the entry for `va` from swapper to the pgd, where swapper has one and the pgd has not: the root
/// entry, or the private table's.
///
/// Two CPUs may do so at once: they store the same word, which never changes again (see
/// [sealing](super::swapper#sealing)).
///
/// # Safety
/// As for [`do_translation_fault`].
#[inline]
unsafe fn sync<F: Format, M: Machine>(
    swapper: &SwapperView<'_, F, M>,
    va: VirtAddr,
    pgd: PhysAddr,
) -> Verdict {
    // What is missing is nearly always a table of ptes.
    let depth = F::LEVELS.len() - 2;
    let machine = swapper.late.machine();
    let mut table = pgd;
    // Unrolled, so that each level's geometry is a constant.
    for depth in 0..depth {
        // SAFETY: the root that the caller answers for, or a table that an entry just read points to.
        let ours = unsafe { Node::<F, M>::new(machine, table, depth) };
        let Walk::Table(below) = F::walk(depth, ours.load(ours.index(va))) else {
            // SAFETY: as above; so for all of these.
            return unsafe { sync_from(swapper, va, pgd) };
        };
        table = below;
    }
    // SAFETY: as above, and swapper's table, which is there.
    let (ours, theirs) =
        unsafe { (Node::<F, M>::new(machine, table, depth), swapper.late.at_depth(depth)) };
    let index = ours.index(va);
    let (present, wanted) = (ours.load(index), theirs.load(index));
    if present == F::Raw::default() && matches!(F::walk(depth, wanted), Walk::Table(_)) {
        copy(&ours, index, wanted);
        return Verdict::Retry;
    }
    // SAFETY: as above.
    unsafe { sync_from(swapper, va, pgd) }
}

/// [`sync`], whatever is missing. The arguments and the result are such that it is a jump, not a call.
///
/// # Safety
/// As for [`do_translation_fault`].
#[cold]
#[inline(never)]
unsafe fn sync_from<F: Format, M: Machine>(
    swapper: &SwapperView<'_, F, M>,
    va: VirtAddr,
    pgd: PhysAddr,
) -> Verdict {
    let absent = F::Raw::default();
    // SAFETY: the caller answers for the pgd.
    let pgd = unsafe { Node::<F, M>::new(swapper.node().machine(), pgd, 0) };
    let (mut ours, mut theirs) = (pgd, swapper.node());
    loop {
        let index = ours.index(va);
        let (present, wanted) = (ours.load(index), theirs.load(index));
        if present == absent {
            // A leaf that is not sealed may go again, and nobody would take the copy away.
            let depth = ours.depth();
            let may_go = matches!(F::walk(depth, wanted), Walk::Memory { .. })
                && !swapper.layout().is_copied::<F>(depth, va);
            if wanted == absent || may_go {
                return Verdict::Kernel;
            }
            copy(&ours, index, wanted);
            return Verdict::Retry;
        }
        // Below an entry that is swapper's, the pgd misses nothing.
        // SAFETY: the tables of both stay meanwhile.
        let below = unsafe { (ours.own(present), theirs.linked(wanted)) };
        let (Some(own), Some(model)) = below else { break };
        (ours, theirs) = (own, model);
    }
    if is_mapped(&pgd, va) { Verdict::Retry } else { Verdict::Kernel }
}

/// Gives a table of the pgd's swapper's entry.
#[inline]
fn copy<F: Format, M: Machine>(ours: &Node<'_, F, M>, index: usize, wanted: F::Raw) {
    // SAFETY: swapper maps it for every address space.
    unsafe { ours.store(index, wanted) };
    ours.clean_one(index);
    publish(ours.machine());
}

/// Whether `va` is mapped for some access after all: another CPU was faster than this one.
#[cold]
fn is_mapped<F: Format, M: Machine>(pgd: &Node<'_, F, M>, va: VirtAddr) -> bool {
    walk::translate(pgd, va).is_some_and(|found| found.access() != Access::None)
}
