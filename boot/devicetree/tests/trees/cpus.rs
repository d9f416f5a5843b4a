//! CPUs, and how they are started.

use crate::tree::{node, property};
use devicetree::{Conduit, MAX_CPUS, cpus, psci};
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

fn cpu(name: &str, reg: &[u32]) -> DeviceTreeNode {
    let mut cpu = node(name);
    cpu.add_property(property("reg", reg));
    cpu
}

/// A tree with these nodes under `/cpus`, whose addresses have so many cells.
fn blob(cells: u32, children: impl IntoIterator<Item = DeviceTreeNode>) -> Vec<u8> {
    let mut tree = DeviceTree::new();
    let mut all = node("cpus");
    all.add_property(property("#address-cells", &[cells]));
    all.add_property(property("#size-cells", &[0]));
    children.into_iter().for_each(|child| all.add_child(child));
    tree.root.add_child(all);
    tree.to_dtb()
}

#[test]
fn each_cpu_is_there_once() {
    let named = |affinity: u32| cpu(&format!("cpu@{affinity:x}"), &[affinity]);
    let tree = blob(1, [0, 1, 0x100, 0xF01].map(named));
    assert_eq!(cpus(&tree).unwrap().as_slice(), [0, 1, 0x100, 0xF01]);
    let twice = blob(1, [cpu("cpu@3", &[3]), cpu("cpu@4", &[3]), node("cpu-map")]);
    assert_eq!(cpus(&twice).unwrap().as_slice(), [3]);
    let wide = blob(2, [cpu("cpu@1", &[0, 1]), cpu("cpu@2", &[1, 2])]);
    assert_eq!(cpus(&wide).unwrap().as_slice(), [1], "no affinity of an Arm CPU has 33 bits");
}

#[test]
fn what_is_no_cpu_is_none() {
    assert_eq!(cpus(&DeviceTree::new().to_dtb()).unwrap().as_slice(), []);
    let odd = blob(1, [node("cpu@0"), cpu("l2-cache", &[5]), cpu("cpu@1000000", &[0x0100_0000])]);
    assert_eq!(cpus(&odd).unwrap().as_slice(), []);
    assert_eq!(cpus(&blob(0x4000_0000, [cpu("cpu@0", &[0])])).unwrap().as_slice(), []);
}

#[test]
fn what_is_more_is_left_out() {
    let many = (0..20).map(|affinity| cpu(&format!("cpu@{affinity:x}"), &[affinity]));
    assert_eq!(cpus(&blob(1, many)).unwrap().as_slice().len(), MAX_CPUS);
}

#[test]
fn psci_says_how_it_is_called() {
    let with = |compatible: &str, method: &str| {
        let mut tree = DeviceTree::new();
        let mut psci = node("psci");
        for (name, value) in [("compatible", compatible), ("method", method)] {
            psci.add_property(DeviceTreeProperty::new(name, value).unwrap());
        }
        tree.root.add_child(psci);
        tree.to_dtb()
    };
    let several = "arm,psci-1.0\0arm,psci-0.2\0arm,psci";
    assert_eq!(psci(&with(several, "hvc")), Ok(Some(Conduit::Hvc)));
    assert_eq!(psci(&with("arm,psci-0.2", "smc")), Ok(Some(Conduit::Smc)));
    assert_eq!(psci(&with("arm,psci", "smc")), Ok(None), "its functions have no fixed numbers");
    assert_eq!(psci(&with("arm,psci-1.0", "svc")), Ok(None));
    assert_eq!(psci(&DeviceTree::new().to_dtb()), Ok(None));
}
