//! Windows of the kernel half that map what the linear map does not: devices, scattered memory, modules, any frame
//! for a moment.
//!
//! Each type here keeps the books of its addresses alone. It takes the [`Swapper`](super::Swapper) to edit, behind
//! whatever lock the kernel has, and hides none of its own.
//!
//! A mapping made after pgds were reaches them by [fault](super::fault), or ahead of it where the layout says that the
//! window is [eager](super::Window::eager): for stacks, as a handler needs one to run.

pub mod areas;
pub mod error;
pub mod frames;
pub mod local;
pub mod modules;
pub mod pkmap;
pub mod vmalloc;

pub use areas::{AreaError, AreaKind, Areas};
pub use error::WindowError;
pub use frames::FrameSource;
pub use local::LocalSlots;
pub use modules::{ModuleArea, Modules, OutOfBranchRange};
pub use pkmap::Pkmap;
pub use vmalloc::{PhysRange, Vmalloc};
