//! The firmware that starts CPUs (Arm DEN 0022), called as the device tree says.

use smccc::psci::{self, AffinityState, LowestAffinityLevel, error::Error};
use smccc::{Hvc, Smc};

use crate::devicetree::Conduit;

/// Starts the CPU of this affinity at `entry`, a physical address, with `argument` in r0: in Hyp mode where there is
/// one, else in SVC mode, MMU and caches off.
///
/// # Errors
/// The firmware's.
///
/// # Safety
/// What it finds at `entry` is code that knows what to do, and memory is in order for a CPU with its caches off.
pub unsafe fn cpu_on(by: Conduit, affinity: u32, entry: u32, argument: u32) -> Result<(), Error> {
    match by {
        Conduit::Hvc => psci::cpu_on_32::<Hvc>(affinity, entry, argument),
        Conduit::Smc => psci::cpu_on_32::<Smc>(affinity, entry, argument),
    }
}

/// Switches this CPU off. Returns only if the firmware refuses.
pub fn cpu_off(by: Conduit) -> Result<(), Error> {
    match by {
        Conduit::Hvc => psci::cpu_off::<Hvc>(),
        Conduit::Smc => psci::cpu_off::<Smc>(),
    }
}

/// Whether the CPU of this affinity is off.
pub fn is_off(by: Conduit, affinity: u32) -> bool {
    let level = LowestAffinityLevel::All;
    let state = match by {
        Conduit::Hvc => psci::affinity_info_32::<Hvc>(affinity, level),
        Conduit::Smc => psci::affinity_info_32::<Smc>(affinity, level),
    };
    state == Ok(AffinityState::Off)
}
