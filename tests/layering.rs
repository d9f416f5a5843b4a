//! The drawing of the layers (`src/lib.rs`), kept true: reads `src/` and fails on an import against the
//! arrows, on assembly outside `armv7`, on a format's name or a `cfg` where none belongs, on `unsafe` in a
//! file that needs none, and on a file that grew too long.

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer and those that it may use.
const LAYERS: [(&str, &[&str]); 6] = [
    ("addr", &[]),
    ("attr", &["addr"]),
    ("format", &["addr", "attr"]),
    ("table", &["addr", "attr", "format"]),
    ("mm", &["addr", "attr", "format", "table"]),
    ("armv7", &["addr", "attr", "format", "table"]),
];

/// Where conditional compilation stands, beside `cfg(test)`.
const CFG: [(&str, &str); 4] = [
    ("format/mod.rs", "cfg(feature = \"lpae\")"),
    ("format/mod.rs", "cfg(not(feature = \"lpae\"))"),
    ("lib.rs", "cfg(target_arch = \"arm\")"),
    ("lib.rs", "cfg(doctest)"),
];

/// Files and folders that handle memory or the CPU themselves.
const UNSAFE: [&str; 22] = [
    "armv7/",
    "mm/fault.rs",
    "mm/idmap.rs",
    "mm/idmap/",
    "mm/birth.rs",
    "mm/context.rs",
    "mm/cow.rs",
    "mm/decision.rs",
    "mm/pgd.rs",
    "mm/spare.rs",
    "mm/swapper.rs",
    "mm/view.rs",
    "mm/window/",
    "table/bulk.rs",
    "table/edit/",
    "table/flush.rs",
    "table/heap.rs",
    "table/mem.rs",
    "table/node.rs",
    "table/reserve.rs",
    "table/switch.rs",
    "table/walk.rs",
];

const MAX_LINES: usize = 400;

/// `source` with its comments blanked, and its string literals too unless `strings` are kept.
fn strip(source: &str, strings: bool) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut blank = |range: std::ops::Range<usize>| {
        out[range].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    };
    let end_of = |from: usize, what: &str| {
        source[from..].find(what).map_or(source.len(), |found| from + found + what.len())
    };
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = if rest.starts_with(b"//") {
            end_of(at, "\n")
        } else if rest.starts_with(b"/*") {
            end_of(at, "*/")
        } else if rest.starts_with(b"'\"'") {
            at + 3
        } else if rest[0] == b'"' {
            let mut end = at + 1;
            while end < bytes.len() && bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            (end + 1).min(bytes.len())
        } else {
            at += 1;
            continue;
        };
        if !(strings && rest[0] == b'"') {
            blank(at..end);
        }
        at = end;
    }
    String::from_utf8(out).unwrap()
}

/// Whether a character may be part of a name.
fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Where `word` stands in `code` as a word of its own.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let whole = |&at: &usize| {
        let bytes = code.as_bytes();
        let after = bytes.get(at + word.len()).copied().unwrap_or(b' ');
        (at == 0 || !in_name(bytes[at - 1])) && !in_name(after)
    };
    code.match_indices(word).map(|(at, _)| at).filter(whole)
}

/// The name at the start of `code`.
fn name(code: &str) -> &str {
    let code = code.trim_start();
    &code[..code.bytes().take_while(|&byte| in_name(byte)).count()]
}

/// The first names of a path's rest: one, or those of a group in braces.
fn heads(rest: &str) -> Vec<&str> {
    let rest = rest.trim_start();
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let (mut depth, mut heads) = (0, vec![name(group)]);
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => break,
            b'}' => depth -= 1,
            b',' if depth == 0 => heads.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    heads
}

/// The modules of the root that the file at `path` names, by `crate::` or by enough `super::`.
fn named(path: &str, code: &str) -> Vec<String> {
    let module = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let depth = module.split('/').count();
    let root = "super::".repeat(depth);
    let starts = code.match_indices("crate::").map(|(at, found)| at + found.len());
    let climbs = code.match_indices(&root).map(|(at, found)| at + found.len());
    let all = starts.chain(climbs).flat_map(|at| heads(&code[at..]));
    all.filter(|head| LAYERS.iter().any(|(layer, _)| layer == head)).map(str::to_owned).collect()
}

/// What is wrong with the file at `path` below `src/`.
fn faults(path: &str, source: &str) -> Vec<String> {
    let code = strip(source, false);
    let mut faults = Vec::new();
    let layer = path.split(['/', '.']).next().unwrap();
    if let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) {
        let up =
            named(path, &code).into_iter().filter(|to| to != layer && !allowed.contains(&&**to));
        faults.extend(up.map(|to| format!("{path}: {layer} uses {to}")));
    } else if path != "lib.rs" {
        faults.push(format!("{path}: of no layer"));
    }
    if layer != "armv7" && ["asm!", "asm !", "core::arch"].iter().any(|asm| code.contains(asm)) {
        faults.push(format!("{path}: assembly outside armv7"));
    }
    if layer != "format" && path != "lib.rs" {
        let formats =
            ["Classic", "Lpae"].into_iter().filter(|name| words(&code, name).next().is_some());
        faults.extend(formats.map(|name| format!("{path}: names the format {name}")));
    }
    let with_strings = strip(source, true);
    for word in ["cfg", "cfg_attr"] {
        for at in words(&with_strings, word) {
            let text = &with_strings[at..];
            let line = &text[..text.find(['\n', ']']).unwrap_or(text.len())];
            let allowed = line == "cfg(test)" || CFG.contains(&(path, line));
            if !allowed {
                faults.push(format!("{path}: {line}"));
            }
        }
    }
    if words(&code, "unsafe").next().is_some() && !UNSAFE.iter().any(|may| path.starts_with(may)) {
        faults.push(format!("{path}: unsafe"));
    }
    let lines = source.lines().count();
    if lines > MAX_LINES {
        faults.push(format!("{path}: {lines} lines, {MAX_LINES} at most"));
    }
    faults
}

/// Every file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn source_keeps_to_the_drawing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = files(&root);
    assert!(files.len() > 40, "only {} files found", files.len());
    let faults: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let path = file.strip_prefix(&root).unwrap().to_str().unwrap();
            faults(path, &fs::read_to_string(file).unwrap())
        })
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    // Nobody is on the list who does not need it.
    for may in UNSAFE {
        let user = files.iter().filter(|file| file.starts_with(root.join(may)));
        let needs = |file: &PathBuf| {
            let code = strip(&fs::read_to_string(file).unwrap(), false);
            words(&code, "unsafe").next().is_some()
        };
        assert!(user.into_iter().any(needs), "{may} holds nothing unsafe");
    }
}

/// Each rule, broken: the file, what it holds, what is said about it.
#[test]
fn broken_rules_are_noticed() {
    let cases = [
        ("addr.rs", "use crate::attr::Attrs;", "addr uses attr"),
        ("attr.rs", "use crate::format::Format;", "attr uses format"),
        ("format/mod.rs", "fn f(_: crate::table::mem::OutOfMemory) {}", "format uses table"),
        (
            "table/walk.rs",
            "use crate::{\n    addr::{PhysAddr, VirtAddr},\n    mm::Layout,\n};",
            "table uses mm",
        ),
        ("table/edit/map.rs", "use super::super::super::mm::Pgd;", "table uses mm"),
        ("table/mod.rs", "use super::armv7::Armv7;", "table uses armv7"),
        ("mm/pgd.rs", "use crate::armv7::barrier;", "mm uses armv7"),
        ("armv7/mmu.rs", "use crate::mm::Layout;", "armv7 uses mm"),
        ("policy/mod.rs", "", "of no layer"),
        ("mm/fault.rs", "fn f() { asm!(\"nop\") }", "assembly outside armv7"),
        ("table/mem.rs", "core::arch::global_asm!(\"nop\");", "assembly outside armv7"),
        ("mm/pgd.rs", "type Tree = Pgd<Classic>;", "names the format Classic"),
        ("table/node.rs", "use crate::format::{Format, Lpae};", "names the format Lpae"),
        ("mm/pgd.rs", "#[cfg(feature = \"lpae\")]", "cfg(feature = \"lpae\")"),
        ("format/mod.rs", "#[cfg(feature = \"smp\")]", "cfg(feature = \"smp\")"),
        ("table/mem.rs", "if cfg!(target_arch = \"arm\") {}", "cfg!(target_arch"),
        ("lib.rs", "#![cfg_attr(test, allow(unused))]", "cfg_attr(test"),
        ("format/lpae/descriptor.rs", "unsafe fn f() {}", "unsafe"),
        ("addr.rs", "const A: u8 = unsafe { f() };", "unsafe"),
    ];
    for (path, source, wanted) in cases {
        let found = faults(path, source);
        assert!(found.len() == 1 && found[0].contains(wanted), "{path}: {source}: {found:?}");
    }
    let long = "\n".repeat(MAX_LINES + 1);
    assert_eq!(faults("addr.rs", &long), ["addr.rs: 401 lines, 400 at most"]);
}

/// What looks like a broken rule and is none.
#[test]
fn words_are_told_from_code() {
    let cases = [
        ("addr.rs", "//! Not `crate::mm`, not asm!, not unsafe, not cfg(x).\n/* crate::mm */"),
        ("addr.rs", "const A: &str = \"unsafe \\\" crate::mm asm! Classic\"; // cfg(x)"),
        ("addr.rs", "const QUOTE: char = '\"'; fn unsafe_code() {}"),
        ("format/classic/regs.rs", "#[cfg(test)]\nmod tests { use super::*; }"),
        ("table/edit/split.rs", "use super::super::flush::Flush; use crate::format::Format;"),
        ("mm/pgd.rs", "use crate::table::edit::Editor; unsafe {}"),
        ("armv7/tlb.rs", "use core::arch::asm; unsafe { asm!(\"isb\") }"),
        ("lib.rs", "pub mod mm; #[cfg(target_arch = \"arm\")]\npub mod armv7;"),
    ];
    for (path, source) in cases {
        assert_eq!(faults(path, source), Vec::<String>::new(), "{path}: {source}");
    }
}
