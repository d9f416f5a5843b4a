//! Side effects: the instructions of ARMv7-A. The only `asm!` of the library.
//!
//! [`Armv7`] makes a machine of any table memory.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::attr::Asid;
use crate::format::{Descriptor, Level};
use crate::table::mem::{CodeMaintenance, LocalMaintenance, Maintenance, OutOfMemory, TableMemory};
use crate::table::switch::Mmu;

pub mod barrier;
mod bulk;
pub mod cache;
pub mod check;
pub mod cp15;
pub mod mmu;
pub mod offline;
pub mod secondary;
pub mod start;
pub mod tlb;
pub mod uaccess;
mod user_copy;
pub mod vectors;

use barrier::{ISH, ISHST, NSH};
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
    /// Maintenance reaches this CPU alone until [`set_smp`](Self::set_smp). One machine serves all tables that the kernel's
    /// CPUs walk.
    pub fn new(memory: T) -> Self {
        let clean = (!mmu::walks_are_coherent()).then(cache::data_line);
        Self { memory, clean, smp: AtomicBool::new(false) }
    }

    /// The table memory.
    pub fn memory(&self) -> &T {
        &self.memory
    }

    /// Whether maintenance is broadcast from here on: set before a second CPU goes coherent.
    ///
    /// # Safety
    /// Where it no longer is, no other CPU walks tables of this machine's any more, nor will before it is again.
    pub unsafe fn set_smp(&self, smp: bool) {
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

    unsafe fn free_all(&self, tables: impl Iterator<Item = PhysAddr>, level: &'static Level) {
        // SAFETY: as above.
        unsafe { self.memory.free_all(tables, level) }
    }

    #[inline]
    fn virt(&self, at: PhysAddr) -> *mut u8 {
        self.memory.virt(at)
    }

    #[inline(never)]
    unsafe fn are_zero<D: Descriptor>(&self, at: *const D, count: usize) -> bool {
        let (turns, done) = turns::<D>(count, bulk::BYTES);
        // SAFETY: the caller vouches for all `count`.
        unsafe {
            (turns == 0 || bulk::are_zero(at.cast(), turns))
                && (done..count).all(|k| self.load(at.add(k)) == D::default())
        }
    }

    #[inline(never)]
    unsafe fn common_bits<D: Descriptor>(&self, at: *const D, count: usize) -> D {
        let (turns, done) = turns::<D>(count, bulk::BYTES);
        let mut common = !D::default();
        // SAFETY: the caller vouches for all `count`.
        unsafe {
            if turns > 0 {
                let [even, odd] = bulk::common_bits(at.cast(), turns);
                let long = u64::from(odd) << 32 | u64::from(even);
                common = D::from_u64(if is_long::<D>() { long } else { u64::from(even & odd) });
            }
            for k in done..count {
                common = common & self.load(at.add(k));
            }
        }
        common
    }

    #[inline(never)]
    unsafe fn is_uniform<D: Descriptor>(
        &self,
        at: *const D,
        count: usize,
        model: D,
        frame: D,
    ) -> bool {
        let fits = !is_long::<D>() || frame.as_u64() == PAGE_FRAME;
        let (turns, done) = if fits { turns::<D>(count, bulk::BYTES) } else { (0, 0) };
        // SAFETY: the caller vouches for all `count`.
        unsafe {
            let first = match (turns, is_long::<D>()) {
                (0, _) => true,
                (_, true) => bulk::is_uniform(at.cast(), turns, model.as_u64()),
                (_, false) => {
                    let differ = bulk::difference(at.cast(), turns, model.as_u64() as u32);
                    differ & !frame.as_u64() as u32 == 0
                }
            };
            first && (done..count).all(|k| (self.load(at.add(k)) ^ model) & !frame == D::default())
        }
    }

    #[inline(never)]
    unsafe fn flip<D: Descriptor>(&self, at: *mut D, count: usize, flip: D) {
        let low = flip.as_u64() >> 32 == 0;
        let (turns, done) = if low { turns::<D>(count, bulk::BYTES) } else { (0, 0) };
        // SAFETY: the caller vouches for all `count`.
        unsafe {
            match (turns, is_long::<D>()) {
                (0, _) => {}
                (_, true) => bulk::flip_low(at.cast(), turns, flip.as_u64() as u32),
                (_, false) => bulk::flip(at.cast(), turns, flip.as_u64() as u32),
            }
            for k in done..count {
                self.store(at.add(k), self.load(at.add(k)) ^ flip);
            }
        }
    }

    #[inline(never)]
    unsafe fn fill<D: Descriptor>(&self, at: *mut D, count: usize, first: D, step: D) {
        let (raw, by) = (first.as_u64(), step.as_u64() as u32);
        let (turns, done) = match is_long::<D>() {
            false => turns::<D>(count, bulk::BYTES),
            true if crosses(raw, by, count) => (0, 0),
            true => turns::<D>(count, bulk::FILLED),
        };
        // SAFETY: the caller vouches for all `count`.
        unsafe {
            match (turns, is_long::<D>()) {
                (0, _) => {}
                (_, true) => bulk::fill_low(at.cast(), turns, raw, by),
                (_, false) => bulk::fill(at.cast(), turns, raw as u32, by),
            }
            let mut next = first.step(D::from_u64(u64::from(by) * done as u64));
            for k in done..count {
                self.store(at.add(k), next);
                next = next.step(step);
            }
        }
    }

    #[inline(never)]
    unsafe fn zero_unlinked<D: Descriptor>(&self, at: *mut D, count: usize) {
        let (turns, done) = turns::<D>(count, bulk::ZEROED);
        // SAFETY: the caller vouches for all `count`.
        unsafe {
            if turns > 0 {
                bulk::zero(at.cast(), turns);
            }
            for k in done..count {
                self.store(at.add(k), D::default());
            }
        }
    }

    #[inline(never)]
    unsafe fn copy_unlinked<D: Descriptor>(&self, from: *const D, to: *mut D, count: usize) {
        let (turns, done) = turns::<D>(count, bulk::BYTES);
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

/// Turns of `bytes` bytes in `count` descriptors, and the descriptors that these serve.
#[inline]
const fn turns<D>(count: usize, bytes: usize) -> (usize, usize) {
    let turn = bytes / size_of::<D>();
    let turns = count / turn;
    (turns, turns * turn)
}

/// Whether the high words of `count` long descriptors from `first` on differ.
#[inline]
fn crosses(first: u64, step: u32, count: usize) -> bool {
    u64::from(first as u32) + u64::from(step) * count as u64 > 1 << 32
}

/// The frame of a page in a long descriptor.
const PAGE_FRAME: u64 = 0xff_ffff_f000;

/// Whether descriptors are long ones.
const fn is_long<D>() -> bool {
    size_of::<D>() == size_of::<u64>()
}

// SAFETY: one instruction each, the one that it says; a clean is a loop of it, complete when it returns.
unsafe impl<T: TableMemory> Maintenance for Armv7<T> {
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

// SAFETY: one instruction each, the one that it says.
unsafe impl<T: TableMemory> Mmu for Armv7<T> {
    #[inline(always)]
    unsafe fn set_ttbr0(&self, value: u64) {
        // SAFETY: the caller answers for it.
        unsafe { mmu::set_ttbr0(value) }
    }

    #[inline(always)]
    unsafe fn set_contextidr(&self, asid: Asid) {
        // SAFETY: the caller answers for it.
        unsafe { cp15::CONTEXTIDR::write(asid.0.into()) }
    }

    #[inline]
    fn tlbiall_local(&self) {
        tlb::all(Reach::Local);
    }

    #[inline]
    fn bpiall_local(&self) {
        tlb::predictions(Reach::Local);
    }
}

// SAFETY: one instruction each, the one that it says.
unsafe impl<T: TableMemory> CodeMaintenance for Armv7<T> {
    fn publish_code(&self, range: VirtRange) {
        cache::publish_code(range.start().0 as *const u8, range.bytes() as usize);
    }
}

// SAFETY: one instruction each, the one that it says.
unsafe impl<T: TableMemory> LocalMaintenance for Armv7<T> {
    #[inline]
    fn tlbimvaa_local(&self, va: VirtAddr) {
        tlb::page_everywhere(Reach::Local, va);
    }

    #[inline]
    fn dsb_nsh(&self) {
        barrier::dsb(NSH);
    }
}
