//! Every store of a descriptor is one instruction.
//!
//! A descriptor is written while table walks may read it, so it must be one single-copy atomic store: one STR for a
//! 32-bit descriptor, one STRD for a 64-bit one. A pair of STRs would work on every emulator. The library writes
//! descriptors by `TableMemory::store` alone, which is inlined all over the image; the debug information knows for
//! each instruction which inlined calls it comes from. So this check decodes every instruction of the image,
//! keeps those that store to memory and come from `TableMemory::store`, and wants each to be the one right instruction.

use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::command::root;
use crate::elf::Elf;
use crate::image::{Binary, Code, Format, shown};
use crate::inlining::{Function, Inlining};
use crate::instruction::Store;

/// The name of `TableMemory::store`, and the file it is written in: the images' debug information has no paths of
/// modules.
const STORE: &str = "store";
const STORE_FILE: &str = "src/table/mem.rs";

/// Where code of the library may end in a panic in a finished image: `linked_list_allocator` checks itself, there may be no
/// such CPU, and the compiler does not know how long a window's lists are. No edit, walk or fault comes there.
const MAY_PANIC: [&str; 3] = ["src/table/heap.rs", "src/mm/asid.rs", "src/mm/window/"];

/// In the names of the functions of `core` that end in a panic: of itself, and for `expect`, `unwrap` and slices.
const PANICS: [&str; 2] = ["core9panicking", "_fail"];

/// Checks the image of `format`, and says in a line what it found. In small code, what panics for the library may be a
/// function of `core`'s that is not inlined: there it finds less.
///
/// # Errors
/// A descriptor store of the wrong kind and where it comes from; none found at all; a way to panic in the library; the
/// image cannot be read.
pub fn check(format: Format, code: Code) -> Outcome<String> {
    let image = &Binary::Boot.place(format, code);
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
            "{format}, {code}: {count} stores of descriptors, each one {}{}",
            mnemonic(wanted),
            if code == Code::Fast { "; no edit can panic" } else { "" }
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
    for instruction in elf.instructions()? {
        if let Some(store) = instruction.store()
            && inlining.functions(instruction.address)?.iter().any(is_store)
        {
            sites.push((instruction.address, store));
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
        .filter(|(name, _)| PANICS.iter().any(|part| name.contains(part)))
        .map(|(_, at)| at & !1) // Thumb's have bit 0
        .collect();
    let (root, library) = (root(), root().join("src"));
    let mut found = Vec::new();
    for instruction in elf.instructions()? {
        if !instruction.branch().is_some_and(|to| panicking.contains(&to)) {
            continue;
        }
        let functions = inlining.functions(instruction.address)?;
        let ours = functions
            .into_iter()
            .find(|function| function.line > 0 && Path::new(&function.file).starts_with(&root));
        if let Some(function) = ours
            && Path::new(&function.file).starts_with(&library)
            && !MAY_PANIC.iter().any(|place| function.file.contains(place))
        {
            found.push((instruction.address, function));
        }
    }
    Ok(found)
}

/// Whether a function is [`STORE`].
fn is_store(function: &Function) -> bool {
    function.file.ends_with(STORE_FILE) && function.name.split('<').next() == Some(STORE)
}
