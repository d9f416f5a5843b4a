//! What CPU this is, in words.

use core::fmt;

use armv7a_mm::armv7::cp15::{ID_PFR1, MIDR, MPIDR};
use armv7a_mm::armv7::mmu;

/// This CPU: `Cortex-A15 r4p0, VMSAv7 + PXN + LPAE, coherent walks`.
pub struct Cpu;

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let midr = MIDR::read();
        let (implementer, part) = (midr >> 24, midr >> 4 & 0xFFF);
        match (implementer, part) {
            // Arm numbers its ARMv7-A cores as it names them, in the low digit.
            (0x41, 0xC05 | 0xC07..=0xC09) => write!(f, "Cortex-A{}", part & 0xF)?,
            (0x41, 0xC0D) => f.write_str("Cortex-A12")?,
            (0x41, 0xC0E) => f.write_str("Cortex-A17")?,
            (0x41, 0xC0F) => f.write_str("Cortex-A15")?,
            _ => write!(f, "MIDR {midr:#010x}")?,
        }
        write!(f, " r{}p{}, VMSAv7", midr >> 20 & 0xF, midr & 0xF)?;
        for (has, what) in [
            (mmu::has_pxn(), " + PXN"),
            (mmu::has_lpae(), " + LPAE"),
            (ID_PFR1::read() >> 12 & 0xF != 0, " + virtualization"),
        ] {
            f.write_str(if has { what } else { "" })?;
        }
        f.write_str(if mmu::walks_are_coherent() {
            ", coherent walks"
        } else {
            ", walks bypass the caches"
        })?;
        write!(f, ", MPIDR {:#010x}", MPIDR::read())
    }
}
