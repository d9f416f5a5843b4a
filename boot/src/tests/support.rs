//! What tests share: spare memory, address spaces of their own, and an eye on what they leave behind.

use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::panic::Location;

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::{cache, cp15, mmu};
use armv7a_mm::attr::{Access, Asid, Attrs};
use armv7a_mm::format::{Active, Format};
use armv7a_mm::mm::Swapper;
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::error::EditError;
use armv7a_mm::table::flush::Flush;
use armv7a_mm::table::heap::TableCounts;
use armv7a_mm::table::mem::Maintenance;

use super::world;
use crate::devicetree::Range;
use crate::kernel::{Pgd, kernel};
use crate::memory::{Machine, machine};
use crate::{harness, image};

/// Bytes and tables of the heap in use, but for those of swappers: what they once link they keep.
pub fn in_use() -> (usize, TableCounts) {
    let heap = machine().memory();
    let (mut used, mut counts) = (heap.used(), heap.counts());
    for swapper in [Some(kernel().view), world::current()].into_iter().flatten() {
        let tables = world::tables(&swapper.node());
        for (level, tables) in Active::LEVELS.iter().zip(tables) {
            used -= tables * level.table_bytes();
            match level.name {
                "pgd" => counts.pgd -= tables,
                "pmd" => counts.pmd -= tables,
                _ => counts.pte -= tables,
            }
        }
    }
    (used, counts)
}

/// Fails the running test if, when dropped, more or less of the table heap is [`in_use`] than when made.
pub struct Balance {
    used: usize,
    counts: TableCounts,
    made: &'static Location<'static>,
}

impl Balance {
    /// Notes what is in use now.
    #[track_caller]
    pub fn new() -> Self {
        let (used, counts) = in_use();
        Self { used, counts, made: Location::caller() }
    }
}

impl Drop for Balance {
    fn drop(&mut self) {
        let (used, counts) = in_use();
        if (used, counts) != (self.used, self.counts) {
            harness::fail(
                format_args!(
                    "{used} bytes in {counts:?} are in use, {} in {:?} were before",
                    self.used, self.counts
                ),
                self.made.file(),
                self.made.line(),
            );
        }
    }
}

/// Hands out RAM of the linear map that nobody uses. Every test starts anew, from the first byte that is spare.
pub struct Spare {
    next: u64,
}

impl Spare {
    /// All of it.
    pub fn new() -> Self {
        Self { next: kernel().spare.base }
    }

    /// `bytes` bytes, aligned to `1 << shift`, if so much is left.
    pub fn take(&mut self, bytes: u64, shift: u32) -> Option<PhysAddr> {
        let mut wanted = Range { base: self.next.next_multiple_of(1 << shift), bytes };
        while let Some(taken) = kernel().taken.iter().find(|taken| wanted.overlaps(taken)) {
            wanted.base = taken.end().next_multiple_of(1 << shift);
        }
        if wanted.end() > kernel().spare.end() {
            return None;
        }
        self.next = wanted.end();
        PhysAddr::new(wanted.base)
    }

    /// A page: there is always one.
    pub fn page(&mut self) -> PhysAddr {
        self.take(4096, 12).expect("spare memory is more than a few pages")
    }
}

/// Where the linear map has `phys`.
pub fn alias(phys: PhysAddr) -> VirtAddr {
    image::placement().virt(phys)
}

/// Writes `words` to spare memory, through the linear map, where accesses of every memory type find them.
pub fn write(phys: PhysAddr, words: &[u32]) {
    let bytes = size_of_val(words);
    assert_spare(phys, bytes as u64);
    let at = alias(phys).0 as *mut u32;
    for (i, &word) in words.iter().enumerate() {
        // SAFETY: the linear map has it, and spare memory is nobody's.
        unsafe { at.add(i).write_volatile(word) };
    }
    cache::flush_to_coherency(at.cast(), bytes);
    machine().dsb_ish();
}

/// As [`write()`], and instruction fetches find them too, at whatever address they are mapped.
pub fn write_code(phys: PhysAddr, words: &[u32]) {
    write(phys, words);
    // SAFETY: instruction caches hold copies only.
    unsafe { cp15::ICIALLU::write(0) };
    settle();
}

/// Reads a word of memory in the linear map, as accesses of other memory types left it.
pub fn read(phys: PhysAddr) -> u32 {
    let at = alias(phys).0 as *const u32;
    cache::flush_to_coherency(at.cast(), 4);
    machine().dsb_ish();
    // SAFETY: the linear map has it.
    unsafe { at.read_volatile() }
}

/// Whether all of it is memory that nobody uses.
pub fn is_spare(phys: PhysAddr, bytes: u64) -> bool {
    let (kernel, wanted) = (kernel(), Range { base: phys.as_u64(), bytes });
    let mut free = [Some(kernel.spare), kernel.high].into_iter().flatten();
    free.any(|free| free.base <= wanted.base && wanted.end() <= free.end())
        && !kernel.taken.iter().any(|taken| wanted.overlaps(taken))
}

/// Stops the run unless all of it is memory that nobody uses.
pub fn assert_spare(phys: PhysAddr, bytes: u64) {
    assert!(is_spare(phys, bytes), "{bytes} bytes at {phys} are not for tests to use");
}

/// An address space for a test: made empty, [entered](Self::enter) when wanted, left and given back when
/// dropped. Then nothing else may be missing from the table heap either ([`Balance`]), so of two spaces the
/// younger is dropped first.
pub struct Space {
    pgd: ManuallyDrop<Pgd>,
    // Dropped after the pgd was freed.
    _balance: Balance,
}

impl Space {
    /// A new one, under ASID 0.
    #[track_caller]
    pub fn new() -> Self {
        Self::of(&mut kernel().swapper.lock())
    }

    /// One with another kernel half than this kernel's, which must map what runs all the same.
    #[track_caller]
    pub fn of(swapper: &mut Swapper<'static, Active, Machine>) -> Self {
        let balance = Balance::new();
        let mut pgd = swapper.pgd_alloc().expect("the heap has a pgd to spare");
        // SAFETY: the TLB cannot hold anything of it yet.
        unsafe { pgd.set_asid(Some(Asid(0))) };
        Self { pgd: ManuallyDrop::new(pgd), _balance: balance }
    }

    /// Runs on it from here on.
    pub fn enter(&self) {
        switch(self.pgd.root());
    }

    /// Maps spare memory (anything else stops the run) in the user half.
    ///
    /// # Errors
    /// As `Pgd::map`.
    pub fn map(
        &mut self,
        range: VirtRange,
        phys: PhysAddr,
        attrs: Attrs,
        sizes: LeafSizes,
    ) -> Result<(), EditError> {
        assert_spare(phys, range.bytes());
        // SAFETY: spare memory is nobody's.
        unsafe { self.pgd.map(range, phys, attrs, sizes) }
    }

    /// Unmaps part of the user half.
    ///
    /// # Errors
    /// As `Pgd::unmap`.
    pub fn unmap(
        &mut self,
        range: VirtRange,
    ) -> Result<Flush<'static, Active, Machine>, EditError> {
        // SAFETY: only probes use the user half of a test's space.
        unsafe { self.pgd.unmap(range) }
    }

    /// Changes what may be done with part of the user half.
    ///
    /// # Errors
    /// As `Pgd::protect`.
    pub fn protect(
        &mut self,
        range: VirtRange,
        access: Access,
    ) -> Result<Flush<'static, Active, Machine>, EditError> {
        // SAFETY: as above.
        unsafe { self.pgd.protect(range, access) }
    }

    /// Changes the attributes of part of the user half.
    ///
    /// # Errors
    /// As `Pgd::modify`.
    pub fn modify(
        &mut self,
        range: VirtRange,
        change: impl Fn(Attrs) -> Attrs,
    ) -> Result<Flush<'static, Active, Machine>, EditError> {
        // SAFETY: as above.
        unsafe { self.pgd.modify(range, change) }
    }
}

impl Deref for Space {
    type Target = Pgd;

    fn deref(&self) -> &Pgd {
        &self.pgd
    }
}

impl DerefMut for Space {
    fn deref_mut(&mut self) -> &mut Pgd {
        &mut self.pgd
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if mmu::root() == self.pgd.root() {
            leave();
        }
        // SAFETY: this CPU, the only one that runs, is on other tables; nobody uses the pgd after this.
        unsafe { ManuallyDrop::take(&mut self.pgd).pgd_free() };
    }
}

/// Runs on swapper from here on.
pub fn leave() {
    switch(kernel().view.node().table());
}

/// Runs on the tables at `root`, with an empty TLB.
pub fn switch(root: PhysAddr) {
    // SAFETY: swapper and pgds map the kernel alike; what the old tables had under ASID 0 goes at once.
    unsafe { mmu::set_root(root) };
    machine().tlbiall();
    settle();
}

/// Completes maintenance, and forgets what was predicted and prefetched before it.
fn settle() {
    let machine = machine();
    machine.bpiall();
    machine.dsb_ish();
    machine.isb();
}

/// Depth of the last tables, whose leaves are pages.
pub const PTE: usize = Active::LEVELS.len() - 1;

/// Numbers in no order that anybody would choose: xorshift, always the same ones.
pub struct Random(u32);

impl Random {
    /// From the start.
    pub const fn new() -> Self {
        Self(0x9E37_79B9)
    }

    /// The next.
    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// The next, below `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(bound)) >> 32) as u32
    }

    /// One of these.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }
}
