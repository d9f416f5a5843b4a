//! A table walk, from a base register or from what a walk cache remembers.

use super::fault::{Cause, Status};
use super::leaf::{Inherit, Leaf, Word, first, last};
use super::regs::Regs;
use super::{long, short};

/// Where a walk starts.
pub enum Begin {
    /// Nowhere.
    Fault(Status),
    /// At the descriptor at `word`, in the table at `table`.
    At { depth: usize, word: u64, table: u64 },
}

/// A pointer to a table that a walk read and a walk cache may keep, tagged with the address space
/// (Cortex-A15 TRM 5.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Partial {
    pub asid: u8,
    /// The depth of the table.
    pub depth: usize,
    pub table: u64,
    pub first: u32,
    pub last: u32,
    pub inherit: Inherit,
}

impl Partial {
    /// Whether a walk for `va` may start here.
    pub fn serves(&self, va: u32, asid: u8) -> bool {
        self.asid == asid && self.first <= va && va <= self.last
    }
}

/// What a walk found on its way and at its end.
pub struct Walk {
    /// The tables it went through, below the first.
    pub partials: Vec<Partial>,
    /// The leaf, and the table that it was read from.
    pub end: Result<(Leaf, u64), Status>,
}

/// Shifts of a table entry by depth.
fn shift(regs: &Regs, depth: usize) -> u32 {
    if regs.long() { long::SHIFTS[depth] } else { [20, 12][depth] }
}

/// Bits of an index below the first table.
fn index_bits(regs: &Regs) -> u32 {
    if regs.long() { 9 } else { 8 }
}

/// The descriptor's meaning, by format.
pub fn decode(regs: &Regs, depth: usize, raw: u64, va: u32, inherit: Inherit) -> Word {
    if regs.long() {
        long::decode(depth, raw, va, inherit, regs)
    } else {
        short::decode(depth, raw as u32, va, inherit, regs)
    }
}

/// Walks for `va`, starting at `from` if given. `read` fetches a descriptor: physical address, depth, and the
/// address of its table; `None` is an external abort.
pub fn walk(
    regs: &Regs,
    va: u32,
    from: Option<&Partial>,
    read: &mut dyn FnMut(u64, u64) -> Option<u64>,
) -> Walk {
    let (mut depth, mut word, mut table, mut inherit) = match from {
        Some(partial) => {
            let word = next_word(regs, partial.depth, partial.table, va);
            (partial.depth, word, partial.table, partial.inherit)
        }
        None => match if regs.long() { long::begin(regs, va) } else { short::begin(regs, va) } {
            Begin::Fault(status) => return Walk { partials: Vec::new(), end: Err(status) },
            Begin::At { depth, word, table } => (depth, word, table, Inherit::default()),
        },
    };
    let mut partials = Vec::new();
    loop {
        let level = depth as u32 + 1;
        let fault = |cause| Err(Status { domain: inherit.domain, ..Status::new(cause, level) });
        let Some(raw) = read(word, table) else {
            return Walk { partials, end: fault(Cause::WalkExternal) };
        };
        match decode(regs, depth, raw, va, inherit) {
            Word::Invalid => return Walk { partials, end: fault(Cause::Translation) },
            Word::Leaf(leaf) => return Walk { partials, end: Ok((leaf, table)) },
            Word::Table(next, below) => {
                let span = shift(regs, depth);
                inherit = below;
                depth += 1;
                table = next;
                word = next_word(regs, depth, next, va);
                partials.push(Partial {
                    asid: regs.asid(),
                    depth,
                    table,
                    first: first(va, span),
                    last: last(va, span),
                    inherit,
                });
            }
        }
    }
}

/// The descriptor for `va` in a table below the first.
fn next_word(regs: &Regs, depth: usize, table: u64, va: u32) -> u64 {
    let index = va >> shift(regs, depth) & ((1 << index_bits(regs)) - 1);
    table + (u64::from(index) << if regs.long() { 3 } else { 2 })
}
