//! Devices, found through buses as the CPU finds them.

use crate::tree::{node, property};
use devicetree::device;
use dtoolkit::model::{DeviceTree, DeviceTreeNode};

const UART: &[&str] = &["arm,pl011"];

/// A node with these cells for its children, and `ranges` if there are any.
fn bus(name: &str, cells: [u32; 2], ranges: Option<&[u32]>) -> DeviceTreeNode {
    let mut bus = node(name);
    bus.add_property(property("#address-cells", &[cells[0]]));
    bus.add_property(property("#size-cells", &[cells[1]]));
    if let Some(ranges) = ranges {
        bus.add_property(property("ranges", ranges));
    }
    bus
}

fn text(node: &mut DeviceTreeNode, name: &str, value: &str) {
    node.add_property(dtoolkit::model::DeviceTreeProperty::new(name, value).expect("a name"));
}

fn uart(reg: &[u32]) -> DeviceTreeNode {
    let mut uart = node("serial");
    text(&mut uart, "compatible", "arm,pl011");
    uart.add_property(property("reg", reg));
    uart
}

/// A tree whose root has these children, with two cells for an address and one for a size.
fn blob(children: impl IntoIterator<Item = DeviceTreeNode>) -> Vec<u8> {
    let mut tree = DeviceTree::new();
    tree.root = bus("", [2, 1], None);
    children.into_iter().for_each(|child| tree.root.add_child(child));
    tree.to_dtb()
}

#[test]
fn a_device_below_the_root_has_its_own_address() {
    let tree = blob([node("other"), uart(&[0, 0x0900_0000, 0x1000])]);
    assert_eq!(device(&tree, UART), Ok(Some(0x0900_0000)));
    assert_eq!(device(&tree, &["arm,gic-v3", "arm,pl011"]), Ok(Some(0x0900_0000)));
    assert_eq!(device(&tree, &["arm,gic-v3"]), Ok(None));
}

#[test]
fn buses_move_addresses_one_after_the_other() {
    // As on Versatile Express: chip select 3 at 0x1C00_0000, of it a window.
    let mut chip = bus("chip", [1, 1], Some(&[0, 3, 0, 0x20_0000]));
    chip.add_child(uart(&[0x9_0000, 0x1000]));
    let mut board = bus("board", [2, 1], Some(&[3, 0, 0, 0x1C00_0000, 0x0400_0000]));
    board.add_child(chip.clone());
    assert_eq!(device(&blob([board]), UART), Ok(Some(0x1C09_0000)));

    let mut plain = bus("plain", [1, 1], Some(&[]));
    plain.add_child(uart(&[0x1000_9000, 0x1000]));
    assert_eq!(device(&blob([plain]), UART), Ok(Some(0x1000_9000)));
}

#[test]
fn a_device_that_the_cpu_cannot_reach_is_none() {
    let mut closed = bus("closed", [1, 1], None);
    closed.add_child(uart(&[0x1000_9000, 0x1000]));
    let mut narrow = bus("narrow", [1, 1], Some(&[0, 0, 0, 0x1000]));
    narrow.add_child(uart(&[0x1000, 0x1000]));
    let mut wrapping = bus("wrapping", [1, 1], Some(&[0, u32::MAX, u32::MAX, 0x1000]));
    wrapping.add_child(uart(&[1, 0x1000]));
    let mut deep = uart(&[0, 0x1000]);
    for _ in 0..20 {
        let mut around = bus("bus", [1, 1], Some(&[]));
        around.add_child(deep);
        deep = around;
    }
    let mut off = uart(&[0, 0x0900_0000, 0x1000]);
    text(&mut off, "status", "disabled");
    for child in [closed, narrow, wrapping, deep, off] {
        assert_eq!(device(&blob([child]), UART), Ok(None));
    }
}

#[test]
fn devices_say_that_they_may_be_used_in_two_ways() {
    for status in ["okay", "ok"] {
        let mut used = uart(&[0, 0x0900_0000, 0x1000]);
        text(&mut used, "status", status);
        assert_eq!(device(&blob([used]), UART), Ok(Some(0x0900_0000)), "{status}");
    }
}

/// Trees are at most 2 MiB, and each of many devices may ask each of many windows.
#[test]
fn of_a_bus_of_very_many_windows_the_first_are_enough() {
    let find = |windows: u32, at: u32| {
        let ranges: Vec<_> = (0..windows).flat_map(|i| [i << 12, 0, i << 12, 0x1000]).collect();
        let mut wide = bus("wide", [1, 1], Some(&ranges));
        wide.add_child(uart(&[at << 12, 0x1000]));
        device(&blob([wide]), UART)
    };
    assert_eq!(find(64, 63), Ok(Some(63 << 12)));
    assert_eq!(find(80_000, 63), Ok(Some(63 << 12)));
    assert_eq!(find(80_000, 64), Ok(None));
}
