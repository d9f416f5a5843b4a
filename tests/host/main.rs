//! The library on a host machine of plain memory that complains about every misuse (`../support/`): what each operation
//! makes of the tables, what it stores, what it owes, and that a failure changes nothing.

#[path = "../support/mod.rs"]
mod support;

mod bites;
mod cow;
mod cuts;
mod edges;
mod edit;
mod exhaustion;
mod fault_decision;
mod flush;
mod heap;
mod identity;
mod layout;
mod looks;
mod messages;
mod modules;
mod rows;
mod sequences;
mod slots;
mod spare;
mod thread;
mod windows;
mod zero;
