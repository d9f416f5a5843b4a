//! ASIDs: what `mm/asid.rs` says holds, holds in every state that CPUs can reach, step by step.
//!
//! - `system`: the states and steps: the library's own [`Book`](armv7a_mm::mm::asid::Book) behind the atomic steps of its
//!   switch, edits, and spaces that go and come; `tlbs`: with what TLBs may remember at worst.
//! - `explore`: all of them, breadth first, for few CPUs, numbers and spaces; with one TLB under `watch`, of states that are
//!   the same but for names the `canonical` one, and that `packed` in a few `bits`.
//! - `agreement`: that these are all there are and no others, by way of the `whole` system; `symmetry`: that names decide nothing.
//! - `bites`: that it notices each thing left out.
//! - `schedules`: the library's switch itself, in every order that chance finds (shuttle).
//! - `book`: numbers dealt out, by hand.

mod agreement;
mod bites;
mod bits;
mod book;
mod canonical;
mod explore;
mod packed;
mod running;
mod schedules;
mod symmetry;
mod system;
mod tlbs;
mod watch;
mod whole;
