//! The machines on which both images must pass.

use crate::qemu::Guest;

/// The CPUs that the images promise to run on.
const CPUS: [&str; 2] = ["cortex-a15", "cortex-a7"];

/// Memory, number of CPUs, machine: each CPU meets every value of each column, and memory beyond 4 GiB twice.
const ROWS: [(&str, u32, &str); 6] = [
    ("128M", 1, "virt"),
    ("64M", 4, "virt"),
    ("1G", 1, "virt,secure=on"),
    ("3G", 4, "virt,virtualization=on"),
    ("8G", 1, "virt"),
    ("8G", 4, "virt,secure=on,virtualization=on"),
];

/// A guest for each machine.
pub fn guests() -> impl Iterator<Item = Guest> {
    CPUS.into_iter().flat_map(|cpu| {
        ROWS.into_iter().map(move |(memory, cpus, machine)| Guest {
            machine: machine.into(),
            cpu: cpu.into(),
            memory: memory.into(),
            cpus,
            ..Guest::default()
        })
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
