//! A kernel with a few pages mapped, and the traces of operations on it.

use armv7a_mm::addr::{PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::control::Registers;
use armv7a_mm::mm::{Layout, LayoutSpec};
use armv7a_mm::table::edit::LeafSizes;

use crate::machine::state::{Event, Setup};
use crate::machine::tlb::Forget;

use super::system::System;

/// Where user space maps something.
pub const USER: u32 = 0x0040_0000;
/// Where the kernel does.
pub const KERNEL: u32 = 0xF080_0000;

/// `count` pages at `at`.
pub fn pages(at: u32, count: u32) -> VirtRange {
    VirtRange::new(VirtAddr(at), u64::from(count) << 12).expect("a range")
}

/// A physical address.
pub fn phys(at: u32) -> PhysAddr {
    PhysAddr::from_u32(at)
}

/// A kernel with one address space, which every CPU runs, and two pages in each half.
pub struct Fixture<F: Registers> {
    pub system: System<F>,
}

impl<F: Registers> Fixture<F> {
    /// Everything is mapped and published.
    pub fn new(setup: Setup) -> Self {
        Self::with(setup, LayoutSpec::linux(0xC000_0000))
    }

    /// As `new`, in another memory map.
    pub fn with(setup: Setup, spec: LayoutSpec) -> Self {
        let layout = Layout::new(spec).expect("a layout");
        let mut system = System::<F>::new(setup, layout, true);
        let kernel = Attrs::kernel(Access::ReadWrite);
        // SAFETY: nothing real is mapped.
        unsafe {
            system.swapper.map(pages(KERNEL, 2), phys(0x1000_0000), kernel, LeafSizes::PAGES)
        }
        .expect("mapped");
        while system.spaces.is_empty() {
            system.alloc(1, true);
        }
        let attrs = Attrs::user(Access::ReadWrite);
        // SAFETY: likewise.
        unsafe {
            let pgd = &mut system.spaces[0].pgd;
            pgd.map(pages(USER, 2), phys(0x2000_0000), attrs, LeafSizes::PAGES).expect("mapped");
        }
        (0..setup.cpus).for_each(|cpu| system.switch(cpu, Some(0)));
        system.sim.assert_clean("the fixture");
        Self { system }
    }

    /// Runs an operation and returns its trace.
    pub fn trace(&mut self, inserts_only: bool, act: impl FnOnce(&mut System<F>)) -> Vec<Event> {
        let sim = self.system.sim;
        sim.begin("operation", inserts_only);
        act(&mut self.system);
        sim.end(true);
        let state = sim.state();
        let start = state.trace.iter().rposition(|event| matches!(event, Event::Begin(_)));
        let events = state.trace.range(start.expect("it began") + 1..).cloned().collect();
        drop(state);
        sim.assert_clean("the operation");
        events
    }
}

/// The trace in letters.
pub fn letters(events: &[Event]) -> String {
    let mut all: Vec<char> = events
        .iter()
        .filter_map(|event| {
            Some(match event {
                Event::Allocate(_) => 'a',
                Event::Store { .. } => 's',
                Event::Clean { .. } => 'c',
                Event::DsbIshst => 'w',
                Event::DsbIsh => 'd',
                Event::Isb => 'i',
                Event::Tlbi(_) => 't',
                Event::Bpiall => 'b',
                Event::Free(_) => 'f',
                Event::Begin(_) | Event::Regs { .. } => return None,
            })
        })
        .collect();
    all.dedup();
    all.into_iter().collect()
}

/// The invalidations of a trace.
pub fn tlbis(events: &[Event]) -> Vec<Forget> {
    let found = events.iter().filter_map(|event| match event {
        Event::Tlbi(what) => Some(*what),
        _ => None,
    });
    found.collect()
}

/// How many stores to linked tables it has.
pub fn stores(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Store { .. })).count()
}
