//! What each CPU has of its own: found by TPIDRPRW, which holds its address.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32};

use armv7a_mm::armv7::cp15::TPIDRPRW;
use spin::Mutex;

use crate::devicetree::MAX_CPUS;
use crate::faults::{FaultRecord, NOWHERE};

/// A CPU's own.
#[repr(C, align(64))]
pub struct PerCpu {
    /// The stack that `resume` returns to. First, where vectors.S looks.
    kernel_sp: AtomicU32,
    /// Where an expected exception resumes.
    pub resume: AtomicU32,
    /// The expected exception that was taken.
    pub record: Mutex<Option<FaultRecord>>,
    /// Whether exceptions close user space while they are handled.
    pub closes_user: AtomicBool,
}

static ALL: [PerCpu; MAX_CPUS] = [const {
    PerCpu {
        kernel_sp: AtomicU32::new(0),
        resume: AtomicU32::new(NOWHERE),
        record: Mutex::new(None),
        closes_user: AtomicBool::new(false),
    }
}; MAX_CPUS];

/// This CPU's.
pub fn this() -> &'static PerCpu {
    // SAFETY: `number` was called before anything else, and TPIDRPRW is written nowhere else.
    unsafe { &*(TPIDRPRW::read() as *const PerCpu) }
}

/// Makes this CPU number `number`: the first thing that a CPU does. The one that boots is 0, whatever its MPIDR.
pub fn set_number(number: usize) {
    // SAFETY: nobody else uses the register.
    unsafe { TPIDRPRW::write(&raw const ALL[number] as u32) }
}

/// This CPU's number.
pub fn number() -> usize {
    (TPIDRPRW::read() as usize - ALL.as_ptr() as usize) / size_of::<PerCpu>()
}

/// Which CPU it is, as the end of a sentence: empty on the first.
pub struct OnOther;

impl fmt::Display for OnOther {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match number() {
            0 => Ok(()),
            number => write!(f, ", on CPU {number}"),
        }
    }
}
