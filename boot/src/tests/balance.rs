//! What the whole run leaves behind: nothing. The first test and the last.

use core::ops::ControlFlow;

use armv7a_mm::addr::{PhysAddr, VirtRange};
use armv7a_mm::armv7::{mmu, vectors};
use armv7a_mm::table::heap::TableCounts;
use armv7a_mm::table::walk;
use spin::Mutex;

use super::{support, world};
use crate::harness::Test;
use crate::kernel::kernel;
use crate::memory::machine;
use crate::{check, check_eq, image, skip};

/// Runs before all others.
pub const FIRST: &[Test] =
    &[Test { name: "balance::tables-in-use-are-swapper's", run: nothing_but_swapper }];

/// Runs after all others.
pub const LAST: &[Test] = &[
    Test { name: "balance::heap-is-as-before-the-tests", run: nothing_but_swapper },
    Test { name: "balance::kernel-maps-what-it-did", run: same_map },
    Test { name: "balance::taken-memory-is-as-before-the-tests", run: same_taken },
];

/// What the kernel mapped before the first test.
static MAP: Mutex<Option<(usize, u64)>> = Mutex::new(None);

/// What was in memory that is taken.
static TAKEN: Mutex<Option<u64>> = Mutex::new(None);

fn nothing_but_swapper() {
    MAP.lock().get_or_insert_with(map);
    TAKEN.lock().get_or_insert_with(taken);
    check_eq!(support::in_use(), (0, TableCounts::default()));
    let heap = machine().memory();
    let bytes = image::heap().bytes() as usize;
    check_eq!(heap.used() + heap.free_bytes(), bytes, "bytes of the heap");
    let tables: usize = world::tables(&kernel().view.node()).into_iter().sum();
    let counts = heap.counts();
    check_eq!(counts.pgd + counts.pmd + counts.pte, tables);
    check!(world::current().is_none());
}

/// The number of stretches of memory that swapper maps, and a number that changes with any of them (FNV-1a),
/// however they are cut into leaves.
fn map() -> (usize, u64) {
    let (mut stretches, mut sum) = (0, 0xCBF2_9CE4_8422_2325_u64);
    let mut add = |word: u64| sum = (sum ^ word).wrapping_mul(0x0100_0000_01B3);
    // What would go on with the stretch: virtual, physical, meaning.
    let mut next = None;
    let _: ControlFlow<()> = walk::visit(&kernel().view.node(), VirtRange::ALL, &mut |leaf| {
        let attrs = leaf.leaf.attrs;
        let (start, phys) = (u64::from(leaf.range.start().0), leaf.phys.as_u64());
        if next != Some((start, phys, attrs)) {
            stretches += 1;
            [next.map_or(0, |(end, ..)| end), start, phys].into_iter().for_each(&mut add);
            add(attrs.access as u64 | (attrs.memory as u64) << 8);
        }
        next = Some((start + leaf.range.bytes(), phys + leaf.range.bytes(), attrs));
        ControlFlow::Continue(())
    });
    (stretches, sum)
}

fn same_map() {
    let Some(before) = *MAP.lock() else { skip!("nobody looked before the tests") };
    check_eq!(map(), before);
    check_eq!(mmu::root(), kernel().view.node().table(), "swapper is in use");
    check_eq!(vectors::base(), vectors::HIGH);
}

/// A number that changes with any byte of the device tree, and of where other CPUs sleep, as far as the linear map
/// has them (FNV-1a).
fn taken() -> u64 {
    let linear = kernel().linear;
    let mapped = kernel()
        .taken
        .into_iter()
        .filter(|taken| linear.base <= taken.base && taken.end() <= linear.end());
    mapped.fold(0xCBF2_9CE4_8422_2325, |sum, taken| {
        let start = support::alias(PhysAddr::truncate(taken.base)).0 as *const u8;
        (0..taken.bytes as usize).fold(sum, |sum: u64, offset| {
            // SAFETY: the linear map has it, and another CPU's store changes no more than a value.
            let byte = unsafe { start.add(offset).read_volatile() };
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        })
    })
}

fn same_taken() {
    let Some(before) = *TAKEN.lock() else { skip!("nobody looked before the tests") };
    check_eq!(taken(), before);
}
