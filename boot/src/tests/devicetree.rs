//! Device trees, good and bad: tested here because lengths of almost 4 GiB wrap on 32 bits alone.

use crate::devicetree::{DtError, Range, device, memory};
use crate::harness::Test;
use crate::{check, check_eq};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "devicetree::memory-is-read", run: good },
    Test { name: "devicetree::truncated-anywhere-is-an-error", run: truncated },
    Test { name: "devicetree::any-bytes-have-an-answer", run: damaged },
    Test { name: "devicetree::numbers-of-4-gib-are-no-address", run: wide },
];

const WORDS: usize = 46;
const BYTES: usize = 4 * WORDS;

/// A smallest tree: `/memory@40000000` with 16 MiB and half a page.
#[rustfmt::skip]
const TREE: [u32; WORDS] = [
    0xD00D_FEED, BYTES as u32, 4 * 14, 4 * 38, 4 * 10, 17, 16, 0, 4 * 8, 4 * 24, // header
    0, 0, 0, 0,                                                                  // no reservations
    1, 0,                                                                        // the root
    3, 4, 0, 2,                                                                  // #address-cells = 2
    3, 4, 15, 1,                                                                 // #size-cells = 1
    1, text(b"memo"), text(b"ry@4"), text(b"0000"), text(b"000\0"),
    3, 12, 27, 0, 0x4000_0000, 0x0100_0800,                                      // reg
    2, 2, 9,                                                                     // ends
    text(b"#add"), text(b"ress"), text(b"-cel"), text(b"ls\0#"),                 // names
    text(b"size"), text(b"-cel"), text(b"ls\0r"), text(b"eg\0\0"),
];

/// A device whose address would have 2^30 cells of four bytes, which is none in 32 bits, in a `reg` of no bytes.
#[rustfmt::skip]
const WIDE: [u32; 50] = [
    0xD00D_FEED, 200, 4 * 14, 4 * 39, 4 * 10, 17, 16, 0, 42, 4 * 25,             // header
    0, 0, 0, 0,                                                                  // no reservations
    1, 0,                                                                        // the root
    3, 4, 0, 1 << 30,                                                            // #address-cells = 2^30
    3, 4, 15, 0,                                                                 // #size-cells = 0
    1, text(b"uart"), 0,
    3, 10, 27, text(b"arm,"), text(b"pl01"), text(b"1\0\0\0"),                   // compatible
    3, 0, 38,                                                                    // reg
    2, 2, 9,                                                                     // ends
    text(b"#add"), text(b"ress"), text(b"-cel"), text(b"ls\0#"),                 // names
    text(b"size"), text(b"-cel"), text(b"ls\0c"), text(b"ompa"), text(b"tibl"), text(b"e\0re"),
    text(b"g\0\0\0"),
];

const fn text(text: &[u8; 4]) -> u32 {
    u32::from_be_bytes(*text)
}

fn tree() -> [u8; BYTES] {
    blob(&TREE)
}

/// `words`, the highest byte of each first.
fn blob<const BYTES: usize>(words: &[u32]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (at, word) in bytes.chunks_exact_mut(4).zip(words) {
        at.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

fn good() {
    let found = memory(&tree());
    let expected = Range { base: 0x4000_0000, bytes: 0x0100_0000 };
    check!(found.as_ref().is_ok_and(|ranges| ranges.as_slice() == [expected]), "{found:x?}");
}

fn truncated() {
    let tree = tree();
    for length in 0..BYTES {
        let found = memory(&tree[..length]);
        let right = matches!(found, Err(DtError::NoTree)) == (length < 8) && found.is_err();
        check!(right, "{length} bytes: {found:x?}");
    }
}

/// Every word in turn becomes each of these, and every byte too. What counts is that there is an answer.
fn damaged() {
    let words =
        [0, 1, 3, 4, 0x7FFF_FFFF, 0x8000_0000, 0x4000_0000, 0x4000_0001, u32::MAX - 15, u32::MAX];
    let (mut good, mut bad) = (0, 0);
    let mut judge = |tree: &[u8]| match (memory(tree), device(tree, &["arm,pl011"])) {
        (Ok(_), Ok(None)) => good += 1,
        _ => bad += 1,
    };
    for at in 0..WORDS {
        for word in words {
            let mut tree = tree();
            tree[4 * at..4 * at + 4].copy_from_slice(&word.to_be_bytes());
            judge(&tree);
        }
    }
    for at in 0..BYTES {
        for byte in 0..=u8::MAX {
            let mut tree = tree();
            tree[at] = byte;
            judge(&tree);
        }
    }
    check_eq!(good + bad, WORDS * words.len() + BYTES * 256);
    check!(good > BYTES && bad > BYTES, "{good} good, {bad} bad");
}

fn wide() {
    let mut tree: [u8; 4 * WIDE.len()] = blob(&WIDE);
    check_eq!(device(&tree, &["arm,pl011"]), Ok(None));
    // As good a tree as any but for that: an address of no cells is 0.
    tree[4 * 19..4 * 20].copy_from_slice(&[0; 4]);
    check!(device(&tree, &["arm,pl011"]).is_ok());
}
