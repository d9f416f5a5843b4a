//! The worst moment: what CPUs look at, fetch ahead and remember while another one works on the tables.

use super::fault::{Cause, Status};
use super::leaf::Leaf;
use super::regs::{DomainAccess, Regs};
use super::rng::Choice;
use super::state::{Invalidation, State};
use super::tlb::Forget;
use super::violation::{Found, Violation};
use super::walk::{Partial, Walk, walk};

/// Addresses of interest that are kept.
const INTEREST: usize = 24;

impl State {
    /// Chance will look at `va`.
    pub fn look_at(&mut self, va: u32) {
        if self.interest.len() == INTEREST {
            self.interest.pop_front();
        }
        self.interest.push_back(va);
    }

    /// A walk by `cpu`, which reports what it should not have read.
    fn walk(&mut self, cpu: usize, regs: &Regs, va: u32, from: Option<&Partial>) -> Walk {
        let mut found = None;
        let (memory, tables) = (&self.memory, &self.tables);
        let walk = walk(regs, va, from, &mut |word, table| {
            let Some(index) = memory.word(word) else {
                found = Some(Violation::WalkedOutside { cpu, va, at: word });
                return None;
            };
            let (value, written) = memory.walker(index);
            if !tables.get(tables.of_word(index)).allocated {
                found = Some(Violation::WalkedFreed { cpu, va, table });
            } else if !written {
                found = Some(Violation::WalkedUnpublished { cpu, va, table });
            }
            Some(value)
        });
        if let Some(violation) = found {
            self.report(violation);
        }
        walk
    }

    /// `cpu` walks for `va` because it might be needed: from the base register, or from what its walk cache
    /// remembers. No permission is checked; only what a TLB may hold is remembered: no faults, nothing whose
    /// access flag is clear (DDI 0406C B3.7.4).
    pub fn speculate(&mut self, cpu: usize, va: u32) {
        let regs = self.cpus[cpu].obeyed(&mut self.rng);
        if regs.sctlr & 1 == 0 {
            return;
        }
        let asid = regs.asid();
        let known = self.cpus[cpu].tlb.partials.iter().filter(|it| it.serves(va, asid));
        let known: Vec<Partial> = known.copied().collect();
        let from = if known.is_empty() || self.rng.one_in(2) {
            None
        } else {
            Some(known[self.rng.index(known.len())])
        };
        let walk = self.walk(cpu, &regs, va, from.as_ref());
        self.remember(cpu, asid, va, &walk);
    }

    fn remember(&mut self, cpu: usize, asid: u8, va: u32, walk: &Walk) {
        let tlb = &mut self.cpus[cpu].tlb;
        for partial in &walk.partials {
            tlb.insert_partial(*partial, &mut self.rng);
        }
        if let Ok((leaf, source)) = walk.end
            && leaf.young
        {
            tlb.insert(va, asid, leaf, source, &mut self.rng);
        }
    }

    /// Every CPU may look at an address in `first..=last`.
    pub fn glance(&mut self, first: u32, last: u32) {
        for cpu in 0..self.cpus.len() {
            if self.rng.one_in(2) {
                let inside = self.rng.below(u64::from(last - first) + 1) as u32;
                let offset = self.rng.pick(&[0, last - first, inside]);
                self.speculate(cpu, first + offset);
            }
        }
    }

    /// Something may happen now.
    pub fn chance(&mut self) {
        self.memory.chance(&mut self.rng);
        if !self.invalidations.is_empty() && self.rng.one_in(4) {
            let at = self.rng.index(self.invalidations.len());
            let left = self.invalidations[at].left;
            let some = left & self.rng.next() as u32;
            self.invalidations[at].left &= !some;
            let what = self.invalidations[at].what;
            self.forget(what, some);
        }
        if !self.interest.is_empty() && self.rng.one_in(4) {
            let cpu = self.rng.index(self.cpus.len());
            let va = self.interest[self.rng.index(self.interest.len())];
            self.speculate(cpu, va);
        }
    }

    /// An invalidation starts: it reaches each CPU now, or at any time up to the next DSB.
    pub fn invalidate(&mut self, what: Forget, mask: u32) {
        let now = mask & self.rng.next() as u32;
        self.forget(what, now);
        self.invalidations.push(Invalidation { by: self.cpu, what, left: mask & !now });
        if !self.interest.is_empty() {
            let va = self.interest[self.rng.index(self.interest.len())];
            self.glance(va, va);
        }
    }

    /// DSB: the invalidations of this CPU arrive.
    pub fn complete_invalidations(&mut self) {
        let by = self.cpu;
        let done: Vec<_> = self.invalidations.extract_if(.., |it| it.by == by).collect();
        for it in done {
            self.forget(it.what, it.left);
        }
    }

    fn forget(&mut self, what: Forget, mask: u32) {
        for (cpu, it) in self.cpus.iter_mut().enumerate() {
            if mask >> cpu & 1 != 0 {
                it.tlb.forget(what);
            }
        }
    }

    /// All that an access by `cpu` to `va` may come to: by each TLB entry that matches, by a walk from the
    /// base register, and by one from each walk cache entry. Permissions aside.
    pub fn outcomes(&mut self, cpu: usize, va: u32) -> Vec<Found> {
        let regs = self.cpus[cpu].regs;
        let asid = regs.asid();
        let mut all = Vec::new();
        if self.cpus[cpu].tlb.conflicts(va, asid) {
            all.push(Found::Conflict);
            self.report(Violation::Conflict { cpu, va });
        }
        let hits: Vec<Leaf> = self.cpus[cpu].tlb.matches(va, asid).map(|it| it.leaf).collect();
        let known = self.cpus[cpu].tlb.partials.iter().filter(|it| it.serves(va, asid)).copied();
        let starts: Vec<_> = known.map(Some).chain([None]).collect();
        all.extend(hits.into_iter().map(|leaf| checked(&regs, va, leaf)));
        for from in starts {
            let walk = self.walk(cpu, &regs, va, from.as_ref());
            all.push(match walk.end {
                Ok((leaf, _)) if leaf.young => checked(&regs, va, leaf),
                Ok((leaf, _)) => {
                    let status = Status::new(Cause::AccessFlag, leaf.level);
                    Found::Fault(Status { domain: leaf.domain, ..status })
                }
                Err(status) => Found::Fault(status),
            });
            if self.rng.one_in(2) {
                self.remember(cpu, asid, va, &walk);
            }
        }
        all
    }
}

/// The domain's check, which is of the access and not of the walk: DACR is not remembered.
fn checked(regs: &Regs, va: u32, leaf: Leaf) -> Found {
    if regs.domain(leaf.domain) == DomainAccess::Closed {
        let status = Status::new(Cause::Domain, leaf.level);
        return Found::Fault(Status { domain: leaf.domain, ..status });
    }
    Found::Hit(leaf.phys(va), leaf)
}
