//! Values one after the other in a word.

/// A number or a space, in bits.
pub const NAME: u32 = 3;
/// An identifier: a canonical generation, and a number.
pub const ID: u32 = 2 + NAME;

/// Bits that are put one after the other, and taken the other way round.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bits(pub u128);

impl Bits {
    pub fn put(&mut self, value: u64, bits: u32) {
        debug_assert!(value >> bits == 0, "{value:#x} in {bits} bits");
        self.0 = self.0 << bits | u128::from(value);
    }

    pub fn take(&mut self, bits: u32) -> u64 {
        let value = self.0 as u64 & ((1 << bits) - 1);
        self.0 >>= bits;
        value
    }

    /// Puts the `bits` that another has.
    pub fn append(&mut self, other: Self, bits: u32) {
        self.0 = self.0 << bits | other.0;
    }

    pub fn put_name(&mut self, name: u8) {
        self.put(name.into(), NAME);
    }

    pub fn take_name(&mut self) -> u8 {
        self.take(NAME) as u8
    }

    pub fn put_id(&mut self, id: u64) {
        self.put(id >> 8 << NAME | u64::from(id as u8), ID);
    }

    pub fn take_id(&mut self) -> u64 {
        let id = self.take(ID);
        id >> NAME << 8 | id & ((1 << NAME) - 1)
    }
}
