//! The self-tests, a module per subject.

mod caches;
mod data;
mod descriptors;
mod devices;
mod devicetree;
mod faults;
mod hardware;
mod heap;
mod kinds;
mod offline;
mod oracle;
mod permissions;
mod removal;
mod start;
mod support;
mod thread;
mod windows;
mod world;
mod young;

pub use caches::TESTS as CACHES;
pub use data::TESTS as DATA;
pub use descriptors::TESTS as DESCRIPTORS;
pub use devices::TESTS as DEVICES;
pub use devicetree::TESTS as DEVICE_TREE;
pub use faults::TESTS as FAULTS;
pub use hardware::TESTS as HARDWARE;
pub use heap::TESTS as HEAP;
pub use offline::TESTS as OFFLINE;
pub use permissions::TESTS as PERMISSIONS;
pub use removal::TESTS as REMOVAL;
pub use start::TESTS as START;
pub use thread::TESTS as THREAD;
pub use young::TESTS as YOUNG;
