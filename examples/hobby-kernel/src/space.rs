//! A process's address space. Nothing is mapped when it starts: pages come as they are used.
//!
//! ```text
//! 0xbf00_0000  the kernel half begins
//! 0xbe00_0000  end of the stack, 1 MiB      zeros on demand
//! 0x1000_0000  heap, as far as sbrk moved   zeros on demand
//!              data and bss                 from the image on demand, then zeros
//! 0x0001_0000  text and constants           from the image on demand
//! ```

use core::ops::ControlFlow;

use armv7a_mm::addr::{PAGE_SIZE, PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::armv7::uaccess::{self, User};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::Fault;
use armv7a_mm::mm::window::FrameSource;
use armv7a_mm::mm::{Decision, Origin, decide};
use armv7a_mm::table::context::Context;
use armv7a_mm::table::edit::LeafSizes;
use armv7a_mm::table::mem::OutOfMemory;

use crate::ending::{Place, Reason};
use crate::frames::{self, FRAMES};
use crate::image;
use crate::memory::{LAYOUT, virt};
use crate::swapper::{Pgd, swapper, view};

/// Where the stack ends.
pub const STACK_END: u32 = 0xBE00_0000;
const STACK_BYTES: u32 = 1 << 20;
const HEAP: u32 = 0x1000_0000;
const HEAP_MOST: u32 = 16 << 20;

/// A part of an address space, in whole pages.
#[derive(Clone, Copy)]
struct Area {
    start: u32,
    end: u32,
    access: Access,
    /// What its memory holds at first; zeros behind it.
    content: &'static [u8],
}

impl Area {
    fn contains(&self, at: VirtAddr) -> bool {
        self.start <= at.0 && at.0 < self.end
    }

    /// Its addresses; none of a heap that has not grown yet.
    fn range(&self) -> Option<VirtRange> {
        VirtRange::new(VirtAddr(self.start), (self.end - self.start).into()).ok()
    }
}

/// Where the heap stands in [`Space::areas`].
const HEAP_AREA: usize = 2;

/// A process's address space.
pub struct Space {
    pgd: Pgd,
    areas: [Area; 4],
}

impl Space {
    /// One that holds the user programs.
    ///
    /// # Errors
    /// No memory is left for its tables.
    pub fn new() -> Result<Self, OutOfMemory> {
        let (text, data) = (image::text(), image::data());
        let area = |start, end, access, content| Area { start, end, access, content };
        let none: &[u8] = &[];
        Ok(Self {
            pgd: swapper().lock().pgd_alloc()?,
            areas: [
                area(text.start, text.end, Access::ReadExecute, image::text_bytes()),
                area(data.start, data.end, Access::ReadWrite, image::data_bytes()),
                area(HEAP, HEAP, Access::ReadWrite, none),
                area(STACK_END - STACK_BYTES, STACK_END, Access::ReadWrite, none),
            ],
        })
    }

    /// Where its tables begin.
    pub fn root(&self) -> PhysAddr {
        self.pgd.root()
    }

    /// Says by which context CPUs know the space.
    ///
    /// # Safety
    /// The context stays where it is until the space is freed; no CPU has run the space.
    pub unsafe fn set_context(&mut self, context: &Context) {
        // SAFETY: the caller answers for it.
        unsafe { self.pgd.set_context(context) }
    }

    /// Grows the heap by whole pages; where the new ones begin.
    pub fn sbrk(&mut self, bytes: u32) -> Option<u32> {
        let heap = &mut self.areas[HEAP_AREA];
        let (start, bytes) = (heap.end, bytes.checked_next_multiple_of(PAGE_SIZE)?);
        if bytes > HEAP + HEAP_MOST - start {
            return None;
        }
        heap.end += bytes;
        Some(start)
    }

    /// Makes a fault of the program good: maps the page that is missing, or takes a copy of one that is shared.
    ///
    /// # Errors
    /// Why that cannot be.
    pub fn fault(&mut self, fault: &Fault, at: VirtAddr) -> Result<(), Reason> {
        let area = self.areas.iter().find(|area| area.contains(at)).copied();
        // SAFETY: the pgd is this swapper's, and borrowed: nobody else edits it.
        let decision = unsafe { decide(view(), self.pgd.root(), fault, at, Origin::User) };
        match (decision, area) {
            (Decision::Retry, _) => Ok(()),
            (Decision::NotMapped, Some(area)) => self.populate(&area, at),
            (Decision::ReadOnly(found), _) => self.unshare(at, found.frame),
            _ => Err(Reason::Memory { fault: *fault, at, place: place(at, area.is_some()) }),
        }
    }

    /// Maps a page that was never used: what the image has for it, else zeros.
    fn populate(&mut self, area: &Area, at: VirtAddr) -> Result<(), Reason> {
        let page = VirtRange::page(at);
        let frame = FRAMES.lock().allocate().ok_or(Reason::OutOfMemory)?;
        let offset = (page.start().0 - area.start) as usize;
        // SAFETY: the frame is nobody else's yet.
        unsafe { frames::clear(frame) };
        if let Some(content) = area.content.get(offset..) {
            let content = &content[..content.len().min(PAGE_SIZE as usize)];
            // SAFETY: as above, and a frame holds a page.
            unsafe { virt(frame).copy_from_nonoverlapping(content.as_ptr(), content.len()) };
        }
        // SAFETY: the frame is this space's.
        let mapped =
            unsafe { self.pgd.map(page, frame, Attrs::user(area.access), LeafSizes::PAGES) };
        if mapped.is_err() {
            FRAMES.lock().free(frame);
            return Err(Reason::OutOfMemory);
        }
        if area.access == Access::ReadExecute {
            // By the program's own address: an instruction cache may know the frame by another.
            let publish = |user: &User| user.publish_code(page.start(), PAGE_SIZE as usize);
            uaccess::open(LAYOUT.user(), publish).expect("the running program maps it");
        }
        Ok(())
    }

    /// Gives this space a page of its own where it shares `frame` since a fork, and the right to write to it.
    fn unshare(&mut self, at: VirtAddr, frame: PhysAddr) -> Result<(), Reason> {
        let mut frames = FRAMES.lock();
        if !frames.is_shared(frame) {
            // SAFETY: only this space maps it.
            let flush = unsafe { self.pgd.make_writable(at) };
            flush.expect("the page is mapped").pay();
            return Ok(());
        }
        let copy = frames.allocate().ok_or(Reason::OutOfMemory)?;
        // SAFETY: the copy is nobody else's yet, and who shares the original cannot write to it.
        let original = unsafe {
            frames::copy(frame, copy);
            self.pgd.break_cow(at, copy)
        };
        frames.free(original.expect("the page is mapped"));
        Ok(())
    }

    /// A copy: both share all pages from here on, and whoever writes to one first takes a copy of it.
    ///
    /// # Errors
    /// No memory is left for its tables.
    pub fn fork(&mut self) -> Result<Self, OutOfMemory> {
        let mut child = Self { pgd: swapper().lock().pgd_alloc()?, areas: self.areas };
        for range in self.areas.iter().filter_map(Area::range) {
            let mut frames = FRAMES.lock();
            // SAFETY: writing faults from here on, and the fault is made good.
            let shared = unsafe { self.pgd.copy_on_write(&mut child.pgd, range, &mut *frames) };
            // The child's frames go back there.
            drop(frames);
            match shared {
                Ok(flush) => flush.pay(),
                Err(_) => {
                    child.free();
                    return Err(OutOfMemory);
                }
            }
        }
        Ok(child)
    }

    /// Gives back its tables, and the pages that nobody else uses. It must not be the one in use.
    pub fn free(self) {
        let mut frames = FRAMES.lock();
        for range in self.areas.iter().filter_map(Area::range) {
            let _ = self.pgd.visit(range, |leaf| {
                frames.free(leaf.phys);
                ControlFlow::<()>::Continue(())
            });
        }
        drop(frames);
        // SAFETY: no CPU runs on it.
        unsafe { swapper().lock().pgd_free(self.pgd) };
    }
}

/// What lies at `at`, for whoever should not be there.
fn place(at: VirtAddr, is_own: bool) -> Place {
    match at {
        _ if at < LAYOUT.user().start() => Place::Null,
        _ if at >= LAYOUT.task_size() => Place::Kernel,
        _ if is_own => Place::Own,
        _ => Place::Nothing,
    }
}
