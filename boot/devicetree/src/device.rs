//! Where a device is: found by what it is compatible with, its address as the CPU sees it.

use dtoolkit::fdt::FdtNode;
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};

use crate::MAX_CELLS;

/// Buses within buses are followed this far: a bound for the stack. Arm's boards need five.
const MAX_DEPTH: usize = 8;

/// Windows of one bus that are looked at: a bound for the time that a hostile tree takes. Boards have a few.
const MAX_WINDOWS: usize = 64;

/// The buses between a device and the CPU, the outermost first.
#[derive(Clone, Copy)]
pub(crate) struct Buses<'a> {
    nodes: [Option<FdtNode<'a>>; MAX_DEPTH],
    used: usize,
}

impl<'a> Buses<'a> {
    /// None: the root's own children.
    pub(crate) const fn none() -> Self {
        Self { nodes: [None; MAX_DEPTH], used: 0 }
    }

    /// With one more; `None` beyond what is followed.
    fn with(mut self, bus: FdtNode<'a>) -> Option<Self> {
        *self.nodes.get_mut(self.used)? = Some(bus);
        self.used += 1;
        Some(self)
    }

    /// The CPU's address for one on the innermost bus; `None` where a bus does not show it.
    fn to_cpu(self, address: u64) -> Option<u64> {
        self.nodes[..self.used].iter().rev().flatten().try_fold(address, |at, bus| {
            let mut windows = bus.ranges().ok()??.peekable();
            // Empty `ranges`: the same addresses on both sides.
            if windows.peek().is_none() {
                return Some(at);
            }
            windows.take(MAX_WINDOWS).find_map(|window| {
                let offset = at.checked_sub(window.child_bus_address().ok()?)?;
                let parent: u64 = window.parent_bus_address().ok()?;
                (offset < window.length().ok()?).then(|| parent.checked_add(offset))?
            })
        })
    }
}

/// The first device below `node` that is compatible with one of `wanted` and may be used.
pub(crate) fn below<'a>(node: FdtNode<'a>, buses: Buses<'a>, wanted: &[&str]) -> Option<u64> {
    let cells = node.address_space();
    if cells.address_cells > MAX_CELLS || cells.size_cells > MAX_CELLS {
        return None;
    }
    node.children().find_map(|child| {
        // The specification has `okay`; older trees say `ok`, and Linux takes both.
        let status = child.property("status").map(|status| status.value_as::<&str>());
        let usable = matches!(status, None | Some(Ok("okay" | "ok")));
        let is_wanted = || wanted.iter().any(|wanted| child.is_compatible(wanted));
        if usable && is_wanted() {
            let first = child.reg().ok().flatten().and_then(|mut reg| reg.next());
            if let Some(at) = first.and_then(|reg| buses.to_cpu(reg.address().ok()?)) {
                return Some(at);
            }
        }
        below(child, buses.with(child)?, wanted)
    })
}
