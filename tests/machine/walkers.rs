//! The machine's own walk against the library's walker for foreign machines, which shares no code with it.

use armv7a_mm::addr::{PhysAddr, VirtAddr};
use armv7a_mm::format::FaultKind;
use armv7a_mm::table::inspect::{self, Inspector, Rights};

use super::bench;
use super::fault::{Cause, Status};
use super::leaf::{Allowed, Leaf};
use super::regs::Regs;
use super::walk::walk;

/// Compares what both find at `va`, with the MMU and all that the manual wants on, every domain a client's.
///
/// # Panics
/// If they differ.
pub fn compare(regs: Regs, va: u32, memory: impl Fn(PhysAddr) -> Option<u32>) {
    let on = bench::regs(regs.long(), 0, 0);
    let sctlr = 1 | regs.sctlr & (1 << 28 | 1 << 29 | 1 << 19 | 1 << 20);
    let regs = Regs { sctlr, dacr: 0x5555_5555, remap: on.remap, contextidr: 0, ..regs };
    let foreign = inspect::Regs {
        sctlr: regs.sctlr,
        ttbcr: regs.ttbcr,
        ttbr0: regs.ttbr0,
        ttbr1: regs.ttbr1,
        dacr: regs.dacr,
        mair0: regs.remap[0],
        mair1: regs.remap[1],
        ..inspect::Regs::default()
    };
    let word = |at| PhysAddr::new(at).and_then(&memory).map(u64::from);
    let walk = walk(&regs, va, None, &mut |at, _| {
        let low = word(at)?;
        if regs.long() { Some(word(at + 4)? << 32 | low) } else { Some(low) }
    });
    let expected = theirs(Inspector::new(foreign, &memory).walk(VirtAddr(va)), va);
    assert_eq!(ours(walk.end, va), expected, "{regs:x?}, {va:#x}");
}

fn rights(allowed: Allowed) -> Rights {
    let bit = |set, right| if set { right } else { Rights::empty() };
    bit(allowed.read, Rights::READ)
        | bit(allowed.write, Rights::WRITE)
        | bit(allowed.execute, Rights::EXECUTE)
}

fn cause(kind: FaultKind) -> Cause {
    match kind {
        FaultKind::Translation => Cause::Translation,
        FaultKind::WalkExternal => Cause::WalkExternal,
        kind => panic!("a walk does not raise {kind:?}"),
    }
}

/// Both walkers' answers, as far as both give them.
type Answer = Result<(Option<u64>, Rights, Rights, bool, bool), (Cause, u32)>;

fn theirs(leaf: Result<inspect::Leaf, inspect::WalkFault>, va: u32) -> Answer {
    match leaf {
        Ok(leaf) => {
            let phys = leaf.locate(VirtAddr(va)).map(PhysAddr::as_u64);
            Ok((phys, leaf.kernel, leaf.user, leaf.global, leaf.young))
        }
        Err(fault) => Err((cause(fault.kind), fault.depth as u32 + 1)),
    }
}

fn ours(end: Result<(Leaf, u64), Status>, va: u32) -> Answer {
    match end {
        Ok((leaf, _)) => {
            let phys = Some(leaf.phys(va));
            Ok((phys, rights(leaf.kernel), rights(leaf.user), leaf.global, leaf.young))
        }
        Err(status) => Err((status.cause, status.level)),
    }
}
