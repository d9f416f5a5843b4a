//! Trees with good, odd and damaged memory: an answer for each, and it is in order.

use crate::tree::{Tree, blob};
use devicetree::{DtError, MAX_RANGES, Range, device, memory, total_size};
use proptest::prelude::*;

const GIB: u64 = 1 << 30;

fn range(base: u64, bytes: u64) -> Range {
    Range { base, bytes }
}

/// What a tree with these `/memory` nodes, one range each, comes to.
fn found(ranges: &[(u64, u64)]) -> Result<Vec<Range>, DtError> {
    memory(&blob(Tree::default().with_memory(ranges))).map(|found| found.as_slice().to_vec())
}

#[test]
fn memory_is_sorted_and_trimmed_to_pages() {
    assert_eq!(found(&[(GIB, GIB)]), Ok(vec![range(GIB, GIB)]));
    let two = [(8 * GIB, GIB), (GIB + 1, 2 * 4096 - 1), (0, 4095), (0x5000, 0)];
    assert_eq!(found(&two), Ok(vec![range(GIB + 4096, 4096), range(8 * GIB, GIB)]));
    let joined = [(4 * GIB, GIB), (GIB, GIB), (3 * GIB, GIB), (2 * GIB, GIB)];
    assert_eq!(found(&joined), Ok(vec![range(GIB, 4 * GIB)]));
    assert_eq!(found(&[((1 << 40) - 4096, 4096)]), Ok(vec![range((1 << 40) - 4096, 4096)]));
}

#[test]
fn memory_that_cannot_be_is_refused() {
    let beyond = |base, bytes| Err(DtError::Beyond(range(base, bytes)));
    assert_eq!(found(&[]), Err(DtError::NoMemory));
    assert_eq!(found(&[(GIB, 0), (GIB + 1, 4096)]), Err(DtError::NoMemory));
    assert_eq!(found(&[(GIB, 1 << 40)]), beyond(GIB, 1 << 40));
    assert_eq!(found(&[(GIB, u64::MAX)]), beyond(GIB, u64::MAX));
    assert_eq!(found(&[(u64::MAX - 4095, 8192)]), beyond(u64::MAX - 4095, 8192));
    let again = [(GIB, GIB), (GIB + 4096, 4096)];
    assert_eq!(found(&again), Err(DtError::Overlap(range(GIB + 4096, 4096))));
    let full: Vec<_> = (0..MAX_RANGES as u64).map(|i| (i * 8192, 4096)).collect();
    assert_eq!(found(&full).map(|ranges| ranges.len()), Ok(MAX_RANGES));
    let many: Vec<_> = (0..=MAX_RANGES as u64).map(|i| (i * 8192, 4096)).collect();
    assert_eq!(found(&many), Err(DtError::TooMany));
}

#[test]
fn cells_decide_how_numbers_are_read() {
    let narrow = Tree { cells: [1, 1], ..Tree::default() }.with_memory(&[(GIB, GIB)]);
    assert_eq!(memory(&blob(narrow)).map(|found| found.bytes()), Ok(GIB));
    let wide = Tree { cells: [3, 2], ..Tree::default() }.with_memory(&[(GIB, GIB)]);
    assert_eq!(memory(&blob(wide)).map(|found| found.bytes()), Err(DtError::Cells(3)));
}

#[test]
fn a_tree_of_many_nodes_is_read_to_its_end() {
    let crowd = Tree { nodes: 4000, ..Tree::default() }.with_memory(&[(GIB, GIB)]);
    assert_eq!(memory(&blob(crowd)).map(|found| found.bytes()), Ok(GIB));
}

#[test]
fn every_truncation_is_an_error() {
    let good = blob(Tree::default().with_memory(&[(GIB, GIB)]));
    assert!(memory(&good).is_ok());
    for length in 0..good.len() {
        let cut = memory(&good[..length]);
        let right = if length < 8 { DtError::NoTree } else { DtError::Size(good.len()) };
        assert_eq!(cut.err(), Some(right), "{length} bytes");
    }
}

proptest! {
    /// Words of a good tree are overwritten: whatever comes, it comes in order, and soon.
    #[test]
    fn damaged_trees_have_an_answer(
        damage in prop::collection::vec((0..200_usize, prop_oneof![any::<u32>(), 0..16_u32]), 1..6),
        nodes in 0..4_usize,
        cut in prop::option::of(0..800_usize),
    ) {
        let mut bytes = blob(Tree { nodes, ..Tree::default() }.with_memory(&[(GIB, GIB), (3 * GIB, 4096)]));
        for (at, word) in damage {
            if let Some(there) = bytes.get_mut(4 * at..4 * at + 4) {
                there.copy_from_slice(&word.to_be_bytes());
            }
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        in_order(&bytes);
    }

    #[test]
    fn any_bytes_have_an_answer(mut bytes in prop::collection::vec(any::<u8>(), 0..400), magic: bool) {
        if magic && bytes.len() >= 8 {
            let size = bytes.len() as u32;
            bytes[..4].copy_from_slice(&0xD00D_FEED_u32.to_be_bytes());
            bytes[4..8].copy_from_slice(&size.to_be_bytes());
        }
        in_order(&bytes);
    }
}

/// The answer keeps what [`devicetree::Ranges`] promises.
fn in_order(bytes: &[u8]) {
    let _ = device(bytes, &["arm,pl011"]);
    let Ok(found) = memory(bytes) else { return };
    assert!(total_size(bytes).is_ok_and(|size| size <= bytes.len()));
    let ranges = found.as_slice();
    assert!(!ranges.is_empty() && ranges.len() <= MAX_RANGES);
    assert!(ranges.windows(2).all(|pair| pair[0].end() < pair[1].base), "{ranges:x?}");
    for range in ranges {
        assert!(range.base % 4096 == 0 && range.bytes % 4096 == 0 && range.bytes > 0, "{range:x?}");
        assert!(range.end() <= 1 << 40, "{range:x?}");
    }
}
