//! Side effects: the instructions of ARMv7-A. The only `asm!` of the library.
//!
//! [`Armv7`] makes a machine of any table memory.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::addr::{PhysAddr, VirtAddr};
use crate::attr::Asid;
use crate::format::{Descriptor, Level};
use crate::table;
use crate::table::mem::{Maintenance, OutOfMemory, TableMemory};

pub mod barrier;
mod bulk;
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

    #[inline]
    fn virt(&self, at: PhysAddr) -> *mut u8 {
        self.memory.virt(at)
    }

    #[inline]
    unsafe fn common_bits<D: Descriptor>(&self, at: *const D, count: usize) -> D {
        let turns = if is_long::<D>() { count / bulk::TURN } else { 0 };
        let rest = count - turns * bulk::TURN;
        // SAFETY: the caller vouches for all `count`.
        unsafe {
            let last = table::bulk::common_bits(self, at.add(turns * bulk::TURN), rest);
            if turns == 0 {
                return last;
            }
            last & D::from_u64(bulk::common_bits(at.cast(), turns))
        }
    }

    #[inline]
    unsafe fn is_uniform<D: Descriptor>(
        &self,
        at: *const D,
        count: usize,
        model: D,
        frame: D,
    ) -> bool {
        let pages = is_long::<D>() && frame.as_u64() == PAGE_FRAME;
        let turns = if pages { count / bulk::TURN } else { 0 };
        let rest = count - turns * bulk::TURN;
        // SAFETY: the caller vouches for all `count`.
        unsafe {
            (turns == 0 || bulk::is_uniform(at.cast(), turns, model.as_u64()))
                && table::bulk::is_uniform(self, at.add(turns * bulk::TURN), rest, model, frame)
        }
    }

    #[inline]
    unsafe fn flip<D: Descriptor>(&self, at: *mut D, count: usize, flip: D) {
        let low = is_long::<D>() && flip.as_u64() >> 32 == 0;
        let turns = if low { count / bulk::TURN } else { 0 };
        let rest = count - turns * bulk::TURN;
        // SAFETY: the caller vouches for all `count`.
        unsafe {
            if turns > 0 {
                bulk::flip_low(at.cast(), turns, flip.as_u64() as u32);
            }
            table::bulk::flip(self, at.add(turns * bulk::TURN), rest, flip);
        }
    }

    #[inline]
    unsafe fn fill<D: Descriptor>(&self, at: *mut D, count: usize, first: D, step: D) {
        let turns = if is_long::<D>() { 0 } else { count / bulk::TURN };
        let rest = count - turns * bulk::TURN;
        let (word, by) = (first.as_u64() as u32, step.as_u64() as u32);
        let skipped = by.wrapping_mul((turns * bulk::TURN) as u32);
        // SAFETY: the caller vouches for all `count`.
        unsafe {
            if turns > 0 {
                bulk::fill(at.cast(), turns, word, by);
            }
            let next = if turns == 0 { first } else { first.step(D::from_u64(skipped.into())) };
            table::bulk::fill(self, at.add(turns * bulk::TURN), rest, next, step);
        }
    }

    #[inline]
    unsafe fn zero_unlinked<D: Descriptor>(&self, at: *mut D, count: usize) {
        let turns = count * size_of::<D>() / bulk::BYTES;
        let done = turns * bulk::BYTES / size_of::<D>();
        // SAFETY: the caller vouches for all `count`.
        unsafe {
            if turns > 0 {
                bulk::zero(at.cast(), turns);
            }
            table::bulk::fill(self, at.add(done), count - done, D::default(), D::default());
        }
    }

    #[inline]
    unsafe fn copy_unlinked<D: Descriptor>(&self, from: *const D, to: *mut D, count: usize) {
        let turns = count * size_of::<D>() / bulk::BYTES;
        let done = turns * bulk::BYTES / size_of::<D>();
        // SAFETY: the caller vouches for all `count`.
        unsafe {
            if turns > 0 {
                bulk::copy(from.cast(), to.cast(), turns);
            }
            for k in done..count {
                self.store(to.add(k), self.load(from.add(k)));
            }
        }
    }
}

/// The frame of a page in a long descriptor.
const PAGE_FRAME: u64 = 0xff_ffff_f000;

/// Whether descriptors are long ones.
const fn is_long<D>() -> bool {
    size_of::<D>() == size_of::<u64>()
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
