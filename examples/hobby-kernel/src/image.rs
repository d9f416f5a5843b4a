//! The image of the user programs, as user.ld lays it out: three words behind the first say where its parts end.

use core::ops::Range;

use armv7a_mm::addr::PAGE_SIZE;

static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/programs.bin"));

/// Where it is linked to begin, and where every program starts.
pub const START: u32 = 0x1_0000;

/// The word at `index`.
fn word(index: usize) -> u32 {
    let word = IMAGE[index * 4..].first_chunk().expect("the image has a header");
    u32::from_le_bytes(*word)
}

/// The addresses of text and constants: whole pages.
pub fn text() -> Range<u32> {
    START..word(1)
}

/// The addresses of data and bss: whole pages.
pub fn data() -> Range<u32> {
    word(1)..word(3).next_multiple_of(PAGE_SIZE)
}

/// What text and constants are.
pub fn text_bytes() -> &'static [u8] {
    &IMAGE[..(word(1) - START) as usize]
}

/// What data is before the first program changes it; bss is zero.
pub fn data_bytes() -> &'static [u8] {
    &IMAGE[(word(1) - START) as usize..(word(2) - START) as usize]
}
