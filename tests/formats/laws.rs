//! The laws of a format (`src/format/mod.rs`), over every attribute and over every pattern of the bits that
//! mean something; and of attributes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::machine::attrs::all_attrs;
use crate::machine::decoders;
use crate::support::*;
use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{EncodeError, RUN, Runs};

both_formats!(
    entries_come_back,
    tables_come_back,
    words_come_back,
    zero_is_absent,
    frames_change_their_own_bits,
    levels_span_the_address_space,
);

/// Frames that are too large, too small, or not aligned for something.
const FRAMES: [u64; 13] = [
    0,
    0x1000,
    0x1_0000,
    0x10_0000,
    0x20_0000,
    0x100_0000,
    0x4000_0000,
    0xFFFF_F000,
    0xFF00_0000,
    0x1_0000_0000,
    0xFF_C000_0000,
    0xFF_FFFF_F000,
    0x40_0000_0800,
];

/// Why a leaf cannot be written at a level: from the manual (DDI 0406C B3.5.1, B3.6.1), and from what this
/// crate refuses by design.
fn refusals<F: Format>(depth: usize, leaf: &Leaf) -> Vec<EncodeError> {
    let (level, attrs, at) = (&F::LEVELS[depth], &leaf.attrs, leaf.frame);
    let classic = is_classic::<F>();
    let run_of = |shift| if leaf.run { shift + 4 } else { shift };
    // Contiguous leaves are aligned one by one.
    let shift = if classic { run_of(level.shift) } else { level.shift };
    let supersection = classic && depth == 0 && leaf.run;
    let unsupported = leaf.run && level.runs.is_none()
        || leaf.pxn && (attrs.access == Access::None || !level.leaf_pxn)
        || supersection && attrs.user
        || classic && depth == 1 && leaf.run && attrs.access == Access::None;
    let all = [
        (
            attrs.access == Access::ReadExecute
                && matches!(attrs.memory, MemoryType::Device | MemoryType::StronglyOrdered),
            EncodeError::ExecutableDevice(attrs.memory),
        ),
        (classic && attrs.share == Shareability::Outer, EncodeError::OuterShareable),
        (unsupported, EncodeError::Unsupported),
        (!at.is_aligned(shift), EncodeError::Misaligned { at }),
        (classic && !supersection && at.as_u64() >> 32 != 0, EncodeError::OutOfReach { at }),
    ];
    all.into_iter().filter_map(|(applies, error)| applies.then_some(error)).collect()
}

fn entries_come_back<F: Format>() {
    for depth in 0..F::LEVELS.len() {
        let (mut written, mut refused) = (0, 0);
        for (attrs, frame) in all_attrs().flat_map(|attrs| FRAMES.map(|frame| (attrs, frame))) {
            for (run, pxn) in [(false, false), (false, true), (true, false), (true, true)] {
                let leaf = Leaf { frame: phys(frame), attrs, run, pxn };
                let refusals = refusals::<F>(depth, &leaf);
                match F::encode(depth, Entry::Leaf(leaf)) {
                    Ok(raw) => {
                        assert_eq!(refusals, [], "{depth}: {leaf:?}");
                        assert_eq!(F::decode(depth, raw), Entry::Leaf(leaf), "{raw:#x}");
                        written += 1;
                    }
                    Err(error) => {
                        assert!(refusals.contains(&error), "{depth}: {leaf:?}: {error:?}");
                        refused += 1;
                    }
                }
            }
        }
        assert!(written > 4000 && refused > 4000, "{depth}: {written} {refused}");
    }
}

fn tables_come_back<F: Format>() {
    let owners = [Owner::Swapper, Owner::User, Owner::Kernel];
    for depth in 0..F::LEVELS.len() {
        for (owner, pxn) in owners.into_iter().flat_map(|owner| [(owner, false), (owner, true)]) {
            for at in FRAMES.into_iter().chain([0x400, 0x9000_0C00, 0x20, 0xFFFF_FC00]) {
                let entry = Entry::Table(TableEntry { table: phys(at), owner, pxn });
                let at = phys(at);
                let wanted = if depth + 1 == F::LEVELS.len() {
                    Err(EncodeError::NoSuchEntry { depth })
                } else if is_classic::<F>() && at.as_u64() >> 32 != 0 {
                    Err(EncodeError::OutOfReach { at })
                } else if !at.is_aligned(if is_classic::<F>() { 10 } else { 12 }) {
                    Err(EncodeError::Misaligned { at })
                } else {
                    Ok(entry)
                };
                let read = F::encode(depth, entry).map(|raw| F::decode(depth, raw));
                assert_eq!(read, wanted, "{depth}: {entry:?}");
            }
        }
        assert_eq!(F::encode(depth, Entry::Reserved), Err(EncodeError::Reserved));
    }
    let beyond = F::LEVELS.len();
    let entry = Entry::Table(TableEntry { table: phys(0), owner: Owner::User, pxn: false });
    assert_eq!(F::encode(beyond, entry), Err(EncodeError::NoSuchEntry { depth: beyond }));
}

/// Whether the hardware takes a word for a table or a leaf: bits 1 and 0, by the manual's drawings.
fn hardware_valid<F: Format>(depth: usize, word: u64) -> bool {
    match (is_classic::<F>(), depth) {
        // Page table, section, and section with PXN; large page, small page.
        (true, _) => word & 3 != 0,
        // Block or table; at the third level a page alone.
        (false, 2) => word & 3 == 3,
        (false, _) => word & 1 != 0,
    }
}

/// The laws of one word, and that it says what the manual says.
#[inline]
fn check_word<F: Registers>(depth: usize, word: u64) -> bool {
    let raw = F::Raw::from_u64(word);
    decoders::compare::<F>(depth, word);
    let entry = F::decode(depth, raw);
    let used = match entry {
        Entry::Reserved => return false,
        Entry::Absent => {
            assert_eq!(word, 0);
            false
        }
        Entry::Table(_) => true,
        Entry::Leaf(leaf) => leaf.attrs.access != Access::None,
    };
    assert_eq!(used, hardware_valid::<F>(depth, word), "{depth}: {word:#x} is {entry:?}");
    assert_eq!(F::encode(depth, entry), Ok(raw), "{depth}: {word:#x} is {entry:?}");
    true
}

/// Every pattern of a long descriptor's bits 11:0 and 63:52, 24 in all.
fn long_patterns() -> std::ops::Range<u64> {
    0..1 << 24
}

/// The pattern where it belongs, and an address between.
const fn long_word(pattern: u64, address: u64) -> u64 {
    pattern & 0xFFF | (pattern & 0xFF_F000) << 40 | address
}

/// Every pattern of the bits that mean something, on addresses that have every bit set and clear.
fn words_come_back<F: Registers>() {
    for depth in 0..F::LEVELS.len() {
        let known = if is_classic::<F>() {
            let bases = [0, 0x0010_0000, 0x00F0_0000, 0x0100_0000, 0x9A50_0000, 0xFFF0_0000];
            let words = |base| (0..1 << 20).map(move |low: u64| base | low);
            bases.into_iter().flat_map(words).filter(|&word| check_word::<F>(depth, word)).count()
        } else {
            let shift = F::LEVELS[depth].shift;
            let addresses = [0, 0xFF_FFFF_F000 >> shift << shift];
            let all =
                long_patterns().map(|it| long_word(it, addresses[(it.count_ones() & 1) as usize]));
            let all = all.filter(|&word| check_word::<F>(depth, word)).count();
            let bits =
                |it| (12..52).map(move |bit| long_word(it, 1 << bit | 1 << 54 | 0xFF_C000_0000));
            let single = (0..1 << 12).flat_map(bits);
            all + single.filter(|&word| check_word::<F>(depth, word)).count()
        };
        assert!(known > 1000, "{depth}: {known}");
    }
}

/// Calls `check` with every number below `end`, on all CPUs.
fn for_each(end: u64, check: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    let work = || {
        loop {
            let from = next.fetch_add(1 << 20, Ordering::Relaxed);
            if from >= end {
                break;
            }
            (from..end.min(from + (1 << 20))).for_each(&check);
        }
    };
    thread::scope(|scope| {
        (0..thread::available_parallelism().map_or(1, usize::from)).for_each(|_| {
            scope.spawn(work);
        });
    });
}

/// All of 2^32 words, at both depths.
/// The last byte below 4 GiB is in reach, and no frame.
#[test]
fn the_last_byte_is_misaligned() {
    let frame = phys(0xFFFF_FFFF);
    let leaf = Leaf { frame, attrs: Attrs::kernel(Access::Read), run: false, pxn: false };
    let refused = Err(EncodeError::Misaligned { at: frame });
    assert_eq!(Classic::encode(1, Entry::Leaf(leaf)), refused);
}

#[test]
#[ignore = "minutes in release: cargo test --release --test formats -- --ignored laws"]
fn every_classic_word_comes_back() {
    for depth in 0..2 {
        for_each(1 << 32, |word| {
            check_word::<Classic>(depth, word);
        });
    }
}

/// All of the 2^24 patterns, at three depths, with no address bit, with every one alone, and with all.
#[test]
#[ignore = "minutes in release: cargo test --release --test formats -- --ignored laws"]
fn every_long_pattern_comes_back() {
    let single = (12..52).map(|bit| 1 << bit);
    let all = single.chain([0, 0xFF_FFFF_F000, 0xFF_FFE0_0000, 0xFF_C000_0000]);
    for (address, depth) in all.flat_map(|address| [(address, 0), (address, 1), (address, 2)]) {
        for_each(long_patterns().end, |pattern| {
            check_word::<Lpae>(depth, long_word(pattern, address));
        });
    }
}

fn zero_is_absent<F: Format>() {
    for depth in 0..F::LEVELS.len() {
        assert_eq!(F::decode(depth, F::Raw::from_u64(0)), Entry::Absent);
        assert_eq!(F::encode(depth, Entry::Absent), Ok(F::Raw::from_u64(0)));
    }
}

/// `frame_mask` is what the frame alone decides; the next leaf is one step further.
fn frames_change_their_own_bits<F: Format>() {
    let attrs = Attrs::kernel(Access::Read);
    for (depth, level) in F::LEVELS.iter().enumerate() {
        for run in [false, true].into_iter().filter(|&run| !run || level.runs.is_some()) {
            let word = |frame| {
                let leaf = Leaf { frame: phys(frame), attrs, run, pxn: false };
                F::encode(depth, Entry::Leaf(leaf)).map(Descriptor::as_u64)
            };
            let top = if is_classic::<F>() && !(depth == 0 && run) { 32 } else { 40 };
            let shift = match level.runs {
                Some(Runs::Identical) if run => level.shift + RUN.trailing_zeros(),
                _ => level.shift,
            };
            let zero = word(0).unwrap();
            let mut bits = 0;
            for bit in shift..top {
                bits |= zero ^ word(1 << bit).unwrap();
                if run && shift != level.shift || bit >= 32 {
                    continue;
                }
                let (this, next) = (word(1 << bit), word((1 << bit) + (1 << shift)));
                if let (Ok(this), Ok(next)) = (this, next) {
                    assert_eq!(this + (1 << shift), next);
                }
            }
            assert_eq!(F::frame_mask(depth, run).as_u64(), bits, "{depth} {run}");
            assert_eq!(zero & bits, 0);
        }
    }
}

fn levels_span_the_address_space<F: Format>() {
    let mut covered = 32;
    for level in F::LEVELS {
        assert_eq!(level.shift + level.last.count_ones(), covered);
        assert_eq!(1 << level.entry_shift, size_of::<F::Raw>());
        assert_eq!(level.table_bytes(), level.entries() * size_of::<F::Raw>());
        let last = level.entry_span(VirtAddr::MAX, level.entries() - 1);
        assert_eq!((last.last(), last.bytes()), (VirtAddr::MAX, level.span().into()));
        assert_eq!(level.index(VirtAddr::MAX), level.entries() - 1);
        covered = level.shift;
    }
    assert_eq!(covered, 12);
}

/// Dirty tracking without shadow tables: what may be written and what is dirty are told apart by the
/// hardware permission and two marks (B15).
#[test]
fn dirty_and_writable_are_independent() {
    for attrs in all_attrs() {
        let states = [attrs.mkclean(), attrs.mkdirty(), attrs.wrprotect(), attrs.mkwrite()];
        for state in states {
            // Nothing that is clean can be written unnoticed, and nothing else becomes executable.
            assert!(state.access != Access::ReadWrite || state.is_dirty());
            assert_eq!(state.access == Access::None, attrs.access == Access::None);
            assert!(state.access != Access::ReadExecute || attrs.access == Access::ReadExecute);
        }
        let [clean, dirty, protected, writable] = states;
        assert_eq!((clean.may_write(), clean.is_dirty()), (attrs.may_write(), false));
        assert_eq!((dirty.may_write(), dirty.is_dirty()), (attrs.may_write(), true));
        assert_eq!((protected.may_write(), protected.is_dirty()), (false, attrs.is_dirty()));
        assert_eq!((writable.may_write(), writable.is_dirty()), (true, attrs.is_dirty()));
        assert_eq!((attrs.mkold().young, attrs.mkyoung().young), (false, true));
        assert_eq!(attrs.mkold().mkyoung(), Attrs { young: true, ..attrs });
    }
}
