//! What to map, where, and how: biased towards borders, sizes that fold, and addresses that share tables.

use armv7a_mm::addr::{VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Attrs, Marks, MemoryType, Shareability};
use armv7a_mm::mm::Layout;
use armv7a_mm::table::edit::LeafSizes;

use crate::machine::rng::Choice;

use super::page::Map;

/// Pages in leaves and runs of either format, and odd numbers: mostly few.
const SHORT: [u32; 10] = [1, 1, 2, 3, 5, 16, 17, 32, 33, 64];
const LONG: [u32; 4] = [256, 512, 1024, 4096];
/// Shifts of leaves and runs of either format.
const SHIFTS: [u32; 7] = [12, 12, 16, 20, 21, 24, 25];

/// The range of the pages `first..=last`.
pub fn range(first: u32, last: u32) -> VirtRange {
    VirtRange::inclusive(VirtAddr(first << 12), VirtAddr(last << 12 | 0xFFF)).expect("not empty")
}

fn length(rng: &mut impl Choice) -> u32 {
    if rng.one_in(10) { rng.pick(&LONG) } else { rng.pick(&SHORT) }
}

/// Addresses where something begins or ends.
fn anchors(layout: &Layout, kernel: bool) -> Vec<u32> {
    let spec = layout.spec();
    let task_size = layout.task_size().0;
    if kernel {
        let border = 1 << 30;
        let gib = (spec.page_offset / border + 1).saturating_mul(border);
        let windows = [spec.modules, spec.pkmap, spec.vmalloc, spec.fixmap];
        let all = windows.iter().flat_map(|it| [it.start, it.end.wrapping_sub(0x2000)]);
        all.chain([spec.page_offset, spec.page_offset, gib, 0xFFFF_0000, 0xFFFF_D000])
            .filter(|at| *at >= task_size)
            .collect()
    } else {
        let first = spec.first_user_address;
        let low = [first, 0x0010_0000, 0x0100_0000, 0x0200_0000, 0x3FF0_0000, 0x4000_0000];
        let high = [task_size - 0x1000, task_size - 0x40_0000, task_size - 0x0200_0000];
        low.into_iter().chain(high).filter(|at| (first..task_size).contains(at)).collect()
    }
}

/// Pages to map, in one half.
pub fn pages(rng: &mut impl Choice, layout: &Layout, kernel: bool) -> (u32, u32) {
    let half = if kernel { layout.kernel() } else { layout.user() };
    let (low, high) = (half.start().0 >> 12, half.last().0 >> 12);
    let mut first = rng.pick(&anchors(layout, kernel)) >> 12;
    let length = length(rng);
    match rng.below(4) {
        0 => first = first.saturating_sub(rng.below(20) as u32),
        1 => first += rng.below(600) as u32,
        2 => first = first.next_multiple_of(length.next_power_of_two().min(0x2000)),
        _ => {}
    }
    let first = first.clamp(low, high);
    (first, first.saturating_add(length - 1).min(high))
}

/// Pages some of which are mapped: around one that is.
pub fn mapped_pages(rng: &mut impl Choice, map: &Map, bounds: VirtRange) -> Option<(u32, u32)> {
    if map.is_empty() {
        return None;
    }
    let lowest = *map.keys().next()?;
    let highest = *map.keys().next_back()?;
    let somewhere = lowest + rng.below(u64::from(highest - lowest) + 1) as u32;
    let (&first, _) = map.range(somewhere..).next()?;
    let length = length(rng);
    let aligned = first & !(length.next_power_of_two() - 1);
    let first = if rng.one_in(3) { aligned } else { first };
    // Mostly no further than what is mapped in one piece.
    let mut last = first + length - 1;
    if !rng.one_in(4) {
        let piece = (first..=last).take_while(|page| map.contains_key(page)).count() as u32;
        last = first + piece.max(1) - 1;
    }
    let (low, high) = (bounds.start().0 >> 12, bounds.last().0 >> 12);
    Some((first.clamp(low, high), last.clamp(low, high)))
}

/// Where to map the page `first` to: so that leaves of some size are possible. Seldom beyond 4 GiB in the classic
/// format, which cannot reach it but by supersections.
pub fn phys(rng: &mut impl Choice, first: u32, long: bool) -> u64 {
    let shift = rng.pick(&SHIFTS);
    let mask = (1u64 << shift) - 1;
    let high = if long || rng.one_in(40) { rng.below(0x40) << 32 } else { 0 };
    let base = high | (0x1000_0000 + rng.below(0xA000_0000));
    base & !mask & !0xFFF | (u64::from(first) << 12) & mask
}

/// How to map it.
pub fn attrs(rng: &mut impl Choice, kernel: bool) -> Attrs {
    let access = rng.pick(&Access::ALL);
    let base = if kernel {
        Attrs::kernel(access)
    } else if rng.one_in(6) {
        // Also in the user half: what no user may touch.
        Attrs::kernel(access).with_global(false)
    } else {
        Attrs::user(access)
    };
    let base = if rng.one_in(60) { base.with_global(!base.global) } else { base };
    Attrs {
        memory: if rng.one_in(3) { rng.pick(&MemoryType::ALL) } else { base.memory },
        share: if rng.one_in(6) {
            rng.pick(&[Shareability::Non, Shareability::Inner, Shareability::Outer])
        } else {
            base.share
        },
        young: !rng.one_in(8),
        marks: Marks::from_bits_truncate(rng.below(4) as u8),
        ..base
    }
}

/// In which leaves.
pub fn sizes(rng: &mut impl Choice) -> LeafSizes {
    let all = [
        LeafSizes::LARGEST,
        LeafSizes::LARGEST,
        LeafSizes::BLOCKS,
        LeafSizes::RUNS,
        LeafSizes::PAGES,
    ];
    rng.pick(&all)
}
