//! A loadable module: machine code that comes as bytes, is written into the modules' window, relocated, sealed, and only
//! then executed. At no time is the memory both writable and executable.

use core::arch::global_asm;

use armv7a_mm::addr::{PAGE_SIZE, VirtAddr, VirtRange};
use armv7a_mm::armv7::cache;
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::error::EditError;
use spin::Once;

use crate::console;
use crate::devices::{RTC, Registers};
use crate::frames::FRAMES;
use crate::memory::LAYOUT;
use crate::swapper::swapper;

global_asm!(include_str!("clock.S"), options(raw));

unsafe extern "C" {
    static clock_module: u8;
    static clock_module_call: u8;
    static clock_module_end: u8;
}

/// What the module offers, and the device that it drives.
static CLOCK: Once<(extern "C" fn(*const u32) -> u32, Registers)> = Once::new();

/// Seconds since 1970, where the module is loaded.
pub fn time() -> Option<u32> {
    CLOCK.get().map(|(read, rtc)| read(rtc.base().0 as *const u32))
}

/// What the kernel offers to modules.
extern "C" fn say(text: *const u8, bytes: usize) {
    // SAFETY: a module is as trusted as the kernel.
    console::write(unsafe { core::slice::from_raw_parts(text, bytes) });
}

/// Loads the module, and maps its device.
///
/// # Errors
/// No memory or no addresses are left.
pub fn load() -> Result<(), EditError> {
    let (start, call) = (&raw const clock_module as usize, &raw const clock_module_call as usize);
    let bytes = &raw const clock_module_end as usize - start;
    assert!(bytes <= PAGE_SIZE as usize, "one page is enough for it");
    let at = LAYOUT.spec().modules.start;
    let page = VirtRange::page(VirtAddr(at));
    let frame = FRAMES.lock().allocate().ok_or(EditError::OutOfMemory)?;
    let mut swapper = swapper().lock();
    // SAFETY: nothing is mapped there, the frame is nobody's, and nobody executes the code before it is complete.
    let read = unsafe {
        swapper.map(page, frame, Attrs::kernel(Access::ReadWrite), LeafSizes::PAGES)?;
        (at as *mut u8).copy_from_nonoverlapping(start as *const u8, bytes);
        relocate((at as usize + call - start) as *mut u32, say as *const () as u32);
        cache::publish_code(at as *const u8, bytes);
        swapper.protect(page, Access::ReadExecute)?.pay();
        core::mem::transmute::<*const (), extern "C" fn(*const u32) -> u32>(at as *const ())
    };
    drop(swapper);
    let rtc = Registers::map(RTC)?;
    CLOCK.call_once(|| (read, rtc));
    Ok(())
}

/// Has the BL at `call` go to `target`, which lies within 32 MiB: R_ARM_CALL.
///
/// # Safety
/// It is one, in memory that is the caller's.
unsafe fn relocate(call: *mut u32, target: u32) {
    let words = target.wrapping_sub(call as u32 + 8) as i32 >> 2;
    assert!((-(1 << 23)..1 << 23).contains(&words), "the kernel is out of a branch's reach");
    // SAFETY: the caller's promise.
    unsafe { call.write(call.read() & 0xFF00_0000 | words as u32 & 0x00FF_FFFF) };
}
