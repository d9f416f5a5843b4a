//! Images compiled for size, in Thumb: the same self-tests.

use super::expect::{Expect, REBOOT};
use super::{Depth, Machine};
use crate::image::Code;
use crate::qemu::Guest;

/// One CPU at its simplest; several from Hyp mode, but not in the quick half; and the way out of the image and in again.
pub fn machines(depth: Depth) -> Vec<Machine> {
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
    let mut machines = vec![
        machine(guest("virt", "cortex-a15", 1), false, passes("started in SVC mode")),
        machine(again, false, twice),
    ];
    if depth == Depth::Full {
        let hyp = guest("virt,virtualization=on", "cortex-a7", 4);
        machines.push(machine(hyp, true, passes("started in HYP mode")));
    }
    machines
}
