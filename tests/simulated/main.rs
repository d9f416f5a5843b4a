//! The machine that forgives nothing (`../machine/`): proof that it bites, its rules for each operation of the library,
//! and the short scripts that random runs left.

#[path = "../machine/hardware.rs"]
mod hardware;
#[path = "../machine/mod.rs"]
mod machine;

mod adversary;
mod regressions;
mod trace_rules;
mod user_closed;
