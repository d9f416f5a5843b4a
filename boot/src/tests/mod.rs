//! The self-tests, a module per subject.

mod balance;
mod bulk;
mod caches;
mod contexts;
mod data;
mod descriptors;
mod devices;
mod devicetree;
mod faults;
mod hardware;
mod heap;
mod high_memory;
mod idmap;
mod kinds;
mod memory_map;
mod offline;
mod oracle;
mod permissions;
mod removal;
mod runs;
mod scratch;
mod sealed;
mod smp;
mod splits;
mod start;
mod support;
mod switching;
mod sync;
mod thread;
mod ttbr1;
mod uaccess;
mod windows;
mod world;
mod young;

pub use balance::{FIRST, LAST};
pub use bulk::TESTS as BULK;
pub use caches::TESTS as CACHES;
pub use contexts::TESTS as CONTEXTS;
pub use data::TESTS as DATA;
pub use descriptors::TESTS as DESCRIPTORS;
pub use devices::TESTS as DEVICES;
pub use devicetree::TESTS as DEVICE_TREE;
pub use faults::TESTS as FAULTS;
pub use hardware::TESTS as HARDWARE;
pub use heap::TESTS as HEAP;
pub use high_memory::TESTS as HIGH_MEMORY;
pub use idmap::TESTS as IDMAP;
pub use memory_map::TESTS as MEMORY_MAP;
pub use offline::TESTS as OFFLINE;
pub use permissions::TESTS as PERMISSIONS;
pub use removal::TESTS as REMOVAL;
pub use runs::TESTS as RUNS;
pub use sealed::TESTS as SEALED;
pub use smp::{
    ARRIVAL as SMP_ARRIVAL, FAULTS as SMP_FAULTS, SEALED as SMP_SEALED, SHOOTDOWN as SMP_SHOOTDOWN,
    STORM as SMP_STORM,
};
pub use splits::TESTS as SPLITS;
pub use start::TESTS as START;
pub use switching::TESTS as SWITCHING;
pub use sync::TESTS as SYNC;
pub use thread::TESTS as THREAD;
pub use ttbr1::TESTS as TTBR1;
pub use uaccess::TESTS as UACCESS;
pub use young::TESTS as YOUNG;
