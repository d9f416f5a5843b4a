//! What random sequences once broke, as `cargo xtask soak` printed it.

use crate::machine::model::prelude::*;

const UNTOLD: [Step; 8] = [
    Step {
        chance: 0x0,
        refuse: None,
        op: Op::Map {
            tree: None,
            pages: (0xffd78, 0xffd78),
            phys: 0x10000000,
            attrs: Attrs {
                memory: MemoryType::WriteBackWriteAllocate,
                access: Access::Read,
                user: false,
                global: true,
                share: Shareability::Inner,
                young: true,
                marks: Marks::from_bits_truncate(0),
            },
            sizes: LeafSizes::from_bits_truncate(0),
        },
    },
    Step { chance: 0x0, refuse: None, op: Op::Alloc { space: 8, told: true } },
    Step { chance: 0x0, refuse: None, op: Op::Alloc { space: 9, told: false } },
    Step { chance: 0x0, refuse: None, op: Op::Switch { cpu: 0, space: Some(9) } },
    Step { chance: 0x0, refuse: None, op: Op::Free { space: 9, keep: true } },
    Step { chance: 0x0, refuse: None, op: Op::Free { space: 8, keep: false } },
    Step { chance: 0x0, refuse: None, op: Op::Alloc { space: 10, told: true } },
    Step { chance: 0x0, refuse: None, op: Op::Free { space: 10, keep: false } },
];

/// A space that ran under an identifier that nobody told, mapped nothing and was kept: its private table was freed by the
/// next owner, who flushed another identifier, while a walk cache still knew it.
#[test]
fn a_kept_space_of_no_identifier_is_forgotten() {
    replay("lpae_smp_not_coherent", 6, &UNTOLD);
}

/// An identity mapping over a supersection that every pgd has a copy of, and away again.
const BLOCK_OF_A_RUN: [Step; 5] = [
    Step {
        chance: 0x0,
        refuse: None,
        op: Op::Map {
            tree: None,
            pages: (0xc0000, 0xc0fff),
            phys: 0x10000000,
            attrs: Attrs {
                memory: MemoryType::WriteBackWriteAllocate,
                access: Access::ReadWrite,
                user: false,
                global: true,
                share: Shareability::Inner,
                young: true,
                marks: Marks::from_bits_truncate(0),
            },
            sizes: LeafSizes::from_bits_truncate(3),
        },
    },
    Step { chance: 0x0, refuse: None, op: Op::Alloc { space: 16, told: true } },
    Step { chance: 0x0, refuse: None, op: Op::Switch { cpu: 0, space: Some(16) } },
    Step {
        chance: 0x0,
        refuse: None,
        op: Op::Identity { space: 16, pages: (0xc0000, 0xc00ff), access: Access::ReadExecute },
    },
    Step { chance: 0x0, refuse: None, op: Op::Switch { cpu: 0, space: None } },
];

#[test]
fn a_block_of_a_run_comes_back_by_stores() {
    replay("classic_smp_coherent", 1, &BLOCK_OF_A_RUN);
}
