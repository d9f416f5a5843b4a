//! Case 5: pgd_alloc, and the sealing that is part of the first, undo exactly what they did when memory runs
//! out, at whichever allocation. The memory that they get held all ones.

use core::ops::ControlFlow;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use armv7a_mm::addr::{PhysAddr, VirtRange};
use armv7a_mm::armv7::{Armv7, mmu};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::{Active, Format, Level};
use armv7a_mm::mm::{Features, Layout, LayoutSpec, Pmds, Swapper, Vectors};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::heap::TableHeap;
use armv7a_mm::table::mem::{OutOfMemory, TableMemory};
use armv7a_mm::table::walk;

use crate::memory::machine;
use crate::tests::support::{Balance, Spare};
use crate::tests::world;
use crate::{check, check_eq, image};

const LINUX: LayoutSpec = LayoutSpec::linux(0xC000_0000);

/// Layouts, and how many tables a pgd has from birth in each: classic, LPAE.
static LAYOUTS: [(&str, Layout, [usize; 2]); 6] = [
    ("window below PAGE_OFFSET", Layout::checked(LINUX), [1, 2]),
    ("window at a border", Layout::checked(LayoutSpec::modules_at_border(0xC000_0000)), [1, 1]),
    ("all pmds", Layout::checked(LayoutSpec { pmds: Pmds::Always, ..LINUX }), [1, 5]),
    ("low vectors", Layout::checked(LayoutSpec { vectors: Vectors::Low, ..LINUX }), [2, 4]),
    (
        "low vectors, all pmds",
        Layout::checked(LayoutSpec { vectors: Vectors::Low, pmds: Pmds::Always, ..LINUX }),
        [2, 6],
    ),
    // With them the tables of the eager windows: a pte for each MiB; swapper has the pmd of one from the start.
    ("eager windows", EAGER, [1 + 14 + 3, 2 + 7]),
];

/// The window for modules and the fixmap have their tables from birth.
const EAGER: Layout = Layout::checked(LayoutSpec {
    modules: LINUX.modules.eager(),
    fixmap: LINUX.fixmap.eager(),
    ..LINUX
});

/// The table heap, as long as it lasts.
struct Scarce {
    heap: &'static TableHeap,
    left: AtomicUsize,
}

// SAFETY: the heap keeps every promise.
unsafe impl TableMemory for Scarce {
    fn allocate(&self, level: &'static Level) -> Result<PhysAddr, OutOfMemory> {
        let one_less = |left: usize| left.checked_sub(1);
        self.left.fetch_update(Relaxed, Relaxed, one_less).map_err(|_| OutOfMemory)?;
        let table = self.heap.allocate(level)?;
        // SAFETY: just allocated.
        unsafe { self.heap.virt(table).write_bytes(0xFF, level.table_bytes()) };
        Ok(table)
    }

    unsafe fn free(&self, table: PhysAddr, level: &'static Level) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.heap.free(table, level) }
    }

    fn virt(&self, at: PhysAddr) -> *mut u8 {
        self.heap.virt(at)
    }
}

/// A machine whose memory can run out, and a swapper on it which is never run on.
struct Bench {
    machine: Armv7<Scarce>,
    layout: &'static Layout,
}

type TestSwapper<'m> = Swapper<'m, Active, Armv7<Scarce>>;

impl Bench {
    fn new(layout: &'static Layout) -> Self {
        let heap = machine().memory();
        Self { machine: Armv7::new(Scarce { heap, left: AtomicUsize::new(0) }), layout }
    }

    fn limit(&self, tables: usize) {
        self.machine.memory().left.store(tables, Relaxed);
    }

    /// Bytes of the heap that are not swapper's.
    fn others(&self, swapper: &TestSwapper<'_>) -> usize {
        let tables = world::tables(&swapper.view().node());
        let own = Active::LEVELS.iter().zip(tables).map(|(level, n)| n * level.table_bytes());
        self.machine.memory().heap.used() - own.sum::<usize>()
    }

    /// Swapper with a page of linear map, one of vmalloc, and the vectors.
    fn swapper(&self) -> Option<TestSwapper<'_>> {
        self.limit(usize::MAX);
        let features = Features { pxn: mmu::has_pxn() };
        let mut swapper = Swapper::new(&self.machine, self.layout, features).ok()?;
        let mut spare = Spare::new();
        let vectors = image::placement().phys(image::vectors().start());
        let vmalloc = self.layout.spec().vmalloc.range()?;
        for (range, phys, access) in [
            (VirtRange::page(self.layout.lowmem().start()), spare.page(), Access::ReadWrite),
            (VirtRange::page(vmalloc.start()), spare.page(), Access::ReadWrite),
            (self.layout.vectors(), vectors, Access::ReadExecute),
        ] {
            // SAFETY: nobody walks these tables.
            let mapped =
                unsafe { swapper.map(range, phys, Attrs::kernel(access), LeafSizes::LARGEST) };
            mapped.ok()?;
        }
        Some(swapper)
    }
}

/// What both formats expect: classic, LPAE.
fn expected(counts: [usize; 2]) -> usize {
    counts[Active::LEVELS.len() - 2]
}

pub fn pgd_alloc() {
    let _balance = Balance::new();
    for (name, layout, tables) in &LAYOUTS {
        let bench = Bench::new(layout);
        let Some(mut swapper) = bench.swapper() else { panic!("no memory") };
        let before = (bench.others(&swapper), world::checksum(&swapper.view().node()));
        let mut failures = 0;
        let pgd = loop {
            bench.limit(failures);
            match swapper.pgd_alloc() {
                Ok(pgd) => break pgd,
                Err(OutOfMemory) => failures += 1,
            }
            let now = (bench.others(&swapper), world::checksum(&swapper.view().node()));
            check_eq!(now, before, "{name}: allocation {failures} failed");
            check!(!swapper.is_sealed(), "{name}: allocation {failures} failed");
        };
        check_eq!(failures, expected(*tables), "{name}: tables for the first pgd");
        // Whatever the memory held, the pgd maps what swapper does.
        let mut leaves = 0;
        let broke = pgd.visit(VirtRange::ALL, |leaf| {
            leaves += 1;
            let swapper = walk::translate(&swapper.view().node(), leaf.range.start());
            match swapper {
                Some(found) if (found.phys, found.leaf()) == (leaf.phys, Some(leaf.leaf)) => {
                    ControlFlow::Continue(())
                }
                _ => ControlFlow::Break(leaf.range),
            }
        });
        check_eq!((broke, leaves), (ControlFlow::Continue(()), 3), "{name}: what the pgd maps");
        // SAFETY: nobody ran on it.
        unsafe { pgd.pgd_free() };
        check_eq!(bench.others(&swapper), before.0, "{name}: freed");
        // SAFETY: nobody ever ran on it.
        unsafe { world::free_tree(&swapper.view().node()) };
    }
}

pub fn seal() {
    let _balance = Balance::new();
    let (name, layout, _) = &LAYOUTS[LAYOUTS.len() - 1];
    let bench = Bench::new(layout);
    let Some(mut swapper) = bench.swapper() else { panic!("no memory") };
    let before = (bench.others(&swapper), world::checksum(&swapper.view().node()));
    let mut failures = 0;
    loop {
        bench.limit(failures);
        if swapper.seal().is_ok() {
            break;
        }
        failures += 1;
        let now = (bench.others(&swapper), world::checksum(&swapper.view().node()));
        check_eq!(now, before, "{name}: allocation {failures} failed");
        check!(!swapper.is_sealed(), "{name}: allocation {failures} failed");
    }
    check_eq!(failures, expected([14 + 3, 7]), "{name}");
    check_eq!(bench.others(&swapper), before.0);
    // SAFETY: nobody ever ran on it.
    unsafe { world::free_tree(&swapper.view().node()) };
}
