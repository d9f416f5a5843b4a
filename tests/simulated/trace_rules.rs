//! What every public operation emits, step by step: the rules R1 to R4, R11, R29 and the bugs B03, B31 of the tables
//! in `tests/README.md`, for hardware that no emulator shows.
//!
//! An operation's trace is written in letters: `a` allocate, `s` store to a linked table, `c` clean, `w` DSB ISHST,
//! `d` DSB ISH, `i` ISB, `t` TLB invalidation, `b` BPIALL, `f` free; repetitions count once. The machine's own rules
//! are on as well.

use crate::machine::Setup;
use crate::machine::model::fixture::{Fixture, KERNEL, USER, letters, pages, phys, stores, tlbis};
use crate::machine::state::Event;
use crate::machine::tlb::Forget;
use crate::machine::violation::Found;
use armv7a_mm::addr::VirtAddr;
use armv7a_mm::attr::{Access, Asid, Attrs, MemoryType};
use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{Classic, Lpae};
use armv7a_mm::mm::Verdict;
use armv7a_mm::table::edit::LeafSizes;

/// Runs a body for each format, coherent and not, on one CPU and on four.
macro_rules! everywhere {
    ($( $(#[$doc:meta])* fn $name:ident($fixture:ident, $expect:ident) $body:block )*) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            fn run<F: Registers>(setup: Setup) {
                #[allow(unused_mut, reason = "not every body edits")]
                let mut $fixture = Fixture::<F>::new(setup);
                // What is cleaned where walks do not snoop is not where they do (B31).
                #[allow(unused_variables, reason = "not every body compares traces")]
                let $expect = |events: &[Event], trace: &str| {
                    let trace: String =
                        trace.chars().filter(|step| *step != 'c' || !setup.coherent).collect();
                    assert_eq!(letters(events), trace, "{setup:?}");
                };
                $body
                $fixture.system.scrap();
            }
            for (cpus, coherent) in [(1, true), (1, false), (4, true), (4, false)] {
                run::<Classic>(Setup::new(false, cpus, coherent, 1));
                run::<Lpae>(Setup::new(true, cpus, coherent, 1));
            }
        }
    )*};
}

everywhere! {
    /// Into a table that is there, one store each, and nothing to invalidate.
    fn b31_r1_r3_map_into_a_table(fixture, expect) {
        // Planned: a page of another kind than the last, and many. The next of its kind goes straight to its table.
        for (at, count) in [(USER + 0x2000, 1), (USER + 0x3000, 3), (USER + 0x7000, 1)] {
            let events = fixture.trace(true, |system| {
                let attrs = Attrs::user(Access::ReadExecute);
                let range = pages(at, count as u32);
                // SAFETY: nothing real is mapped.
                unsafe {
                    system.spaces[0].pgd.map(range, phys(0x3000_0000), attrs, LeafSizes::PAGES)
                }
                .expect("mapped");
            });
            expect(&events, "scwi");
            assert_eq!(stores(&events), count, "R11: one store for each descriptor");
        }
    }

    /// A new table is complete, cleaned and behind a barrier before the one store that links it; also where the page is
    /// of the last page's kind, and needs no plan.
    fn b30_r1_map_with_a_new_table(fixture, expect) {
        for above in [0x0040_0000, 0x0080_0000] {
            let events = fixture.trace(true, |system| {
                let (page, attrs) = (pages(USER + above, 1), Attrs::user(Access::Read));
                // SAFETY: nothing real is mapped.
                unsafe {
                    system.spaces[0].pgd.map(page, phys(0x3000_0000), attrs, LeafSizes::PAGES)
                }
                .expect("mapped");
            });
            expect(&events, "acwscwi");
            assert_eq!(stores(&events), 1, "the link alone is seen");
        }
    }

    /// One page of a table that stays.
    fn r2_unmap_a_page(fixture, expect) {
        let events = fixture.trace(false, |system| {
            // SAFETY: nothing uses it.
            unsafe { system.spaces[0].pgd.unmap(pages(USER, 1)) }.expect("unmapped").pay();
        });
        expect(&events, "scwtdi");
        assert_eq!(tlbis(&events), [Forget::Page(USER, 1)], "one page, of one space");
        assert_eq!(stores(&events), 1);
    }

    /// An executable one, so that branch predictions go too.
    fn r2_unmap_an_executable_page(fixture, expect) {
        // SAFETY: nothing real is mapped.
        unsafe {
            let pgd = &mut fixture.system.spaces[0].pgd;
            pgd.protect(pages(USER, 1), Access::ReadExecute).expect("protected").pay();
        }
        let events = fixture.trace(false, |system| {
            // SAFETY: nothing uses it.
            unsafe { system.spaces[0].pgd.unmap(pages(USER, 1)) }.expect("unmapped").pay();
        });
        expect(&events, "scwtbdi");
    }

    /// The last pages of a table: cleared, cut off, forgotten, and only then freed.
    fn b03_r29_unmap_the_last_pages(fixture, expect) {
        let events = fixture.trace(false, |system| {
            // SAFETY: nothing uses it.
            unsafe { system.spaces[0].pgd.unmap(pages(USER, 2)) }.expect("unmapped").pay();
        });
        let trace = letters(&events);
        let last = |step| trace.rfind(step).unwrap_or(0);
        assert!(last('s') < last('w') && last('w') < last('t'), "{trace}");
        assert!(last('t') < last('d') && last('d') < last('i') && last('i') < last('f'), "{trace}");
        // Walk caches know a table under all of its addresses.
        assert_eq!(tlbis(&events), [Forget::Space(1)]);
    }

    /// Only permissions change, so the new descriptor takes the old one's place at once.
    fn r2_r11_protect(fixture, expect) {
        let events = fixture.trace(false, |system| {
            // SAFETY: nothing uses it.
            unsafe { system.spaces[0].pgd.protect(pages(USER, 2), Access::Read) }
                .expect("protected")
                .pay();
        });
        expect(&events, "scwtdi");
        assert_eq!(stores(&events), 2, "R11: one store for each descriptor");
    }

    /// Another memory type: absent and forgotten in between, page by page.
    fn r4_break_before_make(fixture, expect) {
        let events = fixture.trace(false, |system| {
            let change = |attrs: Attrs| attrs.with_memory(MemoryType::NonCacheable);
            // SAFETY: nothing uses it.
            unsafe { system.spaces[0].pgd.modify(pages(USER, 1), change) }.expect("changed").pay();
        });
        assert_eq!(stores(&events), 2);
        let trace = letters(&events);
        assert!(trace.starts_with(if trace.contains('c') { "scwtbdis" } else { "swtbdis" }), "{trace}");
    }

    /// Kernel pages: in every address space.
    fn b28_r2_kernel_unmap(fixture, expect) {
        let events = fixture.trace(false, |system| {
            // SAFETY: nothing uses it.
            unsafe { system.swapper.unmap(pages(KERNEL, 1)) }.expect("unmapped").pay();
        });
        expect(&events, "scwtdi");
        assert_eq!(tlbis(&events), [Forget::PageOfAll(KERNEL)]);
    }

    /// Many pages are forgotten by one operation.
    fn r3_unmap_many(fixture, expect) {
        let range = pages(USER + 0x10_0000, 200);
        // SAFETY: nothing real is mapped.
        unsafe {
            let attrs = Attrs::user(Access::ReadWrite);
            let pgd = &mut fixture.system.spaces[0].pgd;
            pgd.map(range, phys(0x3000_0000), attrs, LeafSizes::PAGES).expect("mapped");
        }
        let events = fixture.trace(false, |system| {
            // SAFETY: nothing uses it.
            unsafe { system.spaces[0].pgd.clear(range) }.expect("cleared").pay();
        });
        assert_eq!(tlbis(&events), [Forget::Space(1)]);
    }

    /// An address space is made with nothing to invalidate, and nobody walks it meanwhile.
    fn r3_pgd_alloc(fixture, expect) {
        let events = fixture.trace(true, |system| {
            let pgd = system.swapper.pgd_alloc().expect("memory");
            system.sim.adopt(pgd.root().as_u64(), None, false);
            // A pgd that is dropped leaks, which ends the fixture as well as anything.
            let _ = pgd;
        });
        expect(&events, "acwi");
    }

    /// Of a spare root one word is stored, the one that chained it to the next, and it is as published as all of a new
    /// root.
    fn b31_r3_pgd_alloc_of_a_spare(fixture, expect) {
        let pgds = [(); 2].map(|()| fixture.system.swapper.pgd_alloc().expect("memory"));
        for pgd in pgds {
            let root = pgd.root().as_u64();
            fixture.system.sim.adopt(root, None, false);
            fixture.system.sim.set_offline(root, true);
            // SAFETY: no CPU has run it.
            unsafe { fixture.system.swapper.pgd_free(pgd) };
        }
        let events = fixture.trace(true, |system| {
            let pgd = system.swapper.pgd_alloc().expect("a spare");
            assert!(system.sim.revive(pgd.root().as_u64(), None));
            // As above.
            let _ = pgd;
        });
        expect(&events, "scwi");
    }

    /// Every table of an address space that ran is freed behind the invalidation.
    fn r29_pgd_free(fixture, expect) {
        (0..fixture.system.sim.setup().cpus).for_each(|cpu| fixture.system.switch(cpu, None));
        let events = fixture.trace(false, |system| {
            let space = system.spaces.remove(0);
            system.sim.retire(space.pgd.root().as_u64());
            // SAFETY: no CPU runs it.
            unsafe { space.pgd.pgd_free() };
        });
        assert_eq!(letters(&events), "wtbdif");
        assert_eq!(tlbis(&events), [Forget::Space(1)]);
    }

    /// A fault copies an entry: one store, nothing to invalidate.
    fn r1_r3_fault(fixture, expect) {
        // In the slot of a root entry that the space does not have yet.
        let at = if F::LPAE { 0xBF00_0000 } else { KERNEL + 0x0100_0000 };
        let kernel = Attrs::kernel(Access::ReadWrite);
        // SAFETY: nothing real is mapped.
        unsafe {
            let swapper = &mut fixture.system.swapper;
            swapper.map(pages(at, 1), phys(0x1100_0000), kernel, LeafSizes::PAGES).expect("mapped");
        }
        let fault = F::decode_fault(if F::LPAE { 0x206 } else { 0x005 }, false);
        let events = fixture.trace(true, |system| {
            let (view, root) = (system.swapper.view(), system.spaces[0].pgd.root());
            // SAFETY: the pgd lives.
            let verdict = unsafe {
                armv7a_mm::mm::do_translation_fault(&view, root, &fault, VirtAddr(at), false)
            };
            assert_eq!(verdict, Verdict::Retry);
        });
        expect(&events, "scwi");
        assert_eq!(stores(&events), 1);
    }

    /// An identity mapping comes with nothing to invalidate, and goes as tables go.
    fn b03_b57_r3_identity(fixture, expect) {
        let range = pages(0x0080_0000, 1);
        let events = fixture.trace(true, |system| {
            // SAFETY: nothing real is mapped.
            unsafe { system.spaces[0].pgd.identity_mapping_add(range, Access::ReadExecute) }
                .expect("added");
        });
        let trace = letters(&events);
        assert!(trace.starts_with('a') && trace.ends_with("wi") && !trace.contains('t'), "{trace}");
        let events = fixture.trace(false, |system| {
            // SAFETY: nothing uses it.
            unsafe { system.spaces[0].pgd.identity_mapping_del(range) }.expect("deleted").pay();
        });
        let trace = letters(&events);
        assert!(trace.ends_with("wtbdif"), "{trace}");
        assert_eq!(tlbis(&events), [Forget::All]);
    }
}

/// What two spaces owe, one for a page, the other for a page and its table, is paid at once and covers both.
#[test]
fn r29_merged_flushes_cover_both() {
    let mut fixture = Fixture::<Classic>::new(Setup::new(false, 2, true, 1));
    let system = &mut fixture.system;
    assert!(system.alloc(2, true));
    let at = pages(0x0080_0000, 1);
    for (space, count) in system.spaces.iter_mut().zip([2, 1]) {
        let (range, attrs) = (pages(0x0080_0000, count), Attrs::user(Access::Read));
        // SAFETY: nothing real is mapped.
        unsafe { space.pgd.map(range, phys(0x3000_0000), attrs, LeafSizes::PAGES) }
            .expect("mapped");
    }
    (0..2).for_each(|cpu| system.switch(cpu, Some(cpu)));
    let events = fixture.trace(false, |system| {
        // SAFETY: nothing uses them.
        let [mut one, other] =
            [0, 1].map(|space| unsafe { system.spaces[space].pgd.unmap(at) }.expect("unmapped"));
        one.merge(other);
        one.pay();
    });
    assert_eq!(tlbis(&events), [Forget::All]);
    assert!(letters(&events).ends_with("wtdif"));
    fixture.system.scrap();
}

/// An address space that ran and mapped nothing is forgotten all the same, before another one, with another
/// identifier, gets its root and its private table.
#[test]
fn r29_a_spare_root_is_forgotten() {
    let mut fixture = Fixture::<Lpae>::new(Setup::new(true, 2, true, 1));
    let system = &mut fixture.system;
    let swapper = system.swapper.root().as_u64();
    let mut pgd = system.swapper.pgd_alloc().expect("memory");
    // SAFETY: no CPU has run it.
    unsafe { pgd.set_asid(Some(Asid(8))) };
    let root = pgd.root().as_u64();
    system.sim.adopt(root, Some(8), false);
    system.sim.switch(0, root, 8, swapper);
    // The window for modules and pkmap is reached by the private table.
    system.sim.with(|state| state.speculate(0, 0xBF00_0000));
    system.sim.switch(0, swapper, 0, swapper);
    fixture.system.sim.set_offline(root, true);
    let events = fixture.trace(false, |system| {
        // SAFETY: no CPU runs it.
        unsafe { system.swapper.pgd_free(pgd) };
    });
    assert_eq!(tlbis(&events), [Forget::Space(8)]);
    // The next owner has another identifier, and frees it all.
    let mut pgd = fixture.system.swapper.pgd_alloc().expect("memory");
    assert_eq!(pgd.root().as_u64(), root);
    // SAFETY: likewise.
    unsafe { pgd.set_asid(Some(Asid(9))) };
    fixture.system.sim.revive(root, Some(9));
    fixture.trace(false, |system| {
        system.sim.retire(root);
        // SAFETY: no CPU runs it.
        unsafe { pgd.pgd_free() };
    });
    fixture.system.scrap();
}

/// A block of 1 GiB is cut in the middle of a page table: all of what replaces it is cleaned and behind a
/// barrier before it is linked, and every CPU finds the rest where it was.
#[test]
fn r1_r5_a_block_is_split_twice() {
    for (cpus, coherent) in [(1, true), (1, false), (4, true), (4, false)] {
        let mut fixture = Fixture::<Lpae>::new(Setup::new(true, cpus, coherent, 1));
        let (block, hole) = (0x4000_0000, 0x5234_5000);
        let attrs = Attrs::user(Access::ReadWrite);
        // SAFETY: nothing real is mapped.
        unsafe {
            let pgd = &mut fixture.system.spaces[0].pgd;
            let range = pages(block, 1 << 18);
            pgd.map(range, phys(0x8000_0000), attrs, LeafSizes::LARGEST).expect("mapped");
        }
        fixture.trace(false, |system| {
            // SAFETY: nothing uses it.
            unsafe { system.spaces[0].pgd.unmap(pages(hole, 1)) }.expect("unmapped").pay();
        });
        let sim = fixture.system.sim;
        for cpu in 0..cpus {
            for va in [block, hole - 1, hole + 0x1000, 0x523F_F000, 0x5240_0000, 0x7FFF_FFFF] {
                let right = |found: &Found| matches!(found, Found::Hit(phys, _) if *phys == u64::from(va) + 0x4000_0000);
                let found = sim.outcomes(cpu, va);
                assert!(found.iter().all(right), "{cpu} at {va:#x}: {found:x?}");
            }
            let found = sim.outcomes(cpu, hole);
            assert!(found.iter().all(|it| matches!(it, Found::Fault(_))), "{cpu}: {found:x?}");
        }
        sim.assert_clean("afterwards");
        fixture.system.scrap();
    }
}

/// A flush at the top of the address space reaches its last page.
#[test]
fn b32_b50_the_last_page_is_flushed() {
    let mut fixture = Fixture::<Lpae>::new(Setup::new(true, 2, false, 1));
    let range = pages(0xFFFF_E000, 2);
    let attrs = Attrs::kernel(Access::ReadWrite);
    // SAFETY: nothing real is mapped.
    unsafe {
        let swapper = &mut fixture.system.swapper;
        swapper.map(range, phys(0x3000_0000), attrs, LeafSizes::PAGES).expect("mapped");
    }
    let events = fixture.trace(false, |system| {
        // SAFETY: nothing uses it.
        unsafe { system.swapper.unmap(range) }.expect("unmapped").pay();
    });
    let all = [Forget::PageOfAll(0xFFFF_E000), Forget::PageOfAll(0xFFFF_F000)];
    assert_eq!(tlbis(&events), all);
    fixture.system.scrap();
}
