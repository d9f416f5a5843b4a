//! A machine that forgives nothing.
//!
//! It has what emulators leave out: TLBs and walk caches that keep what they once read, walkers that do not
//! see the data cache, store buffers, invalidations that arrive late, several CPUs that look ahead at the worst
//! moment. It implements the library's traits, so the library runs on it unchanged; it decodes descriptors,
//! faults and registers by itself, from the manual (Arm ARM DDI 0406C), and shares no code with the library.
//!
//! Two judges watch. What is *seen*: a CPU that walks a freed table, hits two TLB entries at once, or finds
//! another translation than the kernel means. And the *rules* of the manual, followed store by store and barrier
//! by barrier ([`rules`]), which need no luck. Chance is seeded: the same seed shows the same.
//!
//! ```text
//! store ─▶ buffer ─▶ seen by CPUs and snooping walkers ─▶ clean or eviction ─▶ seen by the other walkers
//!                                                                   │
//! TLB, walk cache  ◀── speculation, any time ───────────────────────┘
//!        └── forget: TLBI, between its issue and the DSB
//! ```
#![allow(dead_code, unused_imports, reason = "each test binary uses its part of the machine")]

pub mod attrs;
pub mod bench;
pub mod decoders;
pub mod fault;
pub mod leaf;
pub mod links;
pub mod long;
pub mod memory;
pub mod model;
pub mod port;
pub mod regs;
pub mod rng;
pub mod rules;
pub mod scheduler;
pub mod short;
pub mod sim;
pub mod state;
pub mod switch;
pub mod tables;
pub mod tlb;
pub mod violation;
pub mod walk;
pub mod walkers;

pub use state::Setup;
