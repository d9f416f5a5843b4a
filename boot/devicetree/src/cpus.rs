//! Which CPUs there are, and how others are started.

use dtoolkit::fdt::FdtNode;
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};

use crate::{DtError, MAX_CELLS, open};

/// CPUs that are told apart.
pub const MAX_CPUS: usize = 8;

/// The affinity fields of MPIDR: what a CPU's `reg` holds.
const AFFINITY: u64 = 0x00FF_FFFF;

/// The affinities of CPUs, each once, in the tree's order. What is more than [`MAX_CPUS`] is left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cpus {
    affinities: [u32; MAX_CPUS],
    used: usize,
}

impl Cpus {
    /// One more, unless it is known or there are too many.
    pub fn add(&mut self, affinity: u32) {
        if !self.as_slice().contains(&affinity)
            && let Some(next) = self.affinities.get_mut(self.used)
        {
            *next = affinity;
            self.used += 1;
        }
    }

    /// All.
    pub fn as_slice(&self) -> &[u32] {
        &self.affinities[..self.used]
    }
}

/// How PSCI's firmware is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conduit {
    /// By HVC.
    Hvc,
    /// By SMC.
    Smc,
}

/// The CPUs that the tree describes; none where it does not.
///
/// # Errors
/// As [`device`](crate::device).
pub fn cpus(dtb: &[u8]) -> Result<Cpus, DtError> {
    let mut found = Cpus::default();
    let tree = open(dtb)?;
    for cpus in tree.root().children().filter(|node| node.name() == "cpus") {
        let cells = cpus.address_space();
        if cells.address_cells > MAX_CELLS || cells.size_cells > MAX_CELLS {
            continue;
        }
        let affinity = |cpu: FdtNode<'_>| cpu.reg().ok()??.next()?.address::<u64>().ok();
        let cpus = cpus.children().filter(|node| node.name_without_address() == "cpu");
        let known = cpus.filter_map(affinity).filter(|affinity| affinity & !AFFINITY == 0);
        known.for_each(|affinity| found.add(affinity as u32));
    }
    Ok(found)
}

/// How PSCI 0.2 or later is called; `None` where the tree has no such firmware.
///
/// # Errors
/// As [`device`](crate::device).
pub fn psci(dtb: &[u8]) -> Result<Option<Conduit>, DtError> {
    let is_psci = |node: &FdtNode<'_>| {
        ["arm,psci-1.0", "arm,psci-0.2"].iter().any(|wanted| node.is_compatible(wanted))
    };
    let tree = open(dtb)?;
    Ok(tree.root().children().filter(is_psci).find_map(|node| {
        match node.property("method")?.value() {
            b"hvc\0" => Some(Conduit::Hvc),
            b"smc\0" => Some(Conduit::Smc),
            _ => None,
        }
    }))
}
