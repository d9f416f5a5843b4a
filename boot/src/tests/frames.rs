//! Spare memory by the page, for what takes frames from a kernel.

use armv7a_mm::addr::PhysAddr;
use armv7a_mm::mm::SharedFrames;
use armv7a_mm::mm::window::FrameSource;

use super::support::Spare;

/// Pages of spare memory of which no two are neighbours, and how many are in use.
pub struct Frames {
    spare: Spare,
    /// Those in use.
    pub taken: usize,
    /// Pages that `share` was told of.
    pub shared: u64,
    left: usize,
}

impl Frames {
    /// `left` of them.
    pub fn new(left: usize) -> Self {
        Self { spare: Spare::new(), taken: 0, shared: 0, left }
    }
}

impl FrameSource for Frames {
    fn allocate(&mut self) -> Option<PhysAddr> {
        self.left = self.left.checked_sub(1)?;
        let _between = self.spare.page();
        self.taken += 1;
        Some(self.spare.page())
    }

    fn free(&mut self, _frame: PhysAddr) {
        self.taken -= 1;
    }
}

impl SharedFrames for Frames {
    fn share(&mut self, _frame: PhysAddr, bytes: u64) {
        self.shared += bytes >> 12;
    }
}
