//! The image entered again, as by a loader: MMU and caches off, by way of a page that is mapped to itself.
//!
//! What a loader would bring anew is put back: variables have their first values again, zeroed ones are zeroed by head.S,
//! and the CPUs' vote is taken back. One page survives: how often this image has been entered.

use core::convert::Infallible;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use armv7a_mm::addr::VirtRange;
use armv7a_mm::armv7::{cache, mmu, secondary};
use armv7a_mm::attr::Access;
use armv7a_mm::table::mem::Maintenance;

use crate::kernel::Kernel;
use crate::memory::machine;
use crate::{head, image, team};

/// What the page that survives begins with once the image was entered again.
const AGAIN: u32 = 0x0A6A_1201;
/// Where the page has the first values of variables.
const FIRST_VALUES: usize = 64;

/// How often the image was entered before.
static BEFORE: AtomicU32 = AtomicU32::new(0);
/// What the loader left in r2.
static R2: AtomicU32 = AtomicU32::new(0);

/// How often the image was entered before.
pub fn before() -> u32 {
    BEFORE.load(Relaxed)
}

/// The page that survives, and the variables.
fn places() -> (*mut u32, VirtRange) {
    (image::kept().start().0 as *mut u32, image::variables())
}

/// Before any variable has changed: keeps their values.
pub fn keep(r2: u32) {
    let (kept, variables) = places();
    // SAFETY: the page is this module's, it is large enough (linker.ld), and nobody writes variables meanwhile.
    unsafe {
        let to = kept.byte_add(FIRST_VALUES).cast::<u8>();
        let from = variables.start().0 as *const u8;
        ptr::copy_nonoverlapping(from, to, variables.bytes() as usize);
        if kept.read_volatile() == AGAIN {
            BEFORE.store(kept.add(1).read_volatile(), Relaxed);
        }
        // Whoever loads the image anew begins to count anew.
        kept.write_volatile(0);
    }
    R2.store(r2, Relaxed);
}

/// Enters the image again. The other CPUs are off, or asleep.
pub fn again(kernel: &Kernel) -> ! {
    let mut door = kernel.swapper.lock().pgd_alloc().expect("the heap holds a pgd");
    let (kept, variables) = places();
    let (count, r2) = (before() + 1, R2.load(Relaxed));
    let routine = image::placement().phys(secondary::routine());
    let start = image::placement().phys(head::again());
    // SAFETY: no CPU runs on the pgd yet, which maps the kernel as swapper does; what ASID 0 has in the TLB goes. This
    // is the last that this boot does: its variables are not used any more when they change.
    let stayed: Result<Infallible, _> = unsafe {
        let added = door.identity_mapping_add(team::doorway(), Access::ReadExecute);
        added.expect("nothing else is mapped in a new pgd");
        mmu::set_root(door.root());
        machine().tlbiall();
        machine().bpiall();
        machine().dsb_ish();
        machine().isb();
        kept.write_volatile(AGAIN);
        kept.add(1).write_volatile(count);
        let from = kept.byte_add(FIRST_VALUES).cast::<u8>();
        let to = variables.start().0 as *mut u8;
        ptr::copy_nonoverlapping(from, to, variables.bytes() as usize);
        cache::flush_to_coherency(
            image::whole().start().0 as *const u8,
            image::whole().bytes() as usize,
        );
        secondary::leave(routine, start, r2)
    };
    panic!("the image cannot be entered again: {stayed:?}");
}
