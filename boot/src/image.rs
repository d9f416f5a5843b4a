//! Where the image lies: linker.ld's symbols as ranges.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use armv7a_mm::addr::{PAGE_SIZE, PhysAddr, VirtAddr, VirtRange};

use crate::cpus;

macro_rules! symbols {
    ($($name:ident)*) => {
        unsafe extern "C" {
            $(static $name: u8;)*
        }
    };
}

symbols! {
    __image_start __image_end
    __text_start __text_end __rodata_start __rodata_end __data_start __data_end
    __vectors_start
    __stack_svc_bottom __stack_svc __stack_abt_bottom __stack_abt __stack_und_bottom __stack_und
    __stack_irq_bottom __stack_irq __stack_fiq_bottom __stack_fiq __stack_sys_bottom __stack_sys
    __stacks_others
    __load_end __early_start __early_end __sleepers __sleepers_end __kept __kept_end __heap_start __heap_end
}

macro_rules! range {
    ($start:ident..$end:ident) => {
        between(&raw const $start, &raw const $end)
    };
}

fn between(start: *const u8, end: *const u8) -> VirtRange {
    let start = VirtAddr(start as u32);
    VirtRange::new(start, u64::from(end as u32 - start.0))
        .expect("linker.ld keeps its parts in order")
}

/// All of it, from its first byte to the end of the table heap.
pub fn whole() -> VirtRange {
    range!(__image_start..__image_end)
}

/// What is executed: whole pages.
pub fn text() -> VirtRange {
    range!(__text_start..__text_end)
}

/// Constants: whole pages.
pub fn rodata() -> VirtRange {
    range!(__rodata_start..__rodata_end)
}

/// Variables: whole pages.
pub fn data() -> VirtRange {
    range!(__data_start..__data_end)
}

/// The first CPU's stacks, one for each mode, with its mode's name; the page below each is a guard, and stays unmapped.
fn first_stacks() -> [(&'static str, VirtRange); 6] {
    [
        ("SVC", range!(__stack_svc_bottom..__stack_svc)),
        ("abort", range!(__stack_abt_bottom..__stack_abt)),
        ("undefined", range!(__stack_und_bottom..__stack_und)),
        ("IRQ", range!(__stack_irq_bottom..__stack_irq)),
        ("FIQ", range!(__stack_fiq_bottom..__stack_fiq)),
        ("system", range!(__stack_sys_bottom..__stack_sys)),
    ]
}

/// The stacks of another CPU, as linker.ld has room for: mode, and pages, above a guard page.
const OTHER_STACKS: [(&str, u32); 5] =
    [("SVC", 4), ("abort", 2), ("undefined", 2), ("IRQ", 1), ("FIQ", 1)];
/// Pages of all of them, with their guards.
const OTHER_PAGES: u32 = 15;

/// The stacks of CPU `cpu`, in order.
pub fn stacks_of(cpu: usize) -> impl Iterator<Item = (&'static str, VirtRange)> {
    let others = &raw const __stacks_others as u32;
    let mut next = others + (cpu.saturating_sub(1) as u32) * OTHER_PAGES * PAGE_SIZE;
    let other = OTHER_STACKS.into_iter().filter(move |_| cpu > 0).map(move |(mode, pages)| {
        let bottom = next + PAGE_SIZE;
        next = bottom + pages * PAGE_SIZE;
        (mode, VirtRange::inclusive(VirtAddr(bottom), VirtAddr(next - 1)).expect("it has pages"))
    });
    first_stacks().into_iter().filter(move |_| cpu == 0).chain(other)
}

/// The stacks of all CPUs that there may be, in order.
pub fn stacks() -> impl Iterator<Item = (&'static str, VirtRange)> {
    (0..cpus::most()).flat_map(stacks_of)
}

/// The page of exception vectors, which runs at any address.
pub fn vectors() -> VirtRange {
    VirtRange::page(VirtAddr(&raw const __vectors_start as u32))
}

/// The page of code that is meant for an identity mapping: the first of [`text`].
pub fn idmap() -> VirtRange {
    VirtRange::page(whole().start())
}

/// What CPUs that sleep look at: a page.
pub fn sleepers() -> VirtRange {
    range!(__sleepers..__sleepers_end)
}

/// What is there when the image is entered again: a page.
pub fn kept() -> VirtRange {
    range!(__kept..__kept_end)
}

/// Variables whose first values are not all zero.
pub fn variables() -> VirtRange {
    range!(__data_start..__load_end)
}

/// The early tables, free once the kernel has its own.
pub fn early_tables() -> VirtRange {
    range!(__early_start..__early_end)
}

/// What tables are allocated from.
pub fn heap() -> VirtRange {
    range!(__heap_start..__heap_end)
}

/// Where the image was loaded, and with it where all of the linear map lies.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// Physical minus virtual address, modulo 2^32.
    delta: u32,
}

static DELTA: AtomicU32 = AtomicU32::new(0);

/// Where the image was loaded.
pub fn placement() -> Placement {
    Placement { delta: DELTA.load(Relaxed) }
}

impl Placement {
    /// Notes what head.S found, before anybody asks [`placement`].
    pub fn note(delta: u32) {
        DELTA.store(delta, Relaxed);
    }

    /// The physical address of a linearly mapped one.
    pub const fn phys(self, at: VirtAddr) -> PhysAddr {
        PhysAddr::from_u32(at.0.wrapping_add(self.delta))
    }

    /// The address in the linear map of a physical one, which must lie in it.
    pub const fn virt(self, at: PhysAddr) -> VirtAddr {
        VirtAddr((at.as_u64() as u32).wrapping_sub(self.delta))
    }

    /// The physical address that PAGE_OFFSET stands for: where RAM is taken to begin.
    pub const fn ram(self) -> PhysAddr {
        self.phys(VirtAddr(crate::head::PAGE_OFFSET))
    }
}
