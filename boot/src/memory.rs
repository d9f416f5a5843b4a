//! The kernel's memory: what its tables are allocated from, and on which machine.

use core::ptr::NonNull;

use armv7a_mm::armv7::Armv7;
use armv7a_mm::table::heap::TableHeap;
use spin::Once;

use crate::image;

/// This CPU, with the heap that linker.ld sets aside for tables.
pub type Machine = Armv7<TableHeap>;

static MACHINE: Once<Machine> = Once::new();

/// The machine; the first call makes it.
pub fn machine() -> &'static Machine {
    MACHINE.call_once(|| {
        let heap = image::heap();
        let start = NonNull::new(heap.start().0 as *mut u8).expect("the image is linked high");
        // SAFETY: linker.ld sets the memory aside for this, the linear map has it, and the image lies low.
        let heap = unsafe {
            TableHeap::new(start, heap.bytes() as usize, image::placement().phys(heap.start()))
        };
        Armv7::new(heap.expect("head.S places the image on 2 MiB"))
    })
}
