//! What a decoded fault means: copy an entry from swapper and retry, hand it on, or a bug.

use super::swapper::SwapperView;
use crate::addr::{PhysAddr, VirtAddr};
use crate::attr::Access;
use crate::format::{Entry, Fault, FaultKind, Format};
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
    // SAFETY: the active pgd's tables stay while it is active.
    let pgd = unsafe { Node::new(swapper.root.machine(), root, 0) };
    if sync(swapper, &pgd, va) { Verdict::Retry } else { Verdict::Kernel }
}

/// Copies the entry for `va` from swapper to the pgd, where swapper has one and the pgd has not: the root
/// entry, or the private table's. Whether the access should be tried again.
///
/// Two CPUs may do so at once: they store the same word, which never changes again (see
/// [sealing](super::swapper#sealing)).
fn sync<F: Format, M: Machine>(
    swapper: &SwapperView<'_, F, M>,
    pgd: &Node<'_, F, M>,
    va: VirtAddr,
) -> bool {
    let (mut from, mut to) = (swapper.root, *pgd);
    loop {
        let index = from.index(va);
        let wanted = from.load(index);
        if wanted == F::Raw::default() {
            return false;
        }
        if to.load(index) == F::Raw::default() {
            // A leaf that is not sealed may go again, and nobody would take the copy away.
            let leaf = matches!(F::decode(from.depth(), wanted), Entry::Leaf(_));
            if leaf && !swapper.layout.is_copied::<F>(from.depth(), va) {
                return false;
            }
            // SAFETY: swapper maps it for every address space.
            unsafe { to.store(index, wanted) };
            let (line, bytes) = to.bytes(index..index + 1);
            to.machine().clean(line, bytes);
            publish(to.machine());
            return true;
        }
        match (F::decode(from.depth(), wanted), to.entry(index)) {
            // A table of the pgd's own: the entry in question is in there.
            (Entry::Table(theirs), Entry::Table(ours)) if theirs.table != ours.table => {
                // SAFETY: both entries were just read from their nodes.
                unsafe {
                    from = from.child(theirs);
                    to = to.child(ours);
                }
            }
            // The pgd has it: another CPU was faster, or swapper maps nothing further down.
            _ => {
                let found = walk::translate(pgd, va);
                return found.is_some_and(|found| found.access() != Access::None);
            }
        }
    }
}
