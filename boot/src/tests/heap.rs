//! What tables are allocated from.

use armv7a_mm::addr::VirtAddr;
use armv7a_mm::armv7::mmu::{self, Query};
use armv7a_mm::format::{Active, Format};
use armv7a_mm::table::mem::TableMemory;

use crate::harness::Test;
use crate::{check, check_eq, memory};

/// The tests.
pub const TESTS: &[Test] = &[Test { name: "heap::tables-come-aligned-and-go-back", run: tables }];

fn tables() {
    let machine = memory::machine();
    let before = (machine.memory().used(), machine.memory().counts());
    for level in Active::LEVELS {
        let Ok(table) = machine.allocate(level) else { panic!("no memory for a {}", level.name) };
        check!(table.is_aligned(level.table_bytes().trailing_zeros()), "{}: {table}", level.name);
        let at = VirtAddr(machine.virt(table) as u32);
        check_eq!(mmu::translate(at, Query::KernelWrite), Ok(table), "{}", level.name);
        // SAFETY: just allocated, nothing points to it.
        unsafe { machine.free(table, level) };
    }
    check_eq!((machine.memory().used(), machine.memory().counts()), before);
}
