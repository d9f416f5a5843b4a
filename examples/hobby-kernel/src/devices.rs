//! Devices of QEMU's `virt`, and how they are mapped.

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::Attrs;
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::error::EditError;

use crate::swapper::swapper;

/// Interrupt controller, a GICv2: its distributor.
pub const GIC_DISTRIBUTOR: PhysAddr = PhysAddr::from_u32(0x0800_0000);
/// Its CPU interface.
pub const GIC_CPU: PhysAddr = PhysAddr::from_u32(0x0801_0000);
/// Serial port, a PL011.
pub const UART: PhysAddr = PhysAddr::from_u32(0x0900_0000);
/// Clock, a PL031.
pub const RTC: PhysAddr = PhysAddr::from_u32(0x0901_0000);

/// The registers of a device, a page of them.
#[derive(Clone, Copy)]
pub struct Registers {
    base: VirtAddr,
}

impl Registers {
    /// Maps those at `device`.
    ///
    /// # Errors
    /// No memory or no addresses are left.
    pub fn map(device: PhysAddr) -> Result<Self, EditError> {
        let base = VirtAddr(0xffc8_0000 + ((device.as_u64() as u32 - 0x0800_0000) >> 4));
        // SAFETY: device registers, mapped as such.
        unsafe {
            swapper().lock().map(
                VirtRange::page(base),
                device,
                Attrs::device(),
                LeafSizes::PAGES,
            )?
        };
        Ok(Self { base })
    }

    /// Where they are mapped.
    pub fn base(self) -> VirtAddr {
        self.base
    }

    /// Reads the register at `offset`.
    pub fn read(self, offset: usize) -> u32 {
        // SAFETY: the device is mapped there, as device memory.
        unsafe { (self.base.0 as *const u32).byte_add(offset).read_volatile() }
    }

    /// Writes the register at `offset`.
    pub fn write(self, offset: usize, value: u32) {
        // SAFETY: as above; a driver writes what its device's manual says.
        unsafe { (self.base.0 as *mut u32).byte_add(offset).write_volatile(value) }
    }
}
