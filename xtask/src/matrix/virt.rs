//! QEMU's `virt`, in every way that it starts an image.

use super::covering;
use super::expect::Expect;
use super::{Depth, Machine};
use crate::image::Code;
use crate::qemu::{Guest, Load};

const CPUS: [&str; 3] = ["cortex-a15", "cortex-a7", "max"];
/// MiB. Up to 3 GiB end below 2^32, as RAM starts at 1 GiB.
const MEMORY: [u64; 7] = [128, 64, 1024, 2048, 3072, 4096, 8192];
const SMP: [u32; 3] = [1, 4, 8];
/// Which worlds there are; the image starts in the last.
const WORLDS: [&str; 4] = ["", ",virtualization=on", ",secure=on", ",secure=on,virtualization=on"];
const GIC: [&str; 2] = ["2", "3"];
const HIGHMEM: [&str; 2] = ["", ",highmem=off"];
const RAW: [bool; 2] = [false, true];

/// Sizes of the quick half: the least, one that fits the linear map, one that does not, and one beyond 4 GiB.
const QUICK_MEMORY: [u64; 4] = [64, 128, 1024, 8192];

/// Any two columns' values meet, or any three's. In the quick half memory has few sizes, and eight CPUs meet 1 GiB and
/// the normal world alone: those that wait spin under QEMU, and four do for the rest. QEMU refuses RAM beyond 4 GiB
/// with `highmem=off`, and for `max`, which it takes for a CPU of 32 physical address bits.
pub fn machines(depth: Depth) -> Vec<Machine> {
    let sizes =
        [CPUS.len(), MEMORY.len(), SMP.len(), WORLDS.len(), GIC.len(), HIGHMEM.len(), RAW.len()];
    let strength = match depth {
        Depth::Quick => 2,
        Depth::Full => 3,
    };
    let rows = covering::rows(&sizes, strength, |row| {
        let crowded =
            SMP[row[2]] == 8 && (MEMORY[row[1]] != 1024 || WORLDS[row[3]].contains("secure"));
        let narrow = CPUS[row[0]] == "max" || !HIGHMEM[row[5]].is_empty();
        let full = crowded || !QUICK_MEMORY.contains(&MEMORY[row[1]]);
        (!narrow || MEMORY[row[1]] <= 3072) && !(full && depth == Depth::Quick)
    });
    let near = matches!(depth, Depth::Full).then_some(0xC040_0000);
    let high = near.into_iter().chain([0xD040_0000]).map(at_kernel_addresses);
    rows.iter().map(|row| machine(row)).chain(high).chain([mapped_to_itself()]).collect()
}

/// The image lies, physically, where it is linked: all that swapper maps of it is mapped to itself, for CPUs that start,
/// too.
fn mapped_to_itself() -> Machine {
    let at = 0xC020_0000;
    let guest = Guest {
        machine: "virt,secure=on".into(),
        memory: "3G".into(),
        cpus: 2,
        load: Load::Raw { image: at, entry: at },
        ..Guest::default()
    };
    let expect = Expect::Passes(vec![
        "device tree: none to go by; taking 64 MiB from 0xc0000000".into(),
        "2 CPUs, started out of the loop in which they sleep".into(),
    ]);
    let what = Some("where it is linked".into());
    Machine { what, guest, raw: true, code: Code::Fast, classic: expect.clone(), lpae: expect }
}

/// The image lies, physically, at addresses of the kernel half: of its own mapping, or of what else it may use.
fn at_kernel_addresses(at: u32) -> Machine {
    let load = Load::Raw { image: at, entry: at };
    let guest = Guest { memory: "3G".into(), load, ..Guest::default() };
    let expect = Expect::Passes(vec![format!(
        "device tree: none to go by; taking 64 MiB from {:#x}",
        at - (2 << 20)
    )]);
    let what = Some(format!("at {at:#x}"));
    Machine { what, guest, raw: true, code: Code::Fast, classic: expect.clone(), lpae: expect }
}

fn machine(row: &[usize]) -> Machine {
    let (megabytes, world, raw) = (MEMORY[row[1]], WORLDS[row[3]], RAW[row[6]]);
    let machine = format!("virt,gic-version={}{}{world}", GIC[row[4]], HIGHMEM[row[5]]);
    let guest = Guest {
        machine,
        cpu: CPUS[row[0]].into(),
        memory: format!("{megabytes}M"),
        cpus: SMP[row[2]],
        ..Guest::default()
    };
    // A raw image counts as a Linux kernel, which secure firmware would start in the normal world.
    let hyp = world.contains("virtualization") && (raw || !world.contains("secure"));
    let mut says = vec![
        format!("started in {} mode", if hyp { "HYP" } else { "SVC" }),
        format!("device tree: at {}", if raw { "r2" } else { "the start of RAM" }),
        format!("RAM: {megabytes} MiB"),
        "devices: by the device tree".into(),
        "PL011 at 0x009000000".into(),
    ];
    if guest.cpus > 1 {
        says.push(format!("{} CPUs, started ", guest.cpus));
    }
    let beyond = megabytes.saturating_sub(3072);
    let mut classic = says.clone();
    if beyond > 0 {
        classic.push(format!(
            "{beyond} MiB of RAM beyond 4 GiB stay unused: the classic format reaches them by supersections alone"
        ));
    }
    let mut lpae = says;
    if beyond > 0 {
        lpae.push(format!("{} MiB of RAM from ", megabytes - LOWMEM));
    }
    Machine {
        what: None,
        guest,
        raw,
        code: Code::Fast,
        classic: Expect::Passes(classic),
        lpae: Expect::Passes(lpae),
    }
}

/// MiB of RAM in the linear map, where there is more: up to vmalloc, at 0xF080_0000.
const LOWMEM: u64 = 776;
