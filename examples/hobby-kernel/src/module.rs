//! A loadable module: machine code that comes as bytes, is written into the modules' window, relocated, sealed, and only
//! then executed. At no time is the memory both writable and executable.

use core::arch::global_asm;

use armv7a_mm::format::Active;
use armv7a_mm::mm::window::modules::Executable;
use armv7a_mm::mm::window::{ModuleArea, Modules, WindowError};
use spin::{Mutex, Once};

use crate::console;
use crate::devices::{RTC, Registers};
use crate::frames::FRAMES;
use crate::memory::{self, LAYOUT, Machine};
use crate::swapper::swapper;

global_asm!(include_str!("clock.S"), options(raw));

unsafe extern "C" {
    static clock_module: u8;
    static clock_module_call: u8;
    static clock_module_end: u8;
}

/// The modules' window, for 8 of them.
static WINDOW: Once<Mutex<Modules<'static, Active, Machine, 8>>> = Once::new();

/// The module that reads a clock, once it is loaded.
static CLOCK: Once<Clock> = Once::new();

struct Clock {
    code: ModuleArea<Executable>,
    rtc: Registers,
}

/// Seconds since 1970, where the module is loaded.
pub fn time() -> Option<u32> {
    let Clock { code, rtc } = CLOCK.get()?;
    // SAFETY: the module begins with this function; it was sealed, and stays.
    let read: extern "C" fn(*const u32) -> u32 =
        unsafe { core::mem::transmute(code.range().start().0 as *const ()) };
    Some(read(rtc.base().0 as *const u32))
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
///
/// # Panics
/// The window is out of a branch's reach.
pub fn load() -> Result<(), WindowError> {
    let new_window = || Modules::new(&LAYOUT, memory::text()).map(Mutex::new);
    let window = WINDOW.try_call_once(new_window).expect("memory.rs has them near");
    let (mut window, mut swapper) = (window.lock(), swapper().lock());
    // SAFETY: the three symbols lie in one piece of constants, in this order.
    let (code, call) = unsafe {
        let start = &raw const clock_module;
        let bytes = (&raw const clock_module_end).offset_from_unsigned(start);
        let call = (&raw const clock_module_call).offset_from_unsigned(start);
        (core::slice::from_raw_parts(start, bytes), call)
    };
    // SAFETY: the frames are nobody's, and initialised as RAM is.
    let mut area =
        unsafe { window.allocate(&mut swapper, code.len() as u32, &mut *FRAMES.lock())? };
    let at = area.range().start().0;
    // SAFETY: this CPU runs on swapper.
    let memory = unsafe { area.bytes() };
    memory[..code.len()].copy_from_slice(code);
    relocate(&mut memory[call..], at + call as u32, say as *const () as u32);
    // SAFETY: swapper is the only one.
    let code = unsafe { window.seal(&mut swapper, area) }.map_err(|(_, error)| error)?;
    drop(swapper);
    let rtc = Registers::map(RTC)?;
    CLOCK.call_once(|| Clock { code, rtc });
    Ok(())
}

/// Has the BL in the first word of `code`, which will run at `at`, go to `target`: R_ARM_CALL. Branches count from two
/// instructions on. Where the kernel is Thumb, its functions have odd addresses, and BLX takes BL's place, with bit 24 for
/// half a word.
fn relocate(code: &mut [u8], at: u32, target: u32) {
    let distance = target.wrapping_sub(at + 8);
    let words = (distance as i32 >> 2) as u32;
    code[..3].copy_from_slice(&words.to_le_bytes()[..3]);
    if target & 1 != 0 {
        code[3] = 0xFA | (distance >> 1 & 1) as u8;
    }
}
