//! How tables are reached, allocated and kept in step with the hardware: the traits that an embedding
//! kernel and `armv7` implement, and that the tests' simulated machine implements too.
//!
//! A table is zeroed, published and only then linked; see [`edit`](super::edit).

use core::fmt;

use super::bulk;
use crate::addr::{PhysAddr, VirtAddr, VirtRange};
use crate::attr::Asid;
use crate::format::{Descriptor, Level};

/// No memory was left for a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct OutOfMemory;

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no memory is left for a page table")
    }
}

impl core::error::Error for OutOfMemory {}

/// Where tables come from and how the CPU reaches them.
///
/// # Safety
/// Implementations promise that
/// - [`allocate`](Self::allocate) returns memory of [`Level::table_bytes`] bytes, aligned to as many, that
///   nothing else uses until it is given to [`free`](Self::free) or [`free_all`](Self::free_all);
/// - [`virt`](Self::virt) of such memory, and of any address in it, is valid for reads and writes for as long;
/// - the memory is normal, cacheable, and shareable as the TTBR's walk attributes say;
/// - in the classic format the memory lies below 4 GiB, where its 32-bit descriptors reach.
pub unsafe trait TableMemory {
    /// Memory for one table of `level`, with any content.
    ///
    /// # Errors
    /// [`OutOfMemory`]; the caller then changes nothing.
    fn allocate(&self, level: &'static Level) -> Result<PhysAddr, OutOfMemory>;

    /// Takes back the memory of one table.
    ///
    /// # Safety
    /// `table` came from [`allocate`](Self::allocate) for the same level, no entry points to it, and no
    /// TLB or walk cache remembers it.
    unsafe fn free(&self, table: PhysAddr, level: &'static Level);

    /// Takes back the memory of many tables of one level, all of `tables`. Each may be overwritten as soon as it is
    /// yielded; the next one is found by [`virt`](Self::virt) and [`load`](Self::load), and unlinked by
    /// [`store`](Self::store), so hold no lock that these take.
    ///
    /// # Safety
    /// As for [`free`](Self::free), for each of them.
    unsafe fn free_all(&self, tables: impl Iterator<Item = PhysAddr>, level: &'static Level) {
        for table in tables {
            // SAFETY: the caller answers for it.
            unsafe { self.free(table, level) };
        }
    }

    /// Where the CPU sees the table memory at `at`.
    fn virt(&self, at: PhysAddr) -> *mut u8;

    /// Reads a descriptor with one single-copy atomic load.
    ///
    /// # Safety
    /// `at` is aligned and lies in a table.
    #[inline]
    unsafe fn load<D: Descriptor>(&self, at: *const D) -> D {
        // SAFETY: the caller answers for `at`. A volatile access is one LDR or LDRD, and LDRD is
        // single-copy atomic where LPAE is implemented (DDI 0406C A3.5.3).
        unsafe { at.read_volatile() }
    }

    /// Writes a descriptor with one single-copy atomic store.
    ///
    /// # Safety
    /// `at` is aligned and lies in a table that the caller may change.
    #[inline]
    unsafe fn store<D: Descriptor>(&self, at: *mut D, value: D) {
        // SAFETY: the caller answers for `at`. A volatile access is one STR or STRD; `cargo xtask test`
        // checks the disassembly.
        unsafe { at.write_volatile(value) }
    }

    /// Whether `count` descriptors at `at` are all zero.
    ///
    /// # Safety
    /// As for [`load`](Self::load), for each of them.
    #[inline]
    unsafe fn are_zero<D: Descriptor>(&self, at: *const D, count: usize) -> bool {
        // SAFETY: the caller answers for it.
        unsafe { bulk::are_zero(self, at, count) }
    }

    /// The bits that all of `count` descriptors at `at` have set; all ones for none.
    ///
    /// # Safety
    /// As for [`load`](Self::load), for each of them.
    #[inline]
    unsafe fn common_bits<D: Descriptor>(&self, at: *const D, count: usize) -> D {
        // SAFETY: the caller answers for it.
        unsafe { bulk::common_bits(self, at, count) }
    }

    /// Whether `count` descriptors at `at` agree with `model` in all bits but those of `frame`. May say no
    /// where frames lie on both sides of a 4 GiB border.
    ///
    /// # Safety
    /// As for [`load`](Self::load), for each of them.
    #[inline]
    unsafe fn is_uniform<D: Descriptor>(
        &self,
        at: *const D,
        count: usize,
        model: D,
        frame: D,
    ) -> bool {
        // SAFETY: the caller answers for it.
        unsafe { bulk::is_uniform(self, at, count, model, frame) }
    }

    /// Inverts the bits of `flip` in each of `count` descriptors at `at`: one store each, as
    /// [`store`](Self::store) does.
    ///
    /// # Safety
    /// As for [`store`](Self::store), for each of them.
    #[inline]
    unsafe fn flip<D: Descriptor>(&self, at: *mut D, count: usize, flip: D) {
        // SAFETY: the caller answers for it.
        unsafe { bulk::flip(self, at, count, flip) }
    }

    /// Writes `first` and its successors, each `step` further, to `count` descriptors at `at`: one store
    /// each, as [`store`](Self::store) does.
    ///
    /// # Safety
    /// As for [`store`](Self::store), for each of them.
    #[inline]
    unsafe fn fill<D: Descriptor>(&self, at: *mut D, count: usize, first: D, step: D) {
        // SAFETY: the caller answers for it.
        unsafe { bulk::fill(self, at, count, first, step) }
    }

    /// Writes zero to `count` descriptors at `at`, in a table that no walk reaches.
    ///
    /// # Safety
    /// As for [`store`](Self::store), for each of them.
    #[inline]
    unsafe fn zero_unlinked<D: Descriptor>(&self, at: *mut D, count: usize) {
        // SAFETY: the caller answers for it.
        unsafe { self.fill(at, count, D::default(), D::default()) }
    }

    /// Copies `count` descriptors to a table that no walk reaches.
    ///
    /// # Safety
    /// As for [`load`](Self::load) and [`store`](Self::store), for each of them; the two do not overlap.
    #[inline]
    unsafe fn copy_unlinked<D: Descriptor>(&self, from: *const D, to: *mut D, count: usize) {
        // SAFETY: the caller answers for it.
        unsafe { bulk::copy(self, from, to, count) }
    }
}

/// The instructions that keep table walks, TLBs and branch predictors in step with stores to tables.
///
/// Each method but `clean` is one instruction, or nothing where this machine does not need it: walks that snoop the
/// data cache need no cleaning, a uniprocessor needs no broadcast. The recipes that combine them stand in
/// [`flush`](super::flush).
///
/// # Safety
/// Each method does what it says on every CPU that walks this machine's tables: once it has returned, tables are freed.
pub unsafe trait Maintenance {
    /// Cleans the data cache lines of `bytes` bytes at `from` to the point of unification (DCCMVAU), where
    /// table walks do not see the data cache (ID_MMFR3.CohWalk = 0), and waits for that by a DSB ISH: the
    /// [`dsb_ishst`](Self::dsb_ishst) that follows waits for stores alone (DDI 0406C A3.8.3).
    fn clean(&self, from: *const u8, bytes: usize);
    /// DSB ISHST: earlier stores are complete.
    fn dsb_ishst(&self);
    /// DSB ISH: earlier stores and maintenance are complete, on every CPU.
    fn dsb_ish(&self);
    /// ISB: later instructions see what is complete.
    fn isb(&self);
    /// TLBIMVA\[IS\]: forgets the page at `va` in one address space, and global translations of it.
    fn tlbimva(&self, va: VirtAddr, asid: Asid);
    /// TLBIMVAA\[IS\]: forgets the page at `va` in every address space.
    fn tlbimvaa(&self, va: VirtAddr);
    /// TLBIASID\[IS\]: forgets what one address space translates, but for global translations.
    fn tlbiasid(&self, asid: Asid);
    /// TLBIALL\[IS\]: forgets everything.
    fn tlbiall(&self);
    /// BPIALL\[IS\]: forgets branch predictions.
    fn bpiall(&self);
}

/// What keeps instruction fetches in step with stores: for kernels that load code.
///
/// # Safety
/// As for [`Maintenance`].
pub unsafe trait CodeMaintenance {
    /// Makes instructions just written to `range` ready to run, on every CPU but for its ISB: cleans data lines to the
    /// point of unification, then invalidates instruction lines and branch predictions, with barriers between and
    /// behind (DDI 0406C B2.2.9).
    fn publish_code(&self, range: VirtRange);
}

/// What one CPU does for itself, where no other uses the address.
///
/// # Safety
/// As for [`Maintenance`], but for this CPU alone.
pub unsafe trait LocalMaintenance {
    /// TLBIMVAA: this CPU forgets the page at `va` in every address space.
    fn tlbimvaa_local(&self, va: VirtAddr);
    /// DSB NSH: this CPU's earlier stores and maintenance are complete.
    fn dsb_nsh(&self);
}

/// All that table code needs of the machine it runs on.
pub trait Machine: TableMemory + Maintenance {}

impl<T: TableMemory + Maintenance> Machine for T {}
