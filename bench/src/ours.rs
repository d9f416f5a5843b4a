//! This library, in either format.

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Asid, Attrs};
use armv7a_mm::format::{Descriptor, Format, Level};
use armv7a_mm::mm::{Features, Layout, LayoutSpec, Pgd, Swapper};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::mem::{Maintenance, OutOfMemory, TableMemory};

use crate::contender::{BYTES, Contender, LARGE_FRAMES, WINDOW};
use crate::pool;

static LAYOUT: Layout = Layout::checked(LayoutSpec::linux(0xC000_0000));

/// Where the tables are said to lie, physically.
const TABLES: PhysAddr = PhysAddr::from_u32(0x4000_0000);

/// This host, which has no TLB that would listen.
pub struct Host {
    /// Physical minus virtual address of the pool.
    offset: usize,
}

// SAFETY: pieces of the pool are disjoint, and of the asked size and alignment.
unsafe impl TableMemory for Host {
    #[inline]
    fn allocate(&self, level: &'static Level) -> Result<PhysAddr, OutOfMemory> {
        let table = pool::take(level.table_shift()).ok_or(OutOfMemory)?;
        Ok(phys(table.addr().get().wrapping_add(self.offset)))
    }

    #[inline]
    unsafe fn free(&self, table: PhysAddr, level: &'static Level) {
        // SAFETY: the caller's promise.
        unsafe { pool::give(self.virt(table), level.table_shift()) }
    }

    #[inline]
    fn virt(&self, at: PhysAddr) -> *mut u8 {
        (at.as_u64() as usize).wrapping_sub(self.offset) as *mut u8
    }

    unsafe fn zero_unlinked<D: Descriptor>(&self, at: *mut D, count: usize) {
        // SAFETY: the caller's promise; no walk needs the stores one by one.
        unsafe { at.write_bytes(0, count) }
    }

    unsafe fn copy_unlinked<D: Descriptor>(&self, from: *const D, to: *mut D, count: usize) {
        // SAFETY: as above.
        unsafe { from.copy_to_nonoverlapping(to, count) }
    }
}

// SAFETY: there is no TLB.
unsafe impl Maintenance for Host {
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

/// A pgd.
pub struct Ours<F: Format> {
    pgd: Pgd<'static, F, Host>,
    frames: usize,
}

fn window() -> VirtRange {
    VirtRange::new(VirtAddr(WINDOW as u32), BYTES as u64).expect("it ends below 4 GiB")
}

fn phys(at: usize) -> PhysAddr {
    PhysAddr::truncate(at as u64)
}

const DATA: Attrs = Attrs::user(Access::ReadWrite);

impl<F: Format> Contender for Ours<F> {
    const NAME: &'static str = if F::LEVELS.len() > 2 { "ours-lpae" } else { "ours-classic" };
    const LARGE: usize = 1 << F::LEVELS[F::LEVELS.len() - 2].shift;

    type Kernel = Swapper<'static, F, Host>;

    fn kernel() -> Self::Kernel {
        let offset = (TABLES.as_u64() as usize).wrapping_sub(pool::start());
        let host = Box::leak(Box::new(Host { offset }));
        let mut swapper =
            Swapper::new(host, &LAYOUT, Features { pxn: true }).expect("the pool is large");
        let lowmem = VirtRange::new(LAYOUT.lowmem().start(), 512 << 20).expect("lowmem is more");
        let data = Attrs::kernel(Access::ReadWrite);
        // SAFETY: nobody walks the tables.
        unsafe { swapper.map(lowmem, TABLES, data, LeafSizes::LARGEST) }.expect("it is empty");
        // The tables that every pgd has copies of are swapper's, and stay.
        swapper.seal().expect("the pool is large");
        swapper
    }

    fn used(kernel: &Self::Kernel) -> usize {
        // What was freed and is kept is in nobody's use: a root, and the private table below it.
        let private = LAYOUT.private_tables::<F>().len() * F::level(1).table_bytes();
        let spare = F::level(0).table_bytes() + private;
        pool::used() - kernel.spare_pgds() * spare
    }

    fn create(kernel: &mut Self::Kernel, frames: usize) -> Self {
        let mut pgd = kernel.pgd_alloc().expect("the pool is large");
        // SAFETY: there is no TLB.
        unsafe { pgd.set_asid(Some(Asid(1))) };
        Self { pgd, frames }
    }

    fn map(&mut self) {
        // SAFETY: nobody walks the tables. So for all below.
        unsafe { self.pgd.map(window(), phys(self.frames), DATA, LeafSizes::PAGES) }
            .expect("it is empty");
    }

    fn map_large(&mut self) {
        // SAFETY: as above.
        unsafe { self.pgd.map(window(), phys(LARGE_FRAMES), DATA, LeafSizes::LARGEST) }
            .expect("it is empty");
    }

    fn map_one(&mut self, va: usize) {
        let (page, frame) = (VirtRange::page(VirtAddr(va as u32)), va - WINDOW + self.frames);
        // SAFETY: as above.
        unsafe { self.pgd.map(page, phys(frame), DATA, LeafSizes::PAGES) }.expect("it is empty");
    }

    fn protect(&mut self) {
        // SAFETY: as above.
        unsafe { self.pgd.protect(window(), Access::Read) }.expect("it is mapped").pay();
    }

    fn unmap(&mut self) {
        // Holes do not matter to this one, as to the fastest of the peers.
        // SAFETY: as above.
        unsafe { self.pgd.clear(window()) }.expect("it is user space's").pay();
    }

    #[inline]
    fn translate(&self, va: usize) -> Option<usize> {
        self.pgd.translate(VirtAddr(va as u32)).map(|found| found.phys.as_u64() as usize)
    }

    fn is_writable(&self, va: usize) -> bool {
        let found = self.pgd.translate(VirtAddr(va as u32));
        found.is_some_and(|found| found.access() == Access::ReadWrite)
    }

    fn destroy(self, kernel: &mut Self::Kernel) {
        // SAFETY: as above.
        unsafe { kernel.pgd_free(self.pgd) }
    }
}
