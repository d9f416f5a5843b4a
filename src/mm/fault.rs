//! What a decoded fault means: copy an entry from swapper and retry, hand it on, or a bug.

use super::swapper::SwapperView;
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
/// Takes no lock and allocates nothing: safe in any context, also while the pgd is torn down.
#[inline]
pub fn do_translation_fault<F: Format, M: Machine>(
    swapper: &SwapperView<'_, F, M>,
    root: PhysAddr,
    fault: &Fault,
    va: VirtAddr,
    user_mode: bool,
) -> Verdict {
    if user_mode || va < swapper.layout.task_size() {
        return Verdict::User;
    }
    if fault.kind != FaultKind::Translation {
        return Verdict::Kernel;
    }
    if sync(swapper, root, va) { Verdict::Retry } else { Verdict::Kernel }
}

/// Copies the entry for `va` from swapper to the pgd, where swapper has one and the pgd has not: the root
/// entry, or the private table's. Whether the access should be tried again.
///
/// Two CPUs may do so at once: they store the same word, which never changes again (see
/// [sealing](super::swapper#sealing)).
#[inline]
fn sync<F: Format, M: Machine>(
    swapper: &SwapperView<'_, F, M>,
    pgd: PhysAddr,
    va: VirtAddr,
) -> bool {
    let (machine, mut from, mut to) = (swapper.root.machine(), swapper.root.table(), pgd);
    // Unrolled, so that each level's geometry is a constant.
    for depth in 0..F::LEVELS.len() {
        // SAFETY: the roots, or tables that entries just read point to; the active pgd's tables stay while
        // it is active, and swapper's for ever.
        let ours = unsafe { Node::<F, M>::new(machine, to, depth) };
        // SAFETY: as above.
        let theirs = unsafe { Node::<F, M>::new(machine, from, depth) };
        let index = F::LEVELS[depth].index(va);
        let present = ours.load(index);
        if present == F::Raw::default() {
            let wanted = theirs.load(index);
            if wanted == F::Raw::default() {
                return false;
            }
            // A leaf that is not sealed may go again, and nobody would take the copy away.
            if depth > 0
                && matches!(F::walk(depth, wanted), Walk::Memory { .. })
                && !swapper.layout.is_copied::<F>(depth, va)
            {
                return false;
            }
            // SAFETY: swapper maps it for every address space.
            unsafe { ours.store(index, wanted) };
            let (line, bytes) = ours.bytes(index..index + 1);
            machine.clean(line, bytes);
            publish(machine);
            return true;
        }
        // Below an entry that is swapper's own the pgd misses nothing.
        if F::is_marked(present) {
            break;
        }
        match (F::walk(depth, present), F::walk(depth, theirs.load(index))) {
            (Walk::Table(ours), Walk::Table(theirs)) => (to, from) = (ours, theirs),
            _ => break,
        }
    }
    is_mapped::<F, M>(machine, pgd, va)
}

/// Whether `va` is mapped for some access after all: another CPU was faster than this one.
#[cold]
fn is_mapped<F: Format, M: Machine>(machine: &M, pgd: PhysAddr, va: VirtAddr) -> bool {
    // SAFETY: the active pgd's tables stay while it is active.
    let pgd = unsafe { Node::<F, M>::new(machine, pgd, 0) };
    walk::translate(&pgd, va).is_some_and(|found| found.access() != Access::None)
}
