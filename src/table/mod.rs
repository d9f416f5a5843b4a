//! The walk: generic in the format; no bit, no instruction, no policy.

pub(crate) mod bulk;
pub mod edit;
pub mod error;
pub mod flush;
pub mod heap;
pub mod inspect;
pub mod mem;
pub(crate) mod memo;
pub mod node;
pub(crate) mod reserve;
pub mod walk;
