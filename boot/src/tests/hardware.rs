//! The hardware, the library's walk and the inspector agree: on every mapped range, and on addresses at random.

use core::ops::ControlFlow;

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Attrs, Marks, MemoryType, Shareability};
use armv7a_mm::format::{Active, EncodeError, Format};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::error::EditError;
use armv7a_mm::table::walk;

use super::kinds::Kind;
use super::oracle::{self, Disagreement};
use super::scratch::HERE;
use super::support::{self, Random, Space, Spare};
use crate::harness::Test;
use crate::kernel::{LAYOUT, Pgd, kernel};
use crate::{check, check_eq, image, probe, skip};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "hardware::agrees-about-swapper", run: swapper },
    Test { name: "hardware::agrees-about-a-busy-pgd", run: busy },
    Test { name: "hardware::agrees-about-random-addresses", run: random },
    Test { name: "hardware::agrees-about-1-gib-blocks", run: gigabyte },
];

/// How many leaves were looked at, and how many of them are in runs.
#[derive(Default, Debug)]
struct Seen {
    leaves: u32,
    runs: u32,
}

/// Asks about both ends of every leaf, its middle, and what lies beside it.
fn every_leaf() -> Result<Seen, Disagreement> {
    let oracle = oracle::live();
    let mut seen = Seen::default();
    let flow = walk::visit(&oracle.root(), VirtRange::ALL, &mut |mapped| {
        seen.leaves += 1;
        seen.runs += u32::from(mapped.leaf.run);
        let (first, last) = (mapped.range.start().0, mapped.range.last().0);
        let middle = (first + (last - first) / 2) & !3;
        for va in [first, middle, last, first.wrapping_sub(1), last.wrapping_add(1)] {
            if let Err(error) = oracle.agree(VirtAddr(va)) {
                return ControlFlow::Break(error);
            }
        }
        ControlFlow::Continue(())
    });
    match flow {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(seen),
    }
}

fn swapper() {
    match every_leaf() {
        Ok(seen) => check!(seen.leaves > 50 && seen.runs >= 16, "{seen:?}"),
        Err(error) => check!(false, "{error:x?}"),
    }
}

/// Where [`fill`] maps its pages, a page apart from each other or next to each other.
const PAGES: VirtRange = match VirtRange::new(VirtAddr(0x0100_0000), 0x0100_0000) {
    Ok(range) => range,
    Err(_) => VirtRange::ALL,
};

/// Attributes at random; executable devices among them.
fn attrs(random: &mut Random) -> Attrs {
    let shares: &[_] = if cfg!(feature = "lpae") {
        &[Shareability::Non, Shareability::Outer, Shareability::Inner]
    } else {
        &[Shareability::Non, Shareability::Inner]
    };
    Attrs {
        memory: random.of(&MemoryType::ALL),
        access: random.of(&Access::ALL),
        user: random.below(2) == 0,
        global: false,
        share: random.of(shares),
        young: random.below(4) != 0,
        marks: Marks::from_bits_truncate(random.below(4) as u8),
    }
}

/// Fills the user half: pages with all sorts of attributes, in all sorts of places, and larger leaves.
fn fill(space: &mut Space, random: &mut Random) -> Result<(), EditError> {
    let spare = kernel().spare;
    let pages = (spare.bytes >> 12) as u32;
    for _ in 0..1500 {
        let at = VirtAddr(PAGES.start().0 + (random.below((PAGES.bytes() >> 12) as u32) << 12));
        let phys = PhysAddr::truncate(spare.base + (u64::from(random.below(pages)) << 12));
        let attrs = attrs(random);
        if !support::is_spare(phys, 4096) {
            continue;
        }
        match space.map(VirtRange::page(at), phys, attrs, LeafSizes::LARGEST) {
            Ok(())
            | Err(EditError::Mapped { .. } | EditError::Encode(EncodeError::ExecutableDevice(_))) =>
                {}
            Err(error) => return Err(error),
        }
    }
    // Four of each kind with room between, as far as there is memory: kernel's and user's, old and young.
    for (i, kind) in Kind::all().enumerate() {
        let Some(phys) = Spare::new().take(kind.bytes(), kind.shift()) else { continue };
        for (j, access) in Access::ALL.into_iter().enumerate() {
            let base = HERE.0 + (i * 4 + j) as u32 * (64 << 20);
            let at = VirtRange::aligned(VirtAddr(base), kind.shift());
            let attrs = Attrs { user: j % 2 == 0, young: j < 3, ..Attrs::user(access) };
            space.map(at, phys, attrs, kind.sizes())?;
        }
    }
    Ok(())
}

fn busy() {
    let mut space = Space::new();
    check_eq!(fill(&mut space, &mut Random::new()), Ok(()));
    space.enter();
    match every_leaf() {
        Ok(seen) => check!(seen.leaves > 1000 && seen.runs >= 64, "{seen:?}"),
        Err(error) => check!(false, "{error:x?}"),
    }
}

fn random() {
    let mut random = Random::new();
    let mut space = Space::new();
    check_eq!(fill(&mut space, &mut random), Ok(()));
    space.enter();
    let oracle = oracle::live();
    let mut mapped = 0;
    for i in 0..10_000 {
        // Most of the address space is empty: every other address lies where pages are dense.
        let va = match i % 2 {
            0 => VirtAddr(random.next()),
            _ => VirtAddr(PAGES.start().0 + random.below(PAGES.bytes() as u32)),
        };
        mapped += u32::from(space.translate(va).is_some());
        if let Err(error) = oracle.agree(va) {
            check!(false, "{error:x?}");
        }
    }
    check!(mapped > 1000, "only {mapped} were mapped");
}

/// The root entry that user space has for itself in Linux's layout, and where RAM begins on this machine.
const GIGABYTE: VirtRange = VirtRange::aligned(VirtAddr(0x4000_0000), 30);

fn gigabyte() {
    if Active::LEVELS[0].shift < 30 {
        skip!("the format has none");
    }
    check!(LAYOUT.user().encloses(GIGABYTE));
    let ram = image::placement().ram();
    let last = PhysAddr::truncate(PhysAddr::MAX.as_u64() & !((1 << 30) - 1));
    for (phys, attrs) in [
        // The kernel's memory, where it happens to be aligned, to read; and the last addresses there are, of
        // which nothing is fetched unasked: they are a device's.
        (ram, Attrs::kernel(Access::Read).with_global(false)),
        (last, Attrs { user: true, ..Attrs::device().with_global(false) }),
    ] {
        if !phys.is_aligned(30) {
            continue;
        }
        let mut space = Space::new();
        // SAFETY: what is the kernel's is mapped to be read, and the rest is not used.
        let mapped = unsafe { Pgd::map(&mut space, GIGABYTE, phys, attrs, LeafSizes::LARGEST) };
        check_eq!(mapped, Ok(()));
        space.enter();
        let found = space.translate(GIGABYTE.last()).map(|found| Kind::of(&found));
        check_eq!(found, Some(Kind { depth: 0, run: false }));
        if let Err(error) = every_leaf() {
            check!(false, "{error:x?}");
        }
        if phys == ram {
            let word = image::rodata().start();
            let offset = image::placement().phys(word).as_u64() - phys.as_u64();
            let there = VirtAddr(GIGABYTE.start().0 + offset as u32);
            check_eq!(probe::read(there), Ok(support::read(image::placement().phys(word))));
        }
    }
}
