//! Which other CPUs there are, how they are started, and how they go again: by PSCI; or, where all CPUs start at once,
//! out of the loop in which head.S has them sleep, and back into it.

use core::fmt;

use armv7a_mm::addr::{PhysAddr, VirtAddr};
use armv7a_mm::armv7::barrier::{SY, dsb};
use armv7a_mm::armv7::cp15::{MIDR, MPIDR};
use armv7a_mm::armv7::{cache, secondary};
use spin::Once;

use crate::devicetree::{self, Conduit, Cpus, MAX_CPUS};
use crate::ram::Ram;
use crate::{clock, head, image, println, psci};

/// The affinity fields of MPIDR.
const AFFINITY: u32 = 0x00FF_FFFF;

/// How other CPUs are started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// By firmware.
    Psci(Conduit),
    /// They sleep already, in a loop of this image's.
    Asleep,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Psci(Conduit::Hvc) => "by PSCI (hvc)",
            Self::Psci(Conduit::Smc) => "by PSCI (smc)",
            Self::Asleep => "out of the loop in which they sleep",
        })
    }
}

/// What is known of the CPUs before any other runs.
struct Known {
    /// The device tree's.
    told: Cpus,
    way: Way,
}

static KNOWN: Once<Known> = Once::new();

/// This CPU's affinity; 0 where it has no Multiprocessing Extensions (MPIDR.M; without them MPIDR reads as MIDR).
fn own_affinity() -> u32 {
    let mpidr = MPIDR::read();
    if mpidr >> 31 == 0 || mpidr == MIDR::read() { 0 } else { mpidr & AFFINITY }
}

/// Whether there can be other CPUs (MPIDR.U is clear).
fn may_have_others() -> bool {
    let mpidr = MPIDR::read();
    mpidr >> 30 == 0b10 && mpidr != MIDR::read()
}

/// Learns of CPUs, and says what.
pub fn find(ram: &Ram) {
    let known = KNOWN.call_once(|| {
        let tree = ram.tree.as_ref();
        let told = tree.and_then(|tree| devicetree::cpus(tree.bytes).ok()).unwrap_or_default();
        let psci = tree.and_then(|tree| devicetree::psci(tree.bytes).ok()).flatten();
        Known { told, way: psci.map_or(Way::Asleep, Way::Psci) }
    });
    match (known.told.as_slice().len(), may_have_others()) {
        (0, false) => println!("CPUs: 1"),
        (0, true) => println!("CPUs: nobody says how many; others start {}", known.way),
        (1, _) => println!("CPUs: 1 by the device tree"),
        (cpus, _) => println!("CPUs: {cpus} by the device tree; others start {}", known.way),
    }
}

/// How many CPUs there may be, this one included.
pub fn most() -> usize {
    match KNOWN.get().map_or(0, |known| known.told.as_slice().len()) {
        0 if may_have_others() => MAX_CPUS,
        told => told.max(1),
    }
}

/// How others are started.
pub fn way() -> Way {
    KNOWN.get().map_or(Way::Asleep, |known| known.way)
}

/// The affinities of all CPUs that can run, this one's first: it is number 0, and who follows has the numbers behind it. Of
/// those that start at once, the ones that have arrived in time.
pub fn all() -> Cpus {
    let mut all = Cpus::default();
    all.add(own_affinity());
    let told = KNOWN.get().map(|known| known.told).unwrap_or_default();
    match way() {
        Way::Psci(_) => told.as_slice().iter().for_each(|&affinity| all.add(affinity)),
        Way::Asleep if may_have_others() => {
            let awaited = told.as_slice().len().saturating_sub(1);
            let patience = clock::Deadline::after(if awaited > 0 { 5 } else { 1 });
            let mut rounds = 0_u32;
            loop {
                let asleep = (0..head::SLEEPERS).filter(|&at| is_asleep(at));
                let arrived = asleep.clone().count();
                // Where nobody says how many they are, they had time until now, and a little more.
                let enough = if awaited > 0 { arrived >= awaited } else { rounds > 1_000 };
                if enough || patience.is_over() {
                    asleep.for_each(|at| all.add(affinity_of(at)));
                    break;
                }
                rounds += 1;
            }
        }
        Way::Asleep => {}
    }
    all
}

/// Starts the CPU of this affinity with a record for it, by the routine that is mapped to itself.
///
/// # Panics
/// The firmware refuses.
///
/// # Safety
/// [`secondary`]'s module says what is to be done before.
pub unsafe fn start(affinity: u32, record: PhysAddr) {
    let record = record.as_u64() as u32;
    match way() {
        Way::Psci(conduit) => {
            let routine = image::placement().phys(secondary::routine()).as_u64() as u32;
            // SAFETY: the caller's promise.
            let started = unsafe { psci::cpu_on(conduit, affinity, routine, record) };
            started.unwrap_or_else(|error| panic!("CPU {affinity:#x} does not start: {error}"));
        }
        Way::Asleep => wake(sleeper_of(affinity), record),
    }
}

/// The CPU is awake: once it goes to sleep again, it sleeps until it is started anew.
pub fn started(affinity: u32) {
    if way() == Way::Asleep {
        wake(sleeper_of(affinity), 0);
    }
}

/// Where this CPU goes when it is not needed any more; `None` where it asks the firmware.
pub fn bed() -> Option<PhysAddr> {
    (way() == Way::Asleep).then(|| image::placement().phys(head::park()))
}

/// Whether the CPU of this affinity has gone.
pub fn is_gone(affinity: u32) -> bool {
    match way() {
        Way::Psci(conduit) => psci::is_off(conduit, affinity),
        Way::Asleep => is_asleep(sleeper_of(affinity)),
    }
}

/// The number by which head.S knows the CPU of this affinity.
const fn sleeper_of(affinity: u32) -> usize {
    (affinity & 0xF | (affinity >> 8 & 3) << 4) as usize
}

/// The affinity of that number.
const fn affinity_of(sleeper: usize) -> u32 {
    (sleeper & 0xF | (sleeper >> 4) << 8) as u32
}

/// A word of the area that CPUs that sleep look at, past the caches.
fn word(offset: usize) -> *mut u32 {
    let area: VirtAddr = image::sleepers().start();
    (area.0 as usize + offset) as *mut u32
}

/// Hands a CPU that sleeps its record, or takes it back.
fn wake(sleeper: usize, record: u32) {
    let at = word(sleeper * size_of::<u32>());
    // SAFETY: the area is head.S's; this half of it is written here alone, by one CPU.
    unsafe { at.write_volatile(record) };
    cache::flush_to_coherency(at.cast(), size_of::<u32>());
    dsb(SY);
    secondary::send_event();
}

/// Whether a CPU says that it sleeps.
fn is_asleep(sleeper: usize) -> bool {
    let at = word(head::SLEEPING + sleeper * size_of::<u32>());
    // This half is written by CPUs without caches alone, so no line of it is dirty.
    cache::flush_to_coherency(at.cast(), size_of::<u32>());
    dsb(SY);
    // SAFETY: as above.
    unsafe { at.read_volatile() != 0 }
}
