//! Tables that mean harm: random words, loops, holes. No walk panics, every walk ends.

use armv7a_mm::addr::{PhysAddr, VirtAddr};
use armv7a_mm::table::inspect::{Inspector, Leaf, Regs, Request, WalkFault};
use proptest::prelude::*;

use crate::M;

/// Memory of random words, the same at each look; `holes` in 256 of them cannot be read.
fn noise(seed: u64, holes: u64) -> impl Fn(PhysAddr) -> Option<u32> {
    move |at| {
        // splitmix64 of the address.
        let mut z = (at.as_u64() ^ seed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 56 >= holes).then_some((z ^ z >> 31) as u32)
    }
}

prop_compose! {
    fn any_regs()(
        (sctlr, ttbcr, dacr, id_mmfr0) in any::<(u32, u32, u32, u32)>(),
        (ttbr0, ttbr1, mair0, mair1) in any::<(u64, u64, u32, u32)>(),
        on in 0..8u32,
    ) -> Regs {
        let sctlr = if on > 0 { sctlr | M } else { sctlr };
        Regs { sctlr, ttbcr, ttbr0, ttbr1, dacr, mair0, mair1, id_mmfr0 }
    }
}

fn range(answer: &Result<Leaf, WalkFault>) -> armv7a_mm::addr::VirtRange {
    match answer {
        Ok(leaf) => leaf.range,
        Err(fault) => fault.range,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..Default::default() })]

    /// Any registers, any memory: one answer for all of the range that it names, and the same from
    /// `walk` and `translate`.
    #[test]
    fn random_machines(
        regs in any_regs(),
        seed: u64,
        holes in 0..64u64,
        va: u32,
        within: u64,
    ) {
        let machine = Inspector::new(regs, noise(seed, holes));
        let answer = machine.walk(VirtAddr(va));
        let range = range(&answer);
        prop_assert!(range.contains(VirtAddr(va)));
        let other = VirtAddr((u64::from(range.start().0) + within % range.bytes()) as u32);
        prop_assert_eq!(machine.walk(other), answer);
        for request in Request::ALL {
            match (machine.translate(VirtAddr(va), request), answer) {
                (Ok(translation), Ok(leaf)) => {
                    prop_assert_eq!(leaf.locate(VirtAddr(va)), Some(translation.pa));
                    prop_assert!(leaf.rights(request.user).contains(request.intent.into()));
                }
                (Err(refused), Ok(leaf)) => {
                    prop_assert_eq!((refused.range, refused.entry), (leaf.range, leaf.entry));
                    prop_assert!(!refused.to_string().is_empty());
                }
                (Err(refused), Err(fault)) => prop_assert_eq!(refused, fault),
                (Ok(_), Err(fault)) => prop_assert!(false, "{} passed", fault),
            }
        }
    }
}

/// Every span follows the one before, from 0 to the top; returns how many there are.
fn covers(regs: Regs, read: impl Fn(PhysAddr) -> Option<u32>) -> usize {
    let machine = Inspector::new(regs, read);
    let mut next = Some(0);
    let mut count = 0;
    for span in machine.spans() {
        let range = range(&span);
        assert_eq!(Some(range.start().0), next);
        next = range.last().0.checked_add(1);
        count += 1;
    }
    assert_eq!(next, None, "the spans end at the top");
    let leaves: u64 = machine.leaves().map(|leaf| leaf.range.bytes()).sum();
    let regions: u64 = machine.regions().map(|leaf| leaf.range.bytes()).sum();
    assert_eq!(leaves, regions);
    count
}

/// The whole address space of random memory, in both formats.
#[test]
fn random_address_spaces() {
    for seed in 0..4 {
        for ttbcr in [0, 3, 1 << 31, 1 << 31 | 2 << 16, 1 << 31 | 3 << 16 | 7] {
            let regs = Regs { sctlr: M, ttbcr, dacr: 0x1b1b_1b1b, ..Regs::default() };
            assert!(covers(regs, noise(seed, 16)) <= 1 << 20);
        }
    }
}

/// A first table that is its own second and third: every entry points to the table.
#[test]
fn tables_that_point_to_themselves() {
    // Short: entry words 0x4001 all over; at the second level that is a large page.
    let short = Regs { sctlr: M, ttbr0: 0x4000, dacr: 1, ..Regs::default() };
    assert_eq!(covers(short, |_| Some(0x4001)), 1 << 20);
    // Long: the table's page maps itself, 2^20 times.
    let long = Regs { sctlr: M, ttbcr: 1 << 31, ttbr0: 0x4000, ..Regs::default() };
    let read = |at: PhysAddr| Some(if at.as_u64() & 4 == 0 { 0x4403 } else { 0 });
    assert_eq!(covers(long, read), 1 << 20);
    let leaf = Inspector::new(long, read).walk(VirtAddr(0xdead_beef)).unwrap();
    assert_eq!(leaf.locate(VirtAddr(0xdead_beef)).map(PhysAddr::as_u64), Some(0x4eef));
}

/// Memory of one word throughout: all ones, all types, or none at all.
#[test]
fn uniform_memory() {
    for ttbcr in [0, 7, 1 << 31, 1 << 31 | 7 << 16 | 7] {
        let regs = Regs { sctlr: M, ttbcr, ttbr0: u64::MAX, ttbr1: u64::MAX, ..Regs::default() };
        for word in [0, 1, 2, 3, u32::MAX, u32::MAX - 1, u32::MAX - 2, u32::MAX - 3] {
            assert!(covers(regs, |_| Some(word)) <= 1 << 20);
        }
        assert!(covers(regs, |_| None) <= 1 << 12);
    }
}
