//! The kernel half while it is in use: mappings that swapper gets after pgds were made.

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::{Active, Entry, Format, Level, TableEntry};
use armv7a_mm::mm::Window;
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::flush::Flush;
use armv7a_mm::table::mem::TableMemory;
use armv7a_mm::table::node::Node;
use armv7a_mm::table::walk;

use super::support;
use crate::kernel::kernel;

/// The geometry of the level whose entries point to the last tables: what faults copy, but for entries
/// of the root.
pub const LINK: &Level = &Active::LEVELS[support::PTE - 1];

/// Spare memory in the live swapper, for the kernel to read and write; unmapped when dropped.
pub struct Mapping {
    range: VirtRange,
}

impl Mapping {
    /// Maps `range` to the memory from `phys` on.
    pub fn new(range: VirtRange, phys: PhysAddr, sizes: LeafSizes) -> Self {
        support::assert_spare(phys, range.bytes());
        let attrs = Attrs::kernel(Access::ReadWrite);
        // SAFETY: spare memory is nobody's.
        let mapped = unsafe { kernel().swapper.lock().map(range, phys, attrs, sizes) };
        mapped.expect("nothing else is mapped there");
        Self { range }
    }

    /// Maps the page that holds `at`.
    pub fn page(at: VirtAddr, phys: PhysAddr) -> Self {
        Self::new(VirtRange::page(at), phys, LeafSizes::PAGES)
    }

    /// The first address.
    pub fn start(&self) -> VirtAddr {
        self.range.start()
    }

    /// Changes what the kernel may do with it.
    pub fn protect(&self, access: Access) {
        // SAFETY: only the test that made it uses it.
        let flush = unsafe { kernel().swapper.lock().protect(self.range, access) };
        flush.expect("it is mapped").pay();
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: only the test that made it uses it.
        let flush = unsafe { kernel().swapper.lock().unmap(self.range) };
        flush.map(Flush::pay).expect("it was mapped");
    }
}

/// The first `links` neighbouring entries of a window for which the live swapper has no table yet. Tables stay
/// there, so no two calls give the same once it is used.
pub fn fresh(window: Window, links: u32) -> VirtRange {
    let bytes = links << LINK.shift;
    let starts = (window.start..window.end).step_by(1 << LINK.shift);
    let found = starts.take_while(|start| window.end - start >= bytes).find(|start| {
        let mut entries = (*start..start + bytes).step_by(1 << LINK.shift);
        entries.all(|at| link(&kernel().view.node(), VirtAddr(at)).is_none())
    });
    let start = VirtAddr(found.expect("the window is large enough for all tests"));
    VirtRange::new(start, bytes.into()).expect("it lies in the window")
}

/// The entry that points to the last table for `va`, if there is one.
pub fn link<M: TableMemory>(root: &Node<'_, Active, M>, va: VirtAddr) -> Option<TableEntry> {
    walk::trace(root, va).find_map(|step| match step.entry {
        Entry::Table(table) if step.level == LINK => Some(table),
        _ => None,
    })
}
