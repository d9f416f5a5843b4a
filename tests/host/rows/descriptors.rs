//! Descriptors, one by one.

use crate::support::*;

both_formats!(b15_clean_is_not_read_only);

/// AP\[2\] of a leaf: bit 15 of sections, 9 of pages (DDI 0406C B3.5.1), 7 of long descriptors (B3.6.2).
fn read_only<F: Format>(depth: usize, raw: F::Raw) -> bool {
    let bit = match (is_classic::<F>(), depth) {
        (true, 0) => 15,
        (true, _) => 9,
        (false, _) => 7,
    };
    raw.as_u64() >> bit & 1 != 0
}

/// Every kind of leaf: depth, and whether it is one of a run.
fn kinds<F: Format>() -> impl Iterator<Item = (usize, bool)> {
    let levels = F::LEVELS.iter().enumerate();
    levels.flat_map(|(depth, level)| {
        [false, true]
            .into_iter()
            .filter(|run| !run || level.runs.is_some())
            .map(move |run| (depth, run))
    })
}

/// Four states, four words: the hardware may write what is writable and dirty alone.
fn b15_clean_is_not_read_only<F: Format>() {
    let dirty = Attrs::kernel(Access::ReadWrite);
    let clean = dirty.mkclean();
    let states = [
        (dirty, true, true),
        (clean, true, false),
        (dirty.wrprotect(), false, true),
        (clean.wrprotect(), false, false),
    ];
    for (depth, run) in kinds::<F>() {
        let words = states.map(|(attrs, writable, dirty)| {
            let leaf = Leaf { frame: phys(0x4000_0000), attrs, run, pxn: false };
            let raw = F::encode(depth, Entry::Leaf(leaf)).unwrap();
            assert_eq!(read_only::<F>(depth, raw), !(writable && dirty), "{raw:#x}");
            let Entry::Leaf(read) = F::decode(depth, raw) else { panic!("{raw:#x} is no leaf") };
            assert_eq!((read.attrs.may_write(), read.attrs.is_dirty()), (writable, dirty));
            assert_eq!(read.attrs.mkdirty().mkwrite().access, Access::ReadWrite, "{raw:#x}");
            raw
        });
        let others = |n: usize| words[n + 1..].iter();
        assert!((0..4).all(|n| !others(n).any(|word| *word == words[n])), "{words:x?}");
    }
}
