//! The memory that tables lie in: one pool for all libraries, touched before anything is measured.
//!
//! It is lists by size, which cost two instructions to take from or give to; no lock, as there is one thread. The global
//! allocator sends requests of 4 KiB on 4 KiB there, for the peer that allocates its tables so.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::{self, NonNull};

/// Bytes of a frame, and its alignment.
pub const FRAME: usize = 4096;
/// log2 of that.
pub const FRAME_SHIFT: u32 = FRAME.trailing_zeros();
/// All of the pool.
const BYTES: usize = 64 << 20;
/// Pieces are of no size above; these are what all others are cut from.
const LARGEST_SHIFT: u32 = 14;

/// A piece that nobody uses.
#[repr(C)]
struct Piece {
    next: *mut Piece,
}

struct State {
    /// By log2 of the bytes.
    free: [*mut Piece; LARGEST_SHIFT as usize + 1],
    /// Bytes in use.
    used: usize,
    /// Where the pool lies.
    start: usize,
}

struct Pool(UnsafeCell<State>);

// SAFETY: this process has one thread.
unsafe impl Sync for Pool {}

static POOL: Pool = Pool(UnsafeCell::new(State {
    free: [ptr::null_mut(); LARGEST_SHIFT as usize + 1],
    used: 0,
    start: 0,
}));

fn pool() -> *mut State {
    POOL.0.get()
}

/// `bytes` bytes, aligned to `align`, touched, and never given back.
pub fn touched(bytes: usize, align: usize) -> NonNull<u8> {
    let layout = Layout::from_size_align(bytes, align).expect("the sizes here are small");
    // SAFETY: more than no bytes; written whole, so that no page fault is measured.
    unsafe {
        let memory = System.alloc(layout);
        ptr::write_bytes(memory, 0xA5, bytes);
        NonNull::new(memory).expect("the host has some memory")
    }
}

/// Makes the pool.
pub fn fill() {
    let memory = touched(BYTES, 1 << LARGEST_SHIFT);
    // SAFETY: the memory is the pool's from here on; this process has one thread.
    unsafe {
        cut(memory.as_ptr(), BYTES, LARGEST_SHIFT);
        (*pool()).start = memory.addr().get();
    }
}

/// Where the pool lies: all pieces are at less than 64 MiB from here.
#[inline]
pub fn start() -> usize {
    // SAFETY: this process has one thread.
    unsafe { (*pool()).start }
}

/// Makes pieces of `bytes` bytes at `memory`, which nobody uses.
unsafe fn cut(memory: *mut u8, bytes: usize, shift: u32) {
    for at in (0..bytes).step_by(1 << shift).rev() {
        // SAFETY: the caller gives the memory up.
        unsafe { push(memory.add(at), shift) };
    }
}

unsafe fn push(piece: *mut u8, shift: u32) {
    let piece = piece.cast::<Piece>();
    // SAFETY: the caller gives the piece up; this process has one thread.
    unsafe {
        let first = &mut (*pool()).free[shift as usize];
        (*piece).next = *first;
        *first = piece;
    }
}

/// `1 << shift` bytes, aligned to as many, with any content.
#[inline(never)]
pub fn take(shift: u32) -> Option<NonNull<u8>> {
    // SAFETY: what is on the list is the pool's; this process has one thread.
    unsafe {
        let first = &mut (*pool()).free[shift as usize];
        let Some(piece) = NonNull::new(*first) else { return take_new(shift) };
        *first = piece.as_ref().next;
        (*pool()).used += 1 << shift;
        Some(piece.cast())
    }
}

/// [Takes](take) what must be cut from a larger piece.
#[cold]
fn take_new(shift: u32) -> Option<NonNull<u8>> {
    if shift == LARGEST_SHIFT {
        return None;
    }
    let whole = take(LARGEST_SHIFT)?;
    // SAFETY: it was just taken.
    unsafe {
        (*pool()).used -= 1 << LARGEST_SHIFT;
        cut(whole.as_ptr(), 1 << LARGEST_SHIFT, shift);
    }
    take(shift)
}

/// Gives `1 << shift` bytes back.
///
/// # Safety
/// [`take`] returned them for that size, and nobody uses them.
#[inline]
pub unsafe fn give(piece: *mut u8, shift: u32) {
    // SAFETY: the caller's promise; this process has one thread.
    unsafe {
        push(piece, shift);
        (*pool()).used -= 1 << shift;
    }
}

/// Bytes in use.
pub fn used() -> usize {
    // SAFETY: this process has one thread.
    unsafe { (*pool()).used }
}

/// The global allocator: the system's, but for frames.
pub struct Routed;

/// Whether a request is for a frame.
fn is_frame(layout: Layout) -> bool {
    layout.size() == FRAME && layout.align() == FRAME
}

// SAFETY: frames of the pool are disjoint and of the asked size; the rest is the system's.
unsafe impl GlobalAlloc for Routed {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match is_frame(layout) {
            true => take(FRAME_SHIFT).map_or(ptr::null_mut(), NonNull::as_ptr),
            // SAFETY: the caller's promise.
            false => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe {
            match is_frame(layout) {
                true => give(memory, FRAME_SHIFT),
                false => System.dealloc(memory, layout),
            }
        }
    }
}
