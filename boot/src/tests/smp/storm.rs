//! Storms: every CPU makes address spaces, fills them, runs in them, and frees them, while the others do the same and
//! swapper changes. What is left in the end is what there was.

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Asid, Attrs};
use armv7a_mm::format::FaultKind;
use armv7a_mm::table::edit::LeafSizes;

use super::super::support::{self, Balance, Random, Spare};
use super::super::windows::fresh;
use super::{MOST, enter, everywhere, leave, same, with_team};
use crate::harness::Test;
use crate::kernel::{LAYOUT, Pgd, kernel};
use crate::probe;
use crate::team::Outcome;

/// The tests.
pub const TESTS: &[Test] =
    &[Test { name: "smp::storms-of-address-spaces-leave-nothing", run: spaces }];

/// Address spaces that each CPU makes, two at a time.
const TURNS: u32 = 12;
/// Frames that each CPU has for its pages.
const FRAMES: usize = 8;

/// One CPU's part of the storm.
struct Gust {
    cpu: u32,
    frames: [PhysAddr; FRAMES],
    random: Random,
    /// A page of vmalloc that no other CPU uses.
    kernel_page: VirtRange,
}

/// An address space of a gust's, and where its pages are.
struct Home {
    pgd: Pgd,
    pages: [VirtAddr; FRAMES / 2],
}

impl Gust {
    /// An address space with four pages, each somewhere else, in the frames from `first` on.
    fn build(&mut self, first: usize) -> Home {
        let mut pgd = kernel().swapper.lock().pgd_alloc().expect("the heap holds a few pgds");
        if self.random.below(4) > 0 {
            // SAFETY: the TLB holds nothing of it.
            unsafe { pgd.set_asid(Some(Asid(0))) };
        }
        let pages = core::array::from_fn(|page| {
            let at = VirtAddr((page as u32 + 1) << 28 | self.random.below(1 << 16) << 12);
            let frame = self.frames[first + page];
            support::write(frame, &[at.0 ^ self.cpu]);
            let attrs = Attrs::user(Access::ReadWrite);
            // SAFETY: the frame is this gust's.
            let mapped = unsafe { pgd.map(VirtRange::page(at), frame, attrs, LeafSizes::LARGEST) };
            mapped.expect("a new pgd is empty");
            at
        });
        Home { pgd, pages }
    }

    /// Whether this CPU, in this address space, finds what is its own, and nothing at `other`'s.
    fn visit(&self, home: &Home, other: &Home) -> Outcome {
        enter(home.pgd.root());
        for at in home.pages {
            match probe::read(at) {
                Ok(found) => same("a page holds another's", found, at.0 ^ self.cpu)?,
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
            // SAFETY: only this CPU uses it, by probes.
            let flush = match self.random.below(3) {
                0 => unsafe { home.pgd.unmap(page) },
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
        let at = self.kernel_page.start();
        let attrs = Attrs::kernel(Access::ReadWrite);
        let mapped = {
            let mut swapper = kernel().swapper.lock();
            // SAFETY: page and frame are this gust's.
            unsafe { swapper.map(self.kernel_page, self.frames[0], attrs, LeafSizes::PAGES) }
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

    /// An address space goes: to the allocator, or for the next to come.
    fn free(&mut self, home: Home) {
        // SAFETY: no CPU walks it.
        unsafe {
            match self.random.below(2) {
                0 => home.pgd.pgd_free(),
                _ => kernel().swapper.lock().pgd_free(home.pgd),
            }
        }
    }

    /// One turn: two address spaces, by turns.
    fn turn(&mut self) -> Outcome {
        let mut older = self.build(0);
        let mut younger = self.build(FRAMES / 2);
        let mut outcome = Ok(());
        for _ in 0..3 {
            outcome = outcome.and(self.visit(&older, &younger));
            outcome = outcome.and(self.visit(&younger, &older));
        }
        outcome = outcome.and(self.swapper());
        outcome = outcome.and(self.tear(&mut younger));
        enter(older.pgd.root());
        outcome = outcome.and(self.tear(&mut older));
        leave();
        self.free(older);
        self.free(younger);
        outcome
    }
}

fn spaces() {
    with_team(MOST, |team| {
        let _balance = Balance::new();
        let mut spare = Spare::new();
        let frames: [[PhysAddr; FRAMES]; MOST] =
            core::array::from_fn(|_| core::array::from_fn(|_| spare.page()));
        let window = fresh(LAYOUT.spec().vmalloc, 1).start();
        everywhere(team, |cpu| {
            let mut random = Random::new();
            // Each another part of the same numbers.
            (0..1000 * cpu).for_each(|_| {
                random.next();
            });
            let kernel_page = VirtRange::page(VirtAddr(window.0 + 0x1000 * cpu as u32));
            let mut gust = Gust { cpu: cpu as u32, frames: frames[cpu], random, kernel_page };
            team.meet();
            (0..TURNS).fold(Ok(()), |outcome, _| outcome.and(gust.turn()))
        });
        kernel().swapper.lock().shrink();
    });
}
