//! Every allocation of an operation fails in turn.

use super::audit::assert_same;
use super::{EditError, Format, Host};
use armv7a_mm::mm::window::WindowError;
use armv7a_mm::table::mem::OutOfMemory;

/// An error that may say that memory ran out.
pub trait MaybeOutOfMemory: std::fmt::Debug {
    /// Whether it says so.
    fn is_out_of_memory(&self) -> bool;
}

impl MaybeOutOfMemory for OutOfMemory {
    fn is_out_of_memory(&self) -> bool {
        true
    }
}

impl MaybeOutOfMemory for EditError {
    fn is_out_of_memory(&self) -> bool {
        *self == Self::OutOfMemory
    }
}

impl MaybeOutOfMemory for WindowError {
    fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Edit(EditError::OutOfMemory))
    }
}

/// Runs `operation` with its first allocation failing, then with its second, and so on until it succeeds:
/// `allocations` failures, each of which says so, and after each every table is what it was.
#[track_caller]
pub fn exhaust<F: Format, T, E: MaybeOutOfMemory>(
    host: &Host<F>,
    allocations: usize,
    mut operation: impl FnMut() -> Result<T, E>,
) -> T {
    for succeed in 0..=allocations {
        let before = host.snapshot();
        host.fail_after(Some(succeed));
        let result = operation();
        host.fail_after(None);
        match result {
            Ok(done) => {
                assert_eq!(succeed, allocations, "fewer allocations than expected");
                return done;
            }
            Err(error) => {
                assert!(error.is_out_of_memory(), "{error:?} with {succeed} allocations allowed");
                assert_same(&host.snapshot(), &before);
            }
        }
    }
    panic!("more than {allocations} allocations");
}
