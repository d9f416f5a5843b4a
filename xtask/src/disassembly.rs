//! Every store of a descriptor is one instruction.
//!
//! A descriptor is written while table walks may read it, so it must be one single-copy atomic store: one STR for a
//! 32-bit descriptor, one STRD for a 64-bit one. A pair of STRs would work on every emulator. The library writes
//! descriptors by `TableMemory::store` alone, which is inlined all over the image; the debug information knows for
//! each instruction which inlined calls it comes from. So this check decodes every A32 instruction of the image,
//! keeps those that store to memory and come from `TableMemory::store`, and wants each to be the one right instruction.

use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::command::root;
use crate::elf::Elf;
use crate::image::{Format, shown};
use crate::inlining::{Function, Inlining};

/// The name of `TableMemory::store`, and the file it is written in: the images' debug information has no paths of
/// modules.
const STORE: &str = "store";
const STORE_FILE: &str = "src/table/mem.rs";

/// The stack pointer: the compiler's own spills are no descriptors.
const SP: u32 = 13;

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
    /// The A32 instruction that stores one descriptor of `format`.
    pub fn of_descriptor(format: Format) -> Self {
        match format {
            Format::Classic => Store::Word,
            Format::Lpae => Store::Double,
        }
    }

    /// Decodes an A32 instruction (DDI 0406C A5): none if it does not store, or only to the stack.
    pub fn decode(instruction: u32) -> Option<Self> {
        let is = |mask: u32, value: u32| instruction & mask == value;
        let unconditional = is(0xf000_0000, 0xf000_0000);
        let to_stack = (instruction >> 16) & 0xf == SP;
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
}

/// Where code of the library may end in a panic in a finished image: `linked_list_allocator` checks itself, there may be no
/// such CPU, and the compiler does not know how long a window's lists are. No edit, walk or fault comes there.
const MAY_PANIC: [&str; 3] = ["src/table/heap.rs", "src/mm/asid.rs", "src/mm/window/"];

/// Checks the image of `format`, and says in a line what it found.
///
/// # Errors
/// A descriptor store of the wrong kind and where it comes from; none found at all; a way to panic in the library; the
/// image cannot be read.
pub fn check(format: Format, image: &Path) -> Outcome<String> {
    let complain = |problem: String| format!("{format}: {}: {problem}", shown(image));
    let file = fs::read(image).map_err(|error| complain(error.to_string()))?;
    let sites = descriptor_stores(&file).map_err(complain)?;
    let panics = panics(&file).map_err(complain)?;
    if !panics.is_empty() {
        let places = panics.iter().map(|(address, function)| {
            format!("{} ({}) can panic at {address:#010x}", function.name, function.file)
        });
        return Err(complain(places.collect::<Vec<_>>().join("; ")));
    }
    let wanted = Store::of_descriptor(format);
    if let Some((address, store)) = sites.iter().find(|(_, store)| *store != wanted) {
        return Err(complain(format!(
            "the descriptor store at {address:#010x} is not one {}: {store:?}",
            mnemonic(wanted)
        )));
    }
    match sites.len() {
        0 => Err(complain(
            "no store of a descriptor was found; was TableMemory::store renamed?".into(),
        )),
        count => Ok(format!(
            "{format}: {count} stores of descriptors, each one {}; no edit can panic",
            mnemonic(wanted)
        )),
    }
}

fn mnemonic(store: Store) -> &'static str {
    match store {
        Store::Word => "STR",
        Store::Double => "STRD",
        Store::Other => "another store",
    }
}

/// Where the image stores descriptors, and by what.
fn descriptor_stores(file: &[u8]) -> Outcome<Vec<(u32, Store)>> {
    let elf = Elf::read(file)?;
    let inlining = Inlining::read(&elf)?;
    let mut sites = Vec::new();
    for (address, instruction) in elf.instructions()? {
        if let Some(store) = Store::decode(instruction)
            && inlining.functions(address)?.iter().any(is_store)
        {
            sites.push((address, store));
        }
    }
    Ok(sites)
}

/// Where code of the library's own goes to a function that panics: a bounds check, a division, an overflow. What a
/// caller's closure does, inlined there, is the caller's.
fn panics(file: &[u8]) -> Outcome<Vec<(u32, Function)>> {
    let elf = Elf::read(file)?;
    let inlining = Inlining::read(&elf)?;
    let panicking: Vec<u32> = elf
        .symbols()?
        .filter(|(name, _)| name.contains("core9panicking"))
        .map(|(_, at)| at)
        .collect();
    let (root, library) = (root(), root().join("src"));
    let mut found = Vec::new();
    for (address, instruction) in elf.instructions()? {
        if !branch(address, instruction).is_some_and(|to| panicking.contains(&to)) {
            continue;
        }
        let functions = inlining.functions(address)?;
        let ours =
            functions.into_iter().find(|function| Path::new(&function.file).starts_with(&root));
        if let Some(function) = ours
            && Path::new(&function.file).starts_with(&library)
            && !MAY_PANIC.iter().any(|place| function.file.contains(place))
        {
            found.push((address, function));
        }
    }
    Ok(found)
}

/// Where B or BL at `address` goes (DDI 0406C A8.8.18, A8.8.25).
fn branch(address: u32, instruction: u32) -> Option<u32> {
    let is = instruction & 0x0e00_0000 == 0x0a00_0000 && instruction >> 28 != 0xf;
    let offset = (instruction << 8) as i32 >> 6;
    is.then(|| address.wrapping_add(8).wrapping_add_signed(offset))
}

/// Whether a function is [`STORE`].
fn is_store(function: &Function) -> bool {
    function.file.ends_with(STORE_FILE) && function.name.split('<').next() == Some(STORE)
}

#[cfg(test)]
mod tests {
    use super::{Store, branch};

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
            assert_eq!(Store::decode(instruction), expected, "{instruction:#010x}");
        }
    }
}
