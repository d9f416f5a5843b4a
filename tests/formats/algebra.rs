//! The algebra of entries, as Linux checks its own at boot (mm/debug_vm_pgtable.c): young, dirty and write are three
//! independent properties of a leaf; none is not absent; a leaf is not a table; a mark is what it is.
//!
//! Over every combination of attributes, in both formats, at every depth that has leaves, alone and in runs: of
//! attributes, of descriptors, of what a descriptor lets the hardware do, and of live trees.

use crate::machine::attrs::all_attrs;
use crate::machine::decoders;
use crate::support::kernel::{Edit, EditUser, empty_swapper, linux, pgd};
use crate::support::*;
use armv7a_mm::format::Walk;
use armv7a_mm::format::control::Registers;

both_formats!(
    properties_are_set_and_cleared,
    properties_are_independent,
    changes_say_their_last_word,
    the_hardware_obeys,
    none_is_not_absent,
    a_leaf_is_not_a_table,
    marks_are_swappers_alone,
    live_leaves_change_alike,
);

/// A change, the property it is about, and what it makes of it.
#[derive(Clone, Copy)]
struct Change {
    name: &'static str,
    apply: fn(Attrs) -> Attrs,
    property: usize,
    value: bool,
}

/// Young, dirty, write.
const PROPERTIES: [fn(Attrs) -> bool; 3] = [|it| it.young, Attrs::is_dirty, Attrs::may_write];

const CHANGES: [Change; 6] = [
    Change { name: "mkyoung", apply: Attrs::mkyoung, property: 0, value: true },
    Change { name: "mkold", apply: Attrs::mkold, property: 0, value: false },
    Change { name: "mkdirty", apply: Attrs::mkdirty, property: 1, value: true },
    Change { name: "mkclean", apply: Attrs::mkclean, property: 1, value: false },
    Change { name: "mkwrite", apply: Attrs::mkwrite, property: 2, value: true },
    Change { name: "wrprotect", apply: Attrs::wrprotect, property: 2, value: false },
];

/// A leaf's attributes as a descriptor keeps them; `None` where the format has no such leaf.
fn kept<F: Format>(depth: usize, run: bool, attrs: Attrs) -> Option<Attrs> {
    match F::decode(depth, raw::<F>(depth, run, attrs)?) {
        Entry::Leaf(leaf) => Some(leaf.attrs),
        other => panic!("{other:?}"),
    }
}

fn raw<F: Format>(depth: usize, run: bool, attrs: Attrs) -> Option<F::Raw> {
    let leaf = Leaf { frame: phys(0x4000_0000), attrs, run, pxn: false };
    F::encode(depth, Entry::Leaf(leaf)).ok()
}

/// Calls `check` with every leaf that there is: its attributes, and how to keep others in its place. How many.
fn each_leaf<F: Format>(check: impl Fn(Attrs, &dyn Fn(Attrs) -> Attrs)) {
    for (depth, run) in (0..F::LEVELS.len()).flat_map(|depth| [(depth, false), (depth, true)]) {
        let mut count = 0;
        for attrs in all_attrs() {
            let Some(attrs) = kept::<F>(depth, run, attrs) else { continue };
            // What can be written stays so: no change makes executable, shareable or inaccessible what was not.
            let keep = |changed| kept::<F>(depth, run, changed).expect("an entry");
            check(attrs, &keep);
            count += 1;
        }
        assert!(count > 500 || run && F::LEVELS[depth].runs.is_none(), "{depth} {run}: {count}");
    }
}

/// `pte_young(pte_mkyoung(pte_mkold(pte)))` and its eleven siblings, and each change done twice is done once.
fn properties_are_set_and_cleared<F: Format>() {
    each_leaf::<F>(|attrs, keep| {
        for Change { name, apply, property, value } in CHANGES {
            let once = keep(apply(attrs));
            assert_eq!(PROPERTIES[property](once), value, "{name} of {attrs:?}");
            assert_eq!(keep(apply(once)), once, "{name} twice of {attrs:?}");
            for other in CHANGES.iter().filter(|it| it.property == property) {
                let both = keep(apply(keep((other.apply)(attrs))));
                assert_eq!(PROPERTIES[property](both), value, "{name} after {}", other.name);
            }
        }
    });
}

/// A change is about one property: wrprotect leaves dirty alone, mkdirty and mkclean leave write alone, nothing but
/// mkyoung and mkold touches young. What is not a property stays altogether.
fn properties_are_independent<F: Format>() {
    each_leaf::<F>(|attrs, keep| {
        for Change { name, apply, property, .. } in CHANGES {
            let changed = keep(apply(attrs));
            for (k, read) in PROPERTIES.iter().enumerate().filter(|(k, _)| *k != property) {
                assert_eq!(read(changed), read(attrs), "{name} of {attrs:?}: property {k}");
            }
            let back =
                Attrs { access: attrs.access, marks: attrs.marks, young: attrs.young, ..changed };
            assert_eq!(back, attrs, "{name}");
            let nothing = |it: Attrs| it.access == Access::None;
            assert_eq!(nothing(changed), nothing(attrs), "{name} of {attrs:?}");
        }
    });
}

/// Two changes of different properties may come in either order; of two of the same, the last one counts.
fn changes_say_their_last_word<F: Format>() {
    // What is writable on the way cannot be executed at the end; all else comes to the same.
    let seen = |it: Attrs| (PROPERTIES.map(|read| read(it)), it.access == Access::ReadWrite);
    each_leaf::<F>(|attrs, keep| {
        for (one, other) in CHANGES.iter().flat_map(|one| CHANGES.iter().map(move |it| (one, it))) {
            let both =
                |first: &Change, last: &Change| keep((last.apply)(keep((first.apply)(attrs))));
            let (this, that) = (both(one, other), both(other, one));
            if one.property != other.property {
                assert_eq!(seen(this), seen(that), "{} and {} of {attrs:?}", one.name, other.name);
            } else {
                let last = keep((other.apply)(attrs));
                assert_eq!(PROPERTIES.map(|it| it(this)), PROPERTIES.map(|it| it(last)));
            }
        }
    });
}

/// What a descriptor lets PL1 and PL0 do, read by another decoder: a leaf that may be written can be read but not
/// written as long as it is clean, so that the first write faults and is noted (B15); an old one faults.
fn the_hardware_obeys<F: Registers>() {
    for (depth, run) in (0..F::LEVELS.len()).flat_map(|depth| [(depth, false), (depth, true)]) {
        for attrs in all_attrs() {
            for Change { name, apply, property, .. } in CHANGES {
                let changed = apply(attrs);
                let Some(word) = raw::<F>(depth, run, changed) else { continue };
                let Some(leaf) = decoders::leaf::<F>(depth, word.as_u64()) else {
                    assert_eq!(changed.access, Access::None, "{name} of {attrs:?}");
                    continue;
                };
                decoders::compare::<F>(depth, word.as_u64());
                let both = changed.may_write() && changed.is_dirty();
                // Young and old let be what was written by hand, also marks that speak against the access.
                let write = if property == 0 { attrs.access == Access::ReadWrite } else { both };
                assert_eq!(leaf.kernel.write, write, "{name} of {attrs:?}");
                assert_eq!(leaf.user.write, changed.user && write, "{name} of {attrs:?}");
                assert!(both || !write, "{name} of {attrs:?}");
                assert_eq!((leaf.kernel.read, leaf.user.read), (true, changed.user));
                assert_eq!(leaf.young, changed.young);
                assert!(!leaf.writes_and_executes());
                let executed = attrs.access == Access::ReadExecute;
                assert!(executed || !leaf.kernel.execute && !leaf.user.execute, "{name}");
            }
        }
    }
}

/// `PROT_NONE` is mapped, and to the hardware it is not; what it was comes back with its access.
fn none_is_not_absent<F: Registers>() {
    let zero = F::Raw::from_u64(0);
    let mut count = 0;
    for depth in 0..F::LEVELS.len() {
        assert_eq!((F::decode(depth, zero), F::walk(depth, zero)), (Entry::Absent, Walk::Fault));
        for attrs in all_attrs().filter(|it| it.access != Access::None) {
            let Some(word) = raw::<F>(depth, false, attrs) else { continue };
            let none = raw::<F>(depth, false, attrs.with_access(Access::None)).expect("an entry");
            assert_ne!(none, zero);
            assert!(matches!(F::walk(depth, none), Walk::Memory { .. }), "{none:x}");
            assert_eq!(decoders::leaf::<F>(depth, none.as_u64()), None, "{none:x}");
            assert!(decoders::leaf::<F>(depth, word.as_u64()).is_some(), "{word:x}");
            let Entry::Leaf(leaf) = F::decode(depth, none) else { panic!("{none:x} is no leaf") };
            assert_eq!(leaf.attrs, attrs.with_access(Access::None));
            let back = raw::<F>(depth, false, leaf.attrs.with_access(attrs.access));
            assert_eq!(back, Some(word), "{attrs:?}");
            count += 1;
        }
    }
    assert!(count > 2000, "{count}");
}

/// `pmd_leaf`, `pud_leaf`, `pmd_bad`: whoever walks takes a leaf for memory, and a table for a table.
fn a_leaf_is_not_a_table<F: Format>() {
    for depth in 0..F::LEVELS.len() {
        for attrs in all_attrs() {
            for word in [false, true].into_iter().filter_map(|run| raw::<F>(depth, run, attrs)) {
                assert!(matches!(F::walk(depth, word), Walk::Memory { .. }), "{word:x}");
                assert_eq!(F::decode_table(depth, word), None, "{word:x}");
            }
        }
        for (owner, pxn) in owners() {
            let entry = TableEntry { table: phys(0x4567_8000), owner, pxn };
            let Ok(word) = F::encode(depth, Entry::Table(entry)) else {
                assert_eq!(depth, F::LEVELS.len() - 1);
                continue;
            };
            assert_eq!(F::walk(depth, word), Walk::Table(entry.table));
            assert_eq!(F::decode_table(depth, word), Some(entry));
            // pmd_clear: what is cleared is none, and no table.
            assert_ne!(word, F::Raw::default());
            assert_eq!(F::decode_table(depth, F::Raw::default()), None);
        }
    }
}

fn owners() -> impl Iterator<Item = (Owner, bool)> {
    let all = [Owner::Swapper, Owner::User, Owner::Kernel];
    all.into_iter().flat_map(|owner| [(owner, false), (owner, true)])
}

/// The mark is in every entry that names a table of swapper's and in no other table's entry; a copy keeps it (B1).
fn marks_are_swappers_alone<F: Format>() {
    for depth in 0..F::LEVELS.len() - 1 {
        for (owner, pxn) in owners() {
            let entry = Entry::Table(TableEntry { table: phys(0xFFFF_F000), owner, pxn });
            let word = F::encode(depth, entry).expect("a table");
            assert_eq!(F::is_marked(word), owner == Owner::Swapper, "{word:x}");
            assert_eq!(F::decode(depth, F::Raw::from_u64(word.as_u64())), entry);
        }
    }
}

/// The same on live trees, through `Pgd::modify`: one change after another, in pages, runs and blocks.
fn live_leaves_change_alike<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = empty_swapper(&host, &layout);
    let data = Attrs::kernel(Access::ReadWrite);
    swapper.map_at(range(0xC000_0000, 0xC010_0000), 0x4000_0000, data, LeafSizes::PAGES).unwrap();
    let mut pgd = pgd(&host, &mut swapper);
    // A page, a run of pages, a section or block, a run of these.
    let places = [
        (0x0040_0000, 0x0040_1000, LeafSizes::PAGES),
        (0x0080_0000, 0x0081_0000, LeafSizes::RUNS),
        (0x0200_0000, 0x0220_0000, LeafSizes::BLOCKS),
        (0x0400_0000, 0x0600_0000, LeafSizes::LARGEST),
    ];
    let mut count = 0;
    for (start, end, sizes) in places {
        let pages = range(start, end);
        for attrs in all_attrs().filter(|it| !it.global) {
            if pgd.map_at(pages, start.into(), attrs, sizes).is_err() {
                continue;
            }
            let mut expected = attrs;
            for Change { name, apply, .. } in CHANGES {
                expected = apply(expected);
                pgd.modify_now(pages, apply).unwrap();
                for va in [pages.start(), pages.last()] {
                    let found = pgd.translate(va).unwrap();
                    assert_eq!(found.leaf().unwrap().attrs, expected, "{name} of {attrs:?}");
                    assert_eq!(found.phys, phys(va.0.into()));
                }
            }
            pgd.unmap_now(pages).unwrap();
            count += 1;
        }
    }
    assert!(count > 2500, "{count}");
}
