//! New attributes for leaves: what each becomes, and that it does.

use super::Editor;
use crate::addr::VirtRange;
use crate::attr::{Access, Attrs};
use crate::format::{EncodeError, Entry, Format, Leaf, RUN};
use crate::table::mem::Machine;
use crate::table::memo::Memo;
use crate::table::node::Node;
use crate::table::reserve::planned;

/// What a leaf becomes by a change of attributes.
pub(super) struct Changed<F: Format> {
    /// Its descriptor.
    pub(super) raw: F::Raw,
    /// Whether it is in a run: not where the format has no such run.
    run: bool,
    /// Whether it is absent in between.
    pub(super) broken: bool,
    /// Whether it was or becomes executable.
    pub(super) executable: bool,
}

/// Whether a change of attributes needs the old translation gone before the new one is made
/// (DDI 0406C B3.10.1). The sixteen words of a run must agree at any time, so they change while absent.
fn needs_break(leaf: &Leaf, new: Attrs) -> bool {
    let old = leaf.attrs;
    // Also without access: it may have been withdrawn a moment ago, and TLBs not have been told.
    old.access != Access::None && leaf.run || old.kind() != new.kind()
}

impl<'m, F: Format, M: Machine> Editor<'_, 'm, F, M> {
    /// What `leaf` becomes by `change`.
    #[inline]
    pub(super) fn changed(
        &self,
        depth: usize,
        leaf: &Leaf,
        change: &dyn Fn(Attrs) -> Attrs,
    ) -> Result<Changed<F>, EncodeError> {
        let (old, new) = (leaf.attrs, change(leaf.attrs));
        let mut run = leaf.run;
        let mut raw = self.leaf(depth, leaf.frame, new, run);
        if run && raw.is_err() {
            run = false;
            raw = self.leaf(depth, leaf.frame, new, run);
        }
        Ok(Changed {
            raw: raw?,
            run,
            broken: run != leaf.run || needs_break(leaf, new),
            executable: old.access == Access::ReadExecute || new.access == Access::ReadExecute,
        })
    }

    /// Gives the leaves in `range`, which cuts none of them, their new attributes. `uniform`, if there, promises
    /// that the ptes of each table agree in all but their frames, and knows the last kind of them.
    #[inline(never)]
    pub(super) unsafe fn rewrite(
        &self,
        node: &Node<'m, F, M>,
        range: VirtRange,
        change: &dyn Fn(Attrs) -> Attrs,
        uniform: &mut Option<Memo<F>>,
    ) {
        let depth = node.depth();
        let all = node.indices(range);
        let mut memo = Memo::<F>::default();
        let mut indices = all.clone();
        if let Some(known) = uniform
            && Self::is_pte(depth)
            && known.knows(node.load(all.start))
        {
            // SAFETY: the caller of `modify` vouches for the change.
            unsafe { node.flip(all.clone(), known.flip()) };
            return self.clean(node, range);
        }
        while let Some(index) = indices.next() {
            let raw = node.load(index);
            if memo.knows(raw) {
                // SAFETY: the caller of `modify` vouches for the change.
                unsafe { node.store(index, memo.apply(raw)) };
                continue;
            }
            let span = node.span(range.start(), index);
            match F::decode(depth, raw) {
                Entry::Table(table) if self.owns(&table) => {
                    let part = range.within(span);
                    // SAFETY: the entry was just read from this node.
                    unsafe { self.rewrite(&node.child(table), part, change, uniform) };
                }
                Entry::Leaf(leaf) => {
                    let changed = self.changed(depth, &leaf, change).ok();
                    let Some(Changed { raw: new, run, broken, .. }) = planned(changed) else {
                        return;
                    };
                    let count = if leaf.run { RUN } else { 1 };
                    // SAFETY: as above; what is broken is made again at once.
                    unsafe {
                        if broken {
                            let unit = span.hull(node.span(range.start(), index + count - 1));
                            self.break_entries(node, unit);
                            node.fill(index..index + count, new, Self::step(depth, run));
                            indices = index + count..indices.end;
                        } else if let (Some(known), true) = (&mut *uniform, Self::is_pte(depth)) {
                            *known = Memo::new(depth, run, raw, new);
                            node.flip(all.clone(), known.flip());
                            break;
                        } else {
                            memo = Memo::new(depth, run, raw, new);
                            node.store(index, new);
                        }
                    }
                }
                _ => {}
            }
        }
        self.clean(node, range);
    }
}
