//! Several CPUs at work: gathered, given functions to run, and sent away again.
//!
//! The first CPU keeps the console and the tests. Each of the others has a mailbox: a function, its argument, what
//! came of it. Whoever does not answer in time is named, and ends the run.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::barrier::{ISH, dsb, isb};
use armv7a_mm::armv7::secondary::{self, Startup, send_event, wait_for_event};
use armv7a_mm::armv7::tlb::{self, Reach};
use armv7a_mm::armv7::{cp15, mmu, offline};
use armv7a_mm::attr::Access;
use armv7a_mm::table::flush::Flush;

use crate::clock::Deadline;
use crate::cpus::{self, Way};
use crate::devicetree::{Cpus, MAX_CPUS};
use crate::kernel::{Pgd, kernel};
use crate::memory::machine;
use crate::{image, percpu, psci};

/// Seconds of the emulator's work that a CPU may take to come, to go, or to do what it is told.
const PATIENCE: usize = 20;

/// What is wrong, and the numbers that show it.
pub type Outcome = Result<(), (&'static str, u32, u32)>;

/// What a team runs: it is told the CPU's number.
type Job<'a> = dyn Fn(usize) -> Outcome + Sync + 'a;

/// Not there, or no longer.
const AWAY: u32 = 0;
/// There, with nothing to do.
const READY: u32 = 1;
/// Told to run the job.
const BUSY: u32 = 2;
/// Told to go.
const LEAVING: u32 = 3;

/// One CPU's mailbox. It belongs to the first CPU where `state` is [`AWAY`] or [`READY`], else to its own.
#[repr(C, align(64))]
struct Mailbox {
    startup: UnsafeCell<Option<Startup>>,
    job: UnsafeCell<Option<&'static Job<'static>>>,
    outcome: UnsafeCell<Outcome>,
    /// Meetings that its CPU has come to.
    met: AtomicU32,
    state: AtomicU32,
}

// SAFETY: see who owns it when.
unsafe impl Sync for Mailbox {}

static MAILBOXES: [Mailbox; MAX_CPUS] = [const {
    Mailbox {
        startup: UnsafeCell::new(None),
        job: UnsafeCell::new(None),
        outcome: UnsafeCell::new(Ok(())),
        met: AtomicU32::new(0),
        state: AtomicU32::new(AWAY),
    }
}; MAX_CPUS];

/// The CPUs that run; when dropped, the first alone does.
pub struct Team {
    cpus: Cpus,
    /// Maps the page to itself by which CPUs go that no firmware switches off.
    door: Option<Pgd>,
}

/// The page by which CPUs go, mapped to itself.
pub fn doorway() -> VirtRange {
    let routine = image::placement().phys(secondary::routine());
    VirtRange::page(VirtAddr(routine.as_u64() as u32))
}

/// The root of the pgd that maps [`doorway`].
static DOOR: AtomicU32 = AtomicU32::new(0);

impl Team {
    /// Starts every CPU that there is, up to `most` with this one.
    ///
    /// # Errors
    /// Why there is none but this one.
    ///
    /// # Panics
    /// One does not come.
    pub fn gather(most: usize) -> Result<Self, &'static str> {
        let mut cpus = Cpus::default();
        cpus::all().as_slice().iter().take(most).for_each(|&affinity| cpus.add(affinity));
        if cpus.as_slice().len() < 2 {
            return Err(match cpus::most() {
                1 => "there is one CPU",
                _ => "other CPUs, if there are any, are not this image's to start",
            });
        }
        // From here on what one CPU forgets, all forget.
        // SAFETY: more is forgotten than before.
        unsafe { machine().set_smp(true) };
        let door = if matches!(cpus::way(), Way::Psci(_)) { None } else { Some(door()) };
        let team = Self { cpus, door };
        for number in 1..team.size() {
            team.start(number);
        }
        Ok(team)
    }

    /// How many CPUs run.
    pub fn size(&self) -> usize {
        self.cpus.as_slice().len()
    }

    /// Their affinities, by number.
    pub fn affinities(&self) -> &[u32] {
        self.cpus.as_slice()
    }

    /// The mailboxes of all but the first, with their CPUs' numbers.
    fn others(&self) -> impl Iterator<Item = (usize, &'static Mailbox)> {
        MAILBOXES.iter().enumerate().take(self.size()).skip(1)
    }

    /// Starts one CPU, and waits for it.
    fn start(&self, number: usize) {
        let (mailbox, affinity) = (&MAILBOXES[number], self.cpus.as_slice()[number]);
        let root = kernel().view.node();
        let stack = image::stacks_of(number).next().map(|(_, stack)| stack.last().0 + 1);
        let startup = Startup::new(
            image::placement().phys(secondary::routine()),
            &root,
            VirtAddr(stack.unwrap_or_default()),
            arrive,
            number as u32,
        );
        let startup = startup.expect("the image lies below 4 GiB");
        // SAFETY: the CPU is away, so the mailbox is this one's.
        let startup = unsafe { (*mailbox.startup.get()).insert(startup) };
        startup.publish(&root);
        let record = image::placement().phys(VirtAddr(&raw const *startup as u32));
        // SAFETY: swapper has no code of the kernel's at the routine's physical address but, at most, the routine itself; the
        // record is published, maintenance is broadcast.
        unsafe { cpus::start(affinity, record) };
        self.wait(number, "does not start", || mailbox.state.load(Acquire) == READY);
        cpus::started(affinity);
    }

    /// Waits for CPU `number`.
    fn wait(&self, number: usize, complaint: &str, done: impl Fn() -> bool) {
        let deadline = Deadline::after(PATIENCE);
        while !done() {
            if deadline.is_over() {
                let affinity = self.cpus.as_slice()[number];
                panic!("CPU {number} (affinity {affinity:#x}) {complaint} within {PATIENCE} s");
            }
        }
    }

    /// Runs `job` on every CPU at once, and returns when all are done: what each came to, and who complained first.
    ///
    /// # Errors
    /// The number of a CPU, and its complaint.
    ///
    /// # Panics
    /// A CPU does not come back.
    pub fn run(
        &self,
        job: impl Fn(usize) -> Outcome + Sync,
    ) -> Result<(), (usize, &'static str, u32, u32)> {
        let job: &Job<'_> = &job;
        // SAFETY: it is used by CPUs that are waited for below; a panic ends the run.
        let job = unsafe { core::mem::transmute::<&Job<'_>, &'static Job<'static>>(job) };
        for (_, mailbox) in self.others() {
            // SAFETY: its CPU is ready, so the mailbox is this one's.
            unsafe { *mailbox.job.get() = Some(job) };
            mailbox.state.store(BUSY, Release);
        }
        dsb(ISH);
        send_event();
        let mut outcome = job(0).map_err(|(what, a, b)| (0, what, a, b));
        for (number, mailbox) in self.others() {
            self.wait(number, "is not done", || mailbox.state.load(Acquire) == READY);
            // SAFETY: its CPU is ready again.
            let its = unsafe { *mailbox.outcome.get() };
            outcome = outcome.and(its.map_err(|(what, a, b)| (number, what, a, b)));
        }
        outcome
    }

    /// Called by every CPU in a job: returns once all have.
    pub fn meet(&self) {
        let me = percpu::number();
        let meeting = MAILBOXES[me].met.load(Relaxed).wrapping_add(1);
        MAILBOXES[me].met.store(meeting, Release);
        for (number, mailbox) in MAILBOXES.iter().enumerate().take(self.size()) {
            let here = || mailbox.met.load(Acquire).wrapping_sub(meeting) as i32 >= 0;
            if me == 0 {
                self.wait(number, "does not come to a meeting", here);
            } else {
                while !here() {
                    core::hint::spin_loop();
                }
            }
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        for (number, mailbox) in self.others() {
            let affinity = self.cpus.as_slice()[number];
            mailbox.state.store(LEAVING, Release);
            dsb(ISH);
            send_event();
            self.wait(number, "does not leave", || {
                mailbox.state.load(Acquire) == AWAY && cpus::is_gone(affinity)
            });
        }
        // SAFETY: all others are away.
        unsafe { machine().set_smp(false) };
        let Some(mut door) = self.door.take() else { return };
        // SAFETY: this CPU, the only one that runs, is on other tables.
        unsafe {
            let flush = door.identity_mapping_del(doorway());
            flush.map(Flush::pay).expect("it was added");
            door.pgd_free();
        }
    }
}

/// A pgd that maps [`doorway`].
fn door() -> Pgd {
    let mut door = kernel().swapper.lock().pgd_alloc().expect("the heap holds a pgd");
    // SAFETY: no CPU runs on it yet.
    let added = unsafe { door.identity_mapping_add(doorway(), Access::ReadExecute) };
    added.expect("nothing else is mapped in a new pgd");
    DOOR.store(door.root().as_u64() as u32, Release);
    door
}

/// Where a CPU arrives: on its SVC stack, in swapper.
extern "C" fn arrive(number: u32) -> ! {
    let number = number as usize;
    percpu::set_number(number);
    set_stacks(number);
    // SAFETY: the vectors run at any address; SCTLR.V has come with the startup record.
    unsafe { cp15::VBAR::write(image::vectors().start().0) };
    isb();
    let mailbox = &MAILBOXES[number];
    mailbox.met.store(MAILBOXES[0].met.load(Relaxed), Relaxed);
    mailbox.state.store(READY, Release);
    loop {
        match mailbox.state.load(Acquire) {
            BUSY => {
                // SAFETY: the mailbox is this CPU's.
                unsafe {
                    if let Some(job) = *mailbox.job.get() {
                        *mailbox.outcome.get() = job(number);
                    }
                }
                mailbox.state.store(READY, Release);
            }
            LEAVING => depart(mailbox),
            _ => wait_for_event(),
        }
    }
}

/// The other modes' stacks. SVC mode has its own already, system mode is not used.
fn set_stacks(number: usize) {
    let top = |wanted: &str| {
        let stack = image::stacks_of(number).find(|(mode, _)| *mode == wanted);
        stack.map_or(0, |(_, stack)| stack.last().0.wrapping_add(1))
    };
    // SAFETY: each mode's stack pointer is its own, and SVC mode is back at the end. FIQ mode has r8 to r12 of its own,
    // so none of them holds an operand.
    unsafe {
        asm!(
            "cps #0x11",
            "mov sp, r0",
            "cps #0x12",
            "mov sp, r1",
            "cps #0x17",
            "mov sp, r2",
            "cps #0x1B",
            "mov sp, r3",
            "cps #0x13",
            in("r0") top("FIQ"),
            in("r1") top("IRQ"),
            in("r2") top("abort"),
            in("r3") top("undefined"),
        );
    }
}

/// This CPU goes: off, or to sleep.
fn depart(mailbox: &Mailbox) -> ! {
    if let Way::Psci(conduit) = cpus::way() {
        mailbox.state.store(AWAY, Release);
        dsb(ISH);
        let refused = psci::cpu_off(conduit);
        panic!("a CPU cannot be switched off: {refused:?}");
    }
    let bed = cpus::bed().expect("without firmware there is one");
    // SAFETY: the door maps the kernel as swapper does, and the routine's page to itself. What ASID 0 has in the TLB is
    // forgotten.
    unsafe { mmu::set_root(PhysAddr::from_u32(DOOR.load(Acquire))) };
    tlb::all(Reach::Local);
    tlb::predictions(Reach::Local);
    dsb(ISH);
    isb();
    mailbox.state.store(AWAY, Release);
    let routine = image::placement().phys(secondary::routine());
    // SAFETY: nothing is left to do here.
    let stayed: Result<_, offline::OutOfReach> = unsafe { secondary::leave(routine, bed, 0) };
    panic!("a CPU cannot go to sleep: {stayed:?}");
}
