//! Tables at physical address 0, where some boards have RAM: an address like any other.

use std::ptr::NonNull;

use crate::support::kernel::*;
use crate::support::*;
use armv7a_mm::format::Level;
use armv7a_mm::table::heap::TableHeap;
use armv7a_mm::table::mem::{Maintenance, OutOfMemory, TableMemory};

both_formats!(tables_of_an_edit, freed_roots);

const USER: Attrs = Attrs::user(Access::ReadWrite);

/// Bytes of the heap.
const BYTES: usize = 256 << 10;

/// A machine without a TLB whose tables lie from address 0 on.
struct FromZero(TableHeap);

impl FromZero {
    /// With the one table of `level` handed out that lies there.
    fn new(ram: &mut Vec<u128>, level: &'static Level) -> (Self, PhysAddr) {
        ram.resize((BYTES + (16 << 10)) / 16, 0xA5A5);
        let skip = ram.as_mut_ptr().align_offset(16 << 10);
        let start = NonNull::from(&mut ram[skip]).cast::<u8>();
        // SAFETY: the memory is the test's, and outlives the heap.
        let heap = unsafe { TableHeap::new(start, BYTES, phys(0)) }.unwrap();
        let table = heap.allocate(level).unwrap();
        assert_eq!(table, phys(0));
        (Self(heap), table)
    }
}

// SAFETY: the heap's promises.
unsafe impl TableMemory for FromZero {
    fn allocate(&self, level: &'static Level) -> Result<PhysAddr, OutOfMemory> {
        self.0.allocate(level)
    }

    unsafe fn free(&self, table: PhysAddr, level: &'static Level) {
        // SAFETY: the caller answers for it.
        unsafe { self.0.free(table, level) }
    }

    fn virt(&self, at: PhysAddr) -> *mut u8 {
        self.0.virt(at)
    }
}

// SAFETY: there is no TLB.
unsafe impl Maintenance for FromZero {
    fn clean(&self, _: *const u8, _: usize) {}
    fn dsb_ishst(&self) {}
    fn dsb_ish(&self) {}
    fn isb(&self) {}
    fn tlbimva(&self, _: VirtAddr, _: Asid) {}
    fn tlbimvaa(&self, _: VirtAddr) {}
    fn tlbiasid(&self, _: Asid) {}
    fn tlbiall(&self) {}
    fn bpiall(&self) {}
}

/// Reserved with others, in either order, and given back with them.
fn tables_of_an_edit<F: Format>() {
    let level = F::LEVELS.last().unwrap();
    let (mut ram, layout) = (Vec::new(), linux());
    let (machine, zero) = FromZero::new(&mut ram, level);
    let mut swapper = Swapper::<F, _>::new(&machine, &layout, Features::default()).unwrap();
    let mut pgd = swapper.pgd_alloc().unwrap();
    // SAFETY: nothing points to it; it is the next to be handed out.
    unsafe { machine.free(zero, level) };
    let before = machine.0.counts();
    let tables = 3;
    let bytes = tables * (u64::from(level.span()) * level.entries() as u64);
    let all = VirtRange::new(VirtAddr(0x4000_0000), bytes).unwrap();
    for _ in 0..2 {
        // SAFETY: nobody walks the tables; so for all of these.
        unsafe { pgd.map(all, phys(0x7000_0000), USER, LeafSizes::PAGES) }.unwrap();
        assert_eq!(machine.0.counts().pte - before.pte, tables as usize);
        let last = pgd.translate(all.last()).unwrap().phys.as_u64();
        assert_eq!(last, 0x7000_0000 + all.bytes() - 1);
        // SAFETY: as above.
        unsafe { pgd.unmap(all) }.unwrap().pay();
        assert_eq!(machine.0.counts(), before, "all of them came back");
    }
}

/// Kept with others for the next pgd_alloc.
fn freed_roots<F: Format>() {
    let (mut ram, layout) = (Vec::new(), linux());
    let level = &F::LEVELS[0];
    let (machine, zero) = FromZero::new(&mut ram, level);
    let mut swapper = Swapper::<F, _>::new(&machine, &layout, Features::default()).unwrap();
    // SAFETY: as above.
    unsafe { machine.free(zero, level) };
    let pgds = [(); 3].map(|()| swapper.pgd_alloc().unwrap());
    let mut roots = pgds.each_ref().map(Pgd::root);
    assert_eq!(roots[0], zero);
    let before = machine.0.counts();
    for pgd in pgds {
        // SAFETY: no TTBR holds it.
        unsafe { swapper.pgd_free(pgd) };
    }
    assert_eq!(swapper.spare_pgds(), 3);
    let again = [(); 3].map(|()| swapper.pgd_alloc().unwrap());
    assert_eq!(swapper.spare_pgds(), 0);
    assert_eq!(machine.0.counts(), before, "no new root was needed");
    roots.reverse();
    assert_eq!(again.each_ref().map(Pgd::root), roots);
    for pgd in again {
        // SAFETY: as above.
        unsafe { swapper.pgd_free(pgd) };
    }
    swapper.shrink();
    assert_eq!(machine.0.counts().pgd, 1, "swapper's");
}
