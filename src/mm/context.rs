//! Context switches: which address space each CPU runs, under which ASID.
//!
//! A kernel keeps one [`Contexts`], and a [`Context`] beside each [`Pgd`](super::Pgd)'s lock, where a CPU that switches finds
//! it without:
//!
//! ```text
//! struct Process { context: Context, pgd: Mutex<Pgd<…>>, … }
//!
//! let pgd = swapper.pgd_alloc()?;
//! let process = place(Process { context: Context::new(pgd.root()), pgd: Mutex::new(pgd), … });
//! unsafe { process.pgd.lock().set_context(&process.context) };   // edits flush by its ASID
//! unsafe { contexts.switch_mm(cpu, &process.context) };          // the scheduler
//! ```
//!
//! # Kernel threads
//! A kernel thread has no address space: it needs no switch, and borrows the tables that its CPU has. So a CPU may
//! still walk those of a process that has ended. Before a pgd is freed each such CPU runs another space, or
//! [none](Contexts::leave_mm): it is the kernel's to know which do, by a count of borrowers, or by telling all
//! that [run it](Contexts::running).
//!
//! # No user space
//! [`leave_mm`](Contexts::leave_mm) runs swapper under ASID 0, which is no space's: neither its tables nor what the TLB
//! remembers translate a user address.
//!
//! # Freed spaces
//! The number of a space that was freed is not given out again before a rollover, behind which each CPU forgets
//! everything. A new space at the same root has a new [`Context`]; and no switch is left out because an ASID or a root is
//! the same as before.
//!
//! # What is left to the kernel
//! Predictions are forgotten at a rollover alone: against branch target injection (Spectre) a kernel adds
//! its own at each switch. Instruction caches that are tagged by ASID (CTR.L1Ip = 0b01) would need an invalidation
//! at a rollover; Cortex-A7, A15 and A17 have none. Erratum 798181 of Cortex-A15 asks for an interrupt of the CPUs
//! that [run](Contexts::running) a space when it is flushed.

use core::marker::PhantomData;

use super::asid::Asids;
use super::swapper::Swapper;
use crate::addr::PhysAddr;
use crate::attr::Asid;
use crate::format::control::Registers;
use crate::table::context::Context;
use crate::table::flush::publish;
use crate::table::mem::{Machine, OutOfMemory};
use crate::table::node::Node;
use crate::table::switch::{Mmu, forget_all, switch};

/// What runs where: ASIDs for `CPUS` CPUs, numbered from 0, and the roots between address spaces. Of the 256 ASIDs
/// the first `ASIDS` are used, at least two more than CPUs.
pub struct Contexts<'m, F: Registers, M: Machine + Mmu, const CPUS: usize, const ASIDS: usize = 256>
{
    machine: &'m M,
    asids: Asids<CPUS, ASIDS>,
    /// Swapper's root.
    kernel: PhysAddr,
    /// A root that maps nothing but what is global, and has no table of its own.
    parking: PhysAddr,
    format: PhantomData<F>,
}

impl<'m, F: Registers, M: Machine + Mmu, const CPUS: usize, const ASIDS: usize>
    Contexts<'m, F, M, CPUS, ASIDS>
{
    /// Made once, before any CPU runs an address space, and kept for the kernel's life: dropped, it leaks the root below.
    ///
    /// In the classic format with low vectors it takes a root, and seals swapper: its tables for address 0 are not those
    /// of an address space, and no walk may take the one's for the other's while the ASID changes.
    ///
    /// # Errors
    /// [`OutOfMemory`] for that root.
    pub fn new(swapper: &mut Swapper<'m, F, M>) -> Result<Self, OutOfMemory> {
        let kernel = swapper.root();
        let apart = !F::LPAE && swapper.layout().low_vectors();
        let parking = if apart { parking_root(swapper)? } else { kernel };
        Ok(Self {
            machine: swapper.machine(),
            asids: Asids::new(),
            kernel,
            parking,
            format: PhantomData,
        })
    }

    /// Runs this CPU, whose number is `cpu`, in an address space. Also if it runs there already: nothing is compared.
    ///
    /// Needs no lock of the space's. Takes one of its own when the space has no ASID of this generation, or the CPU
    /// has missed a rollover.
    ///
    /// # Panics
    /// If `cpu` is not less than `CPUS`.
    ///
    /// # Safety
    /// - This is the CPU of that number, and interrupts are masked, or no handler switches or asks what is
    ///   [running](Self::running). With low vectors in the classic format interrupts, FIQs and asynchronous aborts are
    ///   masked: while the ASID changes, nothing is mapped at address 0.
    /// - The machine's maintenance reaches every CPU that switches so (`Armv7::set_smp`).
    /// - The context's root is a [`Pgd`](super::Pgd)'s of the same swapper, neither freed nor being freed, and its
    ///   [`set_context`](super::Pgd::set_context) was told of this context.
    /// - The CPU was in address spaces by this `Contexts` alone since its TLB was last invalidated, and nobody relies on
    ///   the user mappings of the space that it leaves.
    #[inline(never)]
    pub unsafe fn switch_mm(&self, cpu: usize, to: &Context) {
        // SAFETY: the caller's promise; the number is this space's, as `Asids` says.
        self.asids.switch(cpu, Some(to.id()), |asid, forget| unsafe {
            self.enter(to.root(), asid, forget);
        });
    }

    /// Runs this CPU, whose number is `cpu`, without user space: in swapper, under ASID 0.
    ///
    /// # Panics
    /// If `cpu` is not less than `CPUS`.
    ///
    /// # Safety
    /// As for [`switch_mm`](Self::switch_mm).
    pub unsafe fn leave_mm(&self, cpu: usize) {
        // SAFETY: the caller's promise; swapper has no user mappings.
        self.asids.switch(cpu, None, |asid, forget| unsafe {
            self.enter(self.kernel, asid, forget);
        });
    }

    /// Writes the registers. What the TLB may hold of another space by the ASID goes first: behind it this CPU can only
    /// remember what it leaves, whose number is taken.
    #[inline(always)]
    unsafe fn enter(&self, root: PhysAddr, asid: Asid, forget: bool) {
        if forget {
            forget_all(self.machine);
        }
        // SAFETY: the caller's promise.
        unsafe { switch::<F, M>(self.machine, root, asid, self.parking) };
    }

    /// The CPUs that run an address space just now, a bit each, the first 32 of them; also where a kernel thread
    /// borrows it. One in the middle of a switch counts for every space: it may walk the last still.
    pub fn running(&self, context: &Context) -> u32 {
        self.asids.running(context.id())
    }

    /// The root by way of which the classic format changes ASIDs.
    pub fn parking(&self) -> PhysAddr {
        self.parking
    }
}

/// A root with swapper's kernel half and an empty user half.
#[cold]
fn parking_root<F: Registers, M: Machine>(
    swapper: &mut Swapper<'_, F, M>,
) -> Result<PhysAddr, OutOfMemory> {
    swapper.seal()?;
    let machine = swapper.machine();
    let root = machine.allocate(&F::LEVELS[0])?;
    // SAFETY: fresh from the allocator, and walked by nobody.
    unsafe {
        let node = Node::<F, M>::new(machine, root, 0);
        let border = node.index(swapper.layout().task_size());
        node.zero_unlinked(0..border);
        node.copy_unlinked(&swapper.tree.root, border..node.count());
        node.clean(node.all());
    }
    publish(machine);
    Ok(root)
}
