//! The reader of device trees against trees to order, and against what is none.

mod cpus;
mod devices;
mod memory;
mod tree;
