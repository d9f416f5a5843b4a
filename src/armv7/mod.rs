//! Side effects: the instructions of ARMv7-A. The only `asm!` of the library.
//!
//! [`Armv7`] makes a machine of any table memory.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::addr::{PhysAddr, VirtAddr};
use crate::attr::Asid;
use crate::format::Level;
use crate::table::mem::{Maintenance, OutOfMemory, TableMemory};

pub mod barrier;
pub mod cache;
pub mod cp15;
pub mod mmu;
pub mod offline;
pub mod tlb;
pub mod vectors;

use barrier::{ISH, ISHST};
use tlb::Reach;

/// This CPU, with the memory that its tables lie in.
#[derive(Debug)]
pub struct Armv7<T> {
    memory: T,
    /// Bytes of a data line where walks do not see the data cache, else `None`.
    clean: Option<usize>,
    smp: AtomicBool,
}

impl<T: TableMemory> Armv7<T> {
    /// Asks the CPU whether table walks see its data cache (ID_MMFR3.CohWalk), and for its line length.
    /// Maintenance reaches this CPU alone until [`set_smp`](Self::set_smp).
    pub fn new(memory: T) -> Self {
        let clean = (!mmu::walks_are_coherent()).then(cache::data_line);
        Self { memory, clean, smp: AtomicBool::new(false) }
    }

    /// The table memory.
    pub fn memory(&self) -> &T {
        &self.memory
    }

    /// Whether maintenance is broadcast from here on: set before a second CPU goes coherent.
    pub fn set_smp(&self, smp: bool) {
        self.smp.store(smp, Ordering::Release);
    }

    fn reach(&self) -> Reach {
        if self.smp.load(Ordering::Acquire) { Reach::InnerShareable } else { Reach::Local }
    }
}

// SAFETY: every promise is the inner memory's, and kept by it.
unsafe impl<T: TableMemory> TableMemory for Armv7<T> {
    fn allocate(&self, level: &'static Level) -> Result<PhysAddr, OutOfMemory> {
        self.memory.allocate(level)
    }

    unsafe fn free(&self, table: PhysAddr, level: &'static Level) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.memory.free(table, level) }
    }

    fn virt(&self, at: PhysAddr) -> *mut u8 {
        self.memory.virt(at)
    }
}

impl<T: TableMemory> Maintenance for Armv7<T> {
    #[inline]
    fn clean(&self, from: *const u8, bytes: usize) {
        if let Some(line) = self.clean {
            cache::clean_to_unification(from, bytes, line);
        }
    }

    #[inline]
    fn dsb_ishst(&self) {
        barrier::dsb(ISHST);
    }

    #[inline]
    fn dsb_ish(&self) {
        barrier::dsb(ISH);
    }

    #[inline]
    fn isb(&self) {
        barrier::isb();
    }

    #[inline]
    fn tlbimva(&self, va: VirtAddr, asid: Asid) {
        tlb::page(self.reach(), va, asid);
    }

    #[inline]
    fn tlbimvaa(&self, va: VirtAddr) {
        tlb::page_everywhere(self.reach(), va);
    }

    #[inline]
    fn tlbiasid(&self, asid: Asid) {
        tlb::address_space(self.reach(), asid);
    }

    #[inline]
    fn tlbiall(&self) {
        tlb::all(self.reach());
    }

    #[inline]
    fn bpiall(&self) {
        tlb::predictions(self.reach());
    }
}
