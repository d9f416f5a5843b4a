//! A kernel's frames: handed out in no order, taken back once every TLB forgot them, counted where they are shared.

use std::collections::BTreeMap;

use armv7a_mm::mm::SharedFrames;
use armv7a_mm::mm::window::FrameSource;

use super::{Format, Host, PAGE_SIZE, PhysAddr, phys};

/// Frames from 0x6800_0000 up, in a scattered order, `left` of them; and how often each frame is mapped.
pub struct Frames<'h, F: Format> {
    host: &'h Host<F>,
    /// How many more are there.
    pub left: usize,
    next: u64,
    /// Those in use.
    pub taken: Vec<PhysAddr>,
    /// What was given back, in order.
    pub given: Vec<PhysAddr>,
    /// How often each page was shared.
    pub shared: BTreeMap<u64, usize>,
    /// Every call of `share`.
    pub calls: Vec<(u64, u64)>,
}

impl<'h, F: Format> Frames<'h, F> {
    /// `left` frames of this machine.
    pub fn new(host: &'h Host<F>, left: usize) -> Self {
        let (taken, given) = (Vec::new(), Vec::new());
        Self { host, left, next: 0, taken, given, shared: BTreeMap::new(), calls: Vec::new() }
    }
}

impl<F: Format> FrameSource for Frames<'_, F> {
    fn allocate(&mut self) -> Option<PhysAddr> {
        self.left = self.left.checked_sub(1)?;
        // Neighbours in time are not neighbours in memory.
        let frame = phys(0x6800_0000 + (self.next * 37 % 1024) * u64::from(PAGE_SIZE));
        self.next += 1;
        self.taken.push(frame);
        Some(frame)
    }

    fn free(&mut self, frame: PhysAddr) {
        let at = self.taken.iter().position(|&taken| taken == frame).expect("a frame in use");
        self.taken.remove(at);
        self.given.push(frame);
        self.left += 1;
        self.host.assert_forgotten(frame);
    }
}

impl<F: Format> SharedFrames for Frames<'_, F> {
    fn share(&mut self, frame: PhysAddr, bytes: u64) {
        self.calls.push((frame.as_u64(), bytes));
        for page in (frame.as_u64()..frame.as_u64() + bytes).step_by(PAGE_SIZE as usize) {
            *self.shared.entry(page).or_default() += 1;
        }
    }
}
