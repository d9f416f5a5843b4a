//! The kernel half as it was built, judged by the CPU's registers and the words in memory alone.

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::mmu::{self, Query};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{Active, Descriptor, Entry, FaultKind, Format, Leaf};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::inspect::{Memory, Rights};

use super::support::{self, Space, Spare};
use crate::harness::Test;
use crate::kernel::{LAYOUT, kernel};
use crate::live::{self, Breach};
use crate::probe::Probed;
use crate::{check, check_eq, image, probe, skip};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "memory-map::no-memory-is-written-and-executed", run: write_xor_execute },
    Test { name: "memory-map::write-and-execute-would-be-found", run: breaches },
    Test { name: "memory-map::parts-have-their-permissions", run: parts },
    Test { name: "memory-map::devices-are-devices", run: devices },
    Test { name: "memory-map::guard-pages-are-absent", run: guards },
    Test { name: "memory-map::all-is-the-kernel's-and-global", run: scope },
    Test { name: "memory-map::user-code-is-not-the-kernel's", run: user_code },
    Test { name: "memory-map::the-four-faults-of-a-kernel-half", run: four_faults },
];

/// In the user half.
const HERE: VirtAddr = VirtAddr(0x1000_0000);

const READ: Rights = Rights::READ;
const READ_WRITE: Rights = READ.union(Rights::WRITE);
const READ_EXECUTE: Rights = READ.union(Rights::EXECUTE);

fn write_xor_execute() {
    let checked = live::write_xor_execute(kernel());
    check!(checked.is_ok(), "{}", checked.map_or_else(|breach| breach, |_| unreachable!()));
    // Text and vectors, rodata, data, six stacks, the heap, what lies around it.
    check!(checked.is_ok_and(|leaves| leaves > 12), "{checked:?}");
}

/// The check can fail: it is shown words that the library does not write.
fn breaches() {
    let space = Space::new();
    let root = space.node();
    let shift = Active::LEVELS[0].shift;
    let ram = image::placement().ram().as_u64();
    let frame = PhysAddr::truncate(ram & !((1 << shift) - 1));
    let never = if Active::LPAE { 1 << 54 } else { 1 << 4 };
    let executable = |attrs: Attrs| {
        let leaf = Leaf { frame, attrs: attrs.with_global(false), run: false, pxn: false };
        let raw = Active::encode(0, Entry::Leaf(leaf)).map_or(0, Descriptor::as_u64);
        <Active as Format>::Raw::from_u64(raw & !never)
    };
    let found = |raw| {
        support::leave();
        // SAFETY: the test's own pgd, which no CPU runs on; nothing is executed there.
        unsafe { root.store(root.index(HERE), raw) };
        space.enter();
        live::write_xor_execute(kernel())
    };
    let before = found(Descriptor::from_u64(0));
    let mapping = found(executable(Attrs::kernel(Access::ReadWrite)));
    let device = found(executable(Attrs::device().with_access(Access::Read)));
    let text = found(executable(Attrs::kernel(Access::ReadExecute)));
    let after = found(Descriptor::from_u64(0));
    check!(before.is_ok(), "{before:?}");
    check!(matches!(mapping, Err(Breach::Mapping(leaf)) if leaf.range.contains(HERE)));
    check!(matches!(device, Err(Breach::Device(leaf)) if leaf.range.contains(HERE)));
    check!(matches!(text, Err(Breach::Alias { execute, .. }) if execute.range.contains(HERE)));
    check_eq!(after, before);
}

fn parts() {
    let machine = live::inspector(kernel());
    let rights = [
        (image::text(), READ_EXECUTE),
        (LAYOUT.vectors(), READ_EXECUTE),
        (image::rodata(), READ),
        (image::data(), READ_WRITE),
        (image::early_tables(), READ_WRITE),
        (image::heap(), READ_WRITE),
    ];
    let stacks = image::stacks().map(|(_, stack)| (stack, READ_WRITE));
    for (part, rights) in rights.into_iter().chain(stacks) {
        for page in (part.start().0..=part.last().0).step_by(0x1000) {
            let leaf = machine.walk(VirtAddr(page));
            check_eq!(leaf.map(|leaf| leaf.kernel), Ok(rights), "{page:#x} of {part}");
            let cached = leaf.is_ok_and(|leaf| matches!(leaf.memory, Memory::Normal { .. }));
            check!(cached, "{page:#x} of {part}: {leaf:?}");
        }
    }
}

fn devices() {
    let machine = live::inspector(kernel());
    let mut found = 0;
    for leaf in machine.leaves().filter(|leaf| leaf.memory == Memory::Device) {
        let mut known = kernel().devices.iter();
        let known = known.find(|device| leaf.range == VirtRange::page(device.at));
        check_eq!(known.map(|device| device.phys), Some(leaf.frame), "{leaf}");
        check_eq!(leaf.kernel, READ_WRITE, "{leaf}");
        found += 1;
    }
    check_eq!(found, kernel().devices.iter().count());
}

fn guards() {
    let machine = live::inspector(kernel());
    for (mode, stack) in image::stacks() {
        // A stack runs down, and where it must not end is the page below.
        let guard = VirtAddr(stack.start().0 - 1);
        let fault = machine.walk(guard).map_err(|fault| fault.kind);
        check_eq!(fault, Err(FaultKind::Translation), "below the {mode} stack");
        let taken = probe::read_byte(guard).map_err(|record| record.kind());
        check_eq!(taken, Err(Some(FaultKind::Translation)), "below the {mode} stack");
        check!(machine.walk(stack.start()).is_ok() && machine.walk(stack.last()).is_ok());
    }
}

fn scope() {
    let machine = live::inspector(kernel());
    for leaf in machine.leaves() {
        check!(leaf.range.start() >= LAYOUT.task_size(), "in the user half: {leaf}");
        check!(leaf.user.is_empty(), "user space's: {leaf}");
        check!(leaf.global && leaf.young, "{leaf}");
    }
}

fn user_code() {
    if !mmu::has_pxn() {
        skip!("this CPU has no PXN");
    }
    let mut spare = Spare::new();
    let mut space = Space::new();
    let code = VirtRange::page(HERE);
    let user = Attrs::user(Access::ReadExecute);
    check_eq!(space.map(code, spare.page(), user, LeafSizes::PAGES), Ok(()));
    space.enter();
    let leaf = live::inspector(kernel()).walk(HERE);
    check_eq!(leaf.map(|leaf| (leaf.kernel, leaf.user)), Ok((READ, READ_EXECUTE)));
    // SAFETY: it is not fetched, for PXN.
    let fetched = unsafe { probe::execute(HERE) }.map_err(|record| record.kind());
    check_eq!(fetched, Err(Some(FaultKind::Permission)));
    check!(live::write_xor_execute(kernel()).is_ok());
}

/// What ARM Linux's maintainer tries by hand when a fault on a kernel address went the user's way.
fn four_faults() {
    let kinds = |outcome: Probed<()>| {
        outcome.map_err(|record| record.fault().map(|fault| (fault.kind, fault.write)))
    };
    let text = image::text().start();
    // SAFETY: text is not writable; if it were, it stores what was there.
    let stored = unsafe { probe::write(text, probe::read(text).unwrap_or_default()) };
    check_eq!(kinds(stored), Err(Some((FaultKind::Permission, true))));
    let above_vectors = probe::read(VirtAddr(0xFFFF_2000)).map(|_| ());
    check_eq!(kinds(above_vectors), Err(Some((FaultKind::Translation, false))));
    let vectors = LAYOUT.vectors().start();
    check_eq!(probe::read(vectors), probe::read(image::vectors().start()));
    check!(mmu::translate(vectors, Query::UserRead).is_err());
    // SAFETY: as for text.
    let stored = unsafe { probe::write(vectors, probe::read(vectors).unwrap_or_default()) };
    check_eq!(kinds(stored), Err(Some((FaultKind::Permission, true))));
}
