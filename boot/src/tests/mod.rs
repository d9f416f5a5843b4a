//! The self-tests, a module per subject.

mod caches;
mod devicetree;
mod faults;
mod heap;
mod offline;
mod start;
mod support;

pub use caches::TESTS as CACHES;
pub use devicetree::TESTS as DEVICE_TREE;
pub use faults::TESTS as FAULTS;
pub use heap::TESTS as HEAP;
pub use offline::TESTS as OFFLINE;
pub use start::TESTS as START;
