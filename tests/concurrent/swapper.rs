//! Swapper behind its lock, and readers without: faults that copy its entries while it is edited.

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::{Classic, Fault, FaultKind, Format, Lpae};
use armv7a_mm::mm::do_translation_fault;
use armv7a_mm::mm::{Features, Layout, LayoutSpec, Pgd, Swapper, SwapperView, Verdict};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::node::Node;
use armv7a_mm::table::walk;
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

use crate::memory::Memory;

/// Schedules tried for each test.
const SCHEDULES: usize = 400;

type Kernel<F> = Swapper<'static, F, Memory>;

/// A kernel that lives as long as a schedule.
struct World<F: Format> {
    memory: &'static Memory,
    layout: &'static Layout,
    swapper: Arc<Mutex<Kernel<F>>>,
}

/// In vmalloc, where nothing was mapped at sealing.
const LATE: u32 = 0xF080_0000;
/// In the modules window, which shares its root entry with user space in LPAE.
const MODULE: u32 = 0xBF60_0000;

fn page(va: u32) -> VirtRange {
    VirtRange::page(VirtAddr(va))
}

/// Where the page at `va` lies, if it is mapped.
fn target(va: u32) -> PhysAddr {
    PhysAddr::from_u32(0x1000_0000 | va & 0x00FF_F000)
}

fn map<F: Format>(swapper: &mut Kernel<F>, va: u32) {
    let attrs = Attrs::kernel(Access::ReadWrite);
    // SAFETY: nobody reaches memory through these tables.
    unsafe { swapper.map(page(va), target(va), attrs, LeafSizes::PAGES) }.expect("absent");
}

impl<F: Format> World<F> {
    fn new() -> Self {
        let memory: &'static Memory = Box::leak(Box::new(Memory::new()));
        let layout = Layout::new(LayoutSpec::linux(0xC000_0000)).expect("a layout");
        let layout: &'static Layout = Box::leak(Box::new(layout));
        let mut swapper = Kernel::<F>::new(memory, layout, Features { pxn: true }).expect("memory");
        map(&mut swapper, 0xC000_0000);
        Self { memory, layout, swapper: Arc::new(Mutex::new(swapper)) }
    }

    fn pgd(&self) -> Pgd<'static, F, Memory> {
        self.swapper.lock().expect("no panic").pgd_alloc().expect("memory")
    }

    fn view(&self) -> SwapperView<'static, F, Memory> {
        self.swapper.lock().expect("no panic").view()
    }

    /// Gives the schedule's memory back.
    ///
    /// # Safety
    /// Nothing that borrows it is left.
    unsafe fn scrap(self) {
        let (memory, layout) = (self.memory, self.layout);
        drop(self);
        // SAFETY: leaked by `new`; the caller answers for the rest.
        unsafe {
            drop(Box::from_raw(std::ptr::from_ref(memory).cast_mut()));
            drop(Box::from_raw(std::ptr::from_ref(layout).cast_mut()));
        }
    }
}

/// What a CPU on `root` finds at `va`.
fn found<F: Format>(memory: &Memory, root: PhysAddr, va: u32) -> Option<PhysAddr> {
    // SAFETY: a root that stays; its tables, too.
    let root = unsafe { Node::<F, Memory>::new(memory, root, 0) };
    walk::translate(&root, VirtAddr(va)).map(|it| it.phys)
}

/// Uses `va` as a CPU on `root` would, faults included. Whether it is mapped.
fn touch<F: Format>(
    memory: &Memory,
    view: &SwapperView<'static, F, Memory>,
    root: PhysAddr,
    va: u32,
) -> bool {
    let kind = FaultKind::Translation;
    // A copy for each level above the last, and once for a writer that was faster.
    for _ in 0..4 {
        if let Some(phys) = found::<F>(memory, root, va) {
            assert_eq!(phys, target(va), "{va:#x}");
            return true;
        }
        let fault = Fault { kind, ..F::decode_fault(0, false) };
        // SAFETY: the pgd lives.
        match unsafe { do_translation_fault(view, root, &fault, VirtAddr(va), false) } {
            Verdict::Retry => {}
            Verdict::Kernel => return false,
            Verdict::User => panic!("{va:#x} is the kernel's"),
        }
    }
    panic!("{va:#x} faults for ever");
}

macro_rules! both {
    ($($name:ident),+) => { $(
        mod $name {
            #[test]
            fn classic() {
                shuttle::check_random(super::$name::<super::Classic>, super::SCHEDULES);
            }
            #[test]
            fn lpae() {
                shuttle::check_random(super::$name::<super::Lpae>, super::SCHEDULES);
            }
        }
    )+ };
}

both!(faults_race_a_writer, faults_race_each_other, births_race_a_writer);

/// CPUs on two address spaces use what another CPU maps just now: nothing, or all of it.
fn faults_race_a_writer<F: Format>() {
    let world = World::<F>::new();
    let (one, other) = (world.pgd(), world.pgd());
    let (memory, view) = (world.memory, world.view());
    let readers = [(one.root(), LATE), (other.root(), MODULE), (one.root(), MODULE)];
    let readers = readers.map(|(root, va)| {
        thread::spawn(move || {
            (0..3).for_each(|_| {
                touch(memory, &view, root, va);
            });
        })
    });
    let swapper = Arc::clone(&world.swapper);
    let writer = thread::spawn(move || {
        [LATE, MODULE].into_iter().for_each(|va| map(&mut *swapper.lock().expect("no panic"), va));
    });
    readers.into_iter().for_each(|reader| reader.join().expect("a reader"));
    writer.join().expect("the writer");
    for root in [one.root(), other.root()] {
        assert!([LATE, MODULE].into_iter().all(|va| touch(memory, &view, root, va)), "mapped");
    }
    finish(world, [one, other]);
}

/// Two CPUs on one address space fault at one address: both go on.
fn faults_race_each_other<F: Format>() {
    let world = World::<F>::new();
    let pgd = world.pgd();
    for va in [LATE, MODULE] {
        map(&mut *world.swapper.lock().expect("no panic"), va);
    }
    let (memory, view, root) = (world.memory, world.view(), pgd.root());
    let cpus = [LATE, LATE, MODULE, MODULE].map(|va| {
        thread::spawn(move || assert!(touch(memory, &view, root, va), "{va:#x} is mapped"))
    });
    cpus.into_iter().for_each(|cpu| cpu.join().expect("a CPU"));
    finish(world, [pgd]);
}

/// Address spaces are born, kept, born again and freed while another CPU maps and unmaps, and a third one faults.
fn births_race_a_writer<F: Format>() {
    let world = World::<F>::new();
    let resident = world.pgd();
    let (memory, view, root) = (world.memory, world.view(), resident.root());
    let swapper = Arc::clone(&world.swapper);
    let births = thread::spawn(move || {
        for keep in [true, false, true] {
            let pgd = swapper.lock().expect("no panic").pgd_alloc().expect("memory");
            touch(memory, &view, pgd.root(), LATE);
            // SAFETY: no other CPU runs it.
            unsafe {
                match keep {
                    true => swapper.lock().expect("no panic").pgd_free(pgd),
                    false => pgd.pgd_free(),
                }
            }
        }
    });
    let swapper = Arc::clone(&world.swapper);
    let writer = thread::spawn(move || {
        map(&mut *swapper.lock().expect("no panic"), LATE);
        let mut swapper = swapper.lock().expect("no panic");
        // SAFETY: nobody reaches memory through these tables.
        unsafe { swapper.unmap(page(LATE)) }.expect("mapped").pay();
        map(&mut swapper, MODULE);
    });
    let reader = thread::spawn(move || {
        (0..3).for_each(|_| {
            touch(memory, &view, root, LATE);
        });
    });
    [births, writer, reader].into_iter().for_each(|it| it.join().expect("a CPU"));
    assert!(touch(memory, &view, root, MODULE) && !touch(memory, &view, root, LATE));
    finish(world, [resident]);
}

/// Every address space goes, and swapper's tables stay.
fn finish<F: Format, const N: usize>(world: World<F>, pgds: [Pgd<'static, F, Memory>; N]) {
    for pgd in pgds {
        let root = pgd.root();
        // SAFETY: no CPU is left.
        unsafe { pgd.pgd_free() };
        assert!(world.memory.is_free(root));
    }
    world.swapper.lock().expect("no panic").shrink();
    let root = world.view().node().table();
    assert_eq!(found::<F>(world.memory, root, 0xC000_0000), Some(target(0xC000_0000)));
    // SAFETY: the address spaces are gone, and all threads.
    unsafe { world.scrap() };
}
