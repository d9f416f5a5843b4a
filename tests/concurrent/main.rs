//! What CPUs share, in every order that chance finds: each load and store of a descriptor is a point where another CPU
//! may go on (shuttle). A failure prints the schedule that repeats it.
//!
//! Memory is sequentially consistent here; what weaker memory adds is what barriers are for, which `properties.rs`
//! watches. `TableHeap`'s lock is not a shuttle lock: real threads contend for it.

mod heap;
mod memory;
mod swapper;
