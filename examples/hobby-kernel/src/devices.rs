//! Devices of QEMU's `virt`, and how they are mapped.

use armv7a_mm::addr::{PAGE_SIZE, PhysAddr, VirtAddr};
use armv7a_mm::attr::MemoryType;
use armv7a_mm::format::Active;
use armv7a_mm::mm::window::{Vmalloc, WindowError};
use spin::Mutex;

use crate::memory::{LAYOUT, Machine};
use crate::swapper::swapper;

/// Interrupt controller, a GICv2: its distributor.
pub const GIC_DISTRIBUTOR: PhysAddr = PhysAddr::from_u32(0x0800_0000);
/// Its CPU interface.
pub const GIC_CPU: PhysAddr = PhysAddr::from_u32(0x0801_0000);
/// Serial port, a PL011.
pub const UART: PhysAddr = PhysAddr::from_u32(0x0900_0000);
/// Clock, a PL031.
pub const RTC: PhysAddr = PhysAddr::from_u32(0x0901_0000);

/// The window of the kernel half for devices: 16 of them.
static WINDOW: Mutex<Vmalloc<'static, Active, Machine, 16>> =
    Mutex::new(Vmalloc::new(LAYOUT.spec().vmalloc.range().expect("the window is not empty")));

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
    pub fn map(device: PhysAddr) -> Result<Self, WindowError> {
        let (mut window, mut swapper) = (WINDOW.lock(), swapper().lock());
        let bytes = u64::from(PAGE_SIZE);
        // SAFETY: device registers, mapped as such.
        let base = unsafe { window.ioremap(&mut swapper, device, bytes, MemoryType::Device)? };
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
