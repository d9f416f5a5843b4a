//! Images compiled for size, in Thumb: the same self-tests.

use super::Machine;
use super::expect::{Expect, REBOOT};
use crate::image::Code;
use crate::qemu::Guest;

/// One CPU at its simplest; several from Hyp mode; and the way out of the image and in again.
pub fn machines() -> Vec<Machine> {
    let guest = |machine: &str, cpu: &str, cpus| Guest {
        machine: machine.into(),
        cpu: cpu.into(),
        cpus,
        ..Guest::default()
    };
    let machine = |guest: Guest, raw, expect: Expect| Machine {
        what: Some("Thumb".into()),
        guest,
        raw,
        code: Code::Small,
        classic: expect.clone(),
        lpae: expect,
    };
    let passes = |says: &str| Expect::Passes(vec![says.into()]);
    let twice = Expect::PassesTwice(vec!["2 CPUs, started out of the loop".into()]);
    let again = Guest { words: vec![REBOOT.into()], ..guest("virt,secure=on", "cortex-a15", 2) };
    vec![
        machine(guest("virt", "cortex-a15", 1), false, passes("started in SVC mode")),
        machine(
            guest("virt,virtualization=on", "cortex-a7", 4),
            true,
            passes("started in HYP mode"),
        ),
        machine(again, false, twice),
    ]
}
