//! Exceptions: expected ones are recorded and resumed, all others end the run with a line that says what
//! happened, where, and at which level of the tables.

use core::arch::global_asm;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use armv7a_mm::addr::VirtAddr;
use armv7a_mm::armv7::cp15::{DFAR, DFSR, IFAR, IFSR};
use armv7a_mm::armv7::uaccess;
use armv7a_mm::format::{Active, Fault, FaultKind, Format};

use crate::{console, harness, kernel, percpu, println};

global_asm!(
    include_str!("vectors.S"),
    EXCEPTION = sym exception,
);

/// Which vector was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Vector {
    /// An instruction that the CPU does not know, or may not run.
    Undefined = 1,
    /// SVC.
    Supervisor = 2,
    /// An instruction could not be fetched.
    Prefetch = 3,
    /// A data access failed.
    Data = 4,
    /// An interrupt.
    Irq = 6,
    /// A fast interrupt.
    Fiq = 7,
    /// One of the two vectors that nothing should reach.
    Stray = 0,
}

/// What an exception saved, as vectors.S pushes it.
#[repr(C)]
#[derive(Debug)]
struct Frame {
    r: [u32; 13],
    _padding: u32,
    pc: u32,
    psr: u32,
}

/// An exception that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultRecord {
    /// Which vector.
    pub vector: Vector,
    /// DFSR, or IFSR of a prefetch abort; 0 where the exception has none.
    pub fsr: u32,
    /// DFAR, or IFAR of a prefetch abort; 0 where the exception has none.
    pub far: u32,
    /// The instruction: after an SVC, the one behind it.
    pub pc: u32,
    /// CPSR when it was taken.
    pub psr: u32,
    /// r0 when it was taken: what user code wants to say by its SVC.
    pub r0: u32,
    /// Whether user space was open to the kernel when it was taken, and whether it is while it is handled.
    pub user_open: [bool; 2],
}

impl FaultRecord {
    /// The decoded fault status of an abort.
    pub fn fault(&self) -> Option<Fault> {
        matches!(self.vector, Vector::Prefetch | Vector::Data)
            .then(|| Active::decode_fault(self.fsr, self.vector == Vector::Prefetch))
    }

    /// The kind of an abort.
    pub fn kind(&self) -> Option<FaultKind> {
        self.fault().map(|fault| fault.kind)
    }
}

impl fmt::Display for FaultRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault() {
            Some(fault) => {
                write!(f, "{}", fault.at(self.far))?;
                if let Some(level) = fault.depth.and_then(|depth| Active::LEVELS.get(depth)) {
                    write!(f, ", {} entry", level.name)?;
                }
                write!(f, " (fsr {:#x})", self.fsr)?;
            }
            None => write!(f, "{:?} exception", self.vector)?,
        }
        write!(f, ", pc {:#010x}, {} mode", self.pc, mode(self.psr))
    }
}

/// The name of the mode in a CPSR.
pub fn mode(psr: u32) -> &'static str {
    match psr & USER_MASK {
        0x10 => "user",
        0x11 => "FIQ",
        0x12 => "IRQ",
        0x13 => "SVC",
        0x17 => "abort",
        0x1A => "HYP",
        0x1B => "undefined",
        0x1F => "system",
        _ => "no known",
    }
}

const USER_MASK: u32 = 0x1F;
const USER: u32 = 0x10;
/// SVC mode, ARM state; interrupts and asynchronous aborts masked, as head.S left them.
const SVC: u32 = 0x1D3;
/// The T bit of a PSR.
const THUMB: u32 = 1 << 5;

/// No exception is expected. Else it resumes at an address, or by [`SKIP`].
pub const NOWHERE: u32 = 0;
/// Behind the instruction in question.
pub const SKIP: u32 = 1;

static REPORTING: AtomicBool = AtomicBool::new(false);

/// Expects one exception on this CPU, which resumes at `resume` or skips its instruction ([`SKIP`]).
pub fn expect(resume: u32) {
    let cpu = percpu::this();
    *cpu.record.lock() = None;
    cpu.resume.store(resume, Relaxed);
}

/// Expects no exception any more; the one that was taken since [`expect`].
pub fn taken() -> Option<FaultRecord> {
    let cpu = percpu::this();
    cpu.resume.store(NOWHERE, Relaxed);
    cpu.record.lock().take()
}

/// Has exceptions of this CPU close user space while they are handled, or leave it as they find it.
pub fn close_user(close: bool) {
    percpu::this().closes_user.store(close, Relaxed);
}

extern "C" fn exception(frame: &mut Frame, vector: u32) {
    if !percpu::this().closes_user.load(Relaxed) {
        return handle(frame, vector, uaccess::is_open());
    }
    // SAFETY: it is closed already, or was opened to copy, or for user mode.
    let user = unsafe { uaccess::close() };
    handle(frame, vector, user.was_open());
    user.restore();
}

fn handle(frame: &mut Frame, vector: u32, user_was_open: bool) {
    let vector = match vector {
        1 => Vector::Undefined,
        2 => Vector::Supervisor,
        3 => Vector::Prefetch,
        4 => Vector::Data,
        6 => Vector::Irq,
        7 => Vector::Fiq,
        _ => Vector::Stray,
    };
    if vector == Vector::Undefined && frame.psr & THUMB != 0 {
        // vectors.S takes LR for 4 ahead, which in Thumb it is by 2 (DDI 0406C B1.8.3).
        frame.pc += 2;
    }
    let (fsr, far) = match vector {
        Vector::Prefetch => (IFSR::read(), IFAR::read()),
        Vector::Data => (DFSR::read(), DFAR::read()),
        _ => (0, 0),
    };
    let record = FaultRecord {
        vector,
        fsr,
        far,
        pc: frame.pc,
        psr: frame.psr,
        r0: frame.r[0],
        user_open: [user_was_open, uaccess::is_open()],
    };
    let user_mode = frame.psr & USER_MASK == USER;
    if record.fault().is_some_and(|fault| kernel::handle(&fault, VirtAddr(far), user_mode)) {
        return;
    }
    if vector == Vector::Data
        && !user_mode
        && let Some(landing) = uaccess::fixup(frame.pc)
    {
        frame.pc = landing;
        return;
    }
    let cpu = percpu::this();
    let resume = cpu.resume.swap(NOWHERE, Relaxed);
    if resume == NOWHERE {
        report(&record);
    }
    // Free: only the code that expects locks it, and not while it expects.
    *cpu.record.lock() = Some(record);
    match (user_mode, resume) {
        (false, SKIP) => frame.pc += instruction_bytes(frame),
        (_, at) => {
            frame.pc = at;
            frame.psr = SVC;
        }
    }
}

/// How long the instruction is that was taken at, in code that runs (DDI 0406C A6.1).
fn instruction_bytes(frame: &Frame) -> u32 {
    if frame.psr & THUMB == 0 {
        return 4;
    }
    // SAFETY: it was fetched.
    let first = unsafe { (frame.pc as *const u16).read() };
    if first >> 11 >= 0b11101 { 4 } else { 2 }
}

/// Says what happened, and ends.
fn report(record: &FaultRecord) -> ! {
    if !REPORTING.swap(true, Relaxed) {
        harness::break_line();
        println!("fault: {record}{}{}", percpu::OnOther, harness::During);
    }
    console::exit(1)
}
