//! CPUs come, alone and together, and go, twice.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::{everywhere, with_team};
use crate::devicetree::MAX_CPUS;
use crate::harness::Test;
use crate::{check, println};

/// The tests.
pub const TESTS: &[Test] = &[Test { name: "smp::all-cpus-come", run: all }];

fn all() {
    with_team(MAX_CPUS, |team| {
        println!();
        println!("    {} CPUs", team.size());
        let count = AtomicU32::new(0);
        for _ in 0..10 {
            everywhere(team, |_| {
                count.fetch_add(1, Relaxed);
                Ok(())
            });
        }
        check!(count.load(Relaxed) == 10 * team.size() as u32);
    });
    with_team(MAX_CPUS, |team| {
        println!("    {} CPUs", team.size());
        let count = AtomicU32::new(0);
        for _ in 0..10 {
            everywhere(team, |_| {
                count.fetch_add(1, Relaxed);
                Ok(())
            });
        }
        check!(count.load(Relaxed) == 10 * team.size() as u32);
    });
}
