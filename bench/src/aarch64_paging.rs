//! `aarch64-paging`: `LinearMap`, four levels, the kernel's half in a tree of its own (TTBR1).

use aarch64_paging::descriptor::El1Attributes;
use aarch64_paging::linearmap::LinearMap;
use aarch64_paging::paging::{Constraints, El1And0, MemoryRegion, VaRange};

use crate::contender::{BYTES, Contender, PAGE, WINDOW};
use crate::pool;

/// An address space.
pub struct Peer(LinearMap<El1And0>);

const DATA: El1Attributes = El1Attributes::VALID
    .union(El1Attributes::ATTRIBUTE_INDEX_1)
    .union(El1Attributes::INNER_SHAREABLE)
    .union(El1Attributes::ACCESSED)
    .union(El1Attributes::NON_GLOBAL)
    .union(El1Attributes::USER)
    .union(El1Attributes::PXN)
    .union(El1Attributes::UXN);

fn window() -> MemoryRegion {
    MemoryRegion::new(WINDOW, WINDOW + BYTES)
}

impl Peer {
    /// The leaf that maps `va`: its flags, and where `va` lies.
    #[inline]
    fn leaf(&self, va: usize) -> Option<(El1Attributes, usize)> {
        let page = va & !(PAGE - 1);
        let mut found = None;
        let walked =
            self.0.walk_range(&MemoryRegion::new(page, page + PAGE), &mut |_, leaf, level| {
                if leaf.is_valid() {
                    let span = PAGE << (9 * (3 - level));
                    found = Some((leaf.flags(), leaf.output_address().0 + (va & (span - 1))));
                }
                Ok(())
            });
        walked.ok().and(found)
    }
}

impl Contender for Peer {
    const NAME: &'static str = "aarch64-paging";

    type Kernel = ();

    fn kernel() {}

    fn used((): &()) -> usize {
        pool::used()
    }

    fn create((): &mut (), frames: usize) -> Self {
        let offset = (frames - WINDOW) as isize;
        Self(LinearMap::with_asid(1, 0, offset, El1And0, VaRange::Lower))
    }

    fn map(&mut self) {
        self.0
            .map_range_with_constraints(&window(), DATA, Constraints::NO_BLOCK_MAPPINGS)
            .expect("it is empty");
    }

    fn map_large(&mut self) {
        self.0.map_range(&window(), DATA).expect("it is empty");
    }

    fn map_one(&mut self, va: usize) {
        self.0.map_range(&MemoryRegion::new(va, va + PAGE), DATA).expect("it is empty");
    }

    fn protect(&mut self) {
        let change = self.0.modify_range(&window(), &|_, leaf| {
            if leaf.is_table() {
                return Ok(());
            }
            leaf.modify_flags(El1Attributes::READ_ONLY, El1Attributes::empty())
        });
        change.expect("it is mapped");
    }

    fn unmap(&mut self) {
        self.0.map_range(&window(), El1Attributes::empty()).expect("it is mapped");
    }

    #[inline]
    fn translate(&self, va: usize) -> Option<usize> {
        self.leaf(va).map(|(_, at)| at)
    }

    fn is_writable(&self, va: usize) -> bool {
        self.leaf(va).is_some_and(|(flags, _)| !flags.contains(El1Attributes::READ_ONLY))
    }

    fn destroy(self, (): &mut ()) {}
}
