//! Many neighbouring descriptors at once: the loops that run once a page, as any machine can run them.
//!
//! Eight a turn, so that counting and branching cost little; no division, no bounds check and no way to panic
//! inside. A machine with better means overrides [`TableMemory`]'s methods of the same names.

use super::mem::TableMemory;
use crate::format::Descriptor;

/// Descriptors a turn.
const TURN: usize = 8;

/// Calls `f` with the place of each of `count` descriptors at `at`.
#[inline(always)]
fn each<D>(at: *mut D, count: usize, mut f: impl FnMut(*mut D)) {
    let (mut at, mut left) = (at, count);
    while left >= TURN {
        for k in 0..TURN {
            f(at.wrapping_add(k));
        }
        at = at.wrapping_add(TURN);
        left -= TURN;
    }
    for _ in 0..left {
        f(at);
        at = at.wrapping_add(1);
    }
}

/// See [`TableMemory::are_zero`].
#[inline]
pub(crate) unsafe fn are_zero<D: Descriptor>(
    memory: &(impl TableMemory + ?Sized),
    at: *const D,
    count: usize,
) -> bool {
    let mut any = D::default();
    // SAFETY: the caller vouches for the descriptors.
    each(at.cast_mut(), count, |at| any = any | unsafe { memory.load(at) });
    any == D::default()
}

/// See [`TableMemory::common_bits`].
#[inline]
pub(crate) unsafe fn common_bits<D: Descriptor>(
    memory: &(impl TableMemory + ?Sized),
    at: *const D,
    count: usize,
) -> D {
    let mut common = !D::default();
    // SAFETY: the caller vouches for the descriptors.
    each(at.cast_mut(), count, |at| common = common & unsafe { memory.load(at) });
    common
}

/// See [`TableMemory::is_uniform`].
#[inline]
pub(crate) unsafe fn is_uniform<D: Descriptor>(
    memory: &(impl TableMemory + ?Sized),
    at: *const D,
    count: usize,
    model: D,
    frame: D,
) -> bool {
    let mut differ = D::default();
    // SAFETY: the caller vouches for the descriptors.
    each(at.cast_mut(), count, |at| differ = differ | (unsafe { memory.load(at) } ^ model));
    differ & !frame == D::default()
}

/// See [`TableMemory::flip`].
#[inline]
pub(crate) unsafe fn flip<D: Descriptor>(
    memory: &(impl TableMemory + ?Sized),
    at: *mut D,
    count: usize,
    flip: D,
) {
    // SAFETY: the caller vouches for the descriptors, old and new.
    each(at, count, |at| unsafe { memory.store(at, memory.load(at) ^ flip) });
}

/// See [`TableMemory::fill`].
#[inline]
pub(crate) unsafe fn fill<D: Descriptor>(
    memory: &(impl TableMemory + ?Sized),
    at: *mut D,
    count: usize,
    first: D,
    step: D,
) {
    let mut raw = first;
    each(at, count, |at| {
        // SAFETY: the caller vouches for the descriptors.
        unsafe { memory.store(at, raw) };
        raw = raw.step(step);
    });
}

/// Copies `count` descriptors, one load and one store each.
pub(crate) unsafe fn copy<D: Descriptor>(
    memory: &(impl TableMemory + ?Sized),
    from: *const D,
    to: *mut D,
    count: usize,
) {
    let mut from = from;
    each(to, count, |to| {
        // SAFETY: the caller vouches for the descriptors.
        unsafe { memory.store(to, memory.load(from)) };
        from = from.wrapping_add(1);
    });
}
