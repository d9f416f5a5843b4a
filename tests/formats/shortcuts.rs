//! What a format answers faster than `decode` does, it answers alike: the questions of walks and of ranges.

use crate::machine::attrs::all_attrs;
use crate::support::*;
use armv7a_mm::format::Walk;

both_formats!(
    walks_agree_with_decode,
    tables_are_told_from_leaves,
    smaller_leaves_hold_what_larger_do,
    leaves_of_runs_stand_alone,
    many_pages_are_told_by_their_common_bits,
    words_step,
    entries_lie_side_by_side,
);

/// Every leaf of a level, its frame as far up as the format reaches.
fn leaves<F: Format>(depth: usize) -> impl Iterator<Item = (Leaf, F::Raw)> {
    let frames = [0, 0x4000_0000, 0xFF_C000_0000];
    all_attrs()
        .flat_map(move |attrs| frames.map(|frame| (attrs, phys(frame))))
        .flat_map(|it| [(it, false), (it, true)])
        .flat_map(|it| [(it, false), (it, true)])
        .map(|(((attrs, frame), run), pxn)| Leaf { frame, attrs, run, pxn })
        .filter_map(move |leaf| Some((leaf, F::encode(depth, Entry::Leaf(leaf)).ok()?)))
}

/// Every link of a level.
fn tables<F: Format>(depth: usize) -> impl Iterator<Item = (TableEntry, F::Raw)> {
    [Owner::Swapper, Owner::User, Owner::Kernel]
        .into_iter()
        .flat_map(|owner| [(owner, false), (owner, true)])
        .map(|(owner, pxn)| TableEntry { table: phys(0x9876_4000), owner, pxn })
        .filter_map(move |table| Some((table, F::encode(depth, Entry::Table(table)).ok()?)))
}

fn walks_agree_with_decode<F: Format>() {
    for depth in 0..F::LEVELS.len() {
        assert_eq!(F::walk(depth, F::Raw::default()), Walk::Fault);
        for (table, raw) in tables::<F>(depth) {
            assert_eq!(F::walk(depth, raw), Walk::Table(table.table), "{raw:#x}");
        }
        let level = &F::LEVELS[depth];
        for (leaf, raw) in leaves::<F>(depth) {
            // An identical run keeps the offset in all of it.
            let shift = if leaf.run && is_classic::<F>() { level.shift + 4 } else { level.shift };
            let walk = Walk::Memory { base: leaf.frame, offset: (1 << shift) - 1 };
            assert_eq!(F::walk(depth, raw), walk, "{depth}: {leaf:?}");
        }
    }
}

/// What edits and identity mappings rely on that cut a leaf: its parts can be written.
fn smaller_leaves_hold_what_larger_do<F: Format>() {
    let mut cut = 0;
    for depth in 0..F::LEVELS.len() - 1 {
        for (leaf, _) in leaves::<F>(depth).filter(|(leaf, _)| !leaf.run) {
            let bytes = u64::from(F::LEVELS[depth].span()) - u64::from(F::LEVELS[depth + 1].span());
            for frame in [leaf.frame, phys(leaf.frame.as_u64() + bytes)] {
                // Else the table's entry says so.
                let pxn = leaf.pxn && F::LEVELS[depth + 1].leaf_pxn;
                let part = Leaf { frame, pxn, ..leaf };
                assert!(F::encode(depth + 1, Entry::Leaf(part)).is_ok(), "{depth}: {part:?}");
                cut += 1;
            }
        }
    }
    assert!(cut > 1000, "{cut}");
}

/// What identity mappings rely on that part a run.
fn leaves_of_runs_stand_alone<F: Format>() {
    for depth in 0..F::LEVELS.len() {
        assert_eq!(F::alone(depth, F::Raw::default()), Some(F::Raw::default()));
        for (table, raw) in tables::<F>(depth) {
            assert_eq!(F::alone(depth, raw), Some(raw), "{depth}: {table:?}");
        }
        let mut runs = 0;
        for (leaf, raw) in leaves::<F>(depth) {
            let alone = Entry::Leaf(Leaf { run: false, ..leaf });
            assert_eq!(F::alone(depth, raw), F::encode(depth, alone).ok(), "{depth}: {leaf:?}");
            runs += usize::from(leaf.run && F::alone(depth, raw).is_some());
        }
        assert_eq!(runs > 0, F::LEVELS[depth].runs.is_some());
    }
}

/// What is no descriptor at the depth of pages leads nowhere.
#[test]
fn what_is_reserved_leads_nowhere() {
    assert_eq!(Lpae::walk(2, 0x4000_0000 | 0b01), Walk::Fault);
    assert_eq!(Lpae::decode(2, 0x4000_0000 | 0b01), Entry::Reserved);
}

fn tables_are_told_from_leaves<F: Format>() {
    for depth in 0..F::LEVELS.len() {
        assert_eq!(F::decode_table(depth, F::Raw::default()), None);
        for (table, raw) in tables::<F>(depth) {
            assert_eq!(F::decode_table(depth, raw), Some(table), "{raw:#x}");
            assert_eq!(F::is_marked(raw), table.owner == Owner::Swapper, "{raw:#x}");
        }
        for (leaf, raw) in leaves::<F>(depth) {
            assert_eq!(F::decode_table(depth, raw), None, "{depth}: {leaf:?}");
        }
    }
}

fn many_pages_are_told_by_their_common_bits<F: Format>() {
    let depth = F::LEVELS.len() - 1;
    assert_eq!(F::leaves_by_common_bits(F::Raw::default()), None, "one of them is absent");
    let (mut told, mut executable) = (0, 0);
    for (leaf, raw) in leaves::<F>(depth) {
        let Some(may_execute) = F::leaves_by_common_bits(raw) else { continue };
        told += 1;
        executable += usize::from(may_execute);
        // It may say so of what is not, never the other way.
        assert!(may_execute || leaf.attrs.access != Access::ReadExecute, "{leaf:?}");
    }
    assert!(told > 1000 && executable > 100 && executable < told, "{told}, {executable}");
    let page = |access| {
        let attrs = Attrs::user(access);
        let leaf = Leaf { frame: phys(0), attrs, run: false, pxn: false };
        F::encode(depth, Entry::Leaf(leaf)).unwrap()
    };
    assert_eq!(F::leaves_by_common_bits(page(Access::Read)), Some(false));
    assert_eq!(F::leaves_by_common_bits(page(Access::ReadExecute)), Some(true));
}

fn words_step<F: Format>() {
    let word = |raw| F::Raw::from_u64(raw);
    assert_eq!(word(0x4000_0012).step(word(0x1000)), word(0x4000_1012));
    assert_eq!(word(7).step(word(0)), word(7));
    let top = word(u64::MAX);
    assert_eq!(top.step(word(1)), word(0), "no carry leaves the word");
    assert_eq!(top.as_u64(), if is_classic::<F>() { u32::MAX.into() } else { u64::MAX });
}

fn entries_lie_side_by_side<F: Format>() {
    let last = F::LEVELS.len() - 1;
    for depth in [last, last + 1, 7, usize::MAX] {
        assert_eq!(F::level(depth), &F::LEVELS[last], "nothing lies deeper");
    }
    for level in F::LEVELS {
        assert_eq!(level.entries() << level.entry_shift, level.table_bytes());
        assert_eq!(level.table_bytes(), 1 << level.table_shift());
        for va in [0, 0x1234_5678, 0x8000_0000, 0xBFFF_FFFF, u32::MAX].map(VirtAddr) {
            let table = u64::from(level.span()) * level.entries() as u64;
            let base = u64::from(va.0) / table * table;
            for index in 0..level.entries() {
                let span = level.entry_span(va, index);
                let start = base + index as u64 * u64::from(level.span());
                assert_eq!(u64::from(span.start().0), start, "{}: {index}", level.name);
                assert_eq!(span.bytes(), u64::from(level.span()));
                assert_eq!(level.index(span.start()), index);
                assert_eq!(level.index(span.last()), index);
            }
            assert!(level.entry_span(va, level.index(va)).contains(va));
        }
    }
}
