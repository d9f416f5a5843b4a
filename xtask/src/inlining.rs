//! Which functions, inlined into each other, an instruction of an image comes from: its debug information says.

use addr2line::Context;
use addr2line::gimli::{self, Dwarf, EndianSlice, LittleEndian};

use crate::Outcome;
use crate::elf::Elf;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// An image's debug information.
pub struct Inlining<'a> {
    context: Context<Bytes<'a>>,
    /// Where functions begin, in order.
    symbols: Vec<(u32, &'a str)>,
}

/// A function, as the debug information has it.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// The file of the instruction's line in it; empty where that is not known.
    pub file: String,
    /// That line; 0 for an instruction of several, which may be none of this function's.
    pub line: u32,
    /// Its name, without its module's path; empty where that is not known.
    pub name: String,
}

impl<'a> Inlining<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// There is none, or it is broken.
    pub fn read(elf: &Elf<'a>) -> Outcome<Self> {
        let load = |section: &str| EndianSlice::new(elf.section(section), LittleEndian);
        let dwarf = Dwarf::load(|section| Ok(load(section.name()))).map_err(broken)?;
        let context = Context::from_dwarf(dwarf).map_err(broken)?;
        let mut symbols: Vec<_> = elf.functions()?.map(|(name, at)| (at, name)).collect();
        symbols.sort_unstable();
        Ok(Self { context, symbols })
    }

    /// The functions that the instruction at `address` comes from, the innermost first.
    ///
    /// # Errors
    /// The debug information is broken.
    pub fn functions(&self, address: u32) -> Outcome<Vec<Function>> {
        let mut functions = Vec::new();
        let mut frames =
            self.context.find_frames(address.into()).skip_all_loads().map_err(broken)?;
        while let Some(frame) = frames.next().map_err(broken)? {
            let location = frame.location.as_ref();
            let file = location.and_then(|location| location.file).unwrap_or_default();
            let line = location.and_then(|location| location.line).unwrap_or_default();
            let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            let name = name.unwrap_or_default().into_owned();
            functions.push(Function { file: file.into(), line, name });
        }
        // Lines alone leave out the name of a function in which nothing is inlined.
        if let Some(outermost) = functions.last_mut()
            && outermost.name.is_empty()
        {
            outermost.name = self.symbol(address);
        }
        Ok(functions)
    }

    /// The name of the function at `address`, by its symbol.
    fn symbol(&self, address: u32) -> String {
        let behind = self.symbols.partition_point(|(at, _)| *at <= address);
        let symbol = self.symbols[..behind].last().map_or("", |(_, name)| name);
        let path = format!("{:#}", rustc_demangle::demangle(symbol));
        path.rsplit("::").next().unwrap_or_default().into()
    }
}

fn broken(error: gimli::Error) -> String {
    format!("debug information: {error}")
}
