//! Address spaces to measure on, and whether they hold what they should.

use core::ops::ControlFlow;

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::mmu::{self, Query};
use armv7a_mm::attr::{Access, Asid, Attrs};
use armv7a_mm::format::{Active, Format, Level};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::mem::Maintenance;
use stub::kernel::{LAYOUT, Pgd, kernel};
use stub::memory::machine;

/// The levels whose leaves are pages, and sections or 2 MiB blocks.
pub const PTE: &Level = &Active::LEVELS[Active::LEVELS.len() - 1];
/// See [`PTE`].
pub const BLOCK: &Level = &Active::LEVELS[Active::LEVELS.len() - 2];

/// 1 GiB of user space, which fills a root entry of LPAE's.
pub const WINDOW: VirtRange = VirtRange::aligned(VirtAddr(0x4000_0000), 30);
/// Pages in it.
pub const PAGES: u32 = 1 << 18;

/// What is mapped in the window: nobody goes there, so it need not be RAM.
pub const FRAMES: PhysAddr = PhysAddr::from_u32(0x8000_0000);

/// Memory of user space.
pub const DATA: Attrs = Attrs::user(Access::ReadWrite);

/// The ASID of every address space: none runs beside another.
const ASID: Asid = Asid(1);

/// An empty address space.
pub fn empty() -> Pgd {
    let mut pgd = kernel().swapper.lock().pgd_alloc().expect("the heap has room for it");
    // SAFETY: no TLB knows it.
    unsafe { pgd.set_asid(Some(ASID)) };
    pgd
}

/// One with [`FRAMES`] in all of the [`WINDOW`], in pages.
pub fn full() -> Pgd {
    let mut pgd = empty();
    // SAFETY: nobody goes there.
    unsafe { pgd.map(WINDOW, FRAMES, DATA, LeafSizes::PAGES) }.expect("nothing is mapped there");
    pgd
}

/// Whether an empty address space has a table of its own for the window that it shares with the kernel.
pub fn has_private_table() -> bool {
    LAYOUT.has_private_table::<Active>(LAYOUT.task_size())
}

/// What an empty address space takes: the root, and the table for the shared window.
pub fn empty_bytes() -> usize {
    let root = Active::LEVELS[0].table_bytes();
    root + if has_private_table() { Active::LEVELS[1].table_bytes() } else { 0 }
}

/// Gives an address space back.
pub fn free(pgd: Pgd) {
    // SAFETY: this CPU, the only one, runs on swapper.
    unsafe { kernel().swapper.lock().pgd_free(pgd) }
}

/// Runs on `pgd` while `run` does.
pub fn within<R>(pgd: &Pgd, run: impl FnOnce() -> R) -> R {
    switch(pgd.root());
    let result = run();
    switch(kernel().view.node().table());
    result
}

fn switch(root: PhysAddr) {
    let machine = machine();
    // SAFETY: swapper and pgds map the kernel alike; what the TLB knows goes at once.
    unsafe { mmu::set_root(root) };
    machine.tlbiall();
    machine.dsb_ish();
    machine.isb();
}

/// Whether `pgd` maps exactly `range` of the user half, linearly from `frames` on, in leaves of `level` with `access`;
/// by the tables for every address, by the hardware for the first, the last, and some in between.
pub fn holds(pgd: &Pgd, range: VirtRange, frames: PhysAddr, level: &Level, access: Access) -> bool {
    let there =
        |va: VirtAddr| PhysAddr::truncate(frames.as_u64() + u64::from(va.0 - range.start().0));
    let mut next = Some(range.start());
    let walk = pgd.visit(LAYOUT.user(), |leaf| {
        let right = Some(leaf.range.start()) == next
            && leaf.range.bytes() == u64::from(level.span())
            && leaf.phys == there(leaf.range.start())
            && leaf.leaf.attrs == DATA.with_access(access);
        next = leaf.range.last().0.checked_add(1).map(VirtAddr);
        if right { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let end = range.last().0.checked_add(1).map(VirtAddr);
    if walk.is_break() || next != end {
        return false;
    }
    let places =
        [range.start(), range.last()].into_iter().chain(Random::new().within(range).take(62));
    within(pgd, || {
        places.into_iter().all(|va| {
            let write = if access == Access::ReadWrite { Ok(there(va)) } else { Err(()) };
            pgd.translate(va).map(|found| found.phys) == Some(there(va))
                && mmu::translate(va, Query::UserRead) == Ok(there(va))
                && mmu::translate(va, Query::UserWrite).map_err(drop) == write
        })
    })
}

/// Whether nothing is mapped in the user half of `pgd`, and in the kernel half what swapper maps.
pub fn is_empty(pgd: &Pgd) -> bool {
    let kernel = kernel();
    let nothing = pgd.visit(LAYOUT.user(), |_| ControlFlow::Break(())).is_continue();
    let mut places =
        Random::new().within(LAYOUT.lowmem()).take(16).chain([LAYOUT.vectors().start()]);
    nothing
        && places.all(|va| {
            pgd.translate(va).map(|found| found.phys)
                == kernel.swapper.lock().translate(va).map(|found| found.phys)
        })
}

/// Numbers that are the same at every run (xorshift32).
pub struct Random(u32);

impl Random {
    /// From the start.
    pub fn new() -> Self {
        Self(0x2545_F491)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        ((u64::from(self.0) * u64::from(bound)) >> 32) as u32
    }

    /// Addresses in `range`, which is smaller than the address space.
    pub fn within(mut self, range: VirtRange) -> impl Iterator<Item = VirtAddr> {
        core::iter::repeat_with(move || {
            VirtAddr(range.start().0 + self.below(range.bytes() as u32))
        })
    }
}
