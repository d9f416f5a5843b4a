//! Table memory whose every descriptor is an atomic that shuttle watches.

use std::collections::HashMap;
use std::sync::Mutex;

use armv7a_mm::addr::{PhysAddr, VirtAddr};
use armv7a_mm::attr::Asid;
use armv7a_mm::format::{Descriptor, Level};
use armv7a_mm::table::mem::{Maintenance, OutOfMemory, TableMemory};
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicU64, Ordering};

/// Where memory starts, for CPUs and for walks: nobody reads it but by way of [`Memory::load`].
const BASE: u64 = 0x8000_0000;
const BYTES: u64 = 1 << 20;

/// What a table is full of before anybody wrote it: no descriptor that the library knows.
const GARBAGE: u64 = 0x0BAD_0000_0000_0BAD;

/// The memory: descriptors by address, and where the next table goes.
pub struct Memory {
    words: Mutex<HashMap<u64, Arc<AtomicU64>>>,
    next: Mutex<u64>,
    free: Mutex<Vec<(u64, usize)>>,
}

impl Memory {
    /// All of it free.
    pub fn new() -> Self {
        Self { words: Mutex::default(), next: Mutex::new(BASE), free: Mutex::default() }
    }

    fn word(&self, at: u64) -> Arc<AtomicU64> {
        let mut words = self.words.lock().expect("no thread panics in here");
        Arc::clone(words.entry(at).or_insert_with(|| Arc::new(AtomicU64::new(GARBAGE))))
    }

    /// Whether any table of these bytes was freed.
    pub fn is_free(&self, table: PhysAddr) -> bool {
        let free = self.free.lock().expect("likewise");
        free.iter().any(|(at, _)| *at == table.as_u64())
    }
}

// SAFETY: pieces are disjoint, aligned, and handed out once; nobody follows the addresses that `virt` makes.
unsafe impl TableMemory for Memory {
    fn allocate(&self, level: &'static Level) -> Result<PhysAddr, OutOfMemory> {
        let mut next = self.next.lock().expect("likewise");
        let at = next.next_multiple_of(level.table_bytes() as u64);
        if at + level.table_bytes() as u64 > BASE + BYTES {
            return Err(OutOfMemory);
        }
        *next = at + level.table_bytes() as u64;
        Ok(PhysAddr::new(at).expect("32 bits"))
    }

    unsafe fn free(&self, table: PhysAddr, level: &'static Level) {
        // Never handed out again: who still reads it is seen.
        let mut free = self.free.lock().expect("likewise");
        free.push((table.as_u64(), level.table_bytes()));
    }

    fn virt(&self, at: PhysAddr) -> *mut u8 {
        at.as_u64() as usize as *mut u8
    }

    unsafe fn load<D: Descriptor>(&self, at: *const D) -> D {
        let at = at as u64;
        let value = self.word(at).load(Ordering::Acquire);
        assert_ne!(value, GARBAGE, "read before it was written: {at:#x}");
        let free = self.free.lock().expect("likewise");
        let freed = free.iter().any(|(table, bytes)| (*table..table + *bytes as u64).contains(&at));
        assert!(!freed, "read after it was freed: {at:#x}");
        D::from_u64(value)
    }

    unsafe fn store<D: Descriptor>(&self, at: *mut D, value: D) {
        self.word(at as u64).store(value.as_u64(), Ordering::Release);
    }

    unsafe fn zero_unlinked<D: Descriptor>(&self, at: *mut D, count: usize) {
        // Nobody walks it: no point in stopping at each.
        let mut words = self.words.lock().expect("likewise");
        for k in 0..count {
            words.insert(at.wrapping_add(k) as u64, Arc::new(AtomicU64::new(0)));
        }
    }
}

// SAFETY: the model does what it is told.
unsafe impl Maintenance for Memory {
    fn clean(&self, _: *const u8, _: usize) {}
    fn dsb_ishst(&self) {}
    fn dsb_ish(&self) {}
    fn isb(&self) {}
    fn tlbimva(&self, _: VirtAddr, _: Asid) {}
    fn tlbimvaa(&self, _: VirtAddr) {}
    fn tlbiasid(&self, _: Asid) {}
    fn tlbiall(&self) {}
    fn bpiall(&self) {}
}
