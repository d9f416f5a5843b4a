//! `swapper_pg_dir`: the kernel's tables, built by the library from what memory.rs knows, and entered.

use armv7a_mm::armv7::{mmu, offline};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::Active;
use armv7a_mm::mm::{self, Features};
use armv7a_mm::table::context::Context;
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::error::EditError;
use spin::{Mutex, Once};

use crate::memory::{self, LAYOUT, Machine, machine, phys};

/// The kernel's tables, to edit.
pub type Swapper = mm::Swapper<'static, Active, Machine>;
/// The kernel's tables, to read.
pub type View = mm::SwapperView<'static, Active, Machine>;
/// An address space's tables.
pub type Pgd = mm::Pgd<'static, Active, Machine>;

/// Which address space the CPU runs, and under which ASID each is known to its TLB.
pub type Contexts = mm::Contexts<'static, Active, Machine, 1>;

static SWAPPER: Once<Mutex<Swapper>> = Once::new();
static VIEW: Once<View> = Once::new();
static CONTEXTS: Once<Contexts> = Once::new();

/// The kernel's tables, to edit.
pub fn swapper() -> &'static Mutex<Swapper> {
    SWAPPER.get().expect("start comes first")
}

/// The kernel's tables, to read without a lock.
pub fn view() -> &'static View {
    VIEW.get().expect("start comes first")
}

/// Runs in an address space from here on.
///
/// # Safety
/// Its pgd was told of this context, and is not freed.
pub unsafe fn enter_space(context: &Context) {
    let contexts = CONTEXTS.get().expect("start comes first");
    // SAFETY: this is the only CPU, interrupts are masked, and the caller answers for the rest.
    unsafe { contexts.switch_mm(0, context) }
}

/// Runs in no address space from here on.
pub fn leave_space() {
    let contexts = CONTEXTS.get().expect("start comes first");
    // SAFETY: as above.
    unsafe { contexts.leave_mm(0) }
}

/// Builds the kernel's tables and runs on them from here on.
///
/// # Errors
/// There is no memory for them, or the map contradicts itself.
pub fn start() -> Result<(), EditError> {
    let mut swapper = Swapper::new(machine(), &LAYOUT, Features { pxn: mmu::has_pxn() })?;
    for (part, access) in [
        (memory::below_image(), Access::ReadWrite),
        (memory::text(), Access::ReadExecute),
        (memory::rodata(), Access::Read),
        (memory::data(), Access::ReadWrite),
        (memory::stack_and_rest(), Access::ReadWrite),
    ] {
        let attrs = Attrs::kernel(access);
        // SAFETY: each part is used as it is mapped here, and lies where the early map has it.
        unsafe { swapper.map(part, phys(part.start()), attrs, LeafSizes::LARGEST)? };
    }
    enter(&swapper);
    // As the first pgd_alloc would: what it links for good is no program's memory.
    swapper.seal()?;
    VIEW.call_once(|| swapper.view());
    let contexts = Contexts::new(&mut swapper)?;
    CONTEXTS.call_once(|| contexts);
    SWAPPER.call_once(|| Mutex::new(swapper));
    Ok(())
}

/// Leaves the early map. Its leaves have other sizes than swapper's, so the MMU must be off in between.
fn enter(swapper: &Swapper) {
    let routine = phys(offline::routine());
    // SAFETY: both have the kernel at the same addresses, and the early map has the routine's page where it is. There
    // swapper has nothing to execute.
    let entered = unsafe { offline::set_root(routine, swapper.root(), swapper.view().upper()) };
    entered.expect("the image lies below 4 GiB");
}
