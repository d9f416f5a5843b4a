//! The machine as the library sees it: table memory, barriers and maintenance.

use armv7a_mm::addr::{PhysAddr, VirtAddr};
use armv7a_mm::attr::Asid;
use armv7a_mm::format::{Descriptor, Level};
use armv7a_mm::table::mem::{Maintenance, OutOfMemory, TableMemory};

use super::leaf::last;
use super::rng::Choice;
use super::sim::Sim;
use super::state::{Event, State};
use super::tlb::Forget;
use super::violation::{Holder, Violation};

/// Descriptors that are stored in bulk between two turns of chance.
const LINE: usize = 16;

// SAFETY: pieces are disjoint and aligned, and `virt` reaches all of the memory for as long as the machine
// lives. Tables of the classic format lie below 4 GiB.
unsafe impl TableMemory for Sim {
    fn allocate(&self, level: &'static Level) -> Result<PhysAddr, OutOfMemory> {
        self.with(|state| {
            if let Some(left) = &mut state.refuse_after {
                if *left == 0 {
                    state.refused = true;
                    return Err(OutOfMemory);
                }
                *left -= 1;
            }
            let (depth, entries) =
                state.tables.kind(level.name, level.entries()).expect("a kind of table");
            let bytes = entries * state.memory.word_bytes();
            assert_eq!(bytes, level.table_bytes(), "the size of a {}", level.name);
            let Some(table) = state.tables.take(depth, entries, &mut state.rng) else {
                state.refused = true;
                return Err(OutOfMemory);
            };
            let it = state.tables.get(table);
            let (pa, words) = (it.pa, it.words.clone());
            state.memory.poison(words, garbage(state.setup.long, depth));
            state.note(Event::Allocate(pa));
            Ok(PhysAddr::new(pa).expect("40 bits"))
        })
    }

    unsafe fn free(&self, table: PhysAddr, level: &'static Level) {
        self.with(|state| {
            let at = table.as_u64();
            state.note(Event::Free(at));
            let kind = state.tables.kind(level.name, level.entries()).expect("a kind of table");
            let found = state.tables.at(at).filter(|table| {
                let it = state.tables.get(*table);
                it.allocated && (it.depth, it.words.len()) == kind
            });
            let Some(table) = found else { return state.report(Violation::BadFree { at }) };
            state.rule_free(table);
            state.find_holders(at);
            let words = state.tables.get(table).words.clone();
            state.memory.poison(words, garbage(state.setup.long, kind.0));
            state.tables.give(table);
        });
        self.tick();
    }

    fn virt(&self, at: PhysAddr) -> *mut u8 {
        self.state().memory.virt(at.as_u64())
    }

    unsafe fn load<D: Descriptor>(&self, at: *const D) -> D {
        self.with(|state| D::from_u64(state.load(at)))
    }

    unsafe fn store<D: Descriptor>(&self, at: *mut D, value: D) {
        self.with(|state| {
            let word = state.word_to_store(at);
            let new = value.as_u64();
            let table = state.tables.of_word(word);
            let span = state.tables.span(table, word).filter(|it| state.tables.is_live(it.0));
            if let Some((_, first, shift)) = span {
                // Whoever may look at it does so while the old descriptor stands.
                state.glance(first, last(first, shift));
            }
            state.store(word, new);
            if let Some((_, first, shift)) = span
                && state.rng.one_in(4)
            {
                state.memory.overtake(word);
                state.glance(first, last(first, shift));
            }
        });
        self.tick();
    }

    unsafe fn zero_unlinked<D: Descriptor>(&self, at: *mut D, count: usize) {
        self.store_unlinked(at, count, |_, _| 0);
    }

    unsafe fn copy_unlinked<D: Descriptor>(&self, from: *const D, to: *mut D, count: usize) {
        self.store_unlinked(to, count, |state, k| state.load(from.wrapping_add(k)));
    }
}

impl Sim {
    fn tlbi(&self, what: Forget) {
        let mask = self.with(|state| {
            state.rules.invalidations += 1;
            state.reach()
        });
        self.tlbi_on(what, mask);
    }

    /// TLBI to the CPUs in `mask`.
    pub fn tlbi_on(&self, what: Forget, mask: u32) {
        self.with(|state| {
            state.note(Event::Tlbi(what));
            state.rule_tlbi(what, mask);
            state.invalidate(what, mask);
            state.rest(what, mask);
        });
        self.tick();
    }

    /// BPIALL to the CPUs in `mask`.
    pub fn bpi_on(&self, mask: u32) {
        self.with(|state| {
            state.note(Event::Bpiall);
            state.rule_bpiall(mask);
        });
        self.tick();
    }

    /// Stores many descriptors, each that `value` says. Such stores may tear descriptors: no walk may reach them, and
    /// so chance has its turn a line at a time.
    fn store_unlinked<D: Descriptor>(
        &self,
        at: *mut D,
        count: usize,
        value: impl Fn(&mut State, usize) -> u64,
    ) {
        for line in (0..count).step_by(LINE) {
            self.with(|state| {
                for k in line..count.min(line + LINE) {
                    let word = state.word_to_store(at.wrapping_add(k));
                    let place = state.tables.get(state.tables.of_word(word)).place;
                    if place.is_some_and(|place| state.tables.is_live(place)) {
                        let at = state.memory.phys(word);
                        state.report(Violation::BulkToLive { at });
                    }
                    let new = value(state, k);
                    state.store(word, new);
                }
            });
            self.tick();
        }
    }
}

// SAFETY: the model does what it is told.
unsafe impl Maintenance for Sim {
    fn clean(&self, from: *const u8, bytes: usize) {
        self.with(|state| {
            let Some(lines) = state.memory.lines(from, bytes) else {
                panic!("cleaning {bytes} bytes outside of table memory, at {from:?}");
            };
            if state.setup.coherent {
                return;
            }
            let at = state.memory.phys(lines.start);
            state.note(Event::Clean { at, bytes });
            state.rule_clean(lines.clone());
            state.memory.clean(lines, state.cpu);
        });
        self.tick();
    }

    fn dsb_ishst(&self) {
        // Others have their turn while it waits, too.
        self.tick();
        self.with(|state| {
            state.note(Event::DsbIshst);
            state.memory.complete(state.cpu);
            state.rule_dsb(false);
        });
        self.tick();
    }

    fn dsb_ish(&self) {
        self.with(|state| {
            state.note(Event::DsbIsh);
            state.memory.complete(state.cpu);
            state.rule_dsb(true);
            state.complete_invalidations();
            state.come_to_rest();
        });
        self.tick();
    }

    fn isb(&self) {
        self.with(|state| {
            state.note(Event::Isb);
            let cpu = state.cpu;
            if state.cpus[cpu].before.take().is_some() {
                state.check_remembered(cpu);
            }
            state.rule_isb();
        });
        self.tick();
    }

    fn tlbimva(&self, va: VirtAddr, asid: Asid) {
        self.tlbi(Forget::Page(va.0, asid.0));
    }

    fn tlbimvaa(&self, va: VirtAddr) {
        self.tlbi(Forget::PageOfAll(va.0));
    }

    fn tlbiasid(&self, asid: Asid) {
        self.tlbi(Forget::Space(asid.0));
    }

    fn tlbiall(&self) {
        self.tlbi(Forget::All);
    }

    fn bpiall(&self) {
        let mask = self.state().reach();
        self.bpi_on(mask);
    }
}

impl State {
    /// What the CPU that executes loads.
    fn load<D: Descriptor>(&mut self, at: *const D) -> u64 {
        let Some(word) = self.memory.word_of(at.cast()) else {
            panic!("a load outside of table memory, at {at:?}");
        };
        let (value, written) = if self.nested {
            self.memory.load_unlocked(word, self.cpu)
        } else {
            (self.memory.newest(word), self.memory.is_written(word))
        };
        if !written {
            self.report(Violation::ReadUninitialised { at: self.memory.phys(word) });
        }
        value
    }

    /// The word that a store of a `D` goes to.
    fn word_to_store<D: Descriptor>(&mut self, at: *mut D) -> usize {
        let Some(word) = self.memory.word_of(at.cast_const().cast()) else {
            panic!("a store outside of table memory, at {at:?}");
        };
        let bytes = size_of::<D>();
        if bytes != self.memory.word_bytes() {
            self.report(Violation::Torn { at: self.memory.phys(word), bytes });
        }
        word
    }

    /// A store.
    fn store(&mut self, word: usize, new: u64) {
        let old = self.memory.newest(word);
        if let Some((_, first, _)) = self.tables.span(self.tables.of_word(word), word) {
            let at = self.memory.phys(word);
            self.note(Event::Store { cpu: self.cpu, va: Some(first), at, old, new });
        }
        self.rule_store(word, old, new);
        self.memory.store(word, new, self.cpu);
    }

    /// Looks for whoever still knows the table at `table`, which is being freed: by the identifier of the tree that it
    /// was cut off from, by any if that has none of its own, or by the one that the CPU runs under. What is known by
    /// another, or by one that the tree was given [since](super::tables::Table::renumbered), is of a generation before and
    /// out of reach; a CPU that comes to run under it is [seen](State::check_remembered).
    fn find_holders(&mut self, table: u64) {
        let cut_from = self.tables.at(table).and_then(|at| self.tables.get(at).cut_from);
        // Of no tree, if it was never linked.
        let tree = cut_from.or_else(|| self.tables.tree(table));
        let renumbered = self.tables.at(table).is_some_and(|at| self.tables.get(at).renumbered);
        let asid = tree.map(|tree| self.tables.trees[tree].asid).filter(|_| !renumbered);
        for cpu in 0..self.cpus.len() {
            let it = &mut self.cpus[cpu];
            let now = it.regs.asid();
            let known =
                |by| by == now || asid.is_some_and(|asid| asid.is_none_or(|asid| asid == by));
            let ttbr = it.walks(table).then_some(Holder::Ttbr);
            if let Some(by) = ttbr.or_else(|| it.tlb.knows(table, known)) {
                self.report(Violation::Dangling { cpu, table, by });
                continue;
            }
            let tlb = &mut it.tlb;
            let partials = tlb.partials.iter().filter(|it| it.table == table).map(|it| it.asid);
            let entries = tlb.entries.iter().filter(|it| it.source == table);
            let lost = partials.chain(entries.filter_map(|it| it.asid)).map(|by| (by, table));
            tlb.lost.extend(lost);
        }
    }
}

/// What memory holds that is no table: mappings that let everybody do everything, so that a stale walk shows.
const fn garbage(long: bool, depth: usize) -> u64 {
    match (long, depth) {
        // A section; a small page.
        (false, 0) => 0xBAD1_0C0E,
        (false, _) => 0xBADB_A03E,
        // A page; blocks, of 2 MiB and 1 GiB.
        (true, 2) => 0xBA_DBAD_B75F,
        (true, 1) => 0xBA_DBA0_075D,
        (true, _) => 0xBA_C000_075D,
    }
}
