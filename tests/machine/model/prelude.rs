//! What a printed regression test names.

pub use armv7a_mm::attr::{Access, Attrs, Marks, MemoryType, Shareability};
pub use armv7a_mm::table::edit::LeafSizes;

pub use super::op::{Action, Change, Op, Step};
pub use super::script::replay;
