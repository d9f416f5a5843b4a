//! Other boards than `virt`, without a device tree: the same images, raw, as a boot loader would place them.
//!
//! The ELF files cannot serve: their addresses are `virt`'s. QEMU's `-kernel` puts a raw image 64 KiB above the start
//! of RAM and starts one CPU; with its loader device the image lies where a row says, and all CPUs start at once.

use super::expect::{Expect, NO_LPAE};
use super::{Depth, Machine};
use crate::image::Code;
use crate::qemu::{Guest, Load};

/// A board.
struct Board {
    machine: &'static str,
    cpu: &'static str,
    /// Whether the CPU has LPAE.
    lpae: bool,
    memory: &'static str,
    /// Where its RAM starts.
    ram: u32,
    smp: &'static [u32],
    /// What the image says of its devices.
    devices: &'static str,
}

const BOARDS: [Board; 6] = [
    Board {
        machine: "vexpress-a15",
        cpu: "cortex-a15",
        lpae: true,
        memory: "1G",
        ram: 0x8000_0000,
        smp: &[1, 4],
        devices: "devices: this is Versatile Express with Cortex-A15",
    },
    // Starts in Hyp mode.
    Board {
        machine: "vexpress-a15,secure=off",
        cpu: "cortex-a7",
        lpae: true,
        memory: "1G",
        ram: 0x8000_0000,
        smp: &[4],
        devices: "devices: this is Versatile Express with Cortex-A15",
    },
    // Its walks bypass the caches (B31); no LPAE, no PXN (R8).
    Board {
        machine: "vexpress-a9",
        cpu: "cortex-a9",
        lpae: false,
        memory: "256M",
        ram: 0x6000_0000,
        smp: &[1, 4],
        devices: "devices: this is Versatile Express with Cortex-A9",
    },
    // RAM starts at 0, where QEMU keeps the other CPUs.
    Board {
        machine: "raspi2b",
        cpu: "cortex-a7",
        lpae: true,
        memory: "1G",
        ram: 0,
        smp: &[4],
        devices: "devices: this is Raspberry Pi 2",
    },
    Board {
        machine: "orangepi-pc",
        cpu: "cortex-a7",
        lpae: true,
        memory: "1G",
        ram: 0x4000_0000,
        smp: &[4],
        devices: "devices: none known: no board is, whose private peripherals lie at 0x0",
    },
    // No Multiprocessing Extensions.
    Board {
        machine: "cubieboard",
        cpu: "cortex-a8",
        lpae: false,
        memory: "512M",
        ram: 0x4000_0000,
        smp: &[1],
        devices: "devices: none known: this CPU tells no board from another",
    },
];

/// From the start of RAM: where the image may stay; where it must move; where it would move onto its own start.
const PLACES: [u32; 3] = [0x0020_0000, 0x0234_5678, 0x021F_FF00];

/// Every board by `-kernel`; Versatile Express, where that starts one CPU, also by the loader device: in the quick half,
/// several CPUs meet only the image that moves onto its own start.
pub fn machines(depth: Depth) -> Vec<Machine> {
    let mut machines = Vec::new();
    for board in &BOARDS {
        for &cpus in board.smp {
            machines.push(machine(board, cpus, None));
            let places = match board.machine.starts_with("vexpress") {
                false => &[],
                true if depth == Depth::Quick && cpus > 1 => &PLACES[2..],
                true => &PLACES[..],
            };
            machines.extend(places.iter().map(|&place| machine(board, cpus, Some(place))));
        }
    }
    machines
}

fn machine(board: &Board, cpus: u32, place: Option<u32>) -> Machine {
    let load = match place {
        None => Load::Kernel,
        Some(place) => Load::Raw { image: board.ram + place, entry: board.ram + place },
    };
    let guest = Guest {
        machine: board.machine.into(),
        cpu: board.cpu.into(),
        memory: board.memory.into(),
        cpus,
        load,
        ..Guest::default()
    };
    // The next 2 MiB border behind the image's first page, or where it is; RAM is taken to begin 2 MiB below.
    let place = place.unwrap_or(0x1_0000);
    let runs = if place.is_multiple_of(2 << 20) {
        place
    } else {
        ((place + 0x1000) >> 21 << 21) + (2 << 20)
    };
    let base = board.ram + runs - (2 << 20);
    let mut says = vec![
        format!("device tree: none to go by; taking 64 MiB from {base:#x}"),
        board.devices.into(),
    ];
    if cpus > 1 && matches!(guest.load, Load::Raw { .. }) {
        says.push(format!("{cpus} CPUs, started out of the loop in which they sleep"));
    }
    let passes = Expect::Passes(says);
    let lpae = if board.lpae { passes.clone() } else { Expect::Refuses(NO_LPAE.into()) };
    let what =
        matches!(guest.load, Load::Raw { .. }).then(|| format!("at {:#x}", board.ram + place));
    Machine { what, guest, raw: true, code: Code::Fast, classic: passes, lpae }
}
