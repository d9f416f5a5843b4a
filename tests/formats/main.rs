//! Descriptors and fault status of both formats: laws, words worked out by hand, and what decoders say that were written
//! from the manual.

#[path = "../machine/mod.rs"]
mod machine;
#[path = "../support/mod.rs"]
mod support;

mod algebra;
mod fault_status;
mod golden;
mod laws;
mod shortcuts;
