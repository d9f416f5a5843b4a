//! Memory for tables: at other physical than virtual addresses, full of garbage, and seen by the walker
//! only once cleaned.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::collections::BTreeMap;
use std::ops::Range;
use std::ptr::NonNull;

use armv7a_mm::format::Level;

/// Bytes of the arena.
pub const BYTES: usize = 16 << 20;
/// Memory is handed out in granules: the smallest table but LPAE's root, which has one to itself.
pub const GRANULE: usize = 1 << 10;

/// What the walker sees of fresh memory.
const UNSEEN: u8 = 0x5A;
/// What freed memory holds.
const FREED: u8 = 0xE3;

/// Two copies of the memory: the CPU's, and what a walker that does not snoop sees.
pub struct Arena {
    memory: NonNull<u8>,
    seen: NonNull<u8>,
    next: usize,
    /// What fresh memory holds.
    fresh: u64,
    /// Offsets given back, by depth and bytes; the last is the first to be handed out again.
    free: BTreeMap<(usize, usize), Vec<usize>>,
}

impl Arena {
    fn layout() -> Layout {
        Layout::from_size_align(BYTES, 16 << 10).unwrap()
    }

    /// An arena with nothing handed out, which fills what it will hand out with the word `fresh`.
    pub fn new(fresh: u64) -> Self {
        let bytes = || {
            // SAFETY: the layout is not empty.
            let memory = unsafe { alloc(Self::layout()) };
            NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(Self::layout()))
        };
        Self { memory: bytes(), seen: bytes(), next: 0, fresh, free: Default::default() }
    }

    /// Memory for a table of `level`, which has `depth`, aligned to its size and not better.
    pub fn take(&mut self, depth: usize, level: &Level) -> usize {
        let bytes = level.table_bytes();
        let free = self.free.entry((depth, bytes)).or_default().pop();
        let at = free.unwrap_or_else(|| {
            // An odd multiple: whoever relies on more alignment than promised is found out.
            let mut at = self.next.next_multiple_of(bytes.max(GRANULE));
            if bytes < GRANULE {
                at += GRANULE - bytes;
            } else if (at / bytes).is_multiple_of(2) && depth == 0 {
                at += bytes;
            }
            self.next = at + bytes;
            assert!(self.next <= BYTES, "the arena is too small for this test");
            at
        });
        let fresh = self.fresh.to_ne_bytes().repeat(bytes / 8);
        self.fill(at..at + bytes, &fresh, UNSEEN);
        at
    }

    /// Takes back what [`take`](Self::take) gave.
    pub fn give_back(&mut self, at: usize, depth: usize, level: &Level) {
        let bytes = level.table_bytes();
        self.fill(at..at + bytes, &vec![FREED; bytes], FREED);
        self.free.entry((depth, bytes)).or_default().push(at);
    }

    fn fill(&mut self, range: Range<usize>, memory: &[u8], seen: u8) {
        assert!(range.end <= BYTES && range.len() == memory.len());
        // SAFETY: the range lies in both copies.
        unsafe {
            let to = self.memory.add(range.start).as_ptr();
            to.copy_from_nonoverlapping(memory.as_ptr(), range.len());
            self.seen.add(range.start).write_bytes(seen, range.len());
        }
    }

    /// Where the CPU sees the byte at `offset`.
    pub fn virt(&self, offset: usize) -> *mut u8 {
        assert!(offset < BYTES, "no table memory lies at offset {offset:#x}");
        // SAFETY: within the arena.
        unsafe { self.memory.add(offset) }.as_ptr()
    }

    /// The offset of what the CPU sees at `at`.
    pub fn offset(&self, at: *const u8) -> usize {
        let offset = (at as usize).wrapping_sub(self.memory.as_ptr() as usize);
        assert!(offset < BYTES, "no table memory lies at {at:p}");
        offset
    }

    /// The walker sees from now on what the CPU sees in `range`.
    pub fn clean(&mut self, range: Range<usize>) {
        assert!(range.end <= BYTES, "cleaned beyond the table memory");
        // SAFETY: the range lies in both copies, which are distinct.
        unsafe {
            let from = self.memory.add(range.start);
            self.seen.add(range.start).copy_from_nonoverlapping(from, range.len());
        }
    }

    /// The bytes in `range`, as the CPU and as the walker see them. Both were written before: only tables
    /// that were handed out are asked for.
    pub fn views(&self, range: Range<usize>) -> [&[u8]; 2] {
        assert!(range.end <= self.next);
        [self.memory, self.seen].map(|copy| {
            // SAFETY: in the arena, and initialised by `take`; the caller holds the arena meanwhile.
            unsafe { std::slice::from_raw_parts(copy.add(range.start).as_ptr(), range.len()) }
        })
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: both were allocated with this layout.
        unsafe {
            dealloc(self.memory.as_ptr(), Self::layout());
            dealloc(self.seen.as_ptr(), Self::layout());
        }
    }
}
