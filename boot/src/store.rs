//! A descriptor's store as a function of its own, for the disassembly to be judged by: one STRD, or the walker
//! could see half a descriptor.

use armv7a_mm::addr::PhysAddr;
use armv7a_mm::format::{Active, Format, Level};
use armv7a_mm::table::mem::{OutOfMemory, TableMemory};

/// The default store, and nothing to store in.
struct Nowhere;

// SAFETY: it never allocates, so it promises nothing.
unsafe impl TableMemory for Nowhere {
    fn allocate(&self, _: &'static Level) -> Result<PhysAddr, OutOfMemory> {
        Err(OutOfMemory)
    }

    unsafe fn free(&self, _: PhysAddr, _: &'static Level) {}

    fn virt(&self, _: PhysAddr) -> *mut u8 {
        core::ptr::null_mut()
    }
}

/// What [`descriptor_store_probe`] stores: a `u64` under LPAE.
type Raw = <Active as Format>::Raw;

/// Stores a descriptor as the library does. Never called.
///
/// # Safety
/// As [`TableMemory::store`].
#[unsafe(no_mangle)]
#[inline(never)]
pub unsafe extern "C" fn descriptor_store_probe(at: *mut Raw, value: Raw) {
    // SAFETY: the caller's promise.
    unsafe { Nowhere.store(at, value) }
}

/// Keeps it in the image.
#[used]
#[unsafe(link_section = ".rodata.keep")]
static KEEP: unsafe extern "C" fn(*mut Raw, Raw) = descriptor_store_probe;
