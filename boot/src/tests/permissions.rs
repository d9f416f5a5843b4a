//! The permission matrix: reading, writing and executing, by the kernel and by user mode, with every access
//! and memory type, in every kind of leaf. What is refused aborts, and the abort says what it was.

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::mmu;
use armv7a_mm::attr::{Access, Attrs, MemoryType};
use armv7a_mm::format::{Active, EncodeError, FaultKind, Format};
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::error::EditError;

use super::kinds::Kind;
use super::scratch::WINDOW;
use super::support::{self, Space, Spare};
use super::windows::Mapping;
use crate::faults::{FaultRecord, Vector};
use crate::harness::Test;
use crate::probe::{self, Probed};
use crate::{check, check_eq, skip};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "permissions::every-access-by-everyone-in-every-leaf", run: matrix },
    Test { name: "permissions::no-device-executes", run: devices },
    Test { name: "permissions::the-kernel-executes-nothing-of-the-user's", run: pxn },
    Test { name: "permissions::the-kernel-executes-what-swapper-says", run: kernel_text },
];

/// A way to use memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Use {
    Read,
    Write,
    Execute,
    /// By LDRT.
    ReadAsUser,
    /// By STRT.
    WriteAsUser,
    /// In user mode itself.
    ReadInUser,
    /// In user mode itself.
    WriteInUser,
    /// In user mode itself.
    ExecuteInUser,
}

impl Use {
    const ALL: [Self; 8] = [
        Self::Read,
        Self::Write,
        Self::Execute,
        Self::ReadAsUser,
        Self::WriteAsUser,
        Self::ReadInUser,
        Self::WriteInUser,
        Self::ExecuteInUser,
    ];

    fn reads(self) -> bool {
        matches!(self, Self::Read | Self::ReadAsUser | Self::ReadInUser)
    }

    fn writes(self) -> bool {
        matches!(self, Self::Write | Self::WriteAsUser | Self::WriteInUser)
    }

    fn executes(self) -> bool {
        matches!(self, Self::Execute | Self::ExecuteInUser)
    }

    fn is_kernels(self) -> bool {
        matches!(self, Self::Read | Self::Write | Self::Execute)
    }
}

/// What lies in the memory that is used: as data the first word, as code a function that returns 7, and behind
/// it user mode's way out.
const CONTENT: [u32; 3] = [MOV_R0_7, BX_LR, SVC];
const MOV_R0_7: u32 = 0xE3A0_0007;
const BX_LR: u32 = 0xE12F_FF1E;
const SVC: u32 = 0xEF00_0000;
/// Where in it user mode's way out is.
const USER_CODE: u32 = 8;

/// User code that uses the memory at its argument: loads from it, stores its address to it.
const TOOLS: [u32; 4] = [LDR_R0_R0, SVC, STR_R0_R0, SVC];
const LDR_R0_R0: u32 = 0xE590_0000;
const STR_R0_R0: u32 = 0xE580_0000;
/// Where in the user half they are.
const TOOLS_AT: VirtAddr = VirtAddr(0x0200_0000);
const STORE_AT: VirtAddr = VirtAddr(0x0200_0008);

/// Uses the memory at `at`: what was read, or 7, or the abort.
fn use_memory(how: Use, at: VirtAddr) -> Probed<u32> {
    // SAFETY: the memory is the test's, and holds code that returns or leaves user mode.
    unsafe {
        match how {
            Use::Read => probe::read(at),
            Use::Write => probe::write(at, CONTENT[0]).map(|()| 7),
            Use::Execute => probe::execute(at),
            Use::ReadAsUser => probe::read_user(at),
            Use::WriteAsUser => probe::write_user(at, CONTENT[0]).map(|()| 7),
            Use::ReadInUser => left_user(probe::user(TOOLS_AT, at.0, VirtAddr(0))),
            Use::WriteInUser => left_user(probe::user(STORE_AT, at.0, VirtAddr(0))).map(|_| 7),
            Use::ExecuteInUser => {
                left_user(probe::user(VirtAddr(at.0 + USER_CODE), 7, VirtAddr(0)))
            }
        }
    }
}

/// User mode ended by SVC: its r0. By anything else: what.
fn left_user(record: FaultRecord) -> Probed<u32> {
    if record.vector == Vector::Supervisor { Ok(record.r0) } else { Err(record) }
}

/// Whether `attrs` allow it, in a leaf of this kind in the user half.
fn is_allowed(how: Use, attrs: Attrs, kind: Kind) -> bool {
    let right = match attrs.access {
        Access::None => false,
        Access::Read => how.reads(),
        Access::ReadWrite => how.reads() || how.writes(),
        Access::ReadExecute => how.reads() || how.executes(),
    };
    // Privileged execution is closed for what user mode may use; where leaves cannot say so, for all that user
    // space's tables map.
    let closed = attrs.user || !Active::LEVELS[kind.depth].leaf_pxn;
    let pxn = how == Use::Execute && mmu::has_pxn() && closed;
    right && !pxn && (how.is_kernels() || attrs.user)
}

/// Whether the abort is the one that the refused use must take.
fn is_right(record: &FaultRecord, how: Use, at: VirtAddr, attrs: Attrs, kind: Kind) -> bool {
    let none = attrs.access == Access::None;
    let expected = if none { FaultKind::Translation } else { FaultKind::Permission };
    let at = if how == Use::ExecuteInUser { at.0 + USER_CODE } else { at.0 };
    let in_user = matches!(how, Use::ReadInUser | Use::WriteInUser | Use::ExecuteInUser);
    record.fault().is_some_and(|fault| {
        fault.kind == expected
            && fault.depth == Some(kind.depth)
            && fault.write == how.writes()
            && fault.instruction == how.executes()
            && fault.address(record.far) == Some(VirtAddr(at))
    }) && (record.psr & 0x1F == 0x10) == in_user
}

/// Uses memory with `attrs` in every way: the first that does not end as it should.
fn try_all(at: VirtAddr, attrs: Attrs, kind: Kind) -> Option<(Use, Probed<u32>)> {
    Use::ALL.into_iter().find_map(|how| {
        let outcome = use_memory(how, at);
        let right = match &outcome {
            Ok(value) => {
                let expected = if how.reads() { CONTENT[0] } else { 7 };
                is_allowed(how, attrs, kind) && *value == expected
            }
            Err(record) => !is_allowed(how, attrs, kind) && is_right(record, how, at, attrs, kind),
        };
        (!right).then_some((how, outcome))
    })
}

/// A space with the user's tools in it, entered.
fn with_tools(spare: &mut Spare) -> Space {
    let mut space = Space::new();
    let tools = spare.page();
    support::write_code(tools, &TOOLS);
    let attrs = Attrs::user(Access::ReadExecute);
    let mapped = space.map(VirtRange::page(TOOLS_AT), tools, attrs, LeafSizes::PAGES);
    mapped.expect("the space is empty");
    space.enter();
    space
}

fn matrix() {
    let mut spare = Spare::new();
    let mut space = with_tools(&mut spare);
    for kind in Kind::all() {
        let Some(phys) = spare.take(kind.bytes(), kind.shift()) else {
            skip!("{} MiB aligned to themselves are not spare", kind.bytes() >> 20);
        };
        for (memory, access) in pairs(MemoryType::ALL, Access::ALL) {
            if access == Access::ReadExecute && !memory.is_normal() {
                continue;
            }
            for user in [false, true] {
                let attrs = Attrs { user, ..Attrs::user(access).with_memory(memory) };
                check_eq!(space.map(kind.range(), phys, attrs, kind.sizes()), Ok(()));
                // The format may have no such run: then leaves stand alone.
                let found = space.translate(kind.range().last());
                let found = found.map(|found| (found.depth, found.leaf().map(|leaf| leaf.attrs)));
                check_eq!(found, Some((kind.depth, Some(attrs))));
                // In the last page, which the last of a run's sixteen maps.
                let at = VirtAddr(kind.range().last().0 & !0xFFF);
                let last = PhysAddr::truncate(phys.as_u64() + kind.bytes() - 4096);
                support::write_code(last, &CONTENT);
                if let Some((how, outcome)) = try_all(at, attrs, kind) {
                    check!(false, "{how:?} in {kind:?} with {attrs:?}: {outcome:x?}");
                }
                check!(space.unmap(kind.range()).is_ok());
            }
        }
    }
}

/// Every one of these with every one of those.
fn pairs<A: Copy, B: Copy, const N: usize, const M: usize>(
    a: [A; N],
    b: [B; M],
) -> impl Iterator<Item = (A, B)> {
    a.into_iter().flat_map(move |a| b.into_iter().map(move |b| (a, b)))
}

fn devices() {
    let mut spare = Spare::new();
    let mut space = Space::new();
    for kind in Kind::all() {
        let Some(phys) = spare.take(kind.bytes(), kind.shift()) else { continue };
        for memory in [MemoryType::Device, MemoryType::StronglyOrdered] {
            let attrs = Attrs::user(Access::ReadExecute).with_memory(memory);
            let refused = space.map(kind.range(), phys, attrs, kind.sizes());
            let expected = EditError::Encode(EncodeError::ExecutableDevice(memory));
            check_eq!(refused, Err(expected), "{kind:?}");
            // Nor does a device become executable.
            let attrs = attrs.with_access(Access::Read);
            check_eq!(space.map(kind.range(), phys, attrs, kind.sizes()), Ok(()));
            let refused = space.protect(kind.range(), Access::ReadExecute).map(drop);
            check_eq!(refused, Err(expected), "{kind:?}");
            check!(space.unmap(kind.range()).is_ok());
        }
    }
}

fn pxn() {
    if !mmu::has_pxn() {
        skip!("the CPU has no PXN");
    }
    let mut spare = Spare::new();
    let mut space = with_tools(&mut spare);
    for kind in Kind::all() {
        let Some(phys) = spare.take(kind.bytes(), kind.shift()) else { continue };
        let attrs = Attrs::user(Access::ReadExecute);
        check_eq!(space.map(kind.range(), phys, attrs, kind.sizes()), Ok(()));
        support::write_code(phys, &CONTENT);
        let at = kind.range().start();
        check_eq!(use_memory(Use::ExecuteInUser, at), Ok(7), "{kind:?}");
        match use_memory(Use::Execute, at) {
            Ok(value) => check!(false, "{kind:?}: the kernel executed it, and got {value}"),
            Err(record) => {
                check_eq!((record.vector, record.pc), (Vector::Prefetch, at.0));
                check!(is_right(&record, Use::Execute, at, attrs, kind), "{kind:?}: {record}");
            }
        }
        check!(space.unmap(kind.range()).is_ok());
    }
}

fn kernel_text() {
    let mut spare = Spare::new();
    let phys = spare.page();
    support::write_code(phys, &CONTENT);
    let mapping = Mapping::page(WINDOW, phys);
    mapping.protect(Access::ReadExecute);
    let at = mapping.start();
    check_eq!(use_memory(Use::Execute, at), Ok(7));
    check_eq!(use_memory(Use::Read, at), Ok(CONTENT[0]));
    let kind = Kind::PAGE;
    let attrs = Attrs::kernel(Access::ReadExecute);
    let _space = with_tools(&mut spare);
    for how in [Use::Write, Use::ReadAsUser, Use::WriteAsUser, Use::ReadInUser, Use::ExecuteInUser]
    {
        match use_memory(how, at) {
            Ok(value) => check!(false, "{how:?} went through: {value:#x}"),
            Err(record) => check!(is_right(&record, how, at, attrs, kind), "{how:?}: {record}"),
        }
    }
    check_eq!(use_memory(Use::Execute, at), Ok(7));
}
