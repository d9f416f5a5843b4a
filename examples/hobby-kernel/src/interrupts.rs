//! Interrupts: the generic timer's, through a GICv2. Each takes the CPU from the process that has it.

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use armv7a_mm::armv7::barrier::isb;
use armv7a_mm::mm::window::WindowError;
use spin::Once;

use crate::devices::{self, Registers as Device};
use crate::processes::PROCESSES;
use crate::traps::Registers;

/// The PL1 physical timer: private peripheral interrupt 14.
const TIMER: u32 = 30;

/// Ticks a second.
const HZ: u32 = 500;

// Distributor.
const GICD_CTLR: usize = 0x000;
const GICD_ISENABLER0: usize = 0x100;
// CPU interface.
const GICC_CTLR: usize = 0x00;
const GICC_PMR: usize = 0x04;
const GICC_IAR: usize = 0x0C;
const GICC_EOIR: usize = 0x10;
/// What IAR reads when no interrupt is pending after all.
const SPURIOUS: u32 = 1023;

static CPU: Once<Device> = Once::new();
static PREEMPTIONS: AtomicU32 = AtomicU32::new(0);

/// How often a process lost the CPU to the timer.
pub fn preemptions() -> u32 {
    PREEMPTIONS.load(Relaxed)
}

/// Lets the timer interrupt. User programs take interrupts, the kernel does not.
///
/// # Errors
/// The interrupt controller cannot be mapped.
pub fn start() -> Result<(), WindowError> {
    let distributor = Device::map(devices::GIC_DISTRIBUTOR)?;
    let cpu = Device::map(devices::GIC_CPU)?;
    distributor.write(GICD_ISENABLER0, 1 << TIMER);
    distributor.write(GICD_CTLR, 1);
    cpu.write(GICC_PMR, 0xFF);
    cpu.write(GICC_CTLR, 1);
    CPU.call_once(|| cpu);
    rearm();
    // SAFETY: CNTP_CTL: enabled, not masked.
    unsafe { asm!("mcr p15, 0, {}, c14, c2, 1", in(reg) 1, options(nomem, nostack)) };
    isb();
    Ok(())
}

/// Has the timer interrupt one tick from now.
fn rearm() {
    let frequency: u32;
    // SAFETY: CNTFRQ; reading it changes nothing.
    unsafe { asm!("mrc p15, 0, {}, c14, c0, 0", out(reg) frequency, options(nomem, nostack)) };
    // SAFETY: CNTP_TVAL.
    unsafe { asm!("mcr p15, 0, {}, c14, c2, 0", in(reg) frequency / HZ, options(nomem, nostack)) };
}

/// An interrupt came while the process with `registers` ran.
pub fn handle(registers: &mut Registers) {
    let cpu = CPU.get().expect("nothing interrupts before start");
    let interrupt = cpu.read(GICC_IAR);
    match interrupt & 0x3FF {
        SPURIOUS => return,
        TIMER => rearm(),
        other => panic!("interrupt {other}, which nobody asked for"),
    }
    isb();
    cpu.write(GICC_EOIR, interrupt);
    PREEMPTIONS.fetch_add(1, Relaxed);
    PROCESSES.lock().next(registers);
}
