//! Uses all that swapper, pgds, faults and the inspector offer a kernel, once: the image whose code `cargo xtask bench
//! --size` measures. It runs, too, and checks what it sees. Windows, contexts and copies between spaces are not in it.
//!
//! It stands here and not in the image's own crate, so that the library's generic functions are made once: beside
//! what the stub itself uses of them.

use core::hint::black_box;
use core::ops::ControlFlow;

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::mmu::{self, Query, WalkState};
use armv7a_mm::armv7::{cache, offline};
use armv7a_mm::attr::{Access, Asid, Attrs};
use armv7a_mm::format::Active;
use armv7a_mm::mm::SwapperView;
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::inspect::{Inspector, Regs};
use armv7a_mm::table::walk;

use crate::harness::{self, Test};
use crate::kernel::{self, Kernel, LAYOUT, Pgd};
use crate::memory::Machine;
use crate::{check, check_eq, image, probe};

/// The payload.
pub fn run(_: &'static Kernel) -> ! {
    harness::run(&[&[
        Test { name: "whole::swapper", run: swapper },
        Test { name: "whole::pgd", run: pgd },
        Test { name: "whole::inspect", run: inspect },
        Test { name: "whole::offline", run: offline },
    ]])
}

fn spare() -> PhysAddr {
    PhysAddr::truncate(kernel::kernel().spare.base.next_multiple_of(1 << 24))
}

fn swapper() {
    let at = VirtRange::page(LAYOUT.spec().vmalloc.range().map_or(VirtAddr(0), VirtRange::start));
    let mut swapper = kernel::kernel().swapper.lock();
    let (page, frame, data) = black_box((at, spare(), Attrs::kernel(Access::ReadWrite)));
    // SAFETY: spare memory is nobody's.
    unsafe {
        check_eq!(swapper.map(page, frame, data, LeafSizes::PAGES), Ok(()));
        check!(swapper.protect(page, Access::Read).is_ok());
        check!(probe::read(page.start()).is_ok());
        check_eq!(swapper.translate(page.start()).map(|found| found.phys), Some(frame));
        check!(swapper.unmap(page).is_ok());
    }
    check_eq!(swapper.translate(page.start()).map(|found| found.phys), None);
}

fn pgd() {
    let mut pgd = match kernel::kernel().swapper.lock().pgd_alloc() {
        Ok(pgd) => pgd,
        Err(error) => panic!("{error}"),
    };
    // SAFETY: no TLB knows it.
    unsafe { pgd.set_asid(Some(Asid(1))) };
    let data = Attrs::user(Access::ReadWrite);
    let (range, frames) =
        black_box((VirtRange::aligned(VirtAddr(0x4000_0000), 26), PhysAddr::from_u32(0x8000_0000)));
    let part = black_box(VirtRange::aligned(VirtAddr(0x4012_3000), 13));
    // SAFETY: nobody goes there.
    unsafe {
        check_eq!(pgd.map(range, frames, data, LeafSizes::LARGEST), Ok(()));
        check!(pgd.protect(part, Access::Read).is_ok());
        check!(pgd.modify(part, |attrs| black_box(attrs.mkold().mkclean())).is_ok());
        check_eq!(pgd.translate(part.start()).map(|found| found.access()), Some(Access::Read));
        check!(walk::trace(&pgd.node(), part.start()).count() > 1);
        check!(pgd.visit(range, |_| ControlFlow::Break(())).is_break());
        check!(pgd.unmap(part).map(|flush| flush.pay()).is_ok());
        check!(pgd.clear(range).map(|flush| flush.pay()).is_ok());
        check!(pgd.visit(range, |_| ControlFlow::Break(())).is_continue());
        identity(&mut pgd);
        pgd.pgd_free();
    }
}

fn identity(pgd: &mut Pgd) {
    let section = black_box(VirtRange::aligned(VirtAddr(0xC300_0000), 20));
    // SAFETY: no CPU runs on the pgd.
    unsafe {
        check!(pgd.identity_mapping_add(section, Access::ReadExecute).is_ok());
        check_eq!(
            pgd.translate(section.start()).map(|found| found.phys),
            Some(PhysAddr::from_u32(section.start().0))
        );
        check!(pgd.identity_mapping_del(section).map(|flush| flush.pay()).is_ok());
    }
}

/// The tables that run, as a foreign machine's.
fn inspect() {
    let state = WalkState::read();
    let regs = Regs {
        sctlr: state.sctlr,
        ttbcr: state.ttbcr,
        ttbr0: state.ttbr0,
        ttbr1: state.ttbr1,
        dacr: state.dacr,
        mair0: state.remap[0],
        mair1: state.remap[1],
        id_mmfr0: Regs::default().id_mmfr0,
    };
    let heap = image::heap();
    let inspector = Inspector::new(regs, |at| {
        let at = image::placement().virt(at);
        // SAFETY: all tables lie in the heap.
        heap.contains(at).then(|| unsafe { (at.0 as *const u32).read_volatile() })
    });
    let text = black_box(image::text().start());
    let found = inspector.walk(text).ok().and_then(|leaf| leaf.locate(text));
    check_eq!(found, mmu::translate(text, Query::KernelRead).ok());
    check!(inspector.regions().count() > 4);
}

/// What stops the MMU for a moment: not run here, but there.
fn offline() {
    let code = image::idmap();
    cache::publish_code(code.start().0 as *const u8, code.bytes() as usize);
    if black_box(false) {
        let routine = image::placement().phys(offline::routine());
        let view: SwapperView<'static, Active, Machine> = kernel::kernel().view;
        let root = view.node().table();
        // SAFETY: never.
        let stored = unsafe { offline::store(routine, root, Default::default()) };
        check!(stored.is_ok());
    }
}
