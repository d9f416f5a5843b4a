//! The machine as a test sees it: CPUs, trees, operations, and what was reported.

use std::cell::{Ref, RefCell};

use super::rng::Choice;
use super::state::{Event, Setup, State};
use super::tables::{Place, Tree};
use super::violation::{Found, Violation};

/// What another CPU does in the middle of an operation.
type Intruder = Box<dyn FnMut(&Sim)>;

/// The machine.
pub struct Sim {
    state: RefCell<State>,
    intruder: RefCell<Option<Intruder>>,
}

impl Sim {
    /// A machine whose MMUs are off.
    pub fn new(setup: Setup) -> Self {
        Self { state: RefCell::new(State::new(setup)), intruder: RefCell::new(None) }
    }

    /// Calls `intruder` now and then in the middle of operations.
    pub fn set_intruder(&self, intruder: Option<Intruder>) {
        *self.intruder.borrow_mut() = intruder;
    }

    /// How the machine is built.
    pub fn setup(&self) -> Setup {
        self.state.borrow().setup
    }

    /// What was reported so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.state.borrow().violations.clone()
    }

    /// The first report, also after a panic in the middle of anything.
    pub fn try_violation(&self) -> Option<Violation> {
        self.state.try_borrow().ok()?.violations.first().copied()
    }

    /// What happened last, one event a line.
    pub fn trace(&self) -> String {
        let state = self.state.borrow();
        let skipped = state.trace.len().saturating_sub(160);
        state.trace.iter().skip(skipped).map(|event| format!("  {event:x?}\n")).collect()
    }

    /// Panics if anything was reported.
    pub fn assert_clean(&self, context: &str) {
        let violations = self.violations();
        assert!(
            violations.is_empty(),
            "{context}\nthe machine reports {violations:x?}\n{}",
            self.trace()
        );
    }

    /// Reports what a test found.
    pub fn report(&self, violation: Violation) {
        self.state.borrow_mut().report(violation);
    }

    /// `cpu` executes from here on. Returns who did.
    pub fn run_on(&self, cpu: usize) -> usize {
        std::mem::replace(&mut self.state.borrow_mut().cpu, cpu)
    }

    /// The state, to read.
    pub fn state(&self) -> Ref<'_, State> {
        self.state.borrow()
    }

    /// The state, to change: for what no trait can say.
    pub fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.borrow_mut())
    }

    /// A public operation begins.
    pub fn begin(&self, what: impl Into<String>, inserts_only: bool) {
        let mut state = self.state.borrow_mut();
        state.note(Event::Begin(what.into()));
        state.rules.begin(inserts_only);
    }

    /// It ended. `paid` says that no flush is put off.
    pub fn end(&self, paid: bool) {
        self.state.borrow_mut().rule_end(paid);
    }

    /// The `n`th allocation from now is refused; `None` refuses none.
    pub fn refuse_after(&self, n: Option<u32>) {
        let mut state = self.state.borrow_mut();
        state.refuse_after = n;
        state.refused = false;
    }

    /// Whether an allocation was refused.
    pub fn refused(&self) -> bool {
        self.state.borrow().refused
    }

    /// A tree may be walked from here on. `asid` is the only address space that runs on it; `shared` says that
    /// its tables are everybody's.
    pub fn adopt(&self, root: u64, asid: Option<u8>, shared: bool) {
        let mut state = self.state.borrow_mut();
        let tree = Tree { root, asid, shared, walked: 0, offline: false };
        let trees = &mut state.tables.trees;
        let gone = trees.iter().position(|tree| tree.root == u64::MAX);
        let index = match gone {
            Some(index) => {
                trees[index] = tree;
                index
            }
            None => {
                trees.push(tree);
                trees.len() - 1
            }
        };
        state.link(root, Place { tree: index, va: 0 }, 0);
    }

    /// Whether the tree at `root`, which was kept, is there; from here on it may be walked again, as `asid`.
    pub fn revive(&self, root: u64, asid: Option<u8>) -> bool {
        self.with(|state| {
            let Some(tree) = state.tables.tree(root) else { return false };
            let tree = &mut state.tables.trees[tree];
            (tree.offline, tree.asid) = (false, asid);
            true
        })
    }

    /// Whether the tree at `root` is edited while no CPU walks it, and entered with an empty TLB.
    pub fn set_offline(&self, root: u64, offline: bool) {
        self.with(|state| {
            let tree = state.tables.tree(root).expect("a tree");
            state.tables.trees[tree].offline = offline;
        });
    }

    /// No CPU walks the tree any more, and it will be freed.
    pub fn retire(&self, root: u64) {
        self.state.borrow_mut().retire(root);
    }

    /// All that an access by `cpu` to `va` may come to.
    pub fn outcomes(&self, cpu: usize, va: u32) -> Vec<Found> {
        self.state.borrow_mut().outcomes(cpu, va)
    }

    /// Something may happen.
    pub fn tick(&self) {
        let call = {
            let mut state = self.state.borrow_mut();
            state.chance();
            !state.nested && state.rng.one_in(24)
        };
        if !call {
            return;
        }
        let Some(mut intruder) = self.intruder.borrow_mut().take() else { return };
        let cpu = self.with(|state| {
            state.nested = true;
            state.cpu
        });
        intruder(self);
        self.with(|state| {
            state.nested = false;
            state.cpu = cpu;
        });
        *self.intruder.borrow_mut() = Some(intruder);
    }
}
