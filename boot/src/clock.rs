//! Limits for waiting: by the host's clock, which semihosting has on every machine.

use core::cell::Cell;

/// Looks at the clock are rare: each is a call to the host.
const LOOKS: u32 = 1 << 12;

/// A moment after which waiting is in vain.
pub struct Deadline {
    /// Hundredths of a second.
    at: usize,
    looked: Cell<u32>,
}

/// Hundredths of a second that the emulator has worked: on a busy host it waits longer.
fn now() -> usize {
    semihosting::sys::arm_compat::sys_clock().unwrap_or(0)
}

impl Deadline {
    /// In so many seconds.
    pub fn after(seconds: usize) -> Self {
        Self { at: now() + 100 * seconds, looked: Cell::new(0) }
    }

    /// Whether it has passed. To be asked in a loop.
    pub fn is_over(&self) -> bool {
        core::hint::spin_loop();
        let looked = self.looked.get().wrapping_add(1);
        self.looked.set(looked);
        looked.is_multiple_of(LOOKS) && now() > self.at
    }
}
