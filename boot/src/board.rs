//! Which devices there are, and where: as the device tree says; where there is none, as the board has them, told by
//! where its CPU has its private peripherals.

use core::arch::asm;
use core::fmt;

use armv7a_mm::addr::{PAGE_SIZE, PhysAddr, VirtAddr};
use armv7a_mm::armv7::cp15::MIDR;

use crate::kernel::reach;
use crate::ram::Ram;
use crate::{devicetree, println};

/// A device, and the page of it that the kernel maps.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    /// What it is.
    pub name: &'static str,
    /// The page that is mapped.
    pub phys: PhysAddr,
    /// Which page of the device that is: its offset in bytes.
    pub offset: u32,
    /// Where the fixmap has it.
    pub at: VirtAddr,
}

/// The devices that the kernel knows how to find. What it did not find is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Devices {
    /// A PL011.
    pub uart: Option<Device>,
    /// The distributor of an interrupt controller.
    pub gic: Option<Device>,
}

impl Devices {
    /// Those that there are.
    pub fn iter(&self) -> impl Iterator<Item = Device> {
        [self.uart, self.gic].into_iter().flatten()
    }
}

/// A kind of device.
struct Kind {
    name: &'static str,
    at: VirtAddr,
    /// The offset of the page in which it identifies itself: that is the one to map.
    offset: u32,
    /// What device trees call it.
    compatible: &'static [&'static str],
}

const UART: Kind =
    Kind { name: "PL011", at: VirtAddr(0xFFC8_0000), offset: 0, compatible: &["arm,pl011"] };
const GIC: Kind = Kind {
    name: "GIC distributor",
    at: VirtAddr(0xFFC8_1000),
    offset: 0,
    compatible: &["arm,cortex-a15-gic", "arm,cortex-a9-gic", "arm,cortex-a7-gic", "arm,gic-400"],
};
const GICV3: Kind =
    Kind { name: "GICv3 distributor", offset: 0xF000, compatible: &["arm,gic-v3"], ..GIC };

/// A board that comes without a device tree.
struct Board {
    name: &'static str,
    /// The private peripherals of its CPU (CBAR.PERIPHBASE), by which it is known.
    peripherals: u32,
    uart: Option<u32>,
    gic: Option<u32>,
}

/// The interrupt controller lies with the private peripherals, except where the board has its own or none.
const BOARDS: [Board; 4] = [
    Board {
        name: "QEMU's virt",
        peripherals: 0x0800_0000,
        uart: Some(0x0900_0000),
        gic: Some(0x0800_0000),
    },
    Board {
        name: "Versatile Express with Cortex-A15",
        peripherals: 0x2C00_0000,
        uart: Some(0x1C09_0000),
        gic: Some(0x2C00_1000),
    },
    Board {
        name: "Versatile Express with Cortex-A9",
        peripherals: 0x1E00_0000,
        uart: Some(0x1000_9000),
        gic: Some(0x1E00_1000),
    },
    Board { name: "Raspberry Pi 2", peripherals: 0x3F00_0000, uart: Some(0x3F20_1000), gic: None },
];

/// Finds the devices, and says how.
pub fn devices(ram: &Ram) -> Devices {
    let (told, uart, gic) = match &ram.tree {
        Some(tree) => {
            let find = |kind: Kind| {
                let found = devicetree::device(tree.bytes, kind.compatible).ok().flatten();
                (kind, found)
            };
            let gic = [GIC, GICV3].map(find).into_iter().find(|(_, found)| found.is_some());
            (Told::Tree, find(UART), gic.unwrap_or((GIC, None)))
        }
        None => {
            let peripherals = peripherals();
            let board = BOARDS.iter().find(|board| Some(board.peripherals) == peripherals);
            let told = board.map_or(Told::Nobody(peripherals), |board| Told::Board(board.name));
            let uart = board.and_then(|board| board.uart).map(Into::into);
            let gic = board.and_then(|board| board.gic).map(Into::into);
            (told, (UART, uart), (GIC, gic))
        }
    };
    println!("devices: {told}");
    Devices { uart: usable(ram, uart), gic: usable(ram, gic) }
}

/// Who told of the devices.
enum Told {
    Tree,
    Board(&'static str),
    Nobody(Option<u32>),
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree => f.write_str("by the device tree"),
            Self::Board(name) => write!(f, "this is {name}"),
            Self::Nobody(Some(at)) => {
                write!(f, "none known: no board is, whose private peripherals lie at {at:#x}")
            }
            Self::Nobody(None) => f.write_str("none known: this CPU tells no board from another"),
        }
    }
}

/// The device of this kind, if its page can be one: a tree may say anything.
fn usable(ram: &Ram, (kind, found): (Kind, Option<u64>)) -> Option<Device> {
    let Kind { name, at, offset, .. } = kind;
    let Some(base) = found else {
        println!("    no {name}");
        return None;
    };
    let page = base.saturating_add(offset.into());
    let mut ram = ram.ranges.as_slice().iter();
    let why = match PhysAddr::new(page).filter(|_| page < reach()) {
        _ if ram.any(|range| range.base <= page && page < range.end()) => "lies in RAM",
        _ if !base.is_multiple_of(PAGE_SIZE.into()) => "is not on a page",
        Some(phys) => {
            println!("    {name} at {base:#011x}");
            return Some(Device { name, phys, offset, at });
        }
        None => "is beyond what pages of this format reach",
    };
    println!("    no {name}: what is said to be one, at {base:#x}, {why}");
    None
}

/// CBAR.PERIPHBASE, of Arm's cores that have it: below 4 GiB on any board that is known.
fn peripherals() -> Option<u32> {
    let midr = MIDR::read();
    // Cortex-A5, A7, A9, A12, A17, A15; others need not have the register, and may not be asked.
    let has =
        midr >> 24 == 0x41 && matches!(midr >> 4 & 0xFFF, 0xC05 | 0xC07 | 0xC09 | 0xC0D..=0xC0F);
    has.then(|| {
        let cbar: u32;
        // SAFETY: reading it changes nothing.
        unsafe { asm!("mrc p15, 4, {}, c15, c0, 0", out(reg) cbar, options(nomem, nostack)) };
        // From bit 15 on; below stands what lies above 4 GiB.
        cbar & !0x7FFF
    })
}
