//! What is left of a range of memory, against a drawing of it page by page.

use devicetree::Range;
use proptest::prelude::*;

const PAGE: u64 = 4096;

#[test]
fn holes_are_left_out_by_whole_pages() {
    let range = Range { base: 4 * PAGE, bytes: 8 * PAGE };
    assert_eq!(range.largest_outside(&[]), Some(range));
    let hole = Range { base: 6 * PAGE + 1, bytes: 1 };
    let left = Range { base: 7 * PAGE, bytes: 5 * PAGE };
    assert_eq!(range.largest_outside(&[hole]), Some(left));
    assert_eq!(range.largest_outside(&[Range { base: 0, bytes: 100 * PAGE }]), None);
    assert_eq!(range.largest_outside(&[Range { base: 0, bytes: PAGE }]), Some(range));
}

proptest! {
    #[test]
    fn no_piece_is_larger(
        base in 0..8_u64,
        pages in 1..24_u64,
        holes in prop::collection::vec((0..32 * PAGE, 1..4 * PAGE), 0..4),
    ) {
        let range = Range { base: base * PAGE, bytes: pages * PAGE };
        let holes: Vec<_> = holes.into_iter().map(|(base, bytes)| Range { base, bytes }).collect();
        let is_free = |page: &u64| {
            let (from, to) = (page * PAGE, (page + 1) * PAGE);
            holes.iter().all(|hole| hole.end() <= from || to <= hole.base)
        };
        let (mut longest, mut run) = (0, 0);
        for page in base..base + pages {
            run = if is_free(&page) { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        let found = range.largest_outside(&holes);
        prop_assert_eq!(found.map_or(0, |piece| piece.bytes), longest * PAGE);
        if let Some(piece) = found {
            prop_assert!(range.base <= piece.base && piece.end() <= range.end());
            prop_assert!((piece.base / PAGE..piece.end() / PAGE).all(|page| is_free(&page)));
        }
    }
}
