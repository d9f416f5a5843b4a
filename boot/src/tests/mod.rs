//! The self-tests, a module per subject.

mod faults;

pub use faults::TESTS as FAULTS;
