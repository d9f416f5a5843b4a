//! A kernel on the machine: the library's trees, address spaces on several CPUs, and beside them a plain model of
//! what every address should translate to.
//!
//! ```text
//! generate ─▶ op ─▶ steps on a system ─▶ judge, by watch and page      script runs that, shrink shortens
//!   (random)                                                           what failed, source prints it
//! ```

pub mod fixture;
pub mod generate;
pub mod identity;
pub mod judge;
pub mod op;
pub mod page;
pub mod prelude;
pub mod random;
pub mod script;
pub mod shrink;
pub mod soak;
pub mod source;
pub mod steps;
pub mod system;
pub mod tally;
pub mod watch;
