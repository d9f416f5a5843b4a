//! Where memory is: physical, in the linear map, and the parts of the image.
//!
//! The addresses are those of QEMU's `virt`, with 64 MiB of RAM or more; a kernel for more than one board reads them
//! from the device tree.

use core::ops::Range;
use core::ptr::NonNull;

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::Armv7;
use armv7a_mm::mm::{Layout, LayoutSpec};
use armv7a_mm::table::heap::TableHeap;
use spin::Once;

/// Where the linear map begins.
pub const PAGE_OFFSET: u32 = 0xC000_0000;
/// Where RAM begins: what PAGE_OFFSET maps.
pub const PHYS_OFFSET: u32 = 0x4000_0000;
/// The RAM that this kernel uses.
pub const RAM_BYTES: u32 = 64 << 20;
/// Where the kernel is loaded.
pub const IMAGE: u32 = PHYS_OFFSET + (2 << 20);
/// What page tables are allocated from, at the end of RAM.
const TABLE_BYTES: u32 = 4 << 20;

unsafe extern "C" {
    static __text_start: u8;
    static __rodata_start: u8;
    static __data_start: u8;
    static __stack_guard: u8;
    static __stack_bottom: u8;
    static __image_end: u8;
}

/// The addresses from one symbol of kernel.ld up to another.
macro_rules! range {
    ($start:ident..$end:ident) => {{
        let (start, end) = (&raw const $start as u32, &raw const $end as u32);
        VirtRange::new(VirtAddr(start), (end - start).into()).expect("kernel.ld keeps the order")
    }};
}
/// Linux's memory map.
pub static LAYOUT: Layout = Layout::checked(LayoutSpec::linux(PAGE_OFFSET));

/// This CPU, and the memory that its tables lie in.
pub type Machine = Armv7<TableHeap>;

static MACHINE: Once<Machine> = Once::new();

/// The machine; the first call makes it.
pub fn machine() -> &'static Machine {
    MACHINE.call_once(|| {
        let start = frames_end();
        let tables = NonNull::new(virt(start)).expect("RAM lies above 0");
        // SAFETY: nobody else uses this part of RAM, and the linear map has it.
        let heap = unsafe { TableHeap::new(tables, TABLE_BYTES as usize, start) };
        Armv7::new(heap.expect("the linear map moves by whole MiB"))
    })
}

/// The page frames that are nobody's at the start, from the image's end to the memory for tables.
pub fn frames() -> Range<PhysAddr> {
    phys(VirtAddr(&raw const __image_end as u32))..frames_end()
}

fn frames_end() -> PhysAddr {
    PhysAddr::from_u32(PHYS_OFFSET + RAM_BYTES - TABLE_BYTES)
}

/// The physical address of one in the linear map.
pub fn phys(at: VirtAddr) -> PhysAddr {
    PhysAddr::from_u32(at.0 - PAGE_OFFSET + PHYS_OFFSET)
}

/// Where the linear map shows `at`.
pub fn virt(at: PhysAddr) -> *mut u8 {
    (at.as_u64() as u32 - PHYS_OFFSET + PAGE_OFFSET) as *mut u8
}

/// What is executed.
pub fn text() -> VirtRange {
    range!(__text_start..__rodata_start)
}

/// Constants.
pub fn rodata() -> VirtRange {
    range!(__rodata_start..__data_start)
}

/// Variables, up to the page that guards the stack.
pub fn data() -> VirtRange {
    range!(__data_start..__stack_guard)
}

/// The stack, and all RAM behind it.
pub fn stack_and_rest() -> VirtRange {
    let start = VirtAddr(&raw const __stack_bottom as u32);
    VirtRange::inclusive(start, VirtAddr(PAGE_OFFSET + RAM_BYTES - 1))
        .expect("the image is smaller")
}

/// RAM below the image, where QEMU left its device tree.
pub fn below_image() -> VirtRange {
    VirtRange::new(VirtAddr(PAGE_OFFSET), (IMAGE - PHYS_OFFSET).into()).expect("not empty")
}
