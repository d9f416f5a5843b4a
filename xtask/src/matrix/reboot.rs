//! The image entered again by itself, MMU and caches off: its second boot says what its first said.

use std::time::Duration;

use super::expect::{Expect, REBOOT};
use super::{Depth, Machine};
use crate::image::Code;
use crate::qemu::{Guest, Load};

/// QEMU's machine, the CPU, its memory, where the image is loaded if not by `-kernel`, and how other CPUs start.
const MACHINES: [(&str, &str, &str, Option<u32>, &str); 4] = [
    ("virt", "cortex-a15", "128M", None, "by PSCI"),
    ("virt", "cortex-a7", "1G", None, "by PSCI"),
    ("virt,secure=on", "cortex-a15", "128M", None, "out of the loop"),
    ("vexpress-a15", "cortex-a15", "1G", Some(0x8234_5678), "out of the loop"),
];

/// Each with four CPUs; in the quick half the first, as Thumb's two CPUs come out of a loop there.
pub fn machines(depth: Depth) -> Vec<Machine> {
    let machine = |(machine, cpu, memory, at, way): (&str, &str, &str, Option<u32>, &str)| {
        let load = at.map_or(Load::Kernel, |at| Load::Raw { image: at, entry: at });
        let guest = Guest {
            machine: machine.into(),
            cpu: cpu.into(),
            memory: memory.into(),
            cpus: 4,
            load,
            words: vec![REBOOT.into()],
            // Every self-test, twice.
            limit: Duration::from_secs(180),
            ..Guest::default()
        };
        let passes = Expect::PassesTwice(vec![format!("4 CPUs, started {way}")]);
        let what = Some("entered again".into());
        Machine {
            what,
            guest,
            raw: at.is_some(),
            code: Code::Fast,
            classic: passes.clone(),
            lpae: passes,
        }
    };
    match depth {
        Depth::Quick => vec![machine(MACHINES[0])],
        Depth::Full => MACHINES.map(machine).into(),
    }
}
