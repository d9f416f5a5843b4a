//! Exceptions: what each vector does, given the registers that vectors.S saved.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use armv7a_mm::addr::VirtAddr;
use armv7a_mm::armv7::cp15::{DFAR, DFSR, IFAR, IFSR};
use armv7a_mm::armv7::uaccess::{self, Saved};
use armv7a_mm::armv7::{mmu, vectors};
use armv7a_mm::format::{Active, Fault, Format};
use armv7a_mm::mm::{Verdict, do_translation_fault};

use crate::ending::{Ending, Reason};
use crate::memory::LAYOUT;
use crate::processes::PROCESSES;
use crate::{interrupts, swapper, system_calls};

global_asm!(
    include_str!("vectors.S"),
    REGISTERS = const size_of::<Registers>(),
    UNDEFINED = sym undefined,
    SUPERVISOR = sym supervisor,
    PREFETCH = sym prefetch,
    DATA = sym data,
    IRQ = sym irq,
    OVERFLOW = sym overflow,
);

/// What an exception saves.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Registers {
    /// r0 to r12.
    pub r: [u32; 13],
    /// The user program's stack pointer.
    pub sp: u32,
    /// Its link register.
    pub lr: u32,
    kernel_lr: u32,
    /// Where to go on.
    pub pc: u32,
    /// CPSR there.
    pub psr: u32,
}

/// The mode field of a PSR, and user mode: ARM state, interrupts welcome.
const MODE: u32 = 0x1F;
const USER: u32 = 0x10;
/// Thumb state.
const THUMB: u32 = 1 << 5;

impl Registers {
    /// Those of a program that starts at `pc` with its stack below `sp`.
    pub fn user(pc: u32, sp: u32) -> Self {
        Self { pc, sp, psr: USER, ..Self::default() }
    }

    fn are_users(&self) -> bool {
        self.psr & MODE == USER
    }

    /// Has the program make its system call again: the SVC before `pc`.
    pub fn call_again(&mut self) {
        self.pc -= if self.psr & THUMB == 0 { 4 } else { 2 };
    }
}

unsafe extern "C" {
    static vectors: u8;
    fn enter_user(registers: &Registers) -> !;
}

/// Runs the first program, in the address space that is in use; what called this is forgotten.
pub fn enter(registers: &Registers) -> ! {
    Saved::for_user_mode().restore();
    // SAFETY: the stack is not needed any more.
    unsafe { enter_user(registers) }
}

/// Kernel entries that faults have copied from swapper to an address space.
static SYNCED: AtomicU32 = AtomicU32::new(0);

/// See [`SYNCED`].
pub fn synced() -> u32 {
    SYNCED.load(Relaxed)
}

/// Takes exceptions at `vectors` from here on.
pub fn start() {
    // SAFETY: they are part of the kernel's text, aligned, and stay.
    unsafe { vectors::use_base(VirtAddr(&raw const vectors as u32)) };
}

/// Privileged access never: runs a handler with user space closed to the kernel, where the layout allows that. What finds
/// it open is user mode, or a copy that was interrupted by a fault.
fn closed(handler: impl FnOnce()) {
    if !LAYOUT.user_can_be_closed::<Active>() {
        return handler();
    }
    // SAFETY: the layout allows it, and ASID 0 is no process's.
    let user = unsafe { uaccess::close() };
    handler();
    user.restore();
}

extern "C" fn undefined(registers: &mut Registers) {
    if registers.psr & THUMB != 0 {
        // vectors.S takes LR for 4 ahead, which in Thumb it is by 2 (DDI 0406C B1.8.3).
        registers.pc += 2;
    }
    assert!(registers.are_users(), "undefined instruction at {:#010x}", registers.pc);
    let reason = Reason::Undefined { at: registers.pc };
    closed(|| PROCESSES.lock().end(registers, Ending::Killed(reason)));
}

extern "C" fn overflow() -> ! {
    panic!("the kernel's stack is full");
}

extern "C" fn supervisor(registers: &mut Registers) {
    closed(|| system_calls::call(registers));
}

extern "C" fn irq(registers: &mut Registers) {
    closed(|| interrupts::handle(registers));
}

/// An instruction cannot be fetched: of the kernel's own, one in a module that this address space does not have yet.
extern "C" fn prefetch(registers: &mut Registers) {
    let (fault, far) = (Active::decode_fault(IFSR::read(), true), IFAR::read());
    closed(|| {
        if registers.are_users() {
            return user_fault(registers, &fault, far);
        }
        match judge(&fault, far) {
            Verdict::Retry => note_sync(),
            _ => panic!("{}", fault.at(far)),
        }
    });
}

/// What to do about the kernel's own access: the library copies swapper's entry where that is all that is missing.
#[inline(always)]
fn judge(fault: &Fault, far: u32) -> Verdict {
    // SAFETY: this CPU walks these tables.
    unsafe { do_translation_fault(swapper::view(), mmu::root(), fault, VirtAddr(far), false) }
}

/// Notes that an entry was copied.
#[inline(always)]
fn note_sync() {
    SYNCED.store(SYNCED.load(Relaxed) + 1, Relaxed);
}

/// A data access failed. Of the kernel's own, most are first uses of what swapper maps since this address space was made:
/// the library copies the entry, and the access succeeds.
extern "C" fn data(registers: &mut Registers) {
    let (fsr, far) = (DFSR::read(), DFAR::read());
    closed(|| {
        if registers.are_users() {
            return user_fault(registers, &Active::decode_fault(fsr, false), far);
        }
        match judge(&Active::decode_fault(fsr, false), far) {
            Verdict::Retry => note_sync(),
            // Decoded again: so the path above need not keep all that a fault is.
            _ => kernel_fault(registers, &Active::decode_fault(fsr, false), far),
        }
    });
}

/// A user program's access failed: its address space makes it good, or it dies.
fn user_fault(registers: &mut Registers, fault: &Fault, far: u32) {
    let mut processes = PROCESSES.lock();
    if let Err(reason) = processes.current().space().fault(fault, VirtAddr(far)) {
        processes.end(registers, Ending::Killed(reason));
    }
}

/// The kernel's access failed: while it copied from or to the running program, whose address space makes it good, or the copy
/// ends in an error.
#[cold]
fn kernel_fault(registers: &mut Registers, fault: &Fault, far: u32) {
    let Some(error) = uaccess::fixup(registers.pc) else {
        panic!("{}, pc {:#010x}", fault.at(far), registers.pc)
    };
    if PROCESSES.lock().current().space().fault(fault, VirtAddr(far)).is_err() {
        registers.pc = error;
    }
}
