//! Device trees, good and bad, that no QEMU would hand out. Where one is bad, what the image assumes instead is always
//! the same: a few self-tests show that it runs.
//!
//! QEMU checks what `-dtb` names and writes the memory into it, and lets nothing lie over its own tree at the start of
//! RAM. So the image is placed higher up, as a boot loader would place it: then "the start of RAM" 2 MiB below the
//! image is free for a tree of ours, and two instructions in front of the image let r2 point to any place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode};

use super::expect::Expect;
use super::nested::{text, words};
use super::{Depth, Machine};
use crate::Outcome;
use crate::command::tool;
use crate::image::Code;
use crate::qemu::{Guest, Load, QEMU};

/// `virt`'s RAM starts here.
const RAM: u64 = 0x4000_0000;
const MEGABYTES: u64 = 256;
/// Where the image is placed, and what it takes for the start of RAM.
const IMAGE: u32 = 0x4820_0000;
const BELOW: u32 = IMAGE - 0x20_0000;
/// Where the instructions lie that set r2.
const SHIM: u32 = 0x4700_0000;
/// Where r2 points.
const R2: u32 = 0x4A00_0000;

/// What the image says where the memory that it takes to lie before it is none.
const AT_THE_START: &str =
    "boot: RAM starts less than 2 MiB below this image; load it 2 MiB further up";

/// A tree, and what the image says of it.
struct Variant {
    name: &'static str,
    bytes: Vec<u8>,
    verdict: Verdict,
}

/// What the image makes of a tree.
enum Verdict {
    /// It goes by it.
    Good,
    /// It says why not, and assumes.
    Bad(&'static str),
    /// It takes it for no tree, says nothing of it, and assumes.
    None,
    /// It goes by it but for this, and says why.
    Without(&'static str),
    /// It goes by it, and cannot run there.
    Refused,
}

/// Every variant where r2 points and at the start of RAM, and good ones in odd places (B19). Writes them to
/// `directory`.
///
/// # Errors
/// QEMU's own tree is not to be had, or a file cannot be written.
pub fn machines(depth: Depth, directory: &Path) -> Outcome<Vec<Machine>> {
    let base = dumped(directory)?;
    let mut machines = Vec::new();
    for (number, variant) in variants(&base)?.iter().enumerate() {
        let file = written(directory, &format!("{number}.dtb"), &variant.bytes)?;
        let by_r2 = machine(variant, Some((R2, written(directory, "shim.bin", &shim(R2))?)), &file);
        let below = machine(variant, None, &file);
        match (depth, number % 2) {
            // Half of them each way.
            (Depth::Quick, 0) => machines.push(by_r2),
            (Depth::Quick, _) => machines.push(below),
            (Depth::Full, _) => machines.extend([by_r2, below]),
        }
    }
    let good = tree(&base)?;
    let mut padded = good.to_dtb();
    padded.resize(1 << 20, 0);
    patch(&mut padded, 4, 1 << 20);
    let file = written(directory, "padded.dtb", &padded)?;
    for (name, at, verdict) in [
        ("1 MiB, over a border of 1 MiB", R2 + 0xF_FFF8, Verdict::Good),
        ("1 MiB, over a border of 2 MiB", R2 + 0x1F_F000, Verdict::Good),
        ("right behind the image", IMAGE + 0x70_0000, Verdict::Good),
        ("at the end of RAM", (RAM + (MEGABYTES << 20)) as u32 - (1 << 20), Verdict::Good),
        ("below the image's start of RAM", BELOW - 0x10_0000, Verdict::Good),
        ("r2 off by a word", R2 + 4, Verdict::None),
    ] {
        let shim = written(directory, &format!("shim-{at:x}.bin"), &shim(at))?;
        let variant = Variant { name, bytes: Vec::new(), verdict };
        machines.push(machine(&variant, Some((at, shim)), &file));
    }
    Ok(machines)
}

/// The tree that QEMU makes for the machine.
fn dumped(directory: &Path) -> Outcome<Vec<u8>> {
    let file = directory.join("virt.dtb");
    let mut command = tool(QEMU);
    // QEMU takes a doubled comma for a comma.
    let dump = format!("virt,dumpdtb={}", file.display().to_string().replace(',', ",,"));
    command.args(["-M", &dump, "-cpu", "cortex-a15", "-m", &format!("{MEGABYTES}M")]);
    command.args(["-nographic", "-nic", "none"]).stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(_) => return Err(format!("{QEMU} does not dump its device tree")),
        Err(error) => return Err(format!("{QEMU} does not start: {error}")),
    }
    fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))
}

fn written(directory: &Path, name: &str, bytes: &[u8]) -> Outcome<PathBuf> {
    let file = directory.join(name);
    fs::write(&file, bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file)
}

/// `ldr r2, =at; ldr pc, =IMAGE`.
fn shim(at: u32) -> Vec<u8> {
    [0xE59F_2000, 0xE59F_F000, at, IMAGE].into_iter().flat_map(u32::to_le_bytes).collect()
}

fn machine(variant: &Variant, r2: Option<(u32, PathBuf)>, tree: &Path) -> Machine {
    let (at, place) = match r2 {
        Some((at, _)) => (at, "r2"),
        None => (BELOW, "the start of RAM"),
    };
    let loaded = |file: &Path, at: u32| {
        let file = file.display().to_string().replace(',', ",,");
        ["-device".into(), format!("loader,file={file},addr={at:#x},force-raw=on").into()]
    };
    // r2 is off by a word: the tree is not.
    let mut extra = loaded(tree, at & !7).to_vec();
    extra.extend(r2.iter().flat_map(|(_, shim)| loaded(shim, SHIM)));
    let guest = Guest {
        memory: format!("{MEGABYTES}M"),
        load: Load::Raw { image: IMAGE, entry: if r2.is_some() { SHIM } else { IMAGE } },
        test: matches!(variant.verdict, Verdict::Bad(_)).then(|| "devices::".into()),
        extra,
        ..Guest::default()
    };
    let found = || vec![format!("device tree: at {place}"), format!("RAM: {MEGABYTES} MiB")];
    let assumed = format!("device tree: none to go by; taking 64 MiB from {BELOW:#x}");
    let says = match variant.verdict {
        Verdict::Good => [found(), vec!["PL011 at 0x009000000".into()]].concat(),
        Verdict::Without(why) => [found(), vec![why.into()]].concat(),
        Verdict::Bad(why) => vec![format!("device tree: at {place}, but {why}"), assumed],
        Verdict::None => vec![assumed],
        Verdict::Refused => Vec::new(),
    };
    let what = Some(format!("tree at {place}: {}", variant.name));
    let expect = match variant.verdict {
        Verdict::Refused => Expect::Refuses(AT_THE_START.into()),
        _ => Expect::Passes(says),
    };
    Machine { what, guest, raw: true, code: Code::Fast, classic: expect.clone(), lpae: expect }
}

fn tree(blob: &[u8]) -> Outcome<DeviceTree> {
    let fdt = Fdt::new(blob).map_err(|error| format!("QEMU's device tree is broken: {error}"))?;
    Ok(DeviceTree::from_fdt(&fdt))
}

/// Overwrites the big-endian word at `at`.
fn patch(blob: &mut [u8], at: usize, word: u32) {
    blob[at..at + 4].copy_from_slice(&word.to_be_bytes());
}

fn word(blob: &[u8], at: usize) -> usize {
    blob[at..at + 4].iter().fold(0, |word, byte| word << 8 | usize::from(*byte))
}

/// `base` with memory nodes of these bases and sizes instead of its own.
fn with_memory(base: &DeviceTree, ranges: &[(u64, u64)]) -> Vec<u8> {
    let mut tree = base.clone();
    tree.root.remove_child(&format!("memory@{RAM:x}"));
    for (i, (start, bytes)) in ranges.iter().enumerate() {
        let mut node = DeviceTreeNode::new_unchecked(format!("memory@{start:x}{i}"));
        let numbers = [start >> 32, *start, bytes >> 32, *bytes].map(|number| number as u32);
        node.add_property(words("reg", &numbers));
        tree.root.add_child(node);
    }
    tree.to_dtb()
}

/// `base` with `change` made to its PL011.
fn with_uart(base: &DeviceTree, change: impl Fn(&mut DeviceTreeNode)) -> Vec<u8> {
    let mut tree = base.clone();
    tree.root.child_mut("pl011@9000000").into_iter().for_each(change);
    tree.to_dtb()
}

fn variants(base: &[u8]) -> Outcome<Vec<Variant>> {
    use Verdict::{Bad, Good, None, Refused, Without};
    let tree = tree(base)?;
    let good = tree.to_dtb();
    let (structure, strings) = (word(&good, 8), word(&good, 12));
    let middle = (structure + word(&good, 36) / 2) & !3;
    let cut = |bytes: usize| good[..bytes].to_vec();
    let patched = |at, word| {
        let mut bytes = good.clone();
        patch(&mut bytes, at, word);
        bytes
    };
    let memory = |ranges: &[(u64, u64)]| with_memory(&tree, ranges);
    // The first property's length: the root's own.
    let length = structure + 12;
    let mut crowd = tree.clone();
    for i in 0..20_000 {
        let mut node = DeviceTreeNode::new_unchecked(format!("node@{i:x}"));
        node.add_property(words("reg", &[0, i, 0, 1]));
        crowd.root.add_child(node);
    }
    let mut cells = tree.clone();
    cells.root.add_property(words("#address-cells", &[3]));
    let many: Vec<_> = (0..9).map(|i| (RAM + (i << 24), 1 << 20)).collect();
    const ELSEWHERE: &str = "its memory is not where this image is";
    const BOUNDS: &str = "its structure leaves its bounds";
    let rows = [
        ("as QEMU has it", base.to_vec(), Good),
        ("written anew", good.clone(), Good),
        ("20 000 nodes", crowd.to_dtb(), Good),
        (
            "two ranges that touch",
            memory(&[(RAM + (128 << 20), 128 << 20), (RAM, 128 << 20)]),
            Good,
        ),
        ("cut in its header", cut(12), Bad(BOUNDS)),
        ("cut in its structure", cut(middle), Bad(BOUNDS)),
        ("cut before its end token", cut(strings - 4), Bad(BOUNDS)),
        ("cut in its strings", cut(strings + 2), Bad("it is broken: ")),
        ("another magic number", patched(0, 0xD00D_FEEE), None),
        ("of no bytes", patched(4, 0), Bad("its size of 0 bytes cannot be")),
        ("of 39 bytes", patched(4, 39), Bad("its size of 39 bytes cannot be")),
        ("of 4 GiB", patched(4, u32::MAX), Bad("its size of 4294967295 bytes cannot be")),
        ("of fewer bytes than it has", patched(4, 256), Bad(BOUNDS)),
        ("of more bytes than it has", patched(4, 1 << 20), Good),
        ("of another version", patched(24, 99), Bad("it is broken: ")),
        ("structure outside", patched(8, 0xFFFF_FF00), Bad(BOUNDS)),
        ("an unknown token", patched(structure, 7), Bad("it is broken: ")),
        ("a property of 4 GiB", patched(length, 0xFFFF_FFF0), Bad(BOUNDS)),
        ("a name outside", patched(length + 4, 0x7FFF_0000), Bad(BOUNDS)),
        ("no memory", memory(&[]), Bad("it describes no memory")),
        ("memory of no bytes", memory(&[(RAM, 0)]), Bad("it describes no memory")),
        (
            "memory of 2^64 - 1 bytes",
            memory(&[(RAM, u64::MAX)]),
            Bad("its memory at 0x40000000, 0xffffffffffffffff bytes, ends beyond 40 bits"),
        ),
        (
            "memory that wraps",
            memory(&[(u64::MAX - 0xFFFF, 1 << 20)]),
            Bad("its memory at 0xffffffffffff0000, 0x100000 bytes, ends beyond 40 bits"),
        ),
        (
            "memory twice",
            memory(&[(RAM, 256 << 20), (RAM + (64 << 20), 1 << 20)]),
            Bad("its memory at 0x44000000 overlaps other memory"),
        ),
        ("memory in nine pieces", memory(&many), Bad("its memory has more than 8 ranges")),
        ("memory elsewhere", memory(&[(0x8000_0000, 256 << 20)]), Bad(ELSEWHERE)),
        (
            "memory that ends in the image",
            memory(&[(RAM, u64::from(IMAGE) - RAM + 0x8000)]),
            Bad(ELSEWHERE),
        ),
        (
            "memory that starts in the image",
            memory(&[(u64::from(IMAGE) + 0x8000, 64 << 20)]),
            Bad(ELSEWHERE),
        ),
        ("memory that starts with the image", memory(&[(IMAGE.into(), 64 << 20)]), Refused),
        (
            "memory that starts 1 MiB below the image",
            memory(&[(u64::from(IMAGE) - (1 << 20), 64 << 20)]),
            Refused,
        ),
        ("numbers of three cells", cells.to_dtb(), Bad("its memory has numbers of 3 cells")),
        (
            "a UART that is `ok`",
            with_uart(&tree, |uart| uart.add_property(text("status", "ok"))),
            Good,
        ),
        (
            "a UART in RAM",
            with_uart(&tree, |uart| {
                uart.add_property(words("reg", &[0, R2 + 0x10_0000, 0, 0x1000]))
            }),
            Without("no PL011: what is said to be one, at 0x4a100000, lies in RAM"),
        ),
        (
            "a UART off a page",
            with_uart(&tree, |uart| uart.add_property(words("reg", &[0, 0x0900_0010, 0, 0x1000]))),
            Without("no PL011: what is said to be one, at 0x9000010, is not on a page"),
        ),
        (
            "a UART beyond 40 bits",
            with_uart(&tree, |uart| uart.add_property(words("reg", &[0x100, 0, 0, 0x1000]))),
            Without(
                "no PL011: what is said to be one, at 0x10000000000, is beyond what pages of this format reach",
            ),
        ),
        (
            "no UART",
            with_uart(&tree, |uart| drop(uart.remove_property("compatible"))),
            Without("no PL011"),
        ),
    ];
    Ok(rows.into_iter().map(|(name, bytes, verdict)| Variant { name, bytes, verdict }).collect())
}
