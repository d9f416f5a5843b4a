//! The library's code in an image that uses all that swapper, pgds and faults offer, once.
//!
//! The debug information says for each instruction which functions, inlined into each other, it comes from. It counts
//! for the innermost that is the library's, wherever that was inlined; what of others' code is inlined there is there
//! for its sake.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{columns, expected};
use crate::Outcome;
use crate::command::root;
use crate::elf::Elf;
use crate::image::{Binary, Code, Format, shown};
use crate::inlining::{Function, Inlining};

/// Bytes that each format is to stay below.
const REACH: usize = 24 << 10;

/// Bytes of code by name.
type Sizes = BTreeMap<String, usize>;

/// Functions that are listed.
const LISTED: usize = 16;

/// The library's code in an image.
struct Library {
    modules: Sizes,
    /// By the function of the library that the compiler left whole: what is inlined there counts there.
    functions: Sizes,
    /// What only prints: `Debug` and `Display`.
    texts: usize,
    /// The walker of foreign tables.
    inspector: usize,
}

impl Library {
    fn all(&self) -> usize {
        self.modules.values().sum()
    }

    /// What a kernel has that prints nothing of the library's and inspects no foreign machine.
    fn bare(&self) -> usize {
        self.all() - self.texts - self.inspector
    }
}

/// Builds the images of `formats` and says how much code is the library's.
///
/// # Errors
/// An image does not build, or cannot be read.
pub fn report(formats: &[Format]) -> Outcome<()> {
    let mut all = Vec::new();
    for code in Code::ALL {
        for &format in formats {
            let library = measure(&Binary::Whole.build(format, code)?)?;
            all.push((format!("{format}, {code}"), library));
        }
    }
    print!("{}", table(&all));
    for (name, library) in &all {
        print!("\n{}", listing(name, library));
    }
    Ok(())
}

/// Holds the library's code, compiled for size, against what is to be reached, and says in a line what it found.
///
/// # Errors
/// It is more, under the compiler of the counts that are checked in; or the image does not build, or cannot be read.
pub fn check(format: Format) -> Outcome<String> {
    let bytes = measure(&Binary::Whole.build(format, Code::Small)?)?.bare();
    let told = format!("{format}: {bytes} bytes of code, compiled for size; the reach is {REACH}");
    match bytes <= REACH || !expected::is_their_compiler(format)? {
        true => Ok(told),
        false => Err(format!("{told} (cargo xtask bench --size lists them)")),
    }
}

/// How much code is the library's in `image`.
fn measure(image: &Path) -> Outcome<Library> {
    let complain = |problem: String| format!("{}: {problem}", shown(image));
    let file = fs::read(image).map_err(|error| complain(error.to_string()))?;
    let elf = Elf::read(&file).map_err(complain)?;
    let inlining = Inlining::read(&elf).map_err(complain)?;
    let library = root().join("src");
    let (modules, functions) = (Sizes::new(), Sizes::new());
    let mut code = Library { modules, functions, texts: 0, inspector: 0 };
    for instruction in elf.instructions().map_err(complain)? {
        let bytes = instruction.bytes() as usize;
        let functions = inlining.functions(instruction.address).map_err(complain)?;
        let ours = |function: &Function| {
            Some(module(Path::new(&function.file).strip_prefix(&library).ok()?))
        };
        let Some(innermost) = functions.iter().find_map(ours) else { continue };
        if functions.iter().any(|function| name(function) == "fmt") {
            code.texts += bytes;
        } else if innermost.starts_with("table::inspect") {
            code.inspector += bytes;
        }
        *code.modules.entry(innermost).or_default() += bytes;
        if let Some(outermost) = functions.last()
            && let Some(module) = ours(outermost)
        {
            *code.functions.entry(format!("{module}::{}", name(outermost))).or_default() += bytes;
        }
    }
    Ok(code)
}

/// Its name, without its parameters.
fn name(function: &Function) -> &str {
    function.name.split('<').next().unwrap_or_default()
}

/// The module of a file of the library: `table/edit/map.rs` is `table::edit::map`.
fn module(file: &Path) -> String {
    let path = file.with_extension("").to_string_lossy().replace('/', "::");
    path.strip_suffix("::mod").unwrap_or(&path).to_string()
}

/// Sizes as a table: a module a line, and all of it.
fn table(all: &[(String, Library)]) -> String {
    let mut modules: Vec<&String> = all.iter().flat_map(|(_, code)| code.modules.keys()).collect();
    modules.sort();
    modules.dedup();
    let mut lines = vec![vec!["bytes of code".to_string()]];
    lines[0].extend(all.iter().map(|(name, _)| name.clone()));
    for module in modules {
        let size = |sizes: &Sizes| sizes.get(module).map_or("–".into(), usize::to_string);
        let mut line = vec![module.clone()];
        line.extend(all.iter().map(|(_, code)| size(&code.modules)));
        lines.push(line);
    }
    let mut row = |name: &str, size: &dyn Fn(&Library) -> String| {
        let sizes = all.iter().map(|(_, code)| size(code));
        lines.push([name.to_string()].into_iter().chain(sizes).collect());
    };
    row("all of it", &|code| code.all().to_string());
    row("of that, Debug and Display", &|code| code.texts.to_string());
    row("of that, the inspector", &|code| code.inspector.to_string());
    row("without both", &|code| code.bare().to_string());
    row("reach", &|_| format!("≤ {REACH}"));
    columns::align(&lines, &[0])
}

/// The largest functions in one image.
fn listing(name: &str, code: &Library) -> String {
    let mut functions: Vec<_> = code.functions.iter().collect();
    functions.sort_by_key(|(name, bytes)| (std::cmp::Reverse(**bytes), *name));
    let mut lines = vec![vec![format!("{name}: the largest functions"), "bytes".into()]];
    let largest = functions.into_iter().take(LISTED);
    lines.extend(largest.map(|(name, bytes)| vec![name.clone(), bytes.to_string()]));
    columns::align(&lines, &[0])
}
