//! A fuzzer's bytes as choices: one byte for a small one, so that a changed byte is a changed choice.

use crate::machine::rng::Choice;

/// Bytes that are left. Behind the last everything is zero.
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    /// The number in the next `count` bytes.
    pub fn number(&mut self, count: usize) -> u64 {
        let (head, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        head.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl Choice for Bytes<'_> {
    fn below(&mut self, bound: u64) -> u64 {
        let bits = u64::BITS - (bound - 1).leading_zeros();
        self.number(bits.div_ceil(8) as usize) % bound
    }
}
