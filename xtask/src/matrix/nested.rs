//! Versatile Express with a device tree as boards have them: what is to be found lies behind buses that move addresses.

use std::fs;
use std::path::Path;

use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

use super::Machine;
use super::expect::Expect;
use crate::Outcome;
use crate::image::Code;
use crate::qemu::Guest;

/// By QEMU's `-dtb`, which writes the memory into the tree. Writes the tree to `directory`.
///
/// # Errors
/// The file cannot be written.
pub fn machine(directory: &Path) -> Outcome<Machine> {
    let file = directory.join("vexpress.dtb");
    fs::write(&file, tree()).map_err(|error| format!("{}: {error}", file.display()))?;
    let guest = Guest {
        machine: "vexpress-a15".into(),
        memory: "1G".into(),
        cpus: 4,
        extra: vec!["-dtb".into(), file.into()],
        ..Guest::default()
    };
    let expect = Expect::Passes(
        [
            "device tree: at r2",
            "RAM: 1024 MiB",
            "devices: by the device tree",
            "PL011 at 0x01c090000",
            "GIC distributor at 0x02c001000",
        ]
        .map(String::from)
        .to_vec(),
    );
    let what = Some("devices behind buses".into());
    Ok(Machine { what, guest, raw: true, code: Code::Fast, classic: expect.clone(), lpae: expect })
}

/// Chip selects behind the CPU's bus, and behind one of them a window of devices.
fn tree() -> Vec<u8> {
    let mut uart = node("serial@90000", "arm,pl011");
    uart.add_property(words("reg", &[0x9_0000, 0x1000]));
    let mut window = bus("window@3,0", [1, 1], &[0, 3, 0, 0x20_0000]);
    window.add_child(uart);
    let mut selects = bus("bus@8000000", [2, 1], &[3, 0, 0, 0x1C00_0000, 0x0400_0000]);
    selects.add_child(window);
    let mut gic = node("interrupt-controller@2c001000", "arm,cortex-a15-gic");
    gic.add_property(words("reg", &[0, 0x2C00_1000, 0, 0x1000, 0, 0x2C00_2000, 0, 0x1000]));
    // QEMU adds devices of its own that interrupt.
    gic.add_property(words("interrupt-controller", &[]));
    gic.add_property(words("#interrupt-cells", &[3]));
    gic.add_property(words("phandle", &[1]));

    let mut tree = DeviceTree::new();
    tree.root.add_property(text("compatible", "arm,vexpress,v2p-ca15"));
    tree.root.add_property(words("#address-cells", &[2]));
    tree.root.add_property(words("#size-cells", &[2]));
    tree.root.add_property(words("interrupt-parent", &[1]));
    tree.root.add_child(gic);
    tree.root.add_child(selects);
    tree.to_dtb()
}

fn bus(name: &str, [address, size]: [u32; 2], ranges: &[u32]) -> DeviceTreeNode {
    let mut bus = node(name, "simple-bus");
    bus.add_property(words("#address-cells", &[address]));
    bus.add_property(words("#size-cells", &[size]));
    bus.add_property(words("ranges", ranges));
    bus
}

fn node(name: &str, compatible: &str) -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new_unchecked(name);
    node.add_property(text("compatible", compatible));
    node
}

/// A property of text.
pub fn text(name: &str, value: &str) -> DeviceTreeProperty {
    DeviceTreeProperty::new_unchecked(name, value)
}

/// A property of 32-bit numbers.
pub fn words(name: &str, words: &[u32]) -> DeviceTreeProperty {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    DeviceTreeProperty::new_unchecked(name, bytes)
}
