//! The machines on which both images must pass.

use crate::qemu::Guest;

/// What a row changes of the machine before it is used.
struct Row {
    cpu: &'static str,
    memory: &'static str,
    cpus: u32,
    machine: &'static str,
}

/// Every CPU, memory size, start state and number of CPUs that the images promise, without every product of them:
/// each of the two CPUs meets each kind of start, small memory and memory beyond 4 GiB.
const ROWS: [Row; 8] = [
    Row { cpu: "cortex-a15", memory: "128M", cpus: 1, machine: "virt" },
    Row { cpu: "cortex-a7", memory: "128M", cpus: 1, machine: "virt" },
    Row { cpu: "cortex-a15", memory: "64M", cpus: 4, machine: "virt" },
    Row { cpu: "cortex-a7", memory: "64M", cpus: 1, machine: "virt,virtualization=on" },
    Row { cpu: "cortex-a15", memory: "1G", cpus: 1, machine: "virt,secure=on" },
    Row { cpu: "cortex-a15", memory: "3G", cpus: 4, machine: "virt,virtualization=on" },
    Row { cpu: "cortex-a7", memory: "8G", cpus: 4, machine: "virt,secure=on" },
    Row { cpu: "cortex-a15", memory: "8G", cpus: 1, machine: "virt" },
];

/// A guest for each row.
pub fn guests() -> impl Iterator<Item = Guest> {
    ROWS.iter().map(|row| Guest {
        machine: row.machine.into(),
        cpu: row.cpu.into(),
        memory: row.memory.into(),
        cpus: row.cpus,
        ..Guest::default()
    })
}

/// A guest in a few words, for a line of a report.
pub fn described(guest: &Guest) -> String {
    format!(
        "{}, {}, {} CPU{}, {}",
        guest.cpu,
        guest.memory,
        guest.cpus,
        if guest.cpus == 1 { "" } else { "s" },
        guest.machine
    )
}
