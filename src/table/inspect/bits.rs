//! Two small things that both walks need.

use crate::addr::{VirtAddr, VirtRange};

/// Whether bit `at` of `word` is set.
pub(super) fn bit(word: impl Into<u64>, at: u32) -> bool {
    word.into() >> at & 1 != 0
}

/// The aligned `1 << shift` bytes around `va` (`shift` 12 to 31).
pub(super) fn span(va: VirtAddr, shift: u32) -> VirtRange {
    VirtRange::new(va.align_down(shift), 1 << shift).unwrap_or(VirtRange::page(va))
}
