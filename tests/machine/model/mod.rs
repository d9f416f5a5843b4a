//! A kernel on the machine: the library's trees, address spaces on several CPUs, and beside them a plain model of
//! what every address should translate to.

pub mod fixture;
pub mod identity;
pub mod judge;
pub mod page;
pub mod random;
pub mod steps;
pub mod system;
pub mod watch;
