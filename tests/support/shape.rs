//! Which leaves a range is made of.

use super::{Entry, Format, Host, PhysAddr, VirtAddr, VirtRange};

/// A kind of leaf, in the words of both formats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// 4 KiB.
    Page,
    /// 64 KiB, a run of pages: a large page, the contiguous hint.
    PageRun,
    /// A section of 1 MiB, a block of 2 MiB.
    Block,
    /// A supersection of 16 MiB, contiguous blocks of 32 MiB.
    BlockRun,
    /// A block of 1 GiB.
    Gib,
}

/// So many of a kind, in a row.
pub type Shape = Vec<(usize, Kind)>;

/// The leaves that map addresses of `range`, in order; a run counts once. Holes are passed over.
pub fn shape<F: Format>(host: &Host<F>, root: PhysAddr, range: VirtRange) -> Shape {
    let mut shape = Shape::new();
    collect(host, root.as_u64(), 0, VirtAddr(0), range, &mut shape);
    shape
}

fn collect<F: Format>(
    host: &Host<F>,
    table: u64,
    depth: usize,
    base: VirtAddr,
    range: VirtRange,
    shape: &mut Shape,
) {
    let level = &F::LEVELS[depth];
    for (index, entry) in host.entries(table, depth).into_iter().enumerate() {
        let start = VirtAddr(base.0 + ((index as u32) << level.shift));
        if !VirtRange::aligned(start, level.shift).overlaps(range) {
            continue;
        }
        let kind = match entry {
            Entry::Table(entry) => {
                collect(host, entry.table.as_u64(), depth + 1, start, range, shape);
                continue;
            }
            // A run is seen at its first leaf.
            Entry::Leaf(leaf) if leaf.run && index % 16 != 0 => continue,
            Entry::Leaf(leaf) => kind::<F>(depth, leaf.run),
            Entry::Absent | Entry::Reserved => continue,
        };
        match shape.last_mut() {
            Some((count, last)) if *last == kind => *count += 1,
            _ => shape.push((1, kind)),
        }
    }
}

fn kind<F: Format>(depth: usize, run: bool) -> Kind {
    match (F::LEVELS.len() - depth, run) {
        (1, false) => Kind::Page,
        (1, true) => Kind::PageRun,
        (2, false) => Kind::Block,
        (2, true) => Kind::BlockRun,
        _ => Kind::Gib,
    }
}
