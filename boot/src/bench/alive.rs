//! Making and destroying address spaces while others live.

use core::hint::black_box;
use core::mem::MaybeUninit;

use armv7a_mm::attr::Asid;
use stub::harness::{self, Test};
use stub::kernel::{Pgd, kernel};
use stub::{check, check_eq, skip};

use crate::balance::Balance;
use crate::counter::Tally;
use crate::plain;
use crate::space::{self, Random};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "bench::space_10", run: || measure("space_10", 10) },
    Test {
        name: "bench::space_10000",
        run: || {
            if harness::argument("--quick") {
                skip!("takes long");
            }
            measure("space_10000", 10_000)
        },
    },
];

/// Spaces destroyed before as many are made again: so many holes the allocator sees.
const BATCH: usize = 8;
/// Batches.
const ROUNDS: usize = 64;

/// A row of address spaces in spare memory.
struct Spaces(&'static mut [MaybeUninit<Pgd>]);

impl Spaces {
    fn new(count: usize) -> Self {
        let words = (count * size_of::<Pgd>()).div_ceil(size_of::<plain::Raw>());
        let start = plain::spare(words).cast();
        // SAFETY: spare memory is nobody's, aligned, and may hold anything; only one row is made at a time.
        let mut row = Self(unsafe { core::slice::from_raw_parts_mut(start, count) });
        (0..count).for_each(|i| row.put(i, space::empty()));
        row
    }

    fn get(&self, index: usize) -> &Pgd {
        // SAFETY: every place is filled but between `take` and `put`.
        unsafe { self.0[index].assume_init_ref() }
    }

    fn take(&mut self, index: usize) -> Pgd {
        // SAFETY: as above; `put` follows before the place is looked at again.
        unsafe { self.0[index].assume_init_read() }
    }

    fn put(&mut self, index: usize, pgd: Pgd) {
        self.0[index].write(pgd);
    }
}

/// Destroys spaces here and there in a row of `alive`, and makes others in their place.
fn measure(key: &str, alive: usize) {
    let before = Balance::now();
    let mut spaces = Spaces::new(alive);
    let full = Balance::now();
    let swapper = &kernel().swapper;
    let mut random = Random::new();
    let mut tally = Tally::new();
    for _ in 0..ROUNDS {
        // Eight different ones: one in each eighth of the row.
        let part = alive / BATCH;
        let chosen: [usize; BATCH] =
            core::array::from_fn(|i| i * part + random.below(part as u32) as usize);
        for index in chosen {
            let pgd = black_box(spaces.take(index));
            // SAFETY: it never ran.
            tally.count(|| unsafe { swapper.lock().pgd_free(pgd) });
        }
        for index in chosen {
            let swapper = black_box(swapper);
            let made = tally.count(|| swapper.lock().pgd_alloc());
            let mut pgd = made.expect("as many were just freed");
            check!(space::is_empty(&pgd));
            // SAFETY: no TLB knows it.
            unsafe { pgd.set_asid(Some(Asid(1))) };
            spaces.put(index, pgd);
        }
    }
    check_eq!(Balance::now(), full);
    check!((0..alive).step_by(97).all(|index| space::is_empty(spaces.get(index))));
    // The youngest first, which every allocator likes: this is not measured.
    (0..alive).rev().for_each(|index| space::free(spaces.take(index)));
    check_eq!(Balance::now(), before);
    tally.report(key, (BATCH * ROUNDS) as u32);
}
