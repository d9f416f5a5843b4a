//! Device trees to order.

use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

/// What a tree is to hold.
pub struct Tree {
    /// The root's #address-cells and #size-cells.
    pub cells: [u32; 2],
    /// Nodes that mean nothing, before the memory.
    pub nodes: usize,
    /// Base and size of each `/memory` node.
    pub memory: Vec<(u64, u64)>,
}

impl Default for Tree {
    fn default() -> Self {
        Tree { cells: [2, 2], nodes: 1, memory: Vec::new() }
    }
}

impl Tree {
    /// With this memory.
    pub fn with_memory(mut self, memory: &[(u64, u64)]) -> Self {
        self.memory = memory.to_vec();
        self
    }
}

/// A node with nothing in it.
pub fn node(name: &str) -> DeviceTreeNode {
    DeviceTreeNode::new(name).expect("a name for a node")
}

/// A property of 32-bit numbers.
pub fn property(name: &str, words: &[u32]) -> DeviceTreeProperty {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    DeviceTreeProperty::new(name, bytes).expect("a name for a property")
}

/// `value` in `cells` cells, the first the highest.
fn cells(value: u64, cells: u32) -> impl Iterator<Item = u32> {
    (0..cells).rev().map(move |cell| value.checked_shr(32 * cell).unwrap_or(0) as u32)
}

/// The tree as a loader would leave it.
pub fn blob(tree: Tree) -> Vec<u8> {
    let mut all = DeviceTree::new();
    let [address, size] = tree.cells;
    all.root.add_property(property("#address-cells", &[address]));
    all.root.add_property(property("#size-cells", &[size]));
    for i in 0..tree.nodes {
        let mut other = node(&format!("other@{i:x}"));
        other.add_property(property("reg", &[0, i as u32, 0, 1]));
        all.root.add_child(other);
    }
    for (i, (base, bytes)) in tree.memory.into_iter().enumerate() {
        let mut memory = node(&format!("memory@{base:x}{i}"));
        let words: Vec<_> = cells(base, address).chain(cells(bytes, size)).collect();
        memory.add_property(property("reg", &words));
        all.root.add_child(memory);
    }
    all.to_dtb()
}
