//! What a kernel is to do about a fault: the fault's status, the mode it came from and the leaf it met, as one word to
//! match on.
//!
//! ```text
//!   Retry       the access succeeds now: swapper's entry was copied, or another CPU was faster
//!   NotMapped   demand paging: map a page, or it is nobody's address
//!   ReadOnly    a write to what is read-only just now: copy on write, or clean memory that gets dirty
//!   Old         the access flag is clear: mark it young
//!   Forbidden   user space may not: SIGSEGV
//!   Closed      the kernel used user space while that was closed to it
//!   Kernel      the kernel used an address of its own half that is not mapped, or not for this
//!   Other       not the tables' business: alignment, external aborts, …
//! ```

use super::fault::{Verdict, do_translation_fault};
use super::view::SwapperView;
use crate::addr::{PAGE_SIZE, PhysAddr, VirtAddr, VirtRange};
use crate::attr::{Access, Attrs};
use crate::format::{Fault, FaultKind, Format};
use crate::table::mem::Machine;
use crate::table::node::Node;
use crate::table::walk;

/// Who took the fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// PL0.
    User,
    /// The kernel, where it may use user space: a copy in or out, or no privileged access never at all. A permission
    /// fault is judged as if it were a copy, which goes by user mode's rights.
    Kernel,
    /// The kernel, while user space is closed to it.
    KernelClosed,
}

/// The leaf that a fault met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// The frame of the page in question.
    pub frame: PhysAddr,
    /// What the leaf means.
    pub attrs: Attrs,
    /// All that the leaf, or its run, maps.
    pub span: VirtRange,
}

/// What to do about a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Return: the access succeeds.
    Retry,
    /// Nothing is mapped at this address of the user half.
    NotMapped,
    /// A write to memory that may be written, but not just now ([`Attrs::may_write`]): copy-on-write, or clean.
    ReadOnly(Found),
    /// The access flag is clear.
    Old(Found),
    /// The leaf, or the half, forbids it: a write to what may not be written, execution of data, an address of the
    /// kernel's, any use of what is mapped without access; a copy, which goes by user mode's rights, of what is the
    /// kernel's alone in the user half, as an identity mapping is. The leaf, where one of the user half was met.
    Forbidden(Option<Found>),
    /// The kernel used user space without saying so.
    Closed,
    /// The kernel used an address of its half that is not mapped, or not for this.
    Kernel,
    /// Nothing that tables decide.
    Other(FaultKind),
}

/// Decides about a fault at `va`, taken while `root` was the active pgd. Swapper's entries are copied where that is all
/// that was missing ([`do_translation_fault`]).
///
/// Takes no lock and allocates nothing. At an address of the user half it walks tables which an edit by another CPU may
/// free, so call it there under the lock that edits of this address space take; at one of the kernel half no lock is
/// needed.
///
/// With [`Decision::Retry`] a flush that another CPU still owes may bring the same fault again, until it is paid.
///
/// # Safety
/// As for [`do_translation_fault`]; if `va` is of the user half, nobody edits the tables of `root` meanwhile.
pub unsafe fn decide<F: Format, M: Machine>(
    swapper: &SwapperView<'_, F, M>,
    root: PhysAddr,
    fault: &Fault,
    va: VirtAddr,
    origin: Origin,
) -> Decision {
    use FaultKind::{AccessFlag, Domain, Permission, Translation};
    if !matches!(fault.kind, AccessFlag | Domain | Permission | Translation) {
        return Decision::Other(fault.kind);
    }
    let user = origin == Origin::User;
    if va >= swapper.layout().task_size() {
        // SAFETY: the caller answers for it.
        return match unsafe { do_translation_fault(swapper, root, fault, va, user) } {
            Verdict::Retry => Decision::Retry,
            Verdict::User => Decision::Forbidden(None),
            Verdict::Kernel => Decision::Kernel,
        };
    }
    if origin == Origin::KernelClosed || fault.kind == Domain {
        return Decision::Closed;
    }
    // SAFETY: as above.
    let root = unsafe { Node::<F, M>::new(swapper.node().machine(), root, 0) };
    let Some(found) = walk::translate(&root, va) else { return Decision::NotMapped };
    let Some(leaf) = found.leaf() else { return Decision::Forbidden(None) };
    let frame = PhysAddr::truncate(found.phys.as_u64() & !u64::from(PAGE_SIZE - 1));
    let found = Found { frame, attrs: leaf.attrs, span: found.span() };
    let attrs = found.attrs;
    // What the kernel may not execute of the user's (PXN) is not looked for: it never should.
    let executes = attrs.access == Access::ReadExecute && user;
    let reaches = attrs.user || !user && fault.kind != Permission;
    let reads = attrs.access != Access::None && reaches;
    if !reads || fault.instruction && !executes {
        return Decision::Forbidden(Some(found));
    }
    if fault.write && attrs.access != Access::ReadWrite {
        return if attrs.may_write() {
            Decision::ReadOnly(found)
        } else {
            Decision::Forbidden(Some(found))
        };
    }
    if attrs.young { Decision::Retry } else { Decision::Old(found) }
}
