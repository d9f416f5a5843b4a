//! Which change is made: added to the library's copy, whose changed places all ask [`within`].
//!
//! The environment's `ARMV7A_MM_MUTANT` is the number of the one change that is made, or `record:FILE`: then none is,
//! and the numbers of those that were asked for stand in the file at the end.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::SeqCst, Ordering::Relaxed};
use std_of_the_host as std;

/// The change that is made; 0: none.
static CHANGE: AtomicU32 = AtomicU32::new(0);

/// All ones where [`CHANGE`] alone decides; 0 where [`slowly`] must be asked.
static MASK: AtomicU32 = AtomicU32::new(0);

static MODE: AtomicU8 = AtomicU8::new(UNREAD);
const UNREAD: u8 = 0;
const ONE: u8 = 1;
const RECORD: u8 = 2;

static ASKED: [AtomicBool; 1 << 16] = [const { AtomicBool::new(false) }; 1 << 16];

/// Whether the change that is made is one of these. Never while compiling.
#[inline(always)]
pub const fn within(first: u32, last: u32) -> bool {
    core::intrinsics::const_eval_select((first, last), never, now)
}

const fn never(_: u32, _: u32) -> bool {
    false
}

#[inline(always)]
fn now(first: u32, last: u32) -> bool {
    let ahead = CHANGE.load(Relaxed).wrapping_sub(first);
    ahead & MASK.load(Relaxed) <= last - first && slowly(first, last)
}

#[cold]
#[inline(never)]
fn slowly(first: u32, last: u32) -> bool {
    if MODE.load(SeqCst) == UNREAD {
        read();
    }
    if MODE.load(Relaxed) == RECORD {
        for number in first..=last {
            ASKED[number as usize].store(true, Relaxed);
        }
        return false;
    }
    (first..=last).contains(&CHANGE.load(SeqCst))
}

#[cold]
fn read() {
    let wanted = std::env::var("ARMV7A_MM_MUTANT").unwrap_or_default();
    if wanted.starts_with("record:") {
        if MODE.swap(RECORD, SeqCst) == UNREAD {
            // SAFETY: it is the C library's, and the function lives as long as the program.
            unsafe { atexit(write) };
        }
        return;
    }
    CHANGE.store(wanted.parse().unwrap_or(0), SeqCst);
    MODE.store(ONE, SeqCst);
    MASK.store(!0, SeqCst);
}

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> i32;
}

extern "C" fn write() {
    let wanted = std::env::var("ARMV7A_MM_MUTANT").unwrap_or_default();
    let mut text = std::string::String::new();
    for (number, asked) in ASKED.iter().enumerate() {
        if asked.load(Relaxed) {
            text.push_str(&std::format!("{number}\n"));
        }
    }
    if let Some(file) = wanted.strip_prefix("record:") {
        let _ = std::fs::write(file, text);
    }
}
