//! What this crate encodes, read back by `inspect` under the registers that this crate sets: the encoders
//! and the walker share no code, so each checks the other.

use armv7a_mm::addr::PhysAddr;
use armv7a_mm::attr::{Access, Asid, Attrs, Marks, MemoryType, Shareability};
use armv7a_mm::format::control::{Registers, sctlr};
use armv7a_mm::format::{
    Classic, Descriptor, Entry, FaultKind, Format, Leaf, Lpae, Owner, Runs, TableEntry,
};
use armv7a_mm::table::inspect::{Intent, LeafKind, Regs, Request};

use crate::Machine;

/// The table of each depth; address 0 is the first entry of each.
const TABLES: [u64; 3] = [0x4000, 0x8000, 0x9000];

fn machine<F: Registers>() -> Machine {
    Machine::new(Regs {
        sctlr: sctlr::ON,
        ttbcr: F::TTBCR,
        ttbr0: F::ttbr0(PhysAddr::truncate(TABLES[0]), Asid(1)),
        dacr: F::DACR,
        mair0: F::REMAP[0],
        mair1: F::REMAP[1],
        ..Regs::default()
    })
}

fn put<F: Format>(machine: Machine, depth: usize, raw: F::Raw) -> Machine {
    match F::LEVELS[depth].entry_shift {
        2 => machine.word(TABLES[depth], raw.as_u64() as u32),
        _ => machine.long(TABLES[depth], raw.as_u64()),
    }
}

/// A machine whose address 0 leads to `leaf` at `depth`, or `None` if the format has no such leaf.
fn mapped<F: Registers>(depth: usize, leaf: Leaf, table_pxn: bool) -> Option<Machine> {
    let owner = if leaf.attrs.user { Owner::User } else { Owner::Swapper };
    let mut machine = machine::<F>();
    for above in 0..depth {
        let table = PhysAddr::truncate(TABLES[above + 1]);
        let entry = Entry::Table(TableEntry { table, owner, pxn: table_pxn && above + 1 == depth });
        machine = put::<F>(machine, above, F::encode(above, entry).unwrap());
    }
    Some(put::<F>(machine, depth, F::encode(depth, Entry::Leaf(leaf)).ok()?))
}

/// Every combination of attributes.
fn all_attrs() -> impl Iterator<Item = Attrs> {
    let shares = [Shareability::Non, Shareability::Outer, Shareability::Inner];
    let flags =
        (0..32u8).map(|f| (f & 1 != 0, f & 2 != 0, f & 4 != 0, Marks::from_bits_truncate(f >> 3)));
    flags.flat_map(move |(user, global, young, marks)| {
        MemoryType::ALL.into_iter().flat_map(move |memory| {
            Access::ALL.into_iter().flat_map(move |access| {
                shares.map(|share| Attrs { memory, access, user, global, share, young, marks })
            })
        })
    })
}

fn rights(attrs: Attrs, pxn: bool) -> String {
    let (kernel, user) = match attrs.access {
        Access::None => ("---", "---"),
        Access::Read => ("r--", "r--"),
        Access::ReadWrite => ("rw-", "rw-"),
        Access::ReadExecute if pxn => ("r--", "r-x"),
        Access::ReadExecute => ("r-x", "r-x"),
    };
    format!("{kernel}/{}", if attrs.user { user } else { "---" })
}

const fn memory(memory: MemoryType) -> &'static str {
    match memory {
        MemoryType::StronglyOrdered => "strongly-ordered",
        MemoryType::Device => "device",
        MemoryType::WriteThrough => "normal wt-ra",
        MemoryType::WriteBack => "normal wb-ra",
        MemoryType::NonCacheable => "normal nc",
        MemoryType::WriteBackWriteAllocate => "normal wb-rwa",
    }
}

fn check<F: Registers>(depth: usize, run: bool, frame: u64, kind: LeafKind) {
    let frame = PhysAddr::truncate(frame);
    let mut checked = 0;
    for (attrs, pxn) in all_attrs().flat_map(|attrs| [(attrs, false), (attrs, true)]) {
        let level = &F::LEVELS[depth];
        let leaf = Leaf { frame, attrs, run, pxn: pxn && level.leaf_pxn };
        let Some(machine) = mapped::<F>(depth, leaf, pxn && !level.leaf_pxn) else { continue };
        checked += 1;
        if attrs.access == Access::None {
            let fault = machine.walk(0).unwrap_err();
            assert_eq!((fault.kind, fault.depth), (FaultKind::Translation, depth), "{leaf:?}");
            continue;
        }
        let seen = machine.leaf(0);
        assert_eq!((seen.kind, seen.frame), (kind, frame), "{leaf:?}");
        assert_eq!((seen.global, seen.young), (attrs.global, attrs.young), "{leaf:?}");
        assert_eq!(seen.contiguous, run && level.runs == Some(Runs::Stepping), "{leaf:?}");
        assert_eq!(format!("{}/{}", seen.kernel, seen.user), rights(attrs, pxn), "{leaf:?}");
        assert_eq!(seen.memory.to_string(), memory(attrs.memory), "{leaf:?}");
        if attrs.memory.is_normal() && attrs.memory != MemoryType::NonCacheable {
            assert_eq!(seen.share, attrs.share, "{leaf:?}");
        }
        let refused = machine.ask(0, Request::kernel(Intent::Read)).is_err();
        assert_eq!(refused, !attrs.young, "{leaf:?}");
    }
    assert!(checked > 300, "{} {kind:?}: only {checked} leaves", F::NAME);
}

#[test]
fn classic_leaves() {
    check::<Classic>(0, false, 0x8765_4000 & 0xfff0_0000, LeafKind::Section);
    check::<Classic>(0, true, 0xa5_8700_0000, LeafKind::Supersection);
    check::<Classic>(1, false, 0x8765_4000, LeafKind::SmallPage);
    check::<Classic>(1, true, 0x8765_0000, LeafKind::LargePage);
}

#[test]
fn lpae_leaves() {
    check::<Lpae>(0, false, 0xa5_8000_0000, LeafKind::Block1G);
    check::<Lpae>(1, false, 0xa5_8760_0000, LeafKind::Block2M);
    check::<Lpae>(1, true, 0xa5_8600_0000, LeafKind::Block2M);
    check::<Lpae>(2, false, 0xa5_8765_4000, LeafKind::Page);
    check::<Lpae>(2, true, 0xa5_8765_0000, LeafKind::Page);
}
