//! The memory that tables lie in: frames of one pool, touched before anything is measured.
//!
//! Peers take frames one by one, from a list that costs two instructions; the global allocator sends requests of
//! 4 KiB on 4 KiB there, for the peer that allocates its tables so. Our tables have sizes of their own: they lie in a
//! [`TableHeap`](armv7a_mm::table::heap::TableHeap) on part of the pool, as in a kernel.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::{self, NonNull};

/// Bytes of a frame, and its alignment.
pub const FRAME: usize = 4096;
/// Frames handed out one by one: 32 MiB.
const FRAMES: usize = 8192;
/// Bytes for each of our table heaps.
pub const HEAP: usize = 32 << 20;

#[repr(C)]
struct Frame {
    next: *mut Frame,
}

struct State {
    free: *mut Frame,
    used: usize,
}

struct Pool(UnsafeCell<State>);

// SAFETY: this process has one thread.
unsafe impl Sync for Pool {}

static POOL: Pool = Pool(UnsafeCell::new(State { free: ptr::null_mut(), used: 0 }));

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
    let memory = touched(FRAMES * FRAME, FRAME);
    for i in (0..FRAMES).rev() {
        // SAFETY: within the memory, which is the pool's from here on.
        unsafe { push(memory.as_ptr().add(i * FRAME)) };
    }
    // SAFETY: this process has one thread.
    unsafe { (*pool()).used = 0 };
}

unsafe fn push(frame: *mut u8) {
    let (state, frame) = (pool(), frame.cast::<Frame>());
    // SAFETY: the caller gives the frame up; this process has one thread.
    unsafe {
        (*frame).next = (*state).free;
        (*state).free = frame;
        (*state).used = (*state).used.wrapping_sub(1);
    }
}

/// A frame with any content.
#[inline]
pub fn take() -> Option<NonNull<u8>> {
    let state = pool();
    // SAFETY: what is on the list is the pool's; this process has one thread.
    unsafe {
        let frame = NonNull::new((*state).free)?;
        (*state).free = frame.as_ref().next;
        (*state).used += 1;
        Some(frame.cast())
    }
}

/// Gives a frame back.
///
/// # Safety
/// [`take`] returned it, and nobody uses it.
#[inline]
pub unsafe fn give(frame: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { push(frame) }
}

/// Frames in use.
pub fn used() -> usize {
    // SAFETY: this process has one thread.
    unsafe { (*pool()).used }
}

/// The global allocator: the system's, but for frames.
pub struct Routed;

/// Whether a request is for a frame, of a pool that has been made.
fn is_frame(layout: Layout) -> bool {
    layout.size() == FRAME && layout.align() == FRAME
}

// SAFETY: frames of the pool are disjoint and of the asked size; the rest is the system's.
unsafe impl GlobalAlloc for Routed {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match is_frame(layout) {
            true => take().map_or(ptr::null_mut(), NonNull::as_ptr),
            // SAFETY: the caller's promise.
            false => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe {
            match is_frame(layout) {
                true => give(memory),
                false => System.dealloc(memory, layout),
            }
        }
    }
}
