//! Physical memory that holds tables, as each observer sees it.
//!
//! A store is at once visible to the CPU that made it. It waits in that CPU's buffer until a barrier, or for
//! as short as chance wants, before other CPUs and walkers that snoop *see* it; walkers that do not snoop
//! read what was *cleaned*, or evicted by chance. Nothing reaches an observer out of order for one word; for
//! different words every order happens.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::Range;
use std::ptr::NonNull;

use super::rng::{Choice, Rng};

/// A value on its way: the `seq`th store of all.
#[derive(Clone, Copy)]
struct Move {
    word: u32,
    seq: u32,
    cpu: u8,
    value: u64,
}

/// What a kind of observer sees, word by word, and which store it was. 0: none since the last
/// [`poison`](Memory::poison).
struct View {
    value: Vec<u64>,
    seq: Vec<u32>,
}

impl View {
    fn new(words: usize) -> Self {
        Self { value: vec![0; words], seq: vec![0; words] }
    }

    fn take(&mut self, word: usize, seq: u32, value: u64) {
        if seq > self.seq[word] {
            self.value[word] = value;
            self.seq[word] = seq;
        }
    }
}

/// Bytes of a data cache line.
const LINE: usize = 64;
/// Physical memory starts beyond 4 GiB where descriptors reach there, and never where the CPU sees it.
const BASE: [u64; 2] = [0x8800_0000, 0x1_8800_0000];
/// The alignment of the largest table.
const ALIGN: usize = 16 << 10;

/// The memory.
pub struct Memory {
    ram: NonNull<u8>,
    layout: Layout,
    /// Bytes of a word, a descriptor, as a shift.
    shift: u32,
    /// Whether walkers see the data cache.
    coherent: bool,
    clock: u32,
    newest: Vec<u32>,
    seen: View,
    cleaned: View,
    buffer: Vec<Move>,
    cleans: Vec<Move>,
    /// Words that became visible and may still wait for a clean.
    dirty: Vec<u32>,
}

impl Memory {
    /// `bytes` bytes, of descriptors of `1 << shift` bytes.
    pub fn new(bytes: usize, shift: u32, coherent: bool) -> Self {
        let layout = Layout::from_size_align(bytes, ALIGN).expect("a size");
        // SAFETY: the size is not zero.
        let ram = unsafe { alloc_zeroed(layout) };
        let Some(ram) = NonNull::new(ram) else { handle_alloc_error(layout) };
        let words = bytes >> shift;
        Self {
            ram,
            layout,
            shift,
            coherent,
            clock: 0,
            newest: vec![0; words],
            seen: View::new(words),
            cleaned: View::new(words),
            buffer: Vec::new(),
            cleans: Vec::new(),
            dirty: Vec::new(),
        }
    }

    /// Bytes of a descriptor.
    pub fn word_bytes(&self) -> usize {
        1 << self.shift
    }

    /// The first physical address.
    pub fn base(&self) -> u64 {
        BASE[usize::from(self.shift == 3)]
    }

    /// Where the CPU sees `at`.
    pub fn virt(&self, at: u64) -> *mut u8 {
        self.ram.as_ptr().wrapping_add(at.wrapping_sub(self.base()) as usize)
    }

    /// The word at physical `at`, if memory is there.
    pub fn word(&self, at: u64) -> Option<usize> {
        let word = at.checked_sub(self.base())? >> self.shift;
        (word < self.newest.len() as u64).then_some(word as usize)
    }

    /// The word that the CPU sees at `at`, if it is memory and aligned.
    pub fn word_of(&self, at: *const u8) -> Option<usize> {
        let offset = (at as usize).checked_sub(self.ram.as_ptr() as usize)?;
        (offset < self.layout.size() && offset % self.word_bytes() == 0)
            .then_some(offset >> self.shift)
    }

    /// Where a word lies.
    pub fn phys(&self, word: usize) -> u64 {
        self.base() + ((word as u64) << self.shift)
    }

    /// The words of the lines that hold `bytes` bytes at `from`.
    pub fn lines(&self, from: *const u8, bytes: usize) -> Option<Range<usize>> {
        let offset = (from as usize).checked_sub(self.ram.as_ptr() as usize)?;
        let end = offset.checked_add(bytes)?;
        if end > self.layout.size() {
            return None;
        }
        let (first, end) = (offset / LINE * LINE, end.div_ceil(LINE) * LINE);
        Some(first >> self.shift..end >> self.shift)
    }

    /// What the last store left.
    pub fn newest(&self, word: usize) -> u64 {
        let at = self.virt(self.phys(word));
        // SAFETY: the word lies in `ram`, and is aligned.
        unsafe {
            if self.shift == 3 { at.cast::<u64>().read() } else { at.cast::<u32>().read().into() }
        }
    }

    /// Whether anything was stored since the memory was poisoned.
    pub fn is_written(&self, word: usize) -> bool {
        self.newest[word] != 0
    }

    fn put(&mut self, word: usize, value: u64) {
        let at = self.virt(self.phys(word));
        // SAFETY: as above; `self` is borrowed alone.
        unsafe {
            if self.shift == 3 {
                at.cast::<u64>().write(value);
            } else {
                at.cast::<u32>().write(value as u32);
            }
        }
    }

    /// A store by `cpu`.
    pub fn store(&mut self, word: usize, value: u64, cpu: usize) {
        self.clock += 1;
        self.newest[word] = self.clock;
        self.put(word, value);
        let (word, cpu) = (word as u32, cpu as u8);
        self.buffer.push(Move { word, seq: self.clock, cpu, value });
    }

    /// What `cpu` loads with no lock held: its own stores, and of others' what is visible.
    pub fn load_unlocked(&self, word: usize, cpu: usize) -> (u64, bool) {
        let own = self.buffer.iter().rev().find(|it| it.word as usize == word);
        if own.is_none_or(|it| usize::from(it.cpu) == cpu) {
            return (self.newest(word), self.is_written(word));
        }
        (self.seen.value[word], self.seen.seq[word] != 0)
    }

    /// What a walker reads, and whether anybody ever wrote it.
    pub fn walker(&self, word: usize) -> (u64, bool) {
        let view = if self.coherent { &self.seen } else { &self.cleaned };
        (view.value[word], view.seq[word] != 0)
    }

    /// DCCMVAU by `cpu`, of whole lines: its earlier stores to them are on the way to the walkers.
    pub fn clean(&mut self, lines: Range<usize>, cpu: usize) {
        for word in lines {
            let seq = self.newest[word];
            if seq > self.cleaned.seq[word] {
                let value = self.newest(word);
                self.cleans.push(Move { word: word as u32, seq, cpu: cpu as u8, value });
            }
        }
    }

    /// DSB by `cpu`: its stores and cleans arrive.
    pub fn complete(&mut self, cpu: usize) {
        for it in self.buffer.extract_if(.., |it| usize::from(it.cpu) == cpu) {
            self.seen.take(it.word as usize, it.seq, it.value);
            self.dirty.push(it.word);
        }
        for it in self.cleans.extract_if(.., |it| usize::from(it.cpu) == cpu) {
            self.seen.take(it.word as usize, it.seq, it.value);
            self.cleaned.take(it.word as usize, it.seq, it.value);
        }
        if self.dirty.len() > 4096 {
            self.dirty.clear();
        }
    }

    /// A store overtakes all others: every observer sees it, the walkers that do not snoop by an eviction.
    pub fn overtake(&mut self, word: usize) {
        let (seq, value) = (self.newest[word], self.newest(word));
        self.seen.take(word, seq, value);
        self.cleaned.take(word, seq, value);
    }

    /// What chance does: a store drains, a clean completes, a line is evicted.
    pub fn chance(&mut self, rng: &mut Rng) {
        if !self.buffer.is_empty() && rng.one_in(3) {
            let at = rng.index(self.buffer.len());
            let it = self.buffer[at];
            self.seen.take(it.word as usize, it.seq, it.value);
            self.dirty.push(it.word);
        }
        if !self.cleans.is_empty() && rng.one_in(3) {
            let it = self.cleans.swap_remove(rng.index(self.cleans.len()));
            self.seen.take(it.word as usize, it.seq, it.value);
            self.cleaned.take(it.word as usize, it.seq, it.value);
        }
        if !self.coherent && !self.dirty.is_empty() && rng.one_in(16) {
            let words = LINE >> self.shift;
            let word = self.dirty.swap_remove(rng.index(self.dirty.len())) as usize;
            for word in word / words * words..word / words * words + words {
                self.cleaned.take(word, self.seen.seq[word], self.seen.value[word]);
            }
        }
    }

    /// Fills memory with `garbage`, for every observer: what was there before is gone.
    pub fn poison(&mut self, words: Range<usize>, garbage: u64) {
        self.buffer.retain(|it| !words.contains(&(it.word as usize)));
        self.cleans.retain(|it| !words.contains(&(it.word as usize)));
        for word in words {
            self.put(word, garbage);
            self.newest[word] = 0;
            for view in [&mut self.seen, &mut self.cleaned] {
                view.value[word] = garbage;
                view.seq[word] = 0;
            }
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with the same layout.
        unsafe { dealloc(self.ram.as_ptr(), self.layout) }
    }
}
