//! Storms: every CPU makes address spaces, fills them, runs in them by turns, and frees them, while the others do the
//! same, swapper changes, and there are fewer ASIDs than spaces. What is left in the end is what there was.

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::{Active, FaultKind};
use armv7a_mm::mm::Contexts;
use armv7a_mm::table::context::Context;
use armv7a_mm::table::edit::LeafSizes;

use super::super::support::{self, Balance, Random, Spare};
use super::super::windows::fresh;
use super::{MOST, everywhere, leave, same, with_team};
use crate::harness::Test;
use crate::kernel::{LAYOUT, Pgd, kernel};
use crate::memory::Machine;
use crate::probe;
use crate::team::Outcome;

/// The tests.
pub const TESTS: &[Test] =
    &[Test { name: "smp::storms-of-address-spaces-leave-nothing", run: spaces }];

/// How often each CPU makes two address spaces.
const TURNS: u32 = 8;
/// Pages of an address space.
const PAGES: usize = 4;
/// ASIDs that there are, the reserved one included: fewer than spaces.
const ASIDS: usize = MOST + 2;

type Few = Contexts<'static, Active, Machine, MOST, ASIDS>;
type Frames = [PhysAddr; PAGES];

/// An address space, and where its pages are.
struct Home {
    pgd: Pgd,
    context: Context,
    pages: [VirtAddr; PAGES],
    /// The first word of a page is its address, and this.
    owner: u32,
}

impl Home {
    /// An address space with each of these frames somewhere.
    fn new(frames: Frames, random: &mut Random, owner: u32) -> Self {
        let mut pgd = kernel().swapper.lock().pgd_alloc().expect("the heap holds a few pgds");
        let pages = core::array::from_fn(|page| {
            let at = VirtAddr((page as u32 + 1) << 28 | random.below(1 << 16) << 12);
            support::write(frames[page], &[at.0 ^ owner]);
            let (range, attrs) = (VirtRange::page(at), Attrs::user(Access::ReadWrite));
            // SAFETY: the frame is whoever's who asks.
            let mapped = unsafe { pgd.map(range, frames[page], attrs, LeafSizes::LARGEST) };
            mapped.expect("a new pgd is empty");
            at
        });
        let context = Context::new(pgd.root());
        Self { pgd, context, pages, owner }
    }

    /// Once it lies where it stays, until it is moved or freed.
    fn settle(&mut self) {
        // SAFETY: CPUs run it as this context alone.
        unsafe { self.pgd.set_context(&self.context) };
    }

    /// It goes: to be the next to come, or to the allocator.
    fn free(mut self, keep: bool) {
        self.settle();
        // SAFETY: no CPU walks it.
        unsafe {
            if keep {
                kernel().swapper.lock().pgd_free(self.pgd);
            } else {
                self.pgd.pgd_free();
            }
        }
    }
}

/// One CPU's part of the storm.
struct Gust<'a> {
    contexts: &'a Few,
    /// A space that nobody edits and all run.
    shared: &'a Home,
    cpu: usize,
    frames: [Frames; 2],
    random: Random,
    /// A page of vmalloc that no other CPU uses.
    kernel_page: VirtRange,
}

impl Gust<'_> {
    /// This CPU runs in an address space.
    fn enter(&self, home: &Home) {
        // SAFETY: this is that CPU, it takes no interrupt, and was in address spaces by these contexts alone.
        unsafe { self.contexts.switch_mm(self.cpu, &home.context) };
    }

    /// Whether this CPU, in this address space, finds what is its own, and nothing at `other`'s.
    fn visit(&self, home: &Home, other: &Home) -> Outcome {
        self.enter(home);
        for at in home.pages {
            match probe::read(at) {
                Ok(found) => same("a page holds another's", found, at.0 ^ home.owner)?,
                Err(record) => return Err(("a page is missing", record.far, record.fsr)),
            }
        }
        for at in other.pages.into_iter().filter(|at| !home.pages.contains(at)) {
            if let Ok(found) = probe::read(at) {
                return Err(("another space's page is there", at.0, found));
            }
        }
        Ok(())
    }

    /// Takes pages of the address space in use away, one by one, and leaves some.
    fn tear(&mut self, home: &mut Home) -> Outcome {
        for at in home.pages {
            let page = VirtRange::page(at);
            let flush = match self.random.below(3) {
                // SAFETY: only this CPU uses it, by probes.
                0 => unsafe { home.pgd.unmap(page) },
                // SAFETY: as above.
                1 => unsafe { home.pgd.protect(page, Access::Read) },
                _ => continue,
            };
            flush.expect("it is mapped").pay();
            // SAFETY: this gust's frame, if it is stored at all.
            if unsafe { probe::write(at, 0) }.is_ok() {
                return Err(("a store is not stopped", at.0, 0));
            }
        }
        Ok(())
    }

    /// A kernel page comes, is read in the address space in use, and goes.
    fn swapper(&self) -> Outcome {
        let (at, frame) = (self.kernel_page.start(), self.frames[0][0]);
        let attrs = Attrs::kernel(Access::ReadWrite);
        let mapped = {
            let mut swapper = kernel().swapper.lock();
            // SAFETY: page and frame are this gust's.
            unsafe { swapper.map(self.kernel_page, frame, attrs, LeafSizes::PAGES) }
        };
        mapped.expect("it is not mapped");
        let found = probe::read(at);
        // SAFETY: as above.
        let flush = unsafe { kernel().swapper.lock().unmap(self.kernel_page) };
        flush.expect("it is mapped").pay();
        if let Err(record) = found {
            return Err(("a kernel page is missing", record.far, record.fsr));
        }
        match probe::read(at).map_err(|record| record.kind()) {
            Err(Some(FaultKind::Translation)) => Ok(()),
            _ => Err(("a kernel page is still there", at.0, 0)),
        }
    }

    /// One turn: two address spaces of its own, and the shared one.
    fn turn(&mut self) -> Outcome {
        let owner = self.cpu as u32;
        let [mut older, mut younger] =
            self.frames.map(|frames| Home::new(frames, &mut self.random, owner));
        older.settle();
        younger.settle();
        let mut outcome = Ok(());
        for _ in 0..3 {
            outcome = outcome.and(self.visit(&older, &younger));
            outcome = outcome.and(self.visit(self.shared, &older));
            outcome = outcome.and(self.visit(&younger, self.shared));
        }
        outcome = outcome.and(self.swapper());
        outcome = outcome.and(self.tear(&mut younger));
        self.enter(&older);
        outcome = outcome.and(self.tear(&mut older));
        // SAFETY: as in `enter`.
        unsafe { self.contexts.leave_mm(self.cpu) };
        older.free(self.random.below(2) == 0);
        younger.free(self.random.below(2) == 0);
        outcome
    }
}

fn spaces() {
    with_team(MOST, |team| {
        let _balance = Balance::new();
        let mut spare = Spare::new();
        let mut frames = || -> Frames { core::array::from_fn(|_| spare.page()) };
        let gusts: [[Frames; 2]; MOST] = core::array::from_fn(|_| [frames(), frames()]);
        let mut shared = Home::new(frames(), &mut Random::new(), 0x5A);
        shared.settle();
        let contexts = Few::new(&mut kernel().swapper.lock()).expect("it takes no memory");
        let window = fresh(LAYOUT.spec().vmalloc, 1).start();
        everywhere(team, |cpu| {
            let mut random = Random::new();
            // Each another part of the same numbers.
            (0..1000 * cpu).for_each(|_| {
                random.next();
            });
            let kernel_page = VirtRange::page(VirtAddr(window.0 + 0x1000 * cpu as u32));
            let (contexts, shared, frames) = (&contexts, &shared, gusts[cpu]);
            let mut gust = Gust { contexts, shared, cpu, frames, random, kernel_page };
            // The TLB is empty when the first context comes, and when the last has gone.
            leave();
            team.meet();
            let outcome = (0..TURNS).try_for_each(|_| gust.turn());
            leave();
            outcome
        });
        shared.free(false);
        kernel().swapper.lock().shrink();
    });
}
