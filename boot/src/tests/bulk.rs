//! Many descriptors at once: what this CPU's own loops do, and the plain ones of the trait, must be the same, for
//! every length and with every single descriptor out of line.

use armv7a_mm::addr::{PAGE_SIZE, PhysAddr};
use armv7a_mm::attr::{Access, Attrs};
use armv7a_mm::format::{Active, Descriptor, Entry, Format, Leaf, Level};
use armv7a_mm::table::mem::{OutOfMemory, TableMemory};

use super::support::{Spare, alias};
use crate::harness::Test;
use crate::memory::machine;
use crate::{check, check_eq};

/// The tests.
pub const TESTS: &[Test] = &[
    Test { name: "bulk::reads-see-every-bit", run: reads },
    Test { name: "bulk::writes-reach-as-far-as-asked", run: writes },
];

type Raw = <Active as Format>::Raw;

/// Descriptors in a buffer: more than a few turns of any loop, and some behind them.
const ROOM: usize = 136;
/// The longest stretch that is read: four turns of eight and an odd one.
const READ: usize = 33;
/// The longest that is written: four turns of thirty-two and an odd one.
const WRITTEN: usize = 129;

/// The machine without its own loops.
struct Plain;

// SAFETY: it hands out nothing.
unsafe impl TableMemory for Plain {
    fn allocate(&self, _level: &'static Level) -> Result<PhysAddr, OutOfMemory> {
        Err(OutOfMemory)
    }

    unsafe fn free(&self, _table: PhysAddr, _level: &'static Level) {}

    fn virt(&self, at: PhysAddr) -> *mut u8 {
        machine().virt(at)
    }
}

/// Two buffers of [`ROOM`] descriptors.
fn buffers() -> [*mut Raw; 2] {
    let mut spare = Spare::new();
    core::array::from_fn(|_| alias(spare.page()).0 as *mut Raw)
}

fn set(buffer: *mut Raw, content: impl Fn(usize) -> Raw) {
    for i in 0..ROOM {
        // SAFETY: a page of spare memory holds them.
        unsafe { buffer.add(i).write(content(i)) };
    }
}

fn get(buffer: *mut Raw) -> [Raw; ROOM] {
    // SAFETY: as in `set`.
    core::array::from_fn(|i| unsafe { buffer.add(i).read() })
}

/// Bit `bit` alone.
fn bit(bit: u32) -> Raw {
    Raw::from_u64(1 << bit)
}

/// A page's descriptor; those behind it step by [`step`].
fn page() -> Raw {
    let attrs = Attrs::user(Access::ReadWrite);
    let leaf = Leaf { frame: PhysAddr::from_u32(0x8000_0000), attrs, run: false, pxn: false };
    Active::encode(Active::LEVELS.len() - 1, Entry::Leaf(leaf)).expect("there are such pages")
}

fn step() -> Raw {
    Raw::from_u64(4096)
}

/// The page `i` behind the first.
fn nth(i: usize) -> Raw {
    (0..i).fold(page(), |raw, _| raw.step(step()))
}

fn reads() {
    let [buffer, _] = buffers();
    let (zero, frame) = (Raw::from_u64(0), Active::frame_mask(Active::LEVELS.len() - 1, false));
    for count in 0..=READ {
        set(buffer, |i| if i < count { zero } else { page() });
        // SAFETY: the buffer is longer, and holds no table; so below.
        check!(unsafe { machine().are_zero(buffer, count) }, "{count} zeroes");
        for odd in 0..count {
            for place in 0..Raw::BITS {
                let one = |i| if i == odd { bit(place) } else { zero };
                set(buffer, one);
                // SAFETY: as above.
                let absent = unsafe { machine().are_zero(buffer, count) };
                check!(!absent, "bit {place} of {odd} in {count}");

                set(buffer, |i| !one(i));
                // SAFETY: as above.
                let common = unsafe { machine().common_bits(buffer, count) };
                check_eq!(common, !bit(place), "bit {place} of {odd} in {count}");

                set(buffer, |i| nth(i) ^ one(i));
                // SAFETY: as above.
                let mine = unsafe { machine().is_uniform(buffer, count, page(), frame) };
                // SAFETY: as above.
                let plain = unsafe { Plain.is_uniform(buffer, count, page(), frame) };
                // Ours may say no, and be slower for it, where frames differ above 4 GiB.
                let high = place >= u32::BITS && bit(place) & frame != zero;
                check!(mine == plain || high && !mine, "bit {place} of {odd} in {count}");
            }
        }
    }
}

fn writes() {
    let [mine, plain] = buffers();
    let flips = [bit(9), bit(0) | bit(11), bit(Raw::BITS - 1) | bit(5)];
    for count in 0..=WRITTEN {
        for flip in flips {
            set(mine, nth);
            set(plain, nth);
            // SAFETY: the buffers are longer, and hold no tables; so below.
            unsafe {
                machine().flip(mine, count, flip);
                Plain.flip(plain, count, flip);
            }
            check_eq!(get(mine), get(plain), "flip {count}");
        }
        // The second crosses 4 GiB in the middle, the third with every fourth step.
        let border = Raw::from_u64((1 << 32) - u64::from(PAGE_SIZE) * 10);
        for (first, step) in [(page(), step()), (border, step()), (border, bit(30))] {
            set(mine, |_| !page());
            set(plain, |_| !page());
            // SAFETY: as above.
            unsafe {
                machine().fill(mine, count, first, step);
                Plain.fill(plain, count, first, step);
            }
            check_eq!(get(mine), get(plain), "fill {count} from {first:#x} by {step:#x}");
            let nth = |i| (0..i).fold(first, |raw: Raw, _| raw.step(step));
            check!(get(mine)[..count].iter().enumerate().all(|(i, &raw)| raw == nth(i)));
        }

        // SAFETY: as above.
        unsafe {
            machine().zero_unlinked(mine, count);
            Plain.zero_unlinked(plain, count);
        }
        check_eq!(get(mine), get(plain), "zero {count}");
        set(plain, |i| nth(i).step(bit(8)));
        set(mine, |_| !page());
        // SAFETY: as above; they do not overlap.
        unsafe { machine().copy_unlinked(plain, mine, count) };
        let copied = |i: usize| if i < count { nth(i).step(bit(8)) } else { !page() };
        check!(get(mine).iter().enumerate().all(|(i, &raw)| raw == copied(i)), "copy {count}");
    }
}
