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
/// Takes no lock and allocates nothing: safe in any context, also while the pgd is torn down.
#[inline]
pub fn do_translation_fault<F: Format, M: Machine>(
    swapper: &SwapperView<'_, F, M>,
    root: PhysAddr,
    fault: &Fault,
    va: VirtAddr,
    user_mode: bool,
) -> Verdict {
    if user_mode || !swapper.comes_late(va) {
        return elsewhere(swapper, root, fault.kind, va, user_mode);
    }
    if fault.kind != FaultKind::Translation {
        return Verdict::Kernel;
    }
    sync(swapper, va, root)
}

/// The verdict where a copy is seldom missing, or none can be: in the user half, and where TTBR1 walks swapper itself.
#[cold]
fn elsewhere<F: Format, M: Machine>(
    swapper: &SwapperView<'_, F, M>,
    root: PhysAddr,
    kind: FaultKind,
    va: VirtAddr,
    user_mode: bool,
) -> Verdict {
    if user_mode || va < swapper.layout().task_size() {
        Verdict::User
    } else if kind == FaultKind::Translation && swapper.is_copied(va) {
        sync_from(swapper, va, root)
    } else {
        Verdict::Kernel
    }
}

/// Copies the entry for `va` from swapper to the pgd, where swapper has one and the pgd has not: the root
/// entry, or the private table's.
///
/// Two CPUs may do so at once: they store the same word, which never changes again (see
/// [sealing](super::swapper#sealing)).
#[inline]
fn sync<F: Format, M: Machine>(
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
        // SAFETY: the root of the active pgd, or a table that an entry just read points to; they stay while it is
        // active.
        let ours = unsafe { Node::<F, M>::new(machine, table, depth) };
        let Walk::Table(below) = F::walk(depth, ours.load(ours.index(va))) else {
            return sync_from(swapper, va, pgd);
        };
        table = below;
    }
    // SAFETY: as above, and swapper's table, which is there.
    let entries = unsafe {
        Pair::of(Node::new(machine, table, depth), swapper.late.at_depth(depth), depth, va)
    };
    if entries.present == F::Raw::default()
        && matches!(F::walk(depth, entries.wanted), Walk::Table(_))
    {
        entries.copy();
        return Verdict::Retry;
    }
    sync_from(swapper, va, pgd)
}

/// [`sync`], whatever is missing. The arguments and the result are such that it is a jump, not a call.
#[cold]
#[inline(never)]
fn sync_from<F: Format, M: Machine>(
    swapper: &SwapperView<'_, F, M>,
    va: VirtAddr,
    pgd: PhysAddr,
) -> Verdict {
    let absent = F::Raw::default();
    let mut tables = (pgd, swapper.root().table());
    for depth in 0..F::LEVELS.len() {
        let entries = Pair::new(swapper, tables, depth, va);
        if entries.present == absent {
            // A leaf that is not sealed may go again, and nobody would take the copy away.
            let may_go = matches!(F::walk(depth, entries.wanted), Walk::Memory { .. })
                && !swapper.layout().is_copied::<F>(depth, va);
            if entries.wanted == absent || may_go {
                return Verdict::Kernel;
            }
            entries.copy();
            return Verdict::Retry;
        }
        let Some(below) = entries.below() else { break };
        tables = below;
    }
    let mapped = is_mapped::<F, M>(swapper.root().machine(), pgd, va);
    if mapped { Verdict::Retry } else { Verdict::Kernel }
}

/// The entries for one address in a table of the pgd's and in swapper's for the same addresses.
struct Pair<'m, F: Format, M> {
    ours: Node<'m, F, M>,
    index: usize,
    present: F::Raw,
    wanted: F::Raw,
}

impl<'m, F: Format, M: Machine> Pair<'m, F, M> {
    /// The entries for `va` in `(pgd's, swapper's)` tables at `depth`.
    #[inline]
    fn new(
        swapper: &SwapperView<'m, F, M>,
        (to, from): (PhysAddr, PhysAddr),
        depth: usize,
        va: VirtAddr,
    ) -> Self {
        let machine = swapper.root().machine();
        // SAFETY: the roots, or tables that entries just read point to; the active pgd's tables stay while
        // it is active, and swapper's for ever.
        let (ours, theirs) = unsafe {
            (Node::<F, M>::new(machine, to, depth), Node::<F, M>::new(machine, from, depth))
        };
        Self::of(ours, theirs, depth, va)
    }

    /// The entries for `va` in the pgd's table and swapper's, both at `depth`.
    #[inline]
    fn of(ours: Node<'m, F, M>, theirs: Node<'m, F, M>, depth: usize, va: VirtAddr) -> Self {
        let index = F::level(depth).index(va);
        Self { ours, index, present: ours.load(index), wanted: theirs.load(index) }
    }

    /// The tables below, where the pgd has one of its own: below an entry that is swapper's it misses nothing.
    #[inline]
    fn below(&self) -> Option<(PhysAddr, PhysAddr)> {
        let depth = self.ours.depth();
        if F::is_marked(self.present) {
            return None;
        }
        let Walk::Table(ours) = F::walk(depth, self.present) else { return None };
        let Walk::Table(theirs) = F::walk(depth, self.wanted) else { return None };
        Some((ours, theirs))
    }

    /// Gives the pgd swapper's entry.
    #[inline]
    fn copy(&self) {
        // SAFETY: swapper maps it for every address space.
        unsafe { self.ours.store(self.index, self.wanted) };
        self.ours.clean_one(self.index);
        publish(self.ours.machine());
    }
}

/// Whether `va` is mapped for some access after all: another CPU was faster than this one.
#[cold]
fn is_mapped<F: Format, M: Machine>(machine: &M, pgd: PhysAddr, va: VirtAddr) -> bool {
    // SAFETY: the active pgd's tables stay while it is active.
    let pgd = unsafe { Node::<F, M>::new(machine, pgd, 0) };
    walk::translate(&pgd, va).is_some_and(|found| found.access() != Access::None)
}
