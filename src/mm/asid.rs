//! ASIDs: numbers for TLBs to tell address spaces apart, dealt anew when they run out.
//!
//! An identifier is a *generation* and, in the low 8 bits, a number. Numbers of a generation are given out once.
//! When none is left a new generation begins: the *rollover*. Then
//! - what a CPU runs keeps its number, which is *reserved* for that space: CPUs that go on running it do so undisturbed,
//!   and another one that switches to it takes the same number;
//! - every CPU forgets all translations before it runs anything under the new generation: at its next switch;
//! - every other space gets a number of the new generation when it is next run.
//!
//! Number 0 is nobody's: *no user space* runs under it.
//!
//! # What holds
//! At any time, on any CPUs, however many rollovers a CPU that never switches has missed:
//! 1. two spaces that run have two numbers;
//! 2. a space runs under one number, which is that of its identifier;
//! 3. what a TLB remembers by the number that its CPU runs under is that space's, and is forgotten when the space's
//!    identifier is invalidated.
//!
//! # The fast path
//! A rollover takes each CPU's *active* identifier away. So a CPU that has one knows by it which generation is current,
//! and takes no lock to switch to a space of the same: it exchanges the one identifier for the other, which fails if
//! a rollover came in between. A CPU that has none takes the lock, and learns there what it has to forget.
//!
//! An active identifier is marked busy until the CPU's registers are written, and a rollover waits for that:
//! else a CPU that still runs its last space would be taken for one that has left, the space would be given another number
//! elsewhere, and tables freed that the first still walks.

use core::sync::atomic::{AtomicU64, Ordering};

use spin::mutex::SpinMutex;
use spin::relax::{RelaxStrategy, Spin};

use crate::attr::Asid;

/// Bits of an identifier that are the number.
const NUMBER_BITS: u32 = 8;
/// What a generation is further than the one before.
const GENERATION: u64 = 1 << NUMBER_BITS;
/// In an active identifier: the CPU has not written its registers yet.
const BUSY: u64 = 1 << 63;
/// In place of an active identifier that was taken away: of no generation.
const TAKEN: u64 = 1 << 62;
/// Numbers that 8 bits hold.
const NUMBERS: usize = 1 << NUMBER_BITS;

/// What an identifier's cell is made of: `AtomicU64`, or a checker's that looks like it.
pub trait Atomic: Send + Sync {
    /// What a CPU does that waits for another.
    type Relax: RelaxStrategy;
    /// A cell that holds `value`.
    fn new(value: u64) -> Self;
    /// As `AtomicU64::load`.
    fn load(&self, order: Ordering) -> u64;
    /// As `AtomicU64::store`.
    fn store(&self, value: u64, order: Ordering);
    /// As `AtomicU64::compare_exchange`: whether it was done.
    fn exchange(&self, old: u64, new: u64, done: Ordering) -> bool;
}

impl Atomic for AtomicU64 {
    type Relax = Spin;

    fn new(value: u64) -> Self {
        Self::new(value)
    }

    #[inline(always)]
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }

    #[inline(always)]
    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }

    #[inline(always)]
    fn exchange(&self, old: u64, new: u64, done: Ordering) -> bool {
        self.compare_exchange(old, new, done, Ordering::Relaxed).is_ok()
    }
}

/// The number of an identifier.
#[inline]
const fn number(id: u64) -> usize {
    id as usize & (NUMBERS - 1)
}

/// Whether an identifier is of this generation.
#[inline]
const fn is_current(id: u64, generation: u64) -> bool {
    (id ^ generation) >> NUMBER_BITS == 0
}

/// Who has which number: the part under the lock, without time and without other CPUs.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Book<const CPUS: usize, const ASIDS: usize> {
    /// The current generation, its number 0.
    pub generation: u64,
    /// The numbers given out in it, a bit each.
    pub used: [u32; NUMBERS / 32],
    /// No lower number is free.
    pub next: usize,
    /// What each CPU ran at the last rollover, if it has not switched since.
    pub reserved: [u64; CPUS],
    /// Whether the CPU has to forget everything before it runs this generation.
    pub pending: [bool; CPUS],
}

impl<const CPUS: usize, const ASIDS: usize> Default for Book<CPUS, ASIDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const CPUS: usize, const ASIDS: usize> Book<CPUS, ASIDS> {
    /// Each CPU may keep one number over a rollover, and one must be left to give out then.
    const ENOUGH: () = assert!(CPUS > 0 && CPUS + 2 <= ASIDS && ASIDS <= NUMBERS);

    /// The first generation: nothing given out, nothing in any TLB.
    pub const fn new() -> Self {
        let () = Self::ENOUGH;
        let mut used = [0; NUMBERS / 32];
        used[0] = 1;
        Self { generation: GENERATION, used, next: 1, reserved: [0; CPUS], pending: [false; CPUS] }
    }

    fn is_used(&self, number: usize) -> bool {
        self.used[number / 32] >> (number % 32) & 1 != 0
    }

    fn take(&mut self, number: usize) {
        self.used[number / 32] |= 1 << (number % 32);
    }

    /// The identifier of this generation for a space whose last one is `old` (0 if it never ran). `None` if there is
    /// none left: then comes a [rollover](Self::roll_over).
    pub fn renew(&mut self, old: u64) -> Option<u64> {
        if is_current(old, self.generation) {
            return Some(old);
        }
        if old != 0 {
            let same = self.generation | number(old) as u64;
            if !self.is_used(number(old)) {
                self.take(number(old));
                return Some(same);
            }
            if self.is_kept(old, same) {
                return Some(same);
            }
        }
        let free = self.first_free()?;
        self.take(free);
        self.next = free + 1;
        Some(self.generation | free as u64)
    }

    /// Whether a CPU has run the space of this identifier since the last rollover; then it is `new` from here on.
    #[inline(never)]
    fn is_kept(&mut self, old: u64, new: u64) -> bool {
        let mut kept = false;
        // All CPUs that do: the next rollover has to know each.
        for reserved in self.reserved.iter_mut().filter(|reserved| **reserved == old) {
            *reserved = new;
            kept = true;
        }
        kept
    }

    /// The lowest number that is free.
    fn first_free(&self) -> Option<usize> {
        let mut number = self.next;
        while number < ASIDS {
            let free = !self.used[number / 32] >> (number % 32);
            if free != 0 {
                let found = number + free.trailing_zeros() as usize;
                return (found < ASIDS).then_some(found);
            }
            number = (number / 32 + 1) * 32;
        }
        None
    }

    /// Begins a generation. `take_active` takes a CPU's active identifier away: `None` if it was taken before, and the
    /// CPU has not switched since.
    pub fn roll_over(&mut self, mut take_active: impl FnMut(usize) -> Option<u64>) {
        self.generation += GENERATION;
        self.used = [0; NUMBERS / 32];
        self.take(0);
        self.next = 1;
        for cpu in 0..CPUS {
            // Without one it still runs what it ran at the rollover before.
            if let Some(active) = take_active(cpu) {
                self.reserved[cpu] = active;
            }
            self.take(number(self.reserved[cpu]));
            self.pending[cpu] = true;
        }
    }
}

/// One CPU's active identifier, in a cache line of its own.
#[repr(align(64))]
struct Active<A>(A);

/// The ASIDs of `CPUS` CPUs, numbered from 0, of which `ASIDS` are used, number 0 among them.
pub struct Asids<const CPUS: usize, const ASIDS: usize = NUMBERS, A: Atomic = AtomicU64> {
    /// What each CPU runs, or [`TAKEN`].
    active: [Active<A>; CPUS],
    book: SpinMutex<Book<CPUS, ASIDS>, A::Relax>,
}

impl<const CPUS: usize, const ASIDS: usize, A: Atomic> Default for Asids<CPUS, ASIDS, A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const CPUS: usize, const ASIDS: usize, A: Atomic> Asids<CPUS, ASIDS, A> {
    /// None given out; no CPU has run any space, nor has its TLB anything of one.
    pub fn new() -> Self {
        Self {
            active: core::array::from_fn(|_| Active(A::new(TAKEN))),
            book: SpinMutex::new(Book::new()),
        }
    }

    /// Has `cpu`, which this is, run the space of the identifier `id`, or no user space. `enter` is called once, with
    /// the number to run under, and whether this CPU has to forget all translations first; when it returns the
    /// registers are written.
    ///
    /// The caller lets nothing else switch on this CPU meanwhile, an interrupt's handler for one.
    ///
    /// # Panics
    /// If there is no such CPU.
    #[inline]
    pub fn switch(&self, cpu: usize, id: Option<&A>, enter: impl FnOnce(Asid, bool)) {
        let active = &self.active[cpu].0;
        // Nothing has to come in order here: whether a rollover came in between is decided by the exchange alone, and
        // what other CPUs wrote of the space is behind the DSB in `enter`.
        let before = active.load(Ordering::Relaxed);
        let wanted = match id {
            Some(id) => id.load(Ordering::Relaxed),
            None if before == TAKEN => 0,
            None => before - number(before) as u64,
        };
        if is_current(wanted, before) && active.exchange(before, wanted | BUSY, Ordering::Relaxed) {
            enter(Asid(wanted as u8), false);
            // Busy no more: nobody else changed it meanwhile.
            active.store(wanted, Ordering::Release);
            return;
        }
        self.switch_locked(cpu, id, enter);
    }

    /// [`switch`](Self::switch) to a space that needs an identifier, or on a CPU that has missed a rollover.
    #[cold]
    #[inline(never)]
    fn switch_locked(&self, cpu: usize, id: Option<&A>, enter: impl FnOnce(Asid, bool)) {
        let mut book = self.book.lock();
        let wanted = id.map_or(book.generation, |id| {
            let old = id.load(Ordering::Relaxed);
            let new = self.renew(&mut book, old);
            // Before any walk by it: `enter` begins with a DSB.
            id.store(new, Ordering::Release);
            new
        });
        let forget = core::mem::take(&mut book.pending[cpu]);
        // Under the lock, so that no rollover comes in between.
        enter(Asid(wanted as u8), forget);
        self.active[cpu].0.store(wanted, Ordering::Release);
    }

    /// An identifier of the current generation, which may be a new one.
    fn renew(&self, book: &mut Book<CPUS, ASIDS>, old: u64) -> u64 {
        loop {
            if let Some(new) = book.renew(old) {
                return new;
            }
            // As many numbers as there are outlast one rollover: `Book::ENOUGH`.
            self.roll_over(book);
        }
    }

    #[cold]
    #[inline(never)]
    fn roll_over(&self, book: &mut Book<CPUS, ASIDS>) {
        book.roll_over(|cpu| self.take_active(cpu));
    }

    /// Takes a CPU's active identifier away, once its registers are what it says.
    fn take_active(&self, cpu: usize) -> Option<u64> {
        let active = &self.active[cpu].0;
        loop {
            let id = active.load(Ordering::Relaxed);
            if id == TAKEN {
                return None;
            }
            if id & BUSY == 0 && active.exchange(id, TAKEN, Ordering::Acquire) {
                return Some(id);
            }
            A::Relax::relax();
        }
    }

    /// Which CPUs run the space of the identifier `id` just now, a bit each, the first 32 of them: those that an erratum
    /// asks to be interrupted when the space's translations are invalidated. One that begins to run it meanwhile need
    /// not be. One in the middle of a switch counts for every space: it may walk the last still.
    pub fn running(&self, id: &A) -> u32 {
        let book = self.book.lock();
        let id = id.load(Ordering::Relaxed);
        let mut cpus = 0;
        for cpu in 0..CPUS.min(32) {
            // What it left it walks no more: its registers were written before.
            let active = self.active[cpu].0.load(Ordering::Acquire);
            let runs = if active == TAKEN { book.reserved[cpu] } else { active };
            if id != 0 && (runs == id || active & BUSY != 0) {
                cpus |= 1 << cpu;
            }
        }
        cpus
    }
}
