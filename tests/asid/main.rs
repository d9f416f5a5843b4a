//! ASIDs: what `mm/asid.rs` says holds, holds in every state that CPUs can reach, step by step.
//!
//! - `explore`: all of them, for few CPUs, numbers and spaces, breadth first; TLBs with what they may remember at worst.
//! - `system`: the states and steps: the library's own [`Book`](armv7a_mm::mm::asid::Book) behind the atomic steps of its
//!   switch, edits, and spaces that go and come.
//! - `bites`: that it notices each thing left out.
//! - `schedules`: the library's switch itself, in every order that chance finds (shuttle).
//! - `book`: numbers dealt out, by hand.

mod bites;
mod book;
mod canonical;
mod explore;
mod schedules;
mod system;
