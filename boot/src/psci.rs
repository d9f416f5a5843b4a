//! The firmware that starts CPUs (Arm DEN 0022), called as the device tree says.

use core::arch::global_asm;

use smccc::Call;
use smccc::psci::{self, AffinityState, LowestAffinityLevel, error::Error};

use crate::devicetree::Conduit;

// fn(&mut [u32; 8]): calls with these in r0 to r7, and puts there what they are then. A32 in every image; the crate's
// own calls are no Thumb code.
global_asm!(
    ".section .text.psci, \"ax\", %progbits",
    ".arm",
    ".arch_extension sec",
    ".arch_extension virt",
    ".macro conduit name, instruction",
    ".global \\name",
    ".type \\name, %function",
    "\\name:",
    "push {{r0, r4-r7, lr}}",
    "ldm r0, {{r0-r7}}",
    "\\instruction #0",
    "ldr r12, [sp]",
    "stm r12, {{r0-r7}}",
    "pop {{r0, r4-r7, pc}}",
    ".endm",
    "conduit psci_hvc, hvc",
    "conduit psci_smc, smc",
    ".previous",
);

unsafe extern "C" {
    fn psci_hvc(registers: &mut [u32; 8]);
    fn psci_smc(registers: &mut [u32; 8]);
}

/// By HVC.
struct Hvc;
/// By SMC.
struct Smc;

macro_rules! conduits {
    ($($name:ident: $routine:ident;)*) => {$(
        impl Call for $name {
            fn call32(function: u32, arguments: [u32; 7]) -> [u32; 8] {
                let mut registers = [function; 8];
                registers[1..].copy_from_slice(&arguments);
                // SAFETY: firmware keeps to the calling convention (Arm DEN 0028): the other registers and our memory stay
                // as they are.
                unsafe { $routine(&mut registers) };
                registers
            }

            fn call64(_: u32, _: [u64; 17]) -> [u64; 18] {
                unreachable!("this CPU has 32 bits")
            }
        }
    )*};
}

conduits! {
    Hvc: psci_hvc;
    Smc: psci_smc;
}

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
