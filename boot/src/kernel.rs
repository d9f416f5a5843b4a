//! The kernel's own tables: `swapper_pg_dir`, built by the library and switched to.
//!
//! The image's parts get the permissions they deserve, all other RAM of the linear map is data, devices and
//! vectors lie at fixed addresses. RAM that the linear map does not reach is left to temporary mappings.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use armv7a_mm::addr::{PAGE_SIZE, PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::{mmu, offline, vectors};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::{Active, Fault};
use armv7a_mm::mm::{
    self, Contexts, Features, Layout, LayoutSpec, Swapper, SwapperView, Verdict,
    do_translation_fault,
};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::error::EditError;
use armv7a_mm::table::walk;
use spin::{Mutex, Once};

use crate::board::Devices;
use crate::devicetree::Range;
use crate::memory::{Machine, machine};
use crate::ram::Ram;
use crate::{head, image};

/// Linux's memory map for a kernel at 3 GiB.
pub static LAYOUT: Layout = Layout::checked(LayoutSpec::linux(head::PAGE_OFFSET));

/// An address space of this kernel's.
pub type Pgd = mm::Pgd<'static, Active, Machine>;

/// CPUs at most.
pub const CPUS: usize = 8;

/// The kernel's tables and what they map.
pub struct Kernel {
    /// swapper_pg_dir, to edit.
    pub swapper: Mutex<Swapper<'static, Active, Machine>>,
    /// swapper_pg_dir, to read.
    pub view: SwapperView<'static, Active, Machine>,
    /// Which CPU runs which address space.
    pub contexts: Contexts<'static, Active, Machine, CPUS>,
    /// The RAM in the linear map.
    pub linear: Range,
    /// Of that, what lies behind the image: for tests to map, but for what is taken.
    pub spare: Range,
    /// Memory that stays as it is, wherever it lies: the device tree's, and where other CPUs sleep.
    pub taken: [Range; 2],
    /// The largest piece of RAM that the format reaches, though not the linear map.
    pub high: Option<Range>,
    /// Bytes of RAM that the format does not reach.
    pub unreached: u64,
    /// What is mapped of devices.
    pub devices: Devices,
}

static KERNEL: Once<Kernel> = Once::new();

/// Entries that faults have copied from swapper.
static SYNCED: AtomicU32 = AtomicU32::new(0);

/// The kernel's tables, which [`start`] builds.
pub fn kernel() -> &'static Kernel {
    KERNEL.get().expect("start comes first")
}

/// Entries that faults have copied from swapper so far.
pub fn synced() -> u32 {
    SYNCED.load(Relaxed)
}

/// Whether faults are looked up in this kernel's swapper.
static JUDGING: AtomicBool = AtomicBool::new(true);

/// Faults are looked up in this kernel's swapper, or, while tables of another shape are in use, nowhere.
pub fn judge_faults(judge: bool) {
    JUDGING.store(judge, Relaxed);
}

/// What runs at a fault: whether the access should be tried again.
pub fn handle(fault: &Fault, at: VirtAddr, user_mode: bool) -> bool {
    let Some(kernel) = KERNEL.get().filter(|_| JUDGING.load(Relaxed)) else { return false };
    // SAFETY: this CPU walks these tables.
    let verdict = unsafe { do_translation_fault(&kernel.view, mmu::root(), fault, at, user_mode) };
    if verdict == Verdict::Retry {
        SYNCED.fetch_add(1, Relaxed);
    }
    verdict == Verdict::Retry
}

/// Builds the kernel's tables for `ram` and `devices`, and runs on them from here on.
pub fn start(ram: &Ram, devices: Devices) -> &'static Kernel {
    KERNEL.call_once(|| match build(ram, devices) {
        Ok(kernel) => kernel,
        Err(error) => panic!("the kernel's tables cannot be built: {error}"),
    });
    let kernel = kernel();
    enter(kernel);
    // SAFETY: the page of vectors is mapped there now.
    unsafe { vectors::use_high() };
    kernel
}

fn build(ram: &Ram, devices: Devices) -> Result<Kernel, EditError> {
    let features = Features { pxn: mmu::has_pxn() };
    let mut swapper = Swapper::new(machine(), &LAYOUT, features)?;
    let placement = image::placement();
    let linear = linear(ram);
    let ram_end = VirtAddr(head::PAGE_OFFSET + (linear.bytes - 1) as u32);
    let mut map = |range: VirtRange, phys: PhysAddr, attrs: Attrs| {
        // SAFETY: the same memory under the same addresses as in the early map, with the access that it is
        // used with; devices are mapped as such, and once.
        unsafe { swapper.map(range, phys, attrs, LeafSizes::LARGEST) }
    };
    for (range, access) in parts(ram_end) {
        map(range, placement.phys(range.start()), Attrs::kernel(access))?;
    }
    for device in devices.iter() {
        map(VirtRange::page(device.at), device.phys, Attrs::device())?;
    }
    let text = Attrs::kernel(Access::ReadExecute);
    map(LAYOUT.vectors(), placement.phys(image::vectors().start()), text)?;
    let used = placement.phys(image::whole().last()).as_u64() + 1;
    let spare = Range { base: used, bytes: linear.end() - used };
    let taken = [ram.parking, ram.tree.as_ref().map_or(ram.parking, |tree| tree.place)];
    let (high, unreached) = beyond(ram, &[linear, taken[0], taken[1]]);
    Ok(Kernel {
        view: swapper.view(),
        contexts: Contexts::new(&mut swapper)?,
        swapper: Mutex::new(swapper),
        linear,
        spare,
        taken,
        high,
        unreached,
        devices,
    })
}

/// The RAM that starts where the linear map does, as far as it is in one piece and fits.
fn linear(ram: &Ram) -> Range {
    let start = image::placement().ram().as_u64();
    let found =
        ram.ranges.as_slice().iter().find(|range| range.base <= start && start < range.end());
    let end = found.map_or(start, Range::end);
    // The image runs, so at least its memory is there, whatever the device tree says.
    let image = image::placement().phys(image::whole().last()).as_u64() + 1;
    let bytes = (end.max(image) - start).min(LAYOUT.lowmem().bytes());
    Range { base: start, bytes }
}

/// The RAM that is not `taken`: its largest piece that the format reaches by pages, and how many bytes it does not
/// reach.
fn beyond(ram: &Ram, taken: &[Range]) -> (Option<Range>, u64) {
    let reach = reach();
    let ranges = ram.ranges.as_slice();
    let unreached = ranges.iter().map(|range| range.end().saturating_sub(range.base.max(reach)));
    let reached = ranges.iter().filter(|range| range.base < reach).filter_map(|range| {
        let end = range.end().min(reach);
        Range { base: range.base, bytes: end - range.base }.largest_outside(taken)
    });
    (reached.max_by_key(|range| range.bytes), unreached.sum())
}

/// One past the last physical address that pages of the format reach.
pub fn reach() -> u64 {
    use armv7a_mm::format::control::Registers;
    if Active::LPAE { 1 << PhysAddr::BITS } else { 1 << 32 }
}

/// The linear map, cut where access changes; the guard pages of the stacks are left out.
fn parts(ram_end: VirtAddr) -> impl Iterator<Item = (VirtRange, Access)> {
    let range = |start: u32, end: u32| VirtRange::new(VirtAddr(start), u64::from(end - start)).ok();
    let behind = |range: VirtRange| range.last().0 + 1;
    let last = image::stacks().last().map_or(image::data(), |(_, stack)| stack);
    let below = range(head::PAGE_OFFSET, image::text().start().0);
    let between = range(behind(last) + PAGE_SIZE, behind(image::whole()));
    let above = VirtRange::inclusive(VirtAddr(behind(image::whole())), ram_end).ok();
    [
        (below, Access::ReadWrite),
        (Some(image::text()), Access::ReadExecute),
        (Some(image::rodata()), Access::Read),
        (Some(image::data()), Access::ReadWrite),
    ]
    .into_iter()
    .chain(image::stacks().map(|(_, stack)| (Some(stack), Access::ReadWrite)))
    .chain([(between, Access::ReadWrite), (above, Access::ReadWrite)])
    .filter_map(|(range, access)| Some((range?, access)))
}

/// Leaves the early map, whose leaves have other sizes, with the MMU off for a moment.
fn enter(kernel: &Kernel) {
    let routine = image::placement().phys(offline::routine());
    let (root, upper) = (kernel.view.node().table(), kernel.view.upper());
    let there = walk::translate(&kernel.view.node(), VirtAddr(routine.as_u64() as u32));
    let code = there.filter(|found| found.access() == Access::ReadExecute);
    assert!(code.is_none_or(|found| found.phys == routine), "other code lies at {routine}");
    // SAFETY: both map the kernel at the same addresses, and the early map the routine's page to itself, where swapper has
    // no code, or the same.
    let entered = unsafe { offline::set_root(routine, root, upper) };
    entered.expect("the image lies below 4 GiB");
}
