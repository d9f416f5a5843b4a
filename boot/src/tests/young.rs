//! Young and dirty: what is old faults once, at the leaf's depth, and so does the first write to what is clean.

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::mmu::{self, Query};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::FaultKind;

use super::kinds::Kind;
use super::scratch::{Refusal, poke, poke_user};
use super::support::{self, Space, Spare};
use crate::harness::Test;
use crate::{check, check_eq, probe, skip};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "young::old-memory-faults-until-it-is-young", run: old },
    Test { name: "young::old-code-faults-until-it-is-young", run: old_code },
    Test { name: "young::old-comes-before-forbidden", run: order },
    Test { name: "young::clean-memory-faults-at-its-first-write", run: clean },
    Test { name: "young::write-protection-remembers-what-is-dirty", run: protected },
];

/// What the hardware answers when it is asked.
fn ask(at: VirtAddr, query: Query) -> Option<(FaultKind, Option<usize>)> {
    mmu::translate(at, query).err().map(|fault| (fault.kind, fault.depth))
}

/// Calls `test` with a space that is running, for each kind of leaf with `attrs`: its addresses, and where it
/// lies.
fn each(
    attrs: Attrs,
    mut test: impl FnMut(&mut Space, Kind, VirtRange, PhysAddr) -> Result<(), &'static str>,
) {
    let mut spare = Spare::new();
    for kind in Kind::all() {
        let Some(phys) = spare.take(kind.bytes(), kind.shift()) else {
            skip!("{} MiB aligned to themselves are not spare", kind.bytes() >> 20);
        };
        let mut space = Space::new();
        check_eq!(space.map(kind.range(), phys, attrs, kind.sizes()), Ok(()));
        space.enter();
        let outcome = test(&mut space, kind, kind.range(), phys);
        check!(outcome.is_ok(), "{kind:?}: {}", outcome.err().unwrap_or_default());
    }
}

/// `Err` with what was expected, unless it holds.
fn expect(holds: bool, what: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(what) }
}

/// Changes the attributes of `range`, and pays for it.
fn change(
    space: &mut Space,
    range: VirtRange,
    change: fn(Attrs) -> Attrs,
) -> Result<(), &'static str> {
    space.modify(range, change).map(drop).map_err(|_| "the attributes can be changed")
}

/// What the tables say of `at`.
fn attrs_at(space: &Space, at: VirtAddr) -> Option<Attrs> {
    Some(space.translate(at)?.leaf()?.attrs)
}

fn old() {
    each(Attrs::user(Access::ReadWrite).mkold(), |space, kind, range, phys| {
        let at = VirtAddr(range.last().0 & !3);
        let there = PhysAddr::truncate(phys.as_u64() + kind.bytes() - 4);
        support::write(there, &[77]);
        let read = Refusal::read(FaultKind::AccessFlag, kind.depth);
        let write = Refusal::write(FaultKind::AccessFlag, kind.depth);
        expect(Refusal::of(probe::read(at)) == read, "a read faults")?;
        expect(Refusal::of(probe::read_user(at)) == read, "a user's read faults")?;
        expect(Refusal::of(poke(at, 1)) == write, "a write faults")?;
        let asked = Query::ALL.map(|query| ask(at, query));
        let expected = Some((FaultKind::AccessFlag, Some(kind.depth)));
        expect(asked == [expected; 4], "the hardware says that it would")?;
        expect(support::read(there) == 77, "nothing was written")?;

        change(space, range, Attrs::mkyoung)?;
        expect(probe::read(at) == Ok(77), "a read of the young succeeds")?;
        expect(poke(at, 78) == Ok(()), "a write to the young succeeds")?;
        expect(support::read(there) == 78, "what was written is there")?;
        change(space, range, Attrs::mkold)?;
        expect(Refusal::of(probe::read(at)) == read, "what is old again faults at once")
    });
}

fn old_code() {
    each(Attrs::user(Access::ReadExecute).mkold(), |space, kind, range, phys| {
        // SVC #0
        support::write_code(phys, &[0xEF00_0000]);
        // SAFETY: user mode does nothing but leave.
        let run = || unsafe { probe::user(range.start(), 0, VirtAddr(0)) };
        let record = run();
        let instruction = record.fault().is_some_and(|fault| fault.instruction);
        let flag = Refusal::read(FaultKind::AccessFlag, kind.depth);
        expect(instruction && Refusal::of::<()>(Err(record)) == flag, "a fetch faults")?;
        expect(record.far == range.start().0, "its address is the code's")?;
        change(space, range, Attrs::mkyoung)?;
        expect(run().fault().is_none(), "the young runs")
    });
}

fn order() {
    each(Attrs::user(Access::Read).mkold(), |space, kind, range, _| {
        let at = range.start();
        let old = Refusal::write(FaultKind::AccessFlag, kind.depth);
        expect(Refusal::of(poke(at, 1)) == old, "a forbidden write to the old is the flag's")?;
        change(space, range, Attrs::mkyoung)?;
        let forbidden = Refusal::write(FaultKind::Permission, kind.depth);
        expect(Refusal::of(poke(at, 1)) == forbidden, "to the young it is forbidden")
    });
}

fn clean() {
    each(Attrs::user(Access::ReadWrite).mkclean(), |space, kind, range, phys| {
        let (at, there) = (range.start(), phys);
        support::write(there, &[5]);
        let forbidden = Refusal::write(FaultKind::Permission, kind.depth);
        expect(probe::read(at) == Ok(5), "a read succeeds")?;
        expect(Refusal::of(poke(at, 6)) == forbidden, "a write is noticed")?;
        expect(Refusal::of(poke_user(at, 6)) == forbidden, "so is a user's")?;
        let noted = attrs_at(space, at).is_some_and(|attrs| attrs.may_write() && !attrs.is_dirty());
        expect(noted, "it may be written, and is not dirty")?;

        change(space, range, Attrs::mkdirty)?;
        expect(poke(at, 6) == Ok(()) && support::read(there) == 6, "the dirty is written")?;
        expect(attrs_at(space, at).is_some_and(Attrs::is_dirty), "and known to be")?;
        change(space, range, Attrs::mkclean)?;
        expect(
            Refusal::of(poke(at, 7)) == forbidden,
            "cleaned, the next write is noticed at once",
        )?;
        expect(support::read(there) == 6, "and writes nothing")
    });
}

fn protected() {
    each(Attrs::user(Access::ReadWrite).mkclean(), |space, kind, range, _| {
        let at = range.start();
        let forbidden = Refusal::write(FaultKind::Permission, kind.depth);
        change(space, range, Attrs::mkdirty)?;
        change(space, range, Attrs::wrprotect)?;
        expect(Refusal::of(poke(at, 1)) == forbidden, "what is protected cannot be written")?;
        let dirty = attrs_at(space, at).is_some_and(Attrs::is_dirty);
        expect(dirty, "though it is dirty still")?;
        change(space, range, Attrs::mkwrite)?;
        expect(poke(at, 1) == Ok(()), "made writable, the dirty needs no fault")
    });
}
