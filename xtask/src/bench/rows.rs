//! The operations, and what they cost elsewhere.
//!
//! Linux: Debian's 6.1.176 kernels `armmp` (classic) and `armmp-lpae`, unmodified, on QEMU 7.2's cortex-a15 with
//! 1 GiB; every instruction counted by a TCG plugin, and again by single steps. Its pgd_alloc is 4178 instructions
//! (zeroed pages, freed ones or not) and 1200; pgd_free 689 and 1237, for a process that has a page table at
//! address 0; `cpu_v7_set_pte_ext` alone, for one valid entry, 22 and 12; `do_translation_fault` that copies a
//! kernel entry 39 and 56; `check_and_switch_context` with `cpu_v7_switch_mm` 74 and 62 on its fast path, 239 and 220 with
//! a new ASID, 436 and 417 with a rollover; `ioremap` and `iounmap`, medians: a page 1596 + 888 and 1600 + 868, 1 MiB
//! 15 696 + 9851 and 14 943 + 5748.
//!
//! The example kernel's rows are whole exceptions, from the vector to the return, as Linux's for them: the first write to an
//! anonymous page 2779 and 2848 where all RAM is in the linear map (3627 and 3696 with 1 GiB), a kernel entry that is
//! copied 131 and 138, `getpid` 144 and 139. A fork, exit and wait of Linux's smallest process takes 71 775 and 72 027, but
//! that has fewer pages, and more of everything else.
//!
//! The peer: `page_table_multiarch` 0.6.2, `PageTable32`, the one published library of Rust that has the short
//! descriptors' second level: on the same emulator, counted by the same clock, the MMU off and TLB instructions executed.
//! Creating a space that copies 1 GiB, and dropping it: 121 048. Per page: map 43.2 (83.0 where it was inlined
//! differently), protect 49.0, translate in order 33.0, unmap 32.0, which keeps the tables. Per section 68.3. It has
//! no long descriptors on 32-bit Arm.

use crate::image::Format;

/// A number for each format, in the order of [`Format::ALL`]; none where nobody does the same work.
type Both = [Option<f64>; 2];

const NOBODY: Both = [None, None];

/// What an operation is to cost at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reach {
    /// So many instructions.
    AtMost(f64),
    /// So many, and hardly more than another operation: its key, and how many times its count.
    Near(f64, &'static str, f64),
    /// So many times the floor, and some.
    Floor(f64, f64),
}

/// An operation that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What the guest calls it.
    pub key: &'static str,
    /// What it is.
    pub name: &'static str,
    /// What a count is for.
    pub unit: &'static str,
    linux: Both,
    peer: Both,
    reach: [Reach; 2],
}

/// Every operation.
pub const ROWS: [Row; 26] = {
    use Reach::*;
    [
        Row {
            key: "pgd_alloc_warm",
            name: "pgd_alloc after a pgd_free",
            unit: "call",
            linux: [Some(4178.0), Some(1200.0)],
            peer: NOBODY,
            reach: [AtMost(100.0); 2],
        },
        Row {
            key: "pgd_alloc_cold",
            name: "pgd_alloc, nothing freed before",
            unit: "call",
            linux: [Some(4178.0), Some(1200.0)],
            peer: NOBODY,
            reach: [Floor(1.2, 150.0); 2],
        },
        Row {
            key: "pgd_free",
            name: "pgd_free, user half empty",
            unit: "call",
            linux: [Some(689.0), Some(1237.0)],
            peer: NOBODY,
            reach: [AtMost(100.0); 2],
        },
        Row {
            key: "pgd_alloc_split_warm",
            name: "the same with the kernel half TTBR1's: pgd_alloc, warm",
            unit: "call",
            linux: [Some(4178.0), Some(1200.0)],
            peer: NOBODY,
            reach: [AtMost(100.0); 2],
        },
        Row {
            key: "pgd_alloc_split_cold",
            name: "pgd_alloc, cold, split",
            unit: "call",
            linux: [Some(4178.0), Some(1200.0)],
            peer: NOBODY,
            reach: [Floor(1.2, 150.0); 2],
        },
        Row {
            key: "pgd_free_split",
            name: "pgd_free, split",
            unit: "call",
            linux: [Some(689.0), Some(1237.0)],
            peer: NOBODY,
            reach: [AtMost(100.0); 2],
        },
        Row {
            key: "space_10",
            name: "pgd_free and pgd_alloc, 10 alive",
            unit: "pair",
            linux: NOBODY,
            peer: [Some(121_048.0), None],
            reach: [AtMost(220.0); 2],
        },
        Row {
            key: "space_10000",
            name: "the same, 10 000 alive",
            unit: "pair",
            linux: NOBODY,
            peer: [Some(121_048.0), None],
            reach: [Near(220.0, "space_10", 1.05); 2],
        },
        Row {
            key: "map_4k",
            name: "map 1 GiB in pages",
            unit: "page",
            linux: [Some(22.0), Some(12.0)],
            peer: [Some(43.2), None],
            reach: [AtMost(4.0), AtMost(6.0)],
        },
        Row {
            key: "map_largest",
            name: "map 1 GiB in sections or 2 MiB blocks",
            unit: "leaf",
            linux: NOBODY,
            peer: [Some(68.3), None],
            reach: [AtMost(8.0); 2],
        },
        Row {
            key: "map_one",
            name: "map one page, its table there",
            unit: "call",
            linux: NOBODY,
            peer: [Some(83.0), None],
            reach: [AtMost(120.0); 2],
        },
        Row {
            key: "unmap_4k",
            name: "unmap 1 GiB of pages, tables freed",
            unit: "page",
            linux: NOBODY,
            peer: [Some(32.0), None],
            reach: [AtMost(4.0); 2],
        },
        Row {
            key: "protect_4k",
            name: "protect 1 GiB of pages",
            unit: "page",
            linux: NOBODY,
            peer: [Some(49.0), None],
            reach: [AtMost(8.0); 2],
        },
        Row {
            key: "translate",
            name: "translate, random pages of 1 GiB",
            unit: "lookup",
            linux: NOBODY,
            peer: [Some(33.0), None],
            reach: [AtMost(25.0), AtMost(35.0)],
        },
        Row {
            key: "fault_sync",
            name: "do_translation_fault that copies an entry",
            unit: "call",
            linux: [Some(39.0), Some(56.0)],
            peer: NOBODY,
            reach: [AtMost(39.0), AtMost(45.0)],
        },
        Row {
            key: "idmap",
            name: "identity_mapping_add and _del, a section",
            unit: "pair",
            linux: NOBODY,
            peer: NOBODY,
            reach: [Floor(2.0, 300.0); 2],
        },
        Row {
            key: "switch_mm",
            name: "switch_mm to a space that has an ASID",
            unit: "call",
            linux: [Some(74.0), Some(62.0)],
            peer: NOBODY,
            reach: [AtMost(60.0), AtMost(50.0)],
        },
        Row {
            key: "asid_new",
            name: "switch_mm to one that gets its ASID",
            unit: "call",
            linux: [Some(239.0), Some(220.0)],
            peer: NOBODY,
            reach: [AtMost(150.0); 2],
        },
        Row {
            key: "asid_rollover",
            name: "the same with a rollover, 8 CPUs",
            unit: "call",
            linux: [Some(436.0), Some(417.0)],
            peer: NOBODY,
            reach: [AtMost(436.0), AtMost(417.0)],
        },
        Row {
            key: "ioremap_page",
            name: "ioremap and iounmap, a page",
            unit: "pair",
            linux: [Some(2484.0), Some(2468.0)],
            peer: NOBODY,
            reach: [AtMost(600.0); 2],
        },
        Row {
            // A way of its own for areas in tables that are there took 2822 and 3321, and 900 bytes of Thumb.
            key: "ioremap_1m",
            name: "ioremap and iounmap, 1 MiB",
            unit: "pair",
            linux: [Some(25_547.0), Some(20_691.0)],
            peer: NOBODY,
            reach: [AtMost(5000.0); 2],
        },
        Row {
            key: "hobby_zero",
            name: "hobby-kernel: first write to a page, zeroed",
            unit: "exception",
            linux: [Some(2779.0), Some(2848.0)],
            peer: NOBODY,
            reach: [AtMost(1100.0); 2],
        },
        Row {
            key: "hobby_sync",
            name: "hobby-kernel: kernel entry copied by a fault",
            unit: "exception",
            linux: [Some(131.0), Some(138.0)],
            peer: NOBODY,
            reach: [AtMost(110.0); 2],
        },
        Row {
            key: "hobby_getpid",
            name: "hobby-kernel: getpid",
            unit: "exception",
            linux: [Some(144.0), Some(139.0)],
            peer: NOBODY,
            reach: [AtMost(110.0); 2],
        },
        Row {
            key: "hobby_reclaim",
            name: "hobby-kernel: write to a page shared no more",
            unit: "exception",
            linux: NOBODY,
            peer: NOBODY,
            reach: [AtMost(1500.0); 2],
        },
        Row {
            key: "hobby_fork",
            name: "hobby-kernel: fork, exit, wait; 64 pages",
            unit: "process",
            linux: NOBODY,
            peer: NOBODY,
            reach: [AtMost(80_000.0), AtMost(100_000.0)],
        },
    ]
};

impl Row {
    /// What Linux needs.
    pub fn linux(&self, format: Format) -> Option<f64> {
        self.linux[format as usize]
    }

    /// What the best peer on this CPU needs.
    pub fn peer(&self, format: Format) -> Option<f64> {
        self.peer[format as usize]
    }

    /// What is to be reached.
    pub fn reach(&self, format: Format) -> Reach {
        self.reach[format as usize]
    }
}
