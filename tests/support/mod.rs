//! What the host tests share: a machine whose table memory complains about every misuse, snapshots of
//! its tables, and a plain model of what should be mapped.
#![allow(dead_code, unused_imports, unused_macros, reason = "each test binary uses its part")]

pub mod arena;
pub mod audit;
pub mod debts;
pub mod exhaust;
pub mod frames;
pub mod host;
pub mod kernel;
pub mod links;
pub mod model;
pub mod random;
pub mod shape;

pub use armv7a_mm::addr::{PAGE_SIZE, PhysAddr, VirtAddr, VirtRange};
pub use armv7a_mm::attr::{Access, Asid, Attrs, MemoryType, Shareability};
pub use armv7a_mm::format::{Classic, Descriptor, Entry, Format, Leaf, Lpae, Owner, TableEntry};
pub use armv7a_mm::mm::{Features, Layout, LayoutSpec, Pgd, Pmds, Swapper, Vectors, Window};
pub use armv7a_mm::table::edit::LeafSizes;
pub use armv7a_mm::table::error::EditError;
pub use host::{Host, Op};

/// Makes a test of each function for each format: `name::classic` and `name::lpae`. A function that is not
/// listed is dead code, which clippy refuses.
macro_rules! both_formats {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn classic() {
                super::$name::<armv7a_mm::format::Classic>();
            }
            #[test]
            fn lpae() {
                super::$name::<armv7a_mm::format::Lpae>();
            }
        }
    )+ };
}
pub(crate) use both_formats;

/// The range from `start` up to, and without, `end`; 0 as the end means 4 GiB.
pub fn range(start: u32, end: u32) -> VirtRange {
    VirtRange::inclusive(VirtAddr(start), VirtAddr(end.wrapping_sub(1))).unwrap()
}

/// A physical address.
pub fn phys(at: u64) -> PhysAddr {
    PhysAddr::new(at).unwrap()
}

/// Whether the format is the one with two levels.
pub fn is_classic<F: Format>() -> bool {
    F::LEVELS.len() == 2
}
