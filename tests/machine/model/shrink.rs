//! A failing script made short: by leaving out steps (delta debugging: large chunks first), then by making what is
//! left plainer, as long as it fails in the same way.

use armv7a_mm::attr::{Attrs, Marks, MemoryType, Shareability};
use armv7a_mm::table::edit::LeafSizes;

use super::op::{Op, Step};
use super::script::{SEEDS, Script};

/// Scripts tried at most.
const TRIES: usize = 6000;

/// Shortens `script`; `fails` says whether one still fails in the same way.
pub fn shrink(script: Script, fails: impl Fn(&Script) -> bool) -> Script {
    let mut it = Shrinker { best: script, fails, left: TRIES };
    it.seed();
    loop {
        let before = it.best.clone();
        it.drop_chunks();
        it.plain_steps();
        if it.best == before || it.left == 0 {
            return it.best;
        }
    }
}

struct Shrinker<T> {
    best: Script,
    fails: T,
    left: usize,
}

impl<T: Fn(&Script) -> bool> Shrinker<T> {
    /// Takes `script` if it still fails.
    fn try_it(&mut self, script: Script) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let fails = (self.fails)(&script);
        if fails {
            self.best = script;
        }
        fails
    }

    /// The smallest seed that chooses the same machine.
    fn seed(&mut self) {
        let mut script = self.best.clone();
        script.seed %= SEEDS;
        self.try_it(script);
    }

    fn drop_chunks(&mut self) {
        let mut size = self.best.steps.len().div_ceil(2);
        while size > 0 {
            let mut end = self.best.steps.len();
            while end > 0 {
                let start = end.saturating_sub(size);
                let mut script = self.best.clone();
                script.steps.drain(start..end);
                self.try_it(script);
                end = start;
            }
            size /= 2;
        }
    }

    fn plain_steps(&mut self) {
        for at in 0..self.best.steps.len() {
            let mut tried = 0;
            // After a success the candidates are those of the plainer step.
            while let Some(step) = plainer(self.best.steps[at]).into_iter().nth(tried) {
                let mut script = self.best.clone();
                script.steps[at] = step;
                tried = if self.try_it(script) { 0 } else { tried + 1 };
            }
        }
    }
}

/// Steps that say less, none of them the step itself.
fn plainer(step: Step) -> Vec<Step> {
    let mut all = vec![Step { refuse: None, ..step }];
    all.extend((0..4.min(step.chance)).map(|chance| Step { chance, ..step }));
    let mut add = |op| all.push(Step { op, ..step });
    match step.op {
        Op::Alloc { space, .. } => add(Op::Alloc { space, told: true }),
        Op::Free { space, .. } => add(Op::Free { space, keep: false }),
        Op::Switch { space, .. } => add(Op::Switch { cpu: 0, space }),
        Op::Fault { page, .. } => add(Op::Fault { cpu: 0, page }),
        Op::Map { tree, pages, phys, attrs, sizes } => {
            fewer(pages).for_each(|pages| add(Op::Map { tree, pages, phys, attrs, sizes }));
            add(Op::Map { tree, pages, phys, attrs, sizes: LeafSizes::PAGES });
            for attrs in plainer_attrs(attrs) {
                add(Op::Map { tree, pages, phys, attrs, sizes });
            }
            for phys in [0x1000_0000, phys & 0xFFFF_F000] {
                add(Op::Map { tree, pages, phys, attrs, sizes });
            }
        }
        Op::Change { tree, pages, action } => {
            fewer(pages).for_each(|pages| add(Op::Change { tree, pages, action }));
        }
        Op::Identity { space, pages, access } => {
            fewer(pages).for_each(|pages| add(Op::Identity { space, pages, access }));
        }
        Op::Pass { cpu, spaces } if spaces > 1 => add(Op::Pass { cpu, spaces: spaces - 1 }),
        Op::Pass { .. } | Op::Shrink => {}
    }
    all.retain(|it| *it != step);
    all
}

/// Half of the pages, or one less, at either end.
fn fewer((first, last): (u32, u32)) -> impl Iterator<Item = (u32, u32)> {
    let half = (last - first) / 2;
    let all = [
        (first, first + half),
        (first + half, last),
        (first, last.saturating_sub(1)),
        (first + 1, last),
    ];
    all.into_iter().filter(|(first, last)| first <= last)
}

fn plainer_attrs(attrs: Attrs) -> [Attrs; 4] {
    [
        Attrs { memory: MemoryType::WriteBackWriteAllocate, ..attrs },
        Attrs { share: Shareability::Inner, ..attrs },
        Attrs { young: true, ..attrs },
        Attrs { marks: Marks::empty(), ..attrs },
    ]
}
