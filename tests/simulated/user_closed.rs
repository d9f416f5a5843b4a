//! User space closed to the kernel, on the simulated machine, whose TLBs remember what they saw: closed means closed, also
//! to what a TLB holds.

use crate::machine::fault::Cause;
use crate::machine::model::fixture::{Fixture, KERNEL, USER};
use crate::machine::regs::Regs;
use crate::machine::sim::Sim;
use crate::machine::state::Setup;
use crate::machine::violation::Found;
use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{Classic, Lpae};
use armv7a_mm::mm::LayoutSpec;

/// What an access to `va` may come to, looked at so often that the TLB has all of it.
fn outcomes(sim: &Sim, va: u32) -> Vec<Found> {
    (0..16).flat_map(|_| sim.outcomes(0, va)).collect()
}

/// Writes the one register that opens and closes.
fn close<F: Registers>(sim: &Sim, value: fn(u32) -> u32) {
    let change = |regs: &mut Regs| match F::LPAE {
        true => regs.ttbcr = value(regs.ttbcr),
        false => regs.dacr = value(regs.dacr),
    };
    sim.write_regs(0, change);
    armv7a_mm::table::mem::Maintenance::isb(sim);
}

fn fixture<F: Registers>() -> Fixture<F> {
    let spec = LayoutSpec::modules_at_border(0x8000_0000).split_at(0x8000_0000);
    let cut = if F::LPAE { 0 } else { 1 };
    Fixture::with(Setup { cut, ..Setup::new(F::LPAE, 1, true, 7) }, spec)
}

fn closed_and_opened<F: Registers>(fault: Cause) {
    let fixture = fixture::<F>();
    let sim = fixture.system.sim;
    assert!(fixture.system.layout.user_can_be_closed::<F>());
    let hits = |va| outcomes(sim, va).iter().all(|found| matches!(found, Found::Hit(..)));
    for _ in 0..3 {
        assert!(hits(USER) && hits(KERNEL));
        close::<F>(sim, |value| F::with_user_open(value, false));
        for found in outcomes(sim, USER) {
            let Found::Fault(status) = found else { panic!("user space is reached: {found:?}") };
            assert_eq!(status.cause, fault);
        }
        assert!(hits(KERNEL), "the kernel has its own");
        close::<F>(sim, |value| F::with_user_open(value, true));
    }
    assert!(hits(USER));
    sim.assert_clean("closed and opened");
}

#[test]
fn closed_and_opened_classic() {
    closed_and_opened::<Classic>(Cause::Domain);
}

#[test]
fn closed_and_opened_lpae() {
    closed_and_opened::<Lpae>(Cause::Translation);
}

/// EPD0 stops walks, not what a TLB remembers: without another ASID user space stays open to it.
#[test]
fn without_another_asid_the_tlb_goes_on() {
    let fixture = fixture::<Lpae>();
    let sim = fixture.system.sim;
    assert!(outcomes(sim, USER).iter().all(|found| matches!(found, Found::Hit(..))));
    close::<Lpae>(sim, |ttbcr| ttbcr | Lpae::PD0);
    assert!(outcomes(sim, USER).iter().any(|found| matches!(found, Found::Hit(..))));
}
