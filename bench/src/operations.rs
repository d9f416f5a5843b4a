//! The operations: what is set up, what is measured, what is checked.

use std::hint::black_box;

use crate::contender::{BYTES, Contender, FRAMES, LARGE_FRAMES, PAGE, PAGES, WINDOW};
use crate::region::Region;

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Nothing: what measuring costs.
    Empty,
    /// Map 1 GiB in pages.
    Map,
    /// Map 1 GiB in large leaves.
    MapLarge,
    /// Map pages here and there, one by one.
    Scatter,
    /// Look addresses up.
    Translate,
    /// Unmap 1 GiB of pages.
    Unmap,
    /// Withdraw the right to write to 1 GiB of pages.
    Protect,
    /// Make an address space and destroy it.
    Create,
}

/// Every operation and its name.
pub const OPERATIONS: [(&str, Operation); 8] = [
    ("empty", Operation::Empty),
    ("map_4k", Operation::Map),
    ("map_largest", Operation::MapLarge),
    ("scatter", Operation::Scatter),
    ("translate", Operation::Translate),
    ("unmap_4k", Operation::Unmap),
    ("protect_4k", Operation::Protect),
    ("create", Operation::Create),
];

/// Spaces that are filled with large leaves at once: one takes too little time.
const LARGE_SPACES: usize = 16;
/// Pages mapped one by one.
const SCATTERED: usize = 4096;
/// Addresses looked up.
const LOOKUPS: usize = 1 << 16;
/// Spaces made and destroyed.
const CREATED: usize = 256;

/// What was done.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// Pages, leaves, lookups or spaces.
    pub units: usize,
    /// Whether that is all of the work.
    pub whole: bool,
}

impl Operation {
    /// Runs it and checks what it did.
    pub fn run<C: Contender>(self, kernel: &mut C::Kernel, region: &mut Region) -> Done {
        let before = C::used(kernel);
        let units = match self {
            Self::Empty => {
                region.run(|| ());
                1
            }
            Self::Map => map::<C>(kernel, region),
            Self::MapLarge => map_large::<C>(kernel, region),
            Self::Scatter => scatter::<C>(kernel, region),
            Self::Translate => translate::<C>(kernel, region),
            Self::Unmap => unmap::<C>(kernel, region),
            Self::Protect => protect::<C>(kernel, region),
            Self::Create => create::<C>(kernel, region),
        };
        assert_eq!(C::used(kernel), before, "{} leaks", C::NAME);
        Done { units, whole: self != Self::Unmap || C::FREES }
    }
}

/// Numbers below `bound` that are the same at every run (xorshift).
fn random(bound: usize) -> impl Iterator<Item = usize> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as usize % bound
    })
}

/// Whether the window shows the memory from `frames` on: at its ends and in between.
fn shows<C: Contender>(space: &C, frames: usize, writable: bool) -> bool {
    let places = [0, BYTES - 1].into_iter().chain(random(BYTES).take(1000));
    places.into_iter().all(|at| {
        space.translate(WINDOW + at) == Some(frames + at)
            && space.is_writable(WINDOW + at) == writable
    })
}

fn full<C: Contender>(kernel: &mut C::Kernel) -> C {
    let mut space = C::create(kernel, FRAMES);
    space.map();
    space
}

fn map<C: Contender>(kernel: &mut C::Kernel, region: &mut Region) -> usize {
    let mut space = C::create(kernel, FRAMES);
    region.run(|| black_box(&mut space).map());
    assert!(shows(&space, FRAMES, true), "{}", C::NAME);
    space.destroy(kernel);
    PAGES
}

fn map_large<C: Contender>(kernel: &mut C::Kernel, region: &mut Region) -> usize {
    let mut spaces: Vec<C> = (0..LARGE_SPACES).map(|_| C::create(kernel, LARGE_FRAMES)).collect();
    region.run(|| black_box(&mut spaces).iter_mut().for_each(C::map_large));
    for space in spaces {
        assert!(shows(&space, LARGE_FRAMES, true), "{}", C::NAME);
        space.destroy(kernel);
    }
    LARGE_SPACES * BYTES / C::LARGE
}

fn scatter<C: Contender>(kernel: &mut C::Kernel, region: &mut Region) -> usize {
    // Each page once: an odd step meets all of them before it comes round.
    let page = |i: usize| WINDOW + i * 97_531 % PAGES * PAGE;
    let pages: Vec<usize> = (0..SCATTERED).map(page).collect();
    let mut space = C::create(kernel, FRAMES);
    region.run(|| {
        for &va in black_box(&pages) {
            space.map_one(va);
        }
    });
    let there = |va| space.translate(va) == Some(va - WINDOW + FRAMES) && space.is_writable(va);
    assert!(pages.iter().all(|&va| there(va)), "{}", C::NAME);
    assert_eq!(space.translate(page(SCATTERED)), None, "{}", C::NAME);
    space.destroy(kernel);
    SCATTERED
}

fn translate<C: Contender>(kernel: &mut C::Kernel, region: &mut Region) -> usize {
    let space = full::<C>(kernel);
    let addresses: Vec<usize> = random(BYTES).take(LOOKUPS).map(|at| WINDOW + at).collect();
    let sum = |find: &dyn Fn(usize) -> usize| addresses.iter().map(|&va| find(va)).sum::<usize>();
    let mut found = 0;
    region.run(|| {
        let space = black_box(&space);
        found = addresses.iter().map(|&va| space.translate(va).unwrap_or(0)).sum();
    });
    assert_eq!(found, sum(&|va| va - WINDOW + FRAMES), "{}", C::NAME);
    assert!(shows(&space, FRAMES, true), "{}", C::NAME);
    space.destroy(kernel);
    LOOKUPS
}

fn unmap<C: Contender>(kernel: &mut C::Kernel, region: &mut Region) -> usize {
    let empty = C::create(kernel, FRAMES);
    let one = C::used(kernel);
    empty.destroy(kernel);
    let mut space = full::<C>(kernel);
    region.run(|| black_box(&mut space).unmap());
    assert!((0..PAGES).all(|i| space.translate(WINDOW + i * PAGE).is_none()), "{}", C::NAME);
    // A table or two on the way to the window may stay.
    let kept = C::used(kernel) - one;
    assert!(!C::FREES || kept <= 2 * PAGE, "{} keeps {kept} bytes", C::NAME);
    space.destroy(kernel);
    PAGES
}

fn protect<C: Contender>(kernel: &mut C::Kernel, region: &mut Region) -> usize {
    let mut space = full::<C>(kernel);
    region.run(|| black_box(&mut space).protect());
    assert!(shows(&space, FRAMES, false), "{}", C::NAME);
    space.destroy(kernel);
    PAGES
}

fn create<C: Contender>(kernel: &mut C::Kernel, region: &mut Region) -> usize {
    region.run(|| {
        for _ in 0..CREATED {
            black_box(C::create(kernel, FRAMES)).destroy(kernel);
        }
    });
    let space = C::create(kernel, FRAMES);
    assert_eq!(space.translate(WINDOW), None, "{}", C::NAME);
    space.destroy(kernel);
    CREATED
}
