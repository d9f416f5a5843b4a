//! Operations as data: made by chance or by a fuzzer, executed, shortened, printed.

use armv7a_mm::attr::{Access, Attrs, MemoryType, Shareability};
use armv7a_mm::table::edit::LeafSizes;

use super::watch::Tree;

/// One step of a script. What chance does in it depends on the step alone, not on those before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The seed of chance: which CPU executes, what others do meanwhile, what is checked behind it.
    pub chance: u32,
    /// Allocations until one is refused; `None` refuses none.
    pub refuse: Option<u32>,
    pub op: Op,
}

/// An operation. Address spaces are numbered as they are made; one that names a space that is not there does
/// nothing, so that any part of a script is a script. Pages are first and last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// pgd_alloc. `told`: the library knows its ASID.
    Alloc {
        space: u32,
        told: bool,
    },
    /// pgd_free, after every CPU has left it. `keep`: for the next pgd_alloc.
    Free {
        space: u32,
        keep: bool,
    },
    /// Gives back what was kept.
    Shrink,
    /// A CPU runs an address space, or none.
    Switch {
        cpu: usize,
        space: Option<u32>,
    },
    /// A CPU runs some spaces that map nothing and go at once: numbers run out.
    Pass {
        cpu: usize,
        spaces: usize,
    },
    Map {
        tree: Tree,
        pages: (u32, u32),
        phys: u64,
        attrs: Attrs,
        sizes: LeafSizes,
    },
    Change {
        tree: Tree,
        pages: (u32, u32),
        action: Action,
    },
    /// An identity mapping is added, used, and deleted.
    Identity {
        space: u32,
        pages: (u32, u32),
        access: Access,
    },
    /// A CPU takes a fault where nothing is mapped.
    Fault {
        cpu: usize,
        page: u32,
    },
}

/// What becomes of mappings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Unmap,
    Clear,
    Protect(Access),
    Modify(Change),
}

/// What `modify` does to attributes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    Young,
    Old,
    Clean,
    Dirty,
    Protect,
    Write,
    /// User mode may, or may not.
    User(bool),
    Memory(MemoryType),
    Share(Shareability),
}

impl Change {
    pub const ALL: [Self; 11] = [
        Self::Young,
        Self::Old,
        Self::Clean,
        Self::Dirty,
        Self::Protect,
        Self::Write,
        Self::User(false),
        Self::User(true),
        Self::Memory(MemoryType::NonCacheable),
        Self::Memory(MemoryType::WriteBackWriteAllocate),
        Self::Share(Shareability::Non),
    ];

    /// The attributes after it.
    pub fn apply(self, attrs: Attrs) -> Attrs {
        match self {
            Self::Young => attrs.mkyoung(),
            Self::Old => attrs.mkold(),
            Self::Clean => attrs.mkclean(),
            Self::Dirty => attrs.mkdirty(),
            Self::Protect => attrs.wrprotect(),
            Self::Write => attrs.mkwrite(),
            Self::User(user) => Attrs { user, ..attrs },
            Self::Memory(memory) => attrs.with_memory(memory),
            Self::Share(share) => Attrs { share, ..attrs },
        }
    }
}

impl Op {
    /// What it is, in a word or two.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Alloc { .. } => "pgd_alloc",
            Self::Free { keep: true, .. } => "pgd_free, kept",
            Self::Free { keep: false, .. } => "pgd_free",
            Self::Shrink => "shrink",
            Self::Switch { .. } => "switch",
            Self::Pass { .. } => "spaces pass",
            Self::Map { tree: Some(_), attrs, .. }
                if !attrs.user && attrs.access == Access::ReadExecute =>
            {
                "map kernel's code"
            }
            Self::Map { .. } => "map",
            Self::Change { action: Action::Unmap, .. } => "unmap",
            Self::Change { action: Action::Clear, .. } => "clear",
            Self::Change { action: Action::Protect(_), .. } => "protect",
            Self::Change { action: Action::Modify(_), .. } => "modify",
            Self::Identity { .. } => "identity add and del",
            Self::Fault { .. } => "fault on nothing",
        }
    }

    /// The tree that it edits, if it edits one.
    pub fn tree(&self) -> Option<Tree> {
        match *self {
            Self::Map { tree, .. } | Self::Change { tree, .. } => Some(tree),
            _ => None,
        }
    }
}
