//! Instructions of both sets, as far as it is asked what they do: stores, and branches.

use crate::image::Format;

/// The stack pointer: the compiler's own spills are no descriptors.
const SP: u32 = 13;

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// Words.
    A32,
    /// Halfwords, one or two: Thumb.
    T32,
}

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Where it is.
    pub address: u32,
    /// Its bits: the first of two halfwords is the upper.
    pub bits: u32,
    /// Its set.
    pub set: Set,
}

/// An instruction that stores to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// One word: STR.
    Word,
    /// Two words at once: STRD.
    Double,
    /// Bytes, halfwords, several registers, exclusives, vectors.
    Other,
}

impl Store {
    /// The instruction that stores one descriptor of `format`.
    pub fn of_descriptor(format: Format) -> Self {
        match format {
            Format::Classic => Store::Word,
            Format::Lpae => Store::Double,
        }
    }

    /// Of an A32 instruction (DDI 0406C A5).
    fn a32(bits: u32) -> Option<Self> {
        let is = |mask: u32, value: u32| bits & mask == value;
        let unconditional = is(0xf000_0000, 0xf000_0000);
        let to_stack = (bits >> 16) & 0xf == SP;
        let kind = if unconditional {
            // Advanced SIMD element stores, with L = 0 (A7.7); SRS.
            (is(0xff20_0000, 0xf400_0000) || is(0xfe50_0000, 0xf840_0000)).then_some(Store::Other)
        } else if is(0x0c10_0000, 0x0400_0000) && !is(0x0200_0010, 0x0200_0010) {
            // Load/store word and unsigned byte, less the media instructions (A5.3).
            Some(if is(0x0040_0000, 0) { Store::Word } else { Store::Other })
        } else if is(0x0e10_00f0, 0x0000_00f0) {
            // Extra load/store: STRD has L = 0 and op2 = 0b11 (A5.2.8).
            Some(Store::Double)
        } else if is(0x0e10_00f0, 0x0000_00b0)
            || is(0x0f90_00f0, 0x0180_0090)
            || is(0x0fb0_00f0, 0x0100_0090)
        {
            // STRH; STREX and its kin; SWP, SWPB.
            Some(Store::Other)
        } else if is(0x0e10_0000, 0x0800_0000) {
            // STM in all its forms (A5.5).
            Some(Store::Other)
        } else {
            // Coprocessor and floating-point stores, less the moves of two registers (A5.6, A7.6).
            (is(0x0e10_0000, 0x0c00_0000) && !is(0x0fe0_0000, 0x0c40_0000)).then_some(Store::Other)
        };
        kind.filter(|_| !to_stack)
    }

    /// Of a T32 instruction (A6).
    fn t32(bits: u32) -> Option<Self> {
        let is = |mask: u32, value: u32| bits & mask == value;
        if bits >> 16 == 0 {
            // One halfword (A6.2.4). What is relative to SP, and PUSH, is the compiler's. STM of one register is
            // how a word is stored and the address moved on.
            let one = is(0xf800, 0xc000) && (bits & 0xff).is_power_of_two();
            return if one || is(0xf800, 0x6000) || is(0xfe00, 0x5000) {
                Some(Store::Word)
            } else {
                let other = is(0xf800, 0x7000) || is(0xf800, 0x8000) || is(0xf800, 0xc000);
                (other || is(0xfe00, 0x5200) || is(0xfe00, 0x5400)).then_some(Store::Other)
            };
        }
        let to_stack = (bits >> 16) & 0xf == SP;
        let kind = if is(0xff10_0000, 0xf800_0000) {
            // Store single data item (A6.3.10).
            Some(if is(0x0060_0000, 0x0040_0000) { Store::Word } else { Store::Other })
        } else if is(0xfe50_0000, 0xe840_0000) {
            // STRD has P or W; without, exclusives and their kin (A6.3.6).
            Some(if is(0x0120_0000, 0) { Store::Other } else { Store::Double })
        } else {
            // STM (A6.3.5); element stores of Advanced SIMD (A7.7); coprocessors, less the moves of two
            // registers (A6.3.18).
            let several = is(0xfe50_0000, 0xe800_0000) || is(0xff30_0000, 0xf900_0000);
            let moves = is(0xefe0_0000, 0xec40_0000);
            (several || is(0xee10_0000, 0xec00_0000) && !moves).then_some(Store::Other)
        };
        kind.filter(|_| !to_stack)
    }
}

impl Instruction {
    /// How long it is.
    pub fn bytes(&self) -> u32 {
        if self.set == Set::T32 && self.bits >> 16 == 0 { 2 } else { 4 }
    }

    /// How it stores: none if it does not, or only to the stack.
    pub fn store(&self) -> Option<Store> {
        match self.set {
            Set::A32 => Store::a32(self.bits),
            Set::T32 => Store::t32(self.bits),
        }
    }

    /// Where B or BL goes, if the other end is code of the same set (A8.8.18, A8.8.25).
    pub fn branch(&self) -> Option<u32> {
        let bits = self.bits;
        let signed = |value: u32, width: u32| ((value << (32 - width)) as i32) >> (32 - width);
        let offset = match self.set {
            Set::A32 => {
                let is = bits & 0x0e00_0000 == 0x0a00_0000 && bits >> 28 != 0xf;
                is.then(|| 8 + signed(bits << 2, 26))
            }
            // BL, and B where it has 24 bits; the shorter ones stay in their function.
            Set::T32 => (bits & 0xf800_9000 == 0xf000_9000).then(|| {
                let bit = |at: u32| bits >> at & 1;
                let sign = bit(26);
                let (i1, i2) = (1 ^ bit(13) ^ sign, 1 ^ bit(11) ^ sign);
                let high = sign << 24 | i1 << 23 | i2 << 22;
                4 + signed(high | (bits >> 16 & 0x3ff) << 12 | (bits & 0x7ff) << 1, 25)
            }),
        };
        offset.map(|offset| self.address.wrapping_add_signed(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::{Instruction, Set, Store};

    fn branch(address: u32, bits: u32) -> Option<u32> {
        Instruction { address, bits, set: Set::A32 }.branch()
    }

    fn thumb(address: u32, bits: u32) -> Instruction {
        Instruction { address, bits, set: Set::T32 }
    }

    #[test]
    fn branches_are_followed() {
        assert_eq!(branch(0x1000, 0xeb00_0001), Some(0x100c)); // bl
        assert_eq!(branch(0x1000, 0x0aff_fffe), Some(0x1000)); // beq .
        assert_eq!(branch(0x1000, 0xfb00_0000), None); // blx, to Thumb
        assert_eq!(branch(0x1000, 0xe12f_ff31), None); // blx r1
    }

    #[test]
    fn stores_are_told_from_everything_else() {
        let cases = [
            (0xe1c0_20f0, Some(Store::Double)), // strd r2, r3, [r0]
            (0xe180_20f1, Some(Store::Double)), // strd r2, r3, [r0, r1]
            (0xe1c0_20d0, None),                // ldrd r2, r3, [r0]
            (0xe1cd_20f8, None),                // strd r2, r3, [sp, #8]
            (0xe580_1000, Some(Store::Word)),   // str r1, [r0]
            (0xe780_1002, Some(Store::Word)),   // str r1, [r0, r2]
            (0xe710_f211, None),                // sdiv r0, r1, r2: a media instruction
            (0xe590_1000, None),                // ldr r1, [r0]
            (0xe58d_1004, None),                // str r1, [sp, #4]
            (0xe5c0_1000, Some(Store::Other)),  // strb r1, [r0]
            (0xe1c0_10b0, Some(Store::Other)),  // strh r1, [r0]
            (0xe180_2f91, Some(Store::Other)),  // strex r2, r1, [r0]
            (0xe1a0_2f92, Some(Store::Other)),  // strexd r2, r2, r3, [r0]
            (0xe880_0006, Some(Store::Other)),  // stm r0, {r1, r2}
            (0xe890_0006, None),                // ldm r0, {r1, r2}
            (0xe92d_4010, None),                // push {r4, lr}
            (0xed80_0b00, Some(Store::Other)),  // vstr d0, [r0]
            (0xec42_1f10, None),                // mcrr p15, 1, r1, r2, c0
            (0xf440_078f, Some(Store::Other)),  // vst1.32 {d16}, [r0]
            (0xf460_078f, None),                // vld1.32 {d16}, [r0]
            (0xe3a0_0000, None),                // mov r0, #0
            (0xe002_0391, None),                // mul r2, r1, r3
        ];
        for (instruction, expected) in cases {
            assert_eq!(Store::a32(instruction), expected, "{instruction:#010x}");
        }
    }

    #[test]
    fn branches_of_thumb_are_followed() {
        assert_eq!(thumb(0x1000, 0xf000_f802).branch(), Some(0x1008)); // bl
        assert_eq!(thumb(0x1000, 0xf7ff_fffe).branch(), Some(0x1000)); // bl .
        assert_eq!(thumb(0x1000, 0xf000_b802).branch(), Some(0x1008)); // b.w
        assert_eq!(thumb(0x1000, 0xf000_e802).branch(), None); // blx, to A32
        assert_eq!(thumb(0x1000, 0xe7fe).branch(), None); // b.n .
    }

    #[test]
    fn stores_of_thumb_are_told_from_everything_else() {
        let cases = [
            (0x6001, Some(Store::Word)),        // str r1, [r0]
            (0x6801, None),                     // ldr r1, [r0]
            (0x5081, Some(Store::Word)),        // str r1, [r0, r2]
            (0x5881, None),                     // ldr r1, [r0, r2]
            (0x7001, Some(Store::Other)),       // strb r1, [r0]
            (0x8001, Some(Store::Other)),       // strh r1, [r0]
            (0x9101, None),                     // str r1, [sp, #4]
            (0xb510, None),                     // push {r4, lr}
            (0xc006, Some(Store::Other)),       // stm r0!, {r1, r2}
            (0xc004, Some(Store::Word)),        // stm r0!, {r2}
            (0xc806, None),                     // ldm r0!, {r1, r2}
            (0xf8c0_1000, Some(Store::Word)),   // str.w r1, [r0]
            (0xf840_1022, Some(Store::Word)),   // str.w r1, [r0, r2, lsl #2]
            (0xf8d0_1000, None),                // ldr.w r1, [r0]
            (0xf8cd_1004, None),                // str.w r1, [sp, #4]
            (0xf880_1000, Some(Store::Other)),  // strb.w r1, [r0]
            (0xe9c0_2300, Some(Store::Double)), // strd r2, r3, [r0]
            (0xe8e0_2302, Some(Store::Double)), // strd r2, r3, [r0], #8
            (0xe9d0_2300, None),                // ldrd r2, r3, [r0]
            (0xe840_1200, Some(Store::Other)),  // strex r2, r1, [r0]
            (0xe880_0006, Some(Store::Other)),  // stm.w r0, {r1, r2}
            (0xe92d_4ff0, None),                // push.w {r4-r11, lr}
            (0xec42_1f10, None),                // mcrr p15, 1, r1, r2, c0
            (0xfb90_f0f1, None),                // sdiv r0, r0, r1
        ];
        for (instruction, expected) in cases {
            assert_eq!(thumb(0, instruction).store(), expected, "{instruction:#x}");
        }
    }
}
