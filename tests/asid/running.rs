//! Which CPUs run a space.

use std::sync::atomic::{AtomicU64, Ordering};

use armv7a_mm::mm::asid::Asids;

/// As few numbers as two CPUs can do with.
type Few = Asids<2, 4>;

fn run(asids: &Few, cpu: usize, space: &AtomicU64) {
    asids.switch(cpu, Some(space), |_, _| ());
}

#[test]
fn a_bit_for_each_cpu() {
    let (asids, [one, other]) = (Few::new(), [0, 0].map(AtomicU64::new));
    assert_eq!(asids.running(&one), 0, "no CPU has run it, nor anything");
    run(&asids, 0, &one);
    run(&asids, 1, &other);
    assert_eq!((asids.running(&one), asids.running(&other)), (1, 2));
    run(&asids, 1, &one);
    assert_eq!((asids.running(&one), asids.running(&other)), (3, 0));
    // A CPU between two spaces may walk the one still and the other already; a third is none of them, but who knows.
    asids.switch(1, Some(&other), |_, _| {
        assert_eq!((asids.running(&one), asids.running(&other)), (3, 2));
        assert_eq!(asids.running(&AtomicU64::new(0)), 0, "no CPU has run it");
    });
    assert_eq!((asids.running(&one), asids.running(&other)), (1, 2));
    asids.switch(0, None, |_, _| ());
    assert_eq!((asids.running(&one), asids.running(&other)), (0, 2));
}

/// Also over a rollover that the CPU has missed, before and after its space has an identifier of the new generation.
#[test]
fn over_a_rollover() {
    let (asids, mine) = (Few::new(), AtomicU64::new(0));
    run(&asids, 0, &mine);
    let first = mine.load(Ordering::Relaxed);
    let others: Vec<_> = (0..6).map(|_| AtomicU64::new(0)).collect();
    for other in &others {
        run(&asids, 1, other);
        assert_eq!((asids.running(&mine), asids.running(other)), (1, 2));
    }
    let gone = others[0].load(Ordering::Relaxed);
    assert!(others[5].load(Ordering::Relaxed) >> 8 > gone >> 8, "a rollover");
    assert_eq!((mine.load(Ordering::Relaxed), asids.running(&others[0])), (first, 0));
    run(&asids, 1, &mine);
    assert_eq!(asids.running(&mine), 3);
    let now = mine.load(Ordering::Relaxed);
    assert!(now != first && now as u8 == first as u8, "a kept number");
    assert_eq!(asids.running(&AtomicU64::new(0)), 0, "no CPU has run it");
}
