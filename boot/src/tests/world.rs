//! A second swapper, with a layout of its own, which maps the running kernel as the live one does: so a test
//! can run on other kernel halves, and give them back.
//!
//! Faults are judged by the live swapper: what a world lacks of its own is not filled in by itself. Tests ask
//! [`World::judge`].

use core::mem::ManuallyDrop;
use core::ops::{ControlFlow, Deref, DerefMut};

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::mmu;
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::{Active, Descriptor, Entry, Format};
use armv7a_mm::mm::{Features, Layout, Swapper, SwapperView, Verdict, do_translation_fault};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::mem::TableMemory;
use armv7a_mm::table::node::Node;
use armv7a_mm::table::walk::{self, Mapped};
use spin::Mutex;

use super::support::{self, Balance};
use crate::faults::FaultRecord;
use crate::kernel::{LAYOUT, kernel};
use crate::memory::{Machine, machine};

/// The world there is now: one at a time.
static CURRENT: Mutex<Option<SwapperView<'static, Active, Machine>>> = Mutex::new(None);

/// The swapper of the world there is now.
pub fn current() -> Option<SwapperView<'static, Active, Machine>> {
    *CURRENT.lock()
}

/// A swapper of its own, freed when dropped; whatever was made of it goes first.
pub struct World {
    swapper: ManuallyDrop<Swapper<'static, Active, Machine>>,
    // Dropped after the tables were freed.
    _balance: Balance,
}

impl World {
    /// One that maps the running kernel, but for the vectors if `layout` has them low.
    #[track_caller]
    pub fn new(layout: &'static Layout) -> Self {
        let balance = Balance::new();
        let features = Features { pxn: mmu::has_pxn() };
        let swapper = Swapper::new(machine(), layout, features).expect("the heap has a root");
        *CURRENT.lock() = Some(swapper.view());
        let mut world = Self { swapper: ManuallyDrop::new(swapper), _balance: balance };
        world.map_kernel();
        world
    }

    /// Maps what the live swapper does, in leaves of the same sizes.
    fn map_kernel(&mut self) {
        let mut row: Option<Mapped> = None;
        let low_vectors = self.layout().low_vectors();
        let _: ControlFlow<()> = walk::visit(&kernel().view.node(), VirtRange::ALL, &mut |leaf| {
            if low_vectors && leaf.range == LAYOUT.vectors() {
                return ControlFlow::Continue(());
            }
            match &mut row {
                Some(row) if continues(row, &leaf) => row.range = row.range.hull(leaf.range),
                _ => {
                    if let Some(row) = row.replace(leaf) {
                        self.map_like(&row);
                    }
                }
            }
            ControlFlow::Continue(())
        });
        if let Some(row) = row {
            self.map_like(&row);
        }
    }

    /// Maps a row of leaves of one kind.
    fn map_like(&mut self, row: &Mapped) {
        let mut sizes = LeafSizes::empty();
        sizes.set(LeafSizes::BLOCKS, row.depth < support::PTE);
        sizes.set(LeafSizes::RUNS, row.leaf.run);
        // SAFETY: the same memory at the same addresses as in the live tables.
        let mapped = unsafe { self.swapper.map(row.range, row.phys, row.leaf.attrs, sizes) };
        mapped.expect("the world's kernel half holds the kernel's");
    }

    /// Maps spare memory for the kernel to read and write, or part of its text to execute.
    pub fn map_at(&mut self, range: VirtRange, phys: PhysAddr, access: Access, sizes: LeafSizes) {
        // SAFETY: spare memory is nobody's, and text does not change.
        let mapped = unsafe { self.swapper.map(range, phys, Attrs::kernel(access), sizes) };
        mapped.expect("nothing else is mapped there");
    }

    /// What the fault handler would make of an abort in this world.
    pub fn judge(&self, record: &FaultRecord) -> Option<Verdict> {
        let fault = record.fault()?;
        let (view, at) = (self.swapper.view(), VirtAddr(record.far));
        // SAFETY: this CPU walks these tables.
        Some(unsafe { do_translation_fault(&view, mmu::root(), &fault, at, false) })
    }

    /// A number that changes with any word of any of its tables.
    pub fn checksum(&self) -> u64 {
        checksum(&self.swapper.view().node())
    }
}

impl Deref for World {
    type Target = Swapper<'static, Active, Machine>;

    fn deref(&self) -> &Self::Target {
        &self.swapper
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.swapper
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Also empties the TLB.
        support::leave();
        *CURRENT.lock() = None;
        // SAFETY: the live swapper is in use, and nobody has a pgd of this world's any more.
        unsafe { free_tree(&self.swapper.view().node()) };
    }
}

/// Whether `next` goes on where `row` ends, in leaves of the same kind.
fn continues(row: &Mapped, next: &Mapped) -> bool {
    row.range.last().0.wrapping_add(1) == next.range.start().0
        && row.phys.checked_add(row.range.bytes()) == Some(next.phys)
        && (row.depth, row.leaf.run, row.leaf.attrs) == (next.depth, next.leaf.run, next.leaf.attrs)
}

/// The tables that `node` points to.
fn children<'m, M: TableMemory>(
    node: &Node<'m, Active, M>,
) -> impl Iterator<Item = Node<'m, Active, M>> {
    let node = *node;
    (0..node.level().entries()).filter_map(move |index| match node.entry(index) {
        // SAFETY: the entry was just read from this node.
        Entry::Table(table) => Some(unsafe { node.child(table) }),
        _ => None,
    })
}

/// How many tables of each depth a tree has.
pub fn tables<M: TableMemory>(root: &Node<'_, Active, M>) -> [usize; Active::LEVELS.len()] {
    let mut count = [0; Active::LEVELS.len()];
    count[root.depth()] = 1;
    for child in children(root) {
        for (count, more) in count.iter_mut().zip(tables(&child)) {
            *count += more;
        }
    }
    count
}

/// A number that changes with any word of any table of a tree (FNV-1a).
pub fn checksum<M: TableMemory>(root: &Node<'_, Active, M>) -> u64 {
    let mut sum = 0xCBF2_9CE4_8422_2325;
    let mut add = |word: u64| sum = (sum ^ word).wrapping_mul(0x0100_0000_01B3);
    (0..root.level().entries()).for_each(|index| add(root.load(index).as_u64()));
    children(root).for_each(|child| add(checksum(&child)));
    sum
}

/// Gives all tables of a swapper's tree back.
///
/// # Safety
/// Nobody uses the tree any more, nor a pgd made of it, and the TLB has forgotten both.
pub unsafe fn free_tree<M: TableMemory>(root: &Node<'_, Active, M>) {
    for child in children(root) {
        // SAFETY: the caller's promise.
        unsafe { free_tree(&child) };
    }
    // SAFETY: the caller's promise; what is below is freed, and never looked at again.
    unsafe { root.machine().free(root.table(), root.level()) };
}
