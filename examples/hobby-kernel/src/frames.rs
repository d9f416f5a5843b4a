//! Page frames: who uses each, and which are nobody's.
//!
//! A frame has as many users as address spaces map it: `fork` makes them share, the last one frees it. What is free is
//! a list that lies in the free frames themselves.

use core::arch::asm;
use core::ops::Range;

use armv7a_mm::addr::{PAGE_SIZE, PhysAddr};
use armv7a_mm::mm::cow::SharedFrames;
use armv7a_mm::mm::window::FrameSource;
use spin::Mutex;

use crate::memory::{PHYS_OFFSET, RAM_BYTES, virt};

/// The frames of RAM.
pub static FRAMES: Mutex<Frames> =
    Mutex::new(Frames { first_free: None, left: 0, users: [0; (RAM_BYTES / PAGE_SIZE) as usize] });

/// See [`FRAMES`].
pub struct Frames {
    first_free: Option<PhysAddr>,
    left: usize,
    users: [u16; (RAM_BYTES / PAGE_SIZE) as usize],
}

/// A free frame holds the address of the next.
type Link = Option<PhysAddr>;

impl Frames {
    /// Takes over frames that nobody uses.
    pub fn add(&mut self, range: Range<PhysAddr>) {
        let mut next = range.start;
        while next < range.end {
            self.put(next);
            next = PhysAddr::truncate(next.as_u64() + u64::from(PAGE_SIZE));
        }
    }

    /// Frames that are nobody's.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Whether more than one address space uses `frame`.
    pub fn is_shared(&self, frame: PhysAddr) -> bool {
        self.users[index(frame)] > 1
    }

    fn put(&mut self, frame: PhysAddr) {
        // SAFETY: the frame is nobody's but the list's.
        unsafe { virt(frame).cast::<Link>().write(self.first_free) };
        self.first_free = Some(frame);
        self.left += 1;
    }
}

/// What the library asks for where it maps memory.
impl FrameSource for Frames {
    /// A frame with one user, and any content.
    fn allocate(&mut self) -> Option<PhysAddr> {
        let frame = self.first_free?;
        // SAFETY: `put` left it there, and the frame is nobody's since.
        self.first_free = unsafe { virt(frame).cast::<Link>().read() };
        self.left -= 1;
        self.users[index(frame)] = 1;
        Some(frame)
    }

    /// One user less.
    fn free(&mut self, frame: PhysAddr) {
        self.users[index(frame)] -= 1;
        if self.users[index(frame)] == 0 {
            self.put(frame);
        }
    }
}

/// What the library tells where it maps memory twice.
impl SharedFrames for Frames {
    /// One user more. All of this kernel's leaves are pages.
    fn share(&mut self, frame: PhysAddr, _bytes: u64) {
        self.users[index(frame)] += 1;
    }
}

fn index(frame: PhysAddr) -> usize {
    ((frame.as_u64() as u32 - PHYS_OFFSET) / PAGE_SIZE) as usize
}

/// Fills `frame` with zeros.
///
/// # Safety
/// The frame is the caller's alone.
pub unsafe fn clear(frame: PhysAddr) {
    // SAFETY: the caller's promise. Eight words a store: what a compiler's memset takes five times as long for.
    unsafe {
        asm!(
            "2:",
            "stmia {to}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}",
            "stmia {to}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}",
            "stmia {to}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}",
            "stmia {to}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}",
            "cmp {to}, {end}",
            "bne 2b",
            to = inout(reg) virt(frame) => _,
            end = in(reg) virt(frame).wrapping_add(PAGE_SIZE as usize),
            in("r0") 0, in("r1") 0, in("r2") 0, in("r3") 0,
            in("r4") 0, in("r5") 0, in("r8") 0, in("r9") 0,
            options(nostack),
        );
    }
}

/// Copies a frame's content.
///
/// # Safety
/// `to` is the caller's alone, and nobody writes to `from` meanwhile.
pub unsafe fn copy(from: PhysAddr, to: PhysAddr) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "2:",
            "ldmia {from}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}",
            "stmia {to}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}",
            "ldmia {from}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}",
            "stmia {to}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}",
            "cmp {to}, {end}",
            "bne 2b",
            from = inout(reg) virt(from) => _,
            to = inout(reg) virt(to) => _,
            end = in(reg) virt(to).wrapping_add(PAGE_SIZE as usize),
            out("r0") _, out("r1") _, out("r2") _, out("r3") _,
            out("r4") _, out("r5") _, out("r8") _, out("r9") _,
            options(nostack),
        );
    }
}
