//! Iterators over a machine's whole address space.

use super::Inspector;
use super::leaf::{Leaf, WalkFault};
use crate::addr::{PhysAddr, VirtAddr};

/// See [`Inspector::spans`].
///
/// Every span is at least a page, so the iterator ends whatever the tables hold, loops included.
#[derive(Clone, Debug)]
pub struct Spans<'a, R> {
    machine: &'a Inspector<R>,
    next: Option<VirtAddr>,
}

impl<'a, R> Spans<'a, R> {
    pub(super) const fn new(machine: &'a Inspector<R>) -> Self {
        Self { machine, next: Some(VirtAddr(0)) }
    }
}

impl<R: Fn(PhysAddr) -> Option<u32>> Iterator for Spans<'_, R> {
    type Item = Result<Leaf, WalkFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let answer = self.machine.walk(self.next?);
        let range = match &answer {
            Ok(leaf) => leaf.range,
            Err(fault) => fault.range,
        };
        self.next = range.last().as_u32().checked_add(1).map(VirtAddr);
        Some(answer)
    }
}

impl<R: Fn(PhysAddr) -> Option<u32>> core::iter::FusedIterator for Spans<'_, R> {}

/// See [`Inspector::regions`]. A region is a [`Leaf`] whose range spans many descriptors; its entry is the
/// first one's.
#[derive(Clone, Debug)]
pub struct Regions<'a, R> {
    spans: Spans<'a, R>,
    open: Option<Leaf>,
}

impl<'a, R> Regions<'a, R> {
    pub(super) const fn new(machine: &'a Inspector<R>) -> Self {
        Self { spans: Spans::new(machine), open: None }
    }
}

impl<R: Fn(PhysAddr) -> Option<u32>> Iterator for Regions<'_, R> {
    type Item = Leaf;

    fn next(&mut self) -> Option<Leaf> {
        for leaf in self.spans.by_ref().filter_map(Result::ok) {
            if self.open.as_mut().is_some_and(|open| open.absorb(&leaf)) {
                continue;
            }
            if let Some(done) = self.open.replace(leaf) {
                return Some(done);
            }
        }
        self.open.take()
    }
}
