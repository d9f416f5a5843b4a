//! Attributes, all of them.

use armv7a_mm::attr::{Access, Attrs, Marks, MemoryType, Shareability};

/// What attributes are made of, every combination.
pub fn all_attrs() -> impl Iterator<Item = Attrs> {
    let shares = [Shareability::Non, Shareability::Outer, Shareability::Inner];
    // memory 6, access 4, share 3, marks 4, user, global, young.
    (0..6 * 4 * 3 * 4 * 8).map(move |n: usize| Attrs {
        memory: MemoryType::ALL[n % 6],
        access: Access::ALL[n / 6 % 4],
        share: shares[n / 24 % 3],
        marks: Marks::from_bits_truncate((n / 72 % 4) as u8),
        user: (n / 288) & 1 != 0,
        global: (n / 576) & 1 != 0,
        young: (n / 1152) & 1 != 0,
    })
}
