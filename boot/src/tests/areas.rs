//! ioremap, vmalloc and modules, used for real: devices answer, scattered pages are one area, what runs over its end
//! faults, code that was written is called, and a stack in an eager window needs no fault.

use core::arch::asm;

use armv7a_mm::addr::{PAGE_SIZE, PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::MemoryType;
use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{Active, FaultKind};
use armv7a_mm::mm::window::{self, PhysRange, WindowError};
use armv7a_mm::mm::{Layout, LayoutSpec, Window};

use super::frames::Frames;
use super::scratch::Refusal;
use super::support::{self, PTE, Space};
use super::windows::{LINK, fresh};
use super::world::World;
use crate::board::Device;
use crate::harness::Test;
use crate::kernel::{LAYOUT, kernel, synced};
use crate::memory::Machine;
use crate::{check, check_eq, image, probe, skip};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "areas::devices-answer-at-any-offset", run: devices },
    Test { name: "areas::ram-is-no-device", run: ram },
    Test { name: "areas::scattered-pages-are-one-area", run: scattered },
    Test { name: "areas::frames-run-out", run: out_of_frames },
    Test { name: "areas::an-older-space-gets-it-by-one-fault", run: by_fault },
    Test { name: "areas::a-stack-in-an-eager-window", run: stack },
    Test { name: "areas::module-code-calls-the-kernel", run: module },
];

type Vmalloc = window::Vmalloc<'static, Active, Machine, 16>;
type Modules = window::Modules<'static, Active, Machine, 4>;

/// The end of vmalloc, where no other test maps anything.
fn vmalloc() -> Vmalloc {
    Vmalloc::new(VirtRange::aligned(VirtAddr(LAYOUT.spec().vmalloc.end - 1), 21))
}

/// A read that finds nothing mapped.
fn nothing(at: VirtAddr) -> bool {
    matches!(Refusal::of(probe::read(at)), Some(Refusal { kind: FaultKind::Translation, .. }))
}

fn devices() {
    let known = [kernel().devices.uart, kernel().devices.gic];
    if known.iter().all(Option::is_none) {
        skip!("no device is known on this board");
    }
    let (mut window, mut swapper) = (vmalloc(), kernel().swapper.lock());
    for Device { phys, at, name, .. } in known.into_iter().flatten() {
        for offset in [0xFF0_u32, 0xFF4, 0xFE0, 0xFFC] {
            let there = PhysAddr::truncate(phys.as_u64() + u64::from(offset));
            // SAFETY: the identification registers; nobody uses the devices meanwhile.
            let mapped = unsafe { window.ioremap(&mut swapper, there, 4, MemoryType::Device) };
            let Ok(mapped) = mapped else { return check!(false, "{name}: {mapped:?}") };
            check_eq!(mapped.0 & 0xFFF, offset);
            check_eq!(probe::read(mapped), probe::read(VirtAddr(at.0 + offset)), "{name}");
            check!(nothing(VirtAddr((mapped.0 | 0xFFF) + 1)), "{name}: the guard");
            // SAFETY: as above.
            check_eq!(unsafe { window.iounmap(&mut swapper, mapped) }, Ok(()));
            window.purge();
            check!(nothing(mapped), "{name}: unmapped");
        }
    }
}

fn ram() {
    let (mut window, mut swapper) = (vmalloc(), kernel().swapper.lock());
    let linear = kernel().linear;
    let Some((first, last)) = PhysAddr::new(linear.base).zip(PhysAddr::new(linear.end() - 1))
    else {
        return check!(false, "RAM lies within 40 bits");
    };
    // The list outlives the window, as a kernel's does.
    let kept: &'static [PhysRange] = RAM.call_once(|| [PhysRange { first, last }]);
    window.refuse_ram(kept);
    // SAFETY: refused.
    let refused = unsafe { window.ioremap(&mut swapper, last, 1, MemoryType::Device) };
    check_eq!(refused, Err(WindowError::Ram { at: last }));
}

static RAM: spin::Once<[PhysRange; 1]> = spin::Once::new();

fn scattered() {
    let (mut window, mut frames) = (vmalloc(), Frames::new(10));
    let mut swapper = kernel().swapper.lock();
    // SAFETY: spare memory is nobody's.
    let area = unsafe { window.vmalloc(&mut swapper, 5, &mut frames) };
    let Ok(area) = area else { return check!(false, "{area:?}") };
    let words = || (area.start().0..=area.last().0).step_by(0x7FC).map(VirtAddr);
    for at in words() {
        // SAFETY: the area is this test's.
        check_eq!(unsafe { probe::write(at, !at.0) }, Ok(()));
    }
    for at in words() {
        check_eq!(probe::read(at), Ok(!at.0));
        // The memory itself, by way of the linear map.
        let Some(found) = swapper.translate(at) else { return check!(false, "{at}") };
        check_eq!(probe::read(support::alias(found.phys)), Ok(!at.0));
    }
    check!(nothing(VirtAddr(area.last().0 + 1)), "the guard");
    check!(nothing(VirtAddr(area.start().0 - 4)), "the page before");
    // SAFETY: as above.
    check_eq!(unsafe { window.vfree(&mut swapper, area.start(), &mut frames) }, Ok(()));
    check_eq!(frames.taken, 0);
    for at in words() {
        check!(nothing(at), "it was in the TLB");
    }
}

fn out_of_frames() {
    let (mut window, mut frames) = (vmalloc(), Frames::new(3));
    let mut swapper = kernel().swapper.lock();
    // SAFETY: spare memory is nobody's.
    let area = unsafe { window.vmalloc(&mut swapper, 5, &mut frames) };
    check_eq!(area, Err(WindowError::OutOfFrames));
    check_eq!((frames.taken, window.areas().count()), (0, 0));
    let start = LAYOUT.spec().vmalloc.end - (2 << 20);
    check!((0..5).all(|n| nothing(VirtAddr(start + n * PAGE_SIZE))));
}

fn by_fault() {
    let place = fresh(LAYOUT.spec().vmalloc, 1);
    let (mut window, mut frames) = (Vmalloc::new(place), Frames::new(4));
    let space = Space::new();
    space.enter();
    // SAFETY: spare memory is nobody's.
    let area = unsafe { window.vmalloc(&mut kernel().swapper.lock(), 2, &mut frames) };
    let Ok(area) = area else { return check!(false, "{area:?}") };
    let before = synced();
    check!(probe::read(area.start()).is_ok() && probe::read(VirtAddr(area.last().0 & !3)).is_ok());
    check_eq!(synced() - before, u32::from(!Active::LPAE));
    // SAFETY: nobody uses it.
    let freed = unsafe { window.vfree(&mut kernel().swapper.lock(), area.start(), &mut frames) };
    check_eq!(freed, Ok(()));
    check!(nothing(area.start()));
}

/// 24 MiB of vmalloc whose tables every space has from birth.
static EAGER: Layout = Layout::checked(LayoutSpec {
    vmalloc: Window::new(0xFE00_0000, 0xFF80_0000).eager(),
    ..LayoutSpec::linux(0xC000_0000)
});

/// Uses some stack, takes a fault on it, and says where it is.
extern "C" fn deep(depth: u32) -> u32 {
    let words = core::hint::black_box([depth; 64]);
    if depth == 0 {
        let caught = probe::read(probe::UNMAPPED).is_err();
        return if caught { (&raw const words) as u32 } else { 0 };
    }
    let lowest = deep(depth - 1);
    if words == [depth; 64] { lowest } else { 0 }
}

/// Calls `f` with the stack pointer at `top`.
///
/// # Safety
/// The stack below `top` is mapped, and large enough.
unsafe fn on_stack(top: VirtAddr, f: extern "C" fn(u32) -> u32, argument: u32) -> u32 {
    let mut result = argument;
    // SAFETY: what a call may change is named (no floating point is in use); r5 survives it, so the stack is the old one after it; the caller vouches for the new one.
    unsafe {
        asm!(
            "mov r5, sp",
            "mov sp, {top}",
            "blx {f}",
            "mov sp, r5",
            top = in(reg) top.0,
            f = in(reg) f,
            inout("r0") result,
            out("r1") _,
            out("r2") _,
            out("r3") _,
            out("r5") _,
            out("r12") _,
            out("lr") _,
        );
    }
    result
}

fn stack() {
    let mut world = World::new(&EAGER);
    let space = Space::of(&mut world);
    space.enter();
    // The space is older than the stack. A fault on it would find no stack to handle it.
    let place = VirtRange::aligned(VirtAddr(0xFE40_0000), 20);
    let (mut window, mut frames) = (Vmalloc::new(place), Frames::new(8));
    // SAFETY: spare memory is nobody's.
    let area = unsafe { window.vmalloc(&mut world, 4, &mut frames) };
    let Ok(area) = area else { return check!(false, "{area:?}") };
    let before = synced();
    let top = VirtAddr(area.last().0 + 1);
    // SAFETY: 16 KiB, of which a quarter is used.
    let lowest = unsafe { on_stack(top, deep, 12) };
    check!(area.contains(VirtAddr(lowest)) && top.0 - lowest > 12 * 256, "{lowest:#x}");
    check_eq!(synced(), before);
    // SAFETY: nobody uses it any more.
    check_eq!(unsafe { window.vfree(&mut world, area.start(), &mut frames) }, Ok(()));
    check_eq!(frames.taken, 0);
}

/// What the module calls.
extern "C" fn answer() -> u32 {
    41
}

/// PUSH {r4, lr}; BL answer, or BLX answer where that is Thumb; ADD r0, r0, #1; POP {r4, pc}.
fn code(at: VirtAddr) -> [u32; 4] {
    let answer = answer as *const () as u32;
    let offset = (answer & !1).wrapping_sub(at.0 + 4 + 8);
    let call = if answer & 1 == 0 { 0xEB00_0000 } else { 0xFA00_0000 | (offset & 2) << 23 };
    [0xE92D_4010, call | offset >> 2 & 0xFF_FFFF, 0xE280_0001, 0xE8BD_8010]
}

fn module() {
    let whole = LAYOUT.spec().modules;
    let far = Modules::within(VirtRange::page(VirtAddr(0x4000_0000)), image::text());
    check!(far.is_err(), "beyond branch range");
    check!(Modules::new(&LAYOUT, image::text()).is_ok());
    // The last entry, where no other test maps anything.
    let place = VirtRange::aligned(VirtAddr(whole.end - 1), LINK.shift);
    let Ok(mut modules) = Modules::within(place, image::text()) else {
        return check!(false, "the kernel is near");
    };
    let mut frames = Frames::new(4);
    let (older, synced_before) = (Space::new(), synced());
    older.enter();
    let mut swapper = kernel().swapper.lock();
    // SAFETY: spare memory is nobody's.
    let area = unsafe { modules.allocate(&mut swapper, 0x1010, &mut frames) };
    let Ok(mut area) = area else { return check!(false, "{:?}", area.err()) };
    let start = area.range().start();
    for page in [0, PAGE_SIZE] {
        let at = VirtAddr(start.0 + page);
        // SAFETY: faults are handled, memory is initialised.
        let bytes = unsafe { area.bytes() };
        for (word, to) in code(at).into_iter().zip(bytes[page as usize..].chunks_exact_mut(4)) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        // SAFETY: it does not run yet.
        let early = Refusal::of(unsafe { probe::execute(at) });
        check_eq!(early, Refusal::read(FaultKind::Permission, PTE));
    }
    check_eq!(synced() - synced_before, 1);
    // SAFETY: the area is of this swapper's.
    let area = match unsafe { modules.seal(&mut swapper, area) } {
        Ok(area) => area,
        Err((_, error)) => return check!(false, "{error}"),
    };
    let youngest = Space::of(&mut swapper);
    for space in [&older, &youngest] {
        space.enter();
        for at in [start, VirtAddr(start.0 + PAGE_SIZE)] {
            // SAFETY: the code written above keeps the procedure call standard.
            check_eq!(unsafe { probe::execute(at) }, Ok(42), "{at}");
            // SAFETY: it faults.
            let late = Refusal::of(unsafe { probe::write(at, 0) });
            check_eq!(late, Refusal::write(FaultKind::Permission, PTE));
        }
    }
    drop(swapper);
    support::leave();
    drop(youngest);
    drop(older);
    let mut swapper = kernel().swapper.lock();
    // SAFETY: nobody runs it any more.
    check!(unsafe { modules.free(&mut swapper, area, &mut frames) }.is_ok());
    check_eq!(frames.taken, 0);
    check!(nothing(start));
}
