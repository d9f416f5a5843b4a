//! A kernel's memory management on 32-bit Arm (ARMv7-A), in both hardware page-table formats: *classic*
//! (short descriptors, 2 levels) and *LPAE* (long descriptors, 3 levels).
//!
//! It covers what ARM Linux's `arch/arm/mm` covers: `pgd_alloc` and `pgd_free`, copying from
//! `swapper_pg_dir`, the mark on entries that are swapper's, identity mappings, filling kernel entries in
//! by fault, ASIDs and context switches, `ioremap`, `vmalloc`, modules and `kmap`, copy-on-write, TLB and cache
//! maintenance.
//!
//! One idea carries it: **a page-table format is data plus two pure functions; everything above is written
//! once.** The cargo feature `lpae` only says which format [`format::Active`] names; both are always there.
//!
//! # Layers
//! A module uses only what stands below it:
//!
//! ```text
//!                    your kernel
//!                   ┌─────┴─────┐
//!      policy       mm        armv7      instructions; only on Arm
//!                   └─────┬─────┘
//!      the walk         table            armv7 implements table's traits
//!                         │
//!      bits             format           classic/ and lpae/, side by side
//!                         │
//!                    addr,  attr
//! ```
//!
//! - [`addr`], [`attr`]: addresses, ranges, and what a mapping means.
//! - [`format`](mod@format): descriptors, register values, fault status; pure, and the same on any host.
//! - [`table`]: reading and editing a tree of tables, for any format, on any [`Machine`](table::mem::Machine).
//! - [`mm`]: [`Swapper`](mm::Swapper), [`Pgd`](mm::Pgd), [`Layout`](mm::Layout), [`Contexts`](mm::Contexts), faults,
//!   identity mappings, kernel windows.
//! - `armv7`: CP15, barriers, caches, TLB and MMU of the CPU itself, user space closed and opened, the way of other CPUs
//!   into the kernel's tables, and a check of tables by the CPU that walks them.
//!
//! # The way in
//! A CPU starts without tables. What leads from there to swapper's and to address spaces, in this order
//! (`examples/hobby-kernel` has 2 to 4 in `head.S`, VBAR in `traps.rs`, 5 in `memory.rs` and `swapper.rs`; `boot/` has 1,
//! too, and runs on any machine):
//!
//! 1. SVC mode, interrupts masked, MMU and caches off, the level 1 data cache invalidated, and ACTLR.SMP set before a
//!    cache goes on, where the CPU has that bit: `armv7::start` has a routine for each.
//! 2. An early map, zeroed first: RAM at its link address, and the code that runs where it is, by
//!    [`EARLY_LEAF`](format::control::Registers::EARLY_LEAF)s. Then a DSB.
//!    A device, if it is needed so early, by what [`encode`](format::Format::encode) makes of
//!    [`Attrs::device`](attr::Attrs::device).
//! 3. Registers (DDI 0406C B3.2.4): ICIALLU, BPIALL, TLBIALL, DSB, ISB; CONTEXTIDR = 0;
//!    [`TTBCR`](format::control::Registers::TTBCR); ISB, as it decides what the next registers are; TTBR0, the root with
//!    [`TTBR_WALK`](format::control::Registers::TTBR_WALK); [`DACR`](format::control::Registers::DACR), not under LPAE;
//!    [`REMAP`](format::control::Registers::REMAP); ISB.
//! 4. SCTLR without [`CLEAR`](format::control::sctlr::CLEAR) and with [`ON`](format::control::sctlr::ON); ISB; a jump to
//!    the link address; a stack, `.bss`, Rust, VBAR.
//! 5. [`TableHeap`](table::heap::TableHeap) or the kernel's own frames as `armv7::Armv7`'s memory,
//!    [`Swapper::new`](mm::Swapper::new), and all that the kernel uses mapped: above all its RAM, while
//!    [sections](mm::Swapper::map) are to be had.
//! 6. Out of the early map with the MMU off for a moment, since its leaves are larger than swapper's:
//!    `armv7::offline::set_root`, which takes a layout's [split](mm::SwapperView::upper), too.
//!
//! 7. From the first [`pgd_alloc`](mm::Swapper::pgd_alloc) on, the abort handlers ask
//!    [`do_translation_fault`](mm::do_translation_fault), or [`decide`](mm::decide), about kernel addresses: what swapper
//!    maps later comes to a pgd by that fault alone. What the handlers need themselves is mapped before, or lies in an
//!    [eager](mm::Window::eager) window.
//! 8. [`Contexts::new`](mm::Contexts::new), a [`Context`](mm::Context) beside each [`Pgd`](mm::Pgd), and `switch_mm`.
//!
//! Then let the CPU say whether it translates as the tables say: `armv7::check::agree`.
//!
//! Step 6 runs a routine that the linker has to place: `KEEP(*(.idmap.text))`, within one page, in what swapper maps to be
//! executed.
//!
//! # Invariants
//! 1. **Fail whole.** An operation succeeds or changes nothing: an edit plans, reserves every table it will
//!    need, and then commits without a way to fail.
//! 2. **Initialise, then link.** A table is filled, cleaned and published before the one store that links it.
//! 3. **Flush, then free.** A table that left a tree is freed by the [`Flush`](table::flush::Flush) that
//!    made every TLB forget it. A flush that is not paid in time is paid when dropped.
//! 4. **One store a descriptor**, single-copy atomic: STR, or STRD under LPAE.
//! 5. **Break before make** where a live entry changes memory type, size or scope.
//! 6. **Nobody writes or frees through a mark**: what [`Owner::Swapper`](format::Owner) names is swapper's.
//! 7. **A copy of a swapper entry is absent or right**: once sealed, an entry that pgds copy goes from
//!    absent to a table, once.
//! 8. **No mapping is writable and executable**, nor any device executable: [`Access`](attr::Access) has no word for it.
//! 9. **An edit reads the ASID behind its stores and a DSB**: the space may be given another one while the edit goes on.
//!
//! # Example
//! An address space on a machine of your own (here: host memory that plays RAM; a kernel takes
//! `armv7::Armv7` over its frame allocator, or over the crate's [`TableHeap`](table::heap::TableHeap)).
//!
//! ```
//! # use armv7a_mm::{addr::*, attr::*, format::{Level, Lpae}, mm::*, table::{edit::LeafSizes, heap::TableHeap, mem::*}};
//! # use core::ptr::NonNull;
//! # struct Host(TableHeap);
//! # unsafe impl TableMemory for Host {
//! #     fn allocate(&self, level: &'static Level) -> Result<PhysAddr, OutOfMemory> { self.0.allocate(level) }
//! #     unsafe fn free(&self, table: PhysAddr, level: &'static Level) { unsafe { self.0.free(table, level) } }
//! #     fn virt(&self, at: PhysAddr) -> *mut u8 { self.0.virt(at) }
//! # }
//! # unsafe impl Maintenance for Host {
//! #     fn clean(&self, _: *const u8, _: usize) {}
//! #     fn dsb_ishst(&self) {}
//! #     fn dsb_ish(&self) {}
//! #     fn isb(&self) {}
//! #     fn tlbimva(&self, _: VirtAddr, _: Asid) {}
//! #     fn tlbimvaa(&self, _: VirtAddr) {}
//! #     fn tlbiasid(&self, _: Asid) {}
//! #     fn tlbiall(&self) {}
//! #     fn bpiall(&self) {}
//! # }
//! # let ram = vec![0u8; 1 << 20].leak();
//! # let aligned = ram.as_ptr().align_offset(1 << 14);
//! # let start = NonNull::new(ram[aligned..].as_mut_ptr()).unwrap();
//! # let phys = PhysAddr::from_u32(0x4000_0000);
//! # let machine = Host(unsafe { TableHeap::new(start, ram.len() - aligned, phys) }?);
//! static LAYOUT: Layout = Layout::checked(LayoutSpec::linux(0xc000_0000));
//!
//! let mut swapper = Swapper::<Lpae, _>::new(&machine, &LAYOUT, Features { pxn: true })?;
//! let lowmem = VirtRange::new(VirtAddr(0xc000_0000), 64 << 20)?;
//! // SAFETY: nobody walks these tables.
//! unsafe {
//!     let ram = PhysAddr::from_u32(0x4000_0000);
//!     swapper.map(lowmem, ram, Attrs::kernel(Access::ReadWrite), LeafSizes::LARGEST)?;
//! }
//!
//! let mut pgd = swapper.pgd_alloc()?;
//! let page = VirtRange::page(VirtAddr(0x1_0000));
//! // SAFETY: as above.
//! unsafe {
//!     let frame = PhysAddr::from_u32(0x4123_4000);
//!     pgd.map(page, frame, Attrs::user(Access::ReadExecute), LeafSizes::LARGEST)?;
//!     let found = pgd.translate(VirtAddr(0x1_0042)).unwrap();
//!     assert_eq!(found.phys, PhysAddr::from_u32(0x4123_4042));
//!     pgd.unmap(page)?.pay();
//!     pgd.pgd_free();
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

pub mod addr;
pub mod attr;
pub mod format;
pub mod mm;
pub mod table;

#[cfg(target_arch = "arm")]
pub mod armv7;

/// The README's listing, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
