//! Steps made up from choices, fit for what the kernel has mapped so far.

use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::control::Registers;
use armv7a_mm::table::edit::LeafSizes;

use crate::machine::rng::Choice;

use super::op::{Action, Change, Op, Step};
use super::random;
use super::script::Source;
use super::system::System;
use super::watch::Tree;

/// Address spaces at a time.
const SPACES: usize = 5;

/// So many steps, by the choices of `from`.
pub struct Generator<C> {
    from: C,
    left: u64,
    /// Whether the kernel maps itself before anything else.
    lowmem: bool,
}

impl<C: Choice> Generator<C> {
    /// `steps` steps. Mostly the kernel maps itself first, as boot would do, and swapper is not sealed yet.
    pub fn new(mut from: C, steps: u64) -> Self {
        let lowmem = !from.one_in(4);
        Self { from, left: steps, lowmem }
    }
}

impl<C: Choice> Source for Generator<C> {
    fn next<F: Registers>(&mut self, system: &System<F>) -> Option<Step> {
        self.left = self.left.checked_sub(1)?;
        let chance = self.from.below(1 << 32) as u32;
        if std::mem::take(&mut self.lowmem) {
            return Some(Step { chance, refuse: None, op: lowmem(&mut self.from, system) });
        }
        let refuse = self.from.one_in(5).then(|| self.from.below(5) as u32);
        Some(Step { chance, refuse, op: op(&mut self.from, system) })
    }
}

/// The kernel maps memory at PAGE_OFFSET, in the largest leaves there are.
fn lowmem<F: Registers>(from: &mut impl Choice, system: &System<F>) -> Op {
    let first = system.layout.spec().page_offset >> 12;
    let count = 0x2000 + from.below(0x1000) as u32;
    let phys = 0x4200_0000 - (from.below(2) << 20);
    let (pages, attrs) = ((first, first + count - 1), Attrs::kernel(Access::ReadWrite));
    Op::Map { tree: None, pages, phys, attrs, sizes: LeafSizes::LARGEST }
}

fn op<F: Registers>(from: &mut impl Choice, system: &System<F>) -> Op {
    let ids: Vec<u32> = system.spaces.iter().map(|space| space.id).collect();
    let cpus = system.sim.setup().cpus;
    match from.below(20) {
        0 | 1 => alloc_or_free(from, system, &ids),
        2..=5 => edit(from, system, None),
        6..=14 if !ids.is_empty() => {
            let space = from.pick(&ids);
            edit(from, system, Some(space))
        }
        15..=17 => {
            let to = from.index(ids.len() + 1);
            // Often the newest, which has nothing but what it was born with.
            let to = if from.one_in(3) { ids.len().saturating_sub(1) } else { to };
            Op::Switch { cpu: from.index(cpus), space: ids.get(to).copied() }
        }
        18 if !ids.is_empty() => identity(from, system, &ids),
        19 if from.one_in(2) => Op::Pass { cpu: from.index(cpus), spaces: 1 + from.index(6) },
        _ => {
            let (page, _) = random::pages(from, system.layout, true);
            Op::Fault { cpu: from.index(cpus), page }
        }
    }
}

fn alloc_or_free<F: Registers>(from: &mut impl Choice, system: &System<F>, ids: &[u32]) -> Op {
    if !ids.is_empty() && (ids.len() >= SPACES || from.one_in(3)) {
        // Often one that has just begun: it ran, and mapped nothing.
        let newest = ids[ids.len() - 1];
        let space = if from.one_in(2) { newest } else { from.pick(ids) };
        return Op::Free { space, keep: from.one_in(2) };
    }
    if from.one_in(8) {
        return Op::Shrink;
    }
    Op::Alloc { space: system.next, told: !from.one_in(5) }
}

fn edit<F: Registers>(from: &mut impl Choice, system: &System<F>, tree: Tree) -> Op {
    let (layout, kernel) = (system.layout, tree.is_none());
    let vectors = kernel && layout.low_vectors() && from.one_in(10);
    if !vectors && from.one_in(2) {
        let bounds = if kernel { layout.kernel() } else { layout.user() };
        let watch = system.watch.borrow();
        if let Some(pages) = random::mapped_pages(from, watch.map(tree), bounds) {
            return Op::Change { tree, pages, action: action(from) };
        }
    }
    let pages = if vectors { (0, 0) } else { random::pages(from, layout, kernel) };
    let attrs = random::attrs(from, kernel);
    let mut phys = random::phys(from, pages.0, F::LPAE);
    // What only the kernel may use and lies where it is mapped cannot be told from an identity mapping.
    if !kernel && !attrs.user && phys == u64::from(pages.0) << 12 {
        phys ^= 1 << 28;
    }
    Op::Map { tree, pages, phys, attrs, sizes: random::sizes(from) }
}

fn action(from: &mut impl Choice) -> Action {
    match from.below(8) {
        0..=2 => Action::Unmap,
        3 => Action::Clear,
        4 | 5 => Action::Protect(from.pick(&Access::ALL)),
        _ => Action::Modify(from.pick(&Change::ALL)),
    }
}

fn identity<F: Registers>(from: &mut impl Choice, system: &System<F>, ids: &[u32]) -> Op {
    let (space, kernel) = (from.pick(ids), from.one_in(2));
    let pages = if kernel && from.one_in(2) {
        // Where RAM starts above PAGE_OFFSET: inside of what the kernel maps itself with.
        let first = (system.layout.spec().page_offset >> 12) + from.below(0x2000) as u32;
        (first, first + from.below(0x300) as u32)
    } else {
        random::pages(from, system.layout, kernel)
    };
    let access = from.pick(&[Access::Read, Access::ReadWrite, Access::ReadExecute]);
    Op::Identity { space, pages, access }
}
