//! A machine for the host: table memory and maintenance operations that check how they are used.
//!
//! It panics at once on: a table linked before it was cleaned and published, a store outside of tables in
//! use, a double free, a free at the wrong level, a free of a table that an entry points to or that a walk
//! may have cached, a valid entry made where the old one was not broken and forgotten.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::Asid;
use armv7a_mm::format::{Descriptor, Entry, Format, Level, Owner, TableEntry};
use armv7a_mm::table::mem::{
    CodeMaintenance, LocalMaintenance, Maintenance, OutOfMemory, TableMemory,
};

use super::arena::Arena;
use super::debts::Debts;
use super::links::Links;

/// What the machine was asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// A table of this depth was handed out.
    Allocate(usize),
    /// A table of this depth was given back.
    Free(usize),
    /// A descriptor was stored; `live` where a walk reaches it.
    Store {
        at: u64,
        depth: usize,
        old: u64,
        new: u64,
        live: bool,
    },
    Clean,
    DsbIshst,
    DsbIsh,
    Isb,
    Mva(VirtAddr, Asid),
    Mvaa(VirtAddr),
    ByAsid(Asid),
    All,
    Bpiall,
    /// This CPU alone.
    Local(VirtAddr),
    DsbNsh,
    /// Code was made ready to run.
    Code(VirtRange),
}

impl Op {
    /// Whether TLBs forget something.
    pub fn is_tlbi(self) -> bool {
        matches!(self, Self::Mva(..) | Self::Mvaa(_) | Self::ByAsid(_) | Self::All)
    }
}

/// Tables in use, by depth.
pub type Counts = [usize; 3];

/// What the host remembers.
pub(super) struct State {
    pub(super) arena: Arena,
    pub(super) links: Links,
    pub(super) debts: Debts,
    pub(super) log: Vec<Op>,
    pub(super) counts: Counts,
    clock: u64,
    /// When the last DSB completed.
    completed: u64,
    /// Stores up to this time were forgotten by a TLBI of everything, or of an address space, which the next DSB ISH completes.
    forgetting: u64,
    /// Stores up to this time are forgotten.
    forgotten: u64,
}

/// What a descriptor costs that is read or written by itself.
const ALONE: usize = 8;

/// The machine.
pub struct Host<F: Format> {
    pub(super) state: RefCell<State>,
    /// Allocations that succeed before one fails.
    failing: Cell<Option<usize>>,
    /// See [`Host::take_cost`].
    cost: Cell<usize>,
    format: PhantomData<F>,
}

impl<F: Format> Host<F> {
    /// The arena's physical address: above 4 GiB where the format reaches that.
    pub const BASE: u64 = if F::LEVELS.len() == 2 { 0x9A00_0000 } else { 0x57_9A00_0000 };

    /// A machine with no table.
    pub fn new() -> Self {
        let state = State {
            arena: Arena::new(stray_links::<F>()),
            links: Links::new(Self::BASE),
            debts: Debts::default(),
            log: Vec::new(),
            counts: [0; 3],
            clock: 1,
            completed: 0,
            forgetting: 0,
            forgotten: 0,
        };
        Self {
            state: RefCell::new(state),
            failing: Cell::new(None),
            cost: Cell::new(0),
            format: PhantomData,
        }
    }

    /// Lets `succeed` allocations pass and fails the next; `None` fails none.
    pub fn fail_after(&self, succeed: Option<usize>) {
        self.failing.set(succeed);
    }

    /// What happened since the last call.
    pub fn take_log(&self) -> Vec<Op> {
        std::mem::take(&mut self.state.borrow_mut().log)
    }

    /// What was read and written since the last call: [`ALONE`] for a descriptor, or for a call that judges or changes
    /// many at once, and one for each of these.
    pub fn take_cost(&self) -> usize {
        self.cost.take()
    }

    /// Lets the library's own loop do what a machine may do at once to `count` descriptors.
    fn at_once<T>(&self, count: usize, all: impl FnOnce(&OneByOne<'_, F>) -> T) -> T {
        let cost = self.cost.get();
        let done = all(&OneByOne(self));
        self.cost.set(cost + ALONE + count);
        done
    }

    /// Tables in use, by depth.
    pub fn counts(&self) -> Counts {
        self.state.borrow().counts
    }

    /// The root in use that was handed out first.
    pub fn first_root(&self) -> PhysAddr {
        let state = self.state.borrow();
        let mut roots = state.links.tables.iter().filter(|table| table.used && table.depth == 0);
        PhysAddr::new(roots.next().expect("a root").base).unwrap()
    }

    /// A TTBR holds `root` from now on: all below must have been published.
    pub fn activate(&self, root: PhysAddr) {
        let mut state = self.state.borrow_mut();
        let id = state.links.at(root.as_u64()).expect("a root");
        state.links.tables[id].active = true;
        state.links.expose(id);
        state.assert_published::<F>(id);
    }

    /// No TTBR holds `root` any more.
    pub fn deactivate(&self, root: PhysAddr) {
        let mut state = self.state.borrow_mut();
        let id = state.links.at(root.as_u64()).expect("a root");
        state.links.tables[id].active = false;
        let clock = state.tick();
        state.links.leave(id, clock);
    }

    /// Stores `raw` behind the library's back, as a stray write would.
    pub fn plant(&self, table: PhysAddr, index: usize, raw: F::Raw) {
        let at: *mut F::Raw = self.virt(table).cast();
        // SAFETY: within the table, which is in use; the index is masked as the library's are.
        unsafe { at.add(index).write_volatile(raw) };
        let mut state = self.state.borrow_mut();
        let offset = state.arena.offset(at.cast()) + index * size_of::<F::Raw>();
        state.arena.clean(offset..offset + size_of::<F::Raw>());
    }
}

impl State {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// The bytes of the table, as the CPU and as the walker see them.
    pub(super) fn views<F: Format>(&self, id: usize) -> [&[u8]; 2] {
        let table = &self.links.tables[id];
        let start = (table.base - Host::<F>::BASE) as usize;
        self.arena.views(start..start + table.bytes)
    }

    /// Walks see all of the table, and of those below, as it is.
    pub(super) fn assert_published<F: Format>(&self, id: usize) {
        for id in self.links.subtree(id) {
            let table = &self.links.tables[id];
            let [memory, seen] = self.views::<F>(id);
            let (depth, base) = (table.depth, table.base);
            assert!(memory == seen, "the table of depth {depth} at {base:#x} was not cleaned");
            assert!(table.touched <= self.completed, "no DSB after the table at {base:#x}");
        }
    }

    fn stored<F: Format>(&mut self, at: u64, old: F::Raw, new: F::Raw) {
        let id = self.links.holder(at).unwrap_or_else(|| panic!("store to {at:#x}, no table"));
        let depth = self.links.tables[id].depth;
        let live = self.links.is_live(id);
        if live {
            let va = self.links.va::<F>(at).expect("a way to a live entry");
            self.debts.stored::<F>(at, depth, va, [old, new]);
        } else if self.links.remembered(id) <= self.forgotten {
            // Cut off and forgotten: no walk can come here again.
            self.links.tables[id].exposed = false;
        }
        let clock = self.tick();
        if let Some(child) = self.links.stored::<F>(id, at, new, clock)
            && live
        {
            self.assert_published::<F>(child);
        }
        self.log.push(Op::Store { at, depth, old: old.as_u64(), new: new.as_u64(), live });
    }

    fn invalidate(&mut self, op: Op, page: Option<VirtAddr>) {
        self.debts.tlbi(page);
        if page.is_none() {
            self.forgetting = self.completed;
        }
        self.log.push(op);
    }
}

/// A word that is links to a table that is none, as its owner would have made them: whoever takes what was in new
/// memory for an entry comes to grief.
fn stray_links<F: Format>() -> u64 {
    let table = PhysAddr::new(Host::<F>::BASE - 0x10_0000).unwrap();
    let link = Entry::Table(TableEntry { table, owner: Owner::User, pxn: false });
    let word = F::encode(0, link).unwrap().as_u64();
    if F::LEVELS.len() == 2 { word << 32 | word } else { word }
}

/// The depth of a level: one of the format's, or a root that is shorter.
fn depth_of<F: Format>(level: &Level) -> usize {
    let root = F::SPLITS.iter().any(|split| split.root == *level).then_some(0);
    let depth = root.or(F::LEVELS.iter().position(|known| known == level));
    depth.expect("a level of this format")
}

// SAFETY: the arena hands out disjoint memory, aligned as asked, below 4 GiB in the classic format.
unsafe impl<F: Format> TableMemory for Host<F> {
    fn allocate(&self, level: &'static Level) -> Result<PhysAddr, OutOfMemory> {
        match self.failing.get() {
            Some(0) => return Err(OutOfMemory),
            left => self.failing.set(left.map(|left| left - 1)),
        }
        let depth = depth_of::<F>(level);
        let mut state = self.state.borrow_mut();
        let table = Self::BASE + state.arena.take(depth, level) as u64;
        state.links.add(table, depth, level.table_bytes());
        state.counts[depth] += 1;
        state.log.push(Op::Allocate(depth));
        Ok(PhysAddr::new(table).unwrap())
    }

    unsafe fn free(&self, table: PhysAddr, level: &'static Level) {
        let (at, depth, bytes) = (table.as_u64(), depth_of::<F>(level), level.table_bytes());
        let mut state = self.state.borrow_mut();
        let id = state.links.at(at).unwrap_or_else(|| panic!("freed {at:#x}, no table in use"));
        let known = &state.links.tables[id];
        assert_eq!((known.depth, known.bytes), (depth, bytes), "freed as a table of another level");
        assert!(!known.active, "freed a root in use");
        assert!(known.incoming.is_empty(), "freed a table of depth {depth} that is linked");
        assert!(
            !known.exposed || state.links.remembered(id) <= state.forgotten,
            "freed a table of depth {depth} that walks may have cached"
        );
        state.debts.forget(at..at + bytes as u64);
        state.links.remove(id, bytes);
        let offset = (at - Self::BASE) as usize;
        state.arena.give_back(offset, depth, level);
        state.counts[depth] -= 1;
        state.log.push(Op::Free(depth));
    }

    fn virt(&self, at: PhysAddr) -> *mut u8 {
        let offset = at.as_u64().wrapping_sub(Self::BASE);
        self.state.borrow().arena.virt(usize::try_from(offset).unwrap())
    }

    unsafe fn load<D: Descriptor>(&self, at: *const D) -> D {
        self.cost.set(self.cost.get() + ALONE);
        let state = self.state.borrow();
        let phys = Self::BASE + state.arena.offset(at.cast()) as u64;
        assert!(state.links.holder(phys).is_some(), "load from {phys:#x}, no table in use");
        // SAFETY: a table in use; the caller answers for the alignment.
        unsafe { at.read_volatile() }
    }

    unsafe fn store<D: Descriptor>(&self, at: *mut D, value: D) {
        assert!(at.is_aligned(), "a descriptor is stored at once");
        self.cost.set(self.cost.get() + ALONE);
        let mut state = self.state.borrow_mut();
        let phys = Self::BASE + state.arena.offset(at.cast()) as u64;
        // SAFETY: in the arena, which is all initialised where tables are in use; `stored` refuses other.
        let old = unsafe { at.read_volatile() };
        let [old, new] = [old, value].map(|raw| F::Raw::from_u64(raw.as_u64()));
        state.stored::<F>(phys, old, new);
        // SAFETY: a table in use.
        unsafe { at.write_volatile(value) };
    }

    unsafe fn are_zero<D: Descriptor>(&self, at: *const D, count: usize) -> bool {
        // SAFETY: the caller answers for it; so for all of these.
        self.at_once(count, |machine| unsafe { machine.are_zero(at, count) })
    }

    unsafe fn common_bits<D: Descriptor>(&self, at: *const D, count: usize) -> D {
        // SAFETY: as above.
        self.at_once(count, |machine| unsafe { machine.common_bits(at, count) })
    }

    unsafe fn is_uniform<D: Descriptor>(
        &self,
        at: *const D,
        count: usize,
        model: D,
        frame: D,
    ) -> bool {
        // SAFETY: as above.
        self.at_once(count, |machine| unsafe { machine.is_uniform(at, count, model, frame) })
    }

    unsafe fn flip<D: Descriptor>(&self, at: *mut D, count: usize, flip: D) {
        // SAFETY: as above.
        self.at_once(count, |machine| unsafe { machine.flip(at, count, flip) });
    }

    unsafe fn fill<D: Descriptor>(&self, at: *mut D, count: usize, first: D, step: D) {
        // SAFETY: as above.
        self.at_once(count, |machine| unsafe { machine.fill(at, count, first, step) });
    }
}

/// The host's memory, with the loops that [`TableMemory`] has for any machine.
struct OneByOne<'h, F: Format>(&'h Host<F>);

// SAFETY: as the host's.
unsafe impl<F: Format> TableMemory for OneByOne<'_, F> {
    fn allocate(&self, level: &'static Level) -> Result<PhysAddr, OutOfMemory> {
        self.0.allocate(level)
    }

    unsafe fn free(&self, table: PhysAddr, level: &'static Level) {
        // SAFETY: the caller answers for it.
        unsafe { self.0.free(table, level) };
    }

    fn virt(&self, at: PhysAddr) -> *mut u8 {
        self.0.virt(at)
    }

    unsafe fn load<D: Descriptor>(&self, at: *const D) -> D {
        // SAFETY: as above.
        unsafe { self.0.load(at) }
    }

    unsafe fn store<D: Descriptor>(&self, at: *mut D, value: D) {
        // SAFETY: as above.
        unsafe { self.0.store(at, value) };
    }
}

// SAFETY: the model does what it is told.
unsafe impl<F: Format> Maintenance for Host<F> {
    fn clean(&self, from: *const u8, bytes: usize) {
        let mut state = self.state.borrow_mut();
        let start = state.arena.offset(from);
        let clock = state.tick();
        let id = state.links.holder(Self::BASE + start as u64).expect("cleaned a table in use");
        let table = &mut state.links.tables[id];
        table.touched = clock;
        let end = (table.base - Self::BASE) as usize + table.bytes;
        assert!(start + bytes <= end, "cleaned beyond the table");
        state.arena.clean(start..start + bytes);
        state.log.push(Op::Clean);
    }

    fn dsb_ishst(&self) {
        let mut state = self.state.borrow_mut();
        state.completed = state.clock;
        state.debts.dsb();
        state.log.push(Op::DsbIshst);
    }

    fn dsb_ish(&self) {
        let mut state = self.state.borrow_mut();
        state.completed = state.clock;
        state.forgotten = state.forgetting;
        state.debts.dsb_ish();
        state.log.push(Op::DsbIsh);
    }

    fn isb(&self) {
        let mut state = self.state.borrow_mut();
        state.debts.isb();
        state.log.push(Op::Isb);
    }

    fn tlbimva(&self, va: VirtAddr, asid: Asid) {
        self.state.borrow_mut().invalidate(Op::Mva(va, asid), Some(va));
    }

    fn tlbimvaa(&self, va: VirtAddr) {
        self.state.borrow_mut().invalidate(Op::Mvaa(va), Some(va));
    }

    fn tlbiasid(&self, asid: Asid) {
        self.state.borrow_mut().invalidate(Op::ByAsid(asid), None);
    }

    fn tlbiall(&self) {
        self.state.borrow_mut().invalidate(Op::All, None);
    }

    fn bpiall(&self) {
        let mut state = self.state.borrow_mut();
        state.debts.bpiall();
        state.log.push(Op::Bpiall);
    }
}

// SAFETY: the model does what it is told.
unsafe impl<F: Format> CodeMaintenance for Host<F> {
    fn publish_code(&self, range: VirtRange) {
        self.state.borrow_mut().log.push(Op::Code(range));
    }
}

// SAFETY: the model does what it is told.
unsafe impl<F: Format> LocalMaintenance for Host<F> {
    fn tlbimvaa_local(&self, va: VirtAddr) {
        self.state.borrow_mut().invalidate(Op::Local(va), Some(va));
    }

    fn dsb_nsh(&self) {
        let mut state = self.state.borrow_mut();
        state.debts.dsb_ish();
        state.log.push(Op::DsbNsh);
    }
}
