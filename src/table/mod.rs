//! The walk: trees of tables, read and edited; generic in the format; no bit, no instruction, no policy.
//!
//! ```text
//!   edit     map, unmap, clear, protect, modify: plan, reserve, commit     walk     translate, visit, trace
//!     │
//!   flush    what an edit owes before its effects may be relied on         inspect  a foreign machine's tables,
//!     │                                                                             by its registers alone
//!   context  whose translations: an address space's identifier             switch   changing the space that a CPU runs
//!     │
//!   reserve  tables taken ahead, so that a commit cannot fail
//!     │
//!   node     one table, reached: the only loads and stores
//!     │
//!   mem      the traits that a machine implements                          heap     table memory to start with
//! ```
//!
//! What runs once an edit, a table or a boundary is `#[inline(never)]`: these functions call each other from many
//! places and by recursion, and inlined they would be most of a kernel's memory management. What runs once a page
//! are the loops of `bulk`, and what takes some dozen instructions as a whole is inlined.

pub(crate) mod bulk;
pub mod context;
pub mod edit;
pub mod error;
pub mod flush;
pub mod heap;
pub mod inspect;
pub mod mem;
pub(crate) mod memo;
pub mod node;
pub(crate) mod reserve;
pub mod switch;
pub mod walk;
