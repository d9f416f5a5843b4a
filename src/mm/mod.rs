//! Policy, in Linux's words: generic in the format; no bit, no instruction.
//!
//! [`Swapper`] is the kernel's own tree, `swapper_pg_dir`; a [`Pgd`] is one address space's. Both are
//! [`Editor`](crate::table::edit::Editor)s with rules: who owns a table, what is sealed, what stays.

pub mod asid;
mod birth;
pub mod context;
pub mod cow;
pub mod decision;
pub mod fault;
pub mod idmap;
pub mod layout;
pub mod pgd;
mod spare;
pub mod swapper;
pub mod view;
pub mod window;

pub use context::Contexts;
pub use cow::SharedFrames;
pub use decision::{Decision, Found, Origin, decide};
pub use fault::{Verdict, do_translation_fault};
pub use layout::{Layout, LayoutError, LayoutSpec, Pmds, Vectors, Window};
pub use pgd::Pgd;
pub use swapper::{Features, Swapper};
pub use view::SwapperView;

pub use crate::table::context::Context;
