//! The few things of a 32-bit little-endian ELF file that are read: sections, where instructions are, and what is
//! loaded.

use std::ops::Range;

use crate::Outcome;
use crate::instruction::{Instruction, Set};

/// A section's type: its bytes are not in the file.
const NOBITS: u32 = 8;
/// A section's type: symbols.
const SYMTAB: u32 = 2;
/// A symbol's type: a function.
const FUNCTION: u8 = 2;
/// A program header's type: it is loaded.
const LOAD: u32 = 1;
/// A section's flag: instructions.
const EXECUTABLE: u32 = 4;

/// A file, split into sections.
pub struct Elf<'a> {
    sections: Vec<Section<'a>>,
}

/// A part of the file.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// Its name.
    pub name: &'a str,
    /// The address it is linked at.
    pub address: u32,
    /// Its bytes.
    pub bytes: &'a [u8],
    kind: u32,
    flags: u32,
    link: usize,
}

impl Section<'_> {
    fn instruction(&self, address: u32, set: Set) -> Option<Instruction> {
        let at = (address - self.address) as usize;
        let bits = match set {
            Set::A32 => word(self.bytes, at)?,
            Set::T32 => match half(self.bytes, at)? as u32 {
                // The first of two (DDI 0406C A6.1).
                first if first >> 11 >= 0b11101 => first << 16 | half(self.bytes, at + 2)? as u32,
                only => only,
            },
        };
        Some(Instruction { address, bits, set })
    }
}

impl<'a> Elf<'a> {
    /// Reads the section headers.
    ///
    /// # Errors
    /// Not such a file, or cut short.
    pub fn read(file: &'a [u8]) -> Outcome<Self> {
        let cut = "the ELF file is cut short";
        if !file.starts_with(b"\x7fELF\x01\x01") {
            return Err("not a 32-bit little-endian ELF file".into());
        }
        let headers = word(file, 0x20).ok_or(cut)? as usize;
        let size = half(file, 0x2e).ok_or(cut)?;
        let count = half(file, 0x30).ok_or(cut)?;
        let names = half(file, 0x32).ok_or(cut)?;
        let header = |index: usize, field: usize| word(file, headers + index * size + field);
        let mut sections = Vec::new();
        for index in 0..count {
            let field = |field| header(index, field).ok_or(cut);
            let bytes = match field(0x04)? {
                NOBITS => &[],
                _ => part(file, field(0x10)? as usize, field(0x14)? as usize).ok_or(cut)?,
            };
            sections.push(Section {
                name: "",
                address: field(0x0c)?,
                bytes,
                kind: field(0x04)?,
                flags: field(0x08)?,
                link: field(0x18)? as usize,
            });
        }
        let strings = sections.get(names).ok_or(cut)?.bytes;
        for (index, section) in sections.iter_mut().enumerate() {
            section.name = text(strings, header(index, 0).ok_or(cut)? as usize).ok_or(cut)?;
        }
        Ok(Elf { sections })
    }

    /// The bytes of the section of this name; none where there is no such section.
    pub fn section(&self, name: &str) -> &'a [u8] {
        self.sections
            .iter()
            .find(|section| section.name == name)
            .map_or(&[], |section| section.bytes)
    }

    /// Every instruction.
    ///
    /// # Errors
    /// The file has no symbols.
    pub fn instructions(&self) -> Outcome<Vec<Instruction>> {
        let mut instructions = Vec::new();
        for section in self.code() {
            for (mut range, set) in self.ranges(section)? {
                while let Some(instruction) = section.instruction(range.start, set)
                    && !range.is_empty()
                {
                    range.start += instruction.bytes();
                    instructions.push(instruction);
                }
            }
        }
        Ok(instructions)
    }

    /// The sections that hold instructions.
    pub fn code(&self) -> impl Iterator<Item = &Section<'a>> {
        self.sections
            .iter()
            .filter(|section| section.flags & EXECUTABLE != 0 && !section.bytes.is_empty())
    }

    /// The addresses in `section` that hold instructions, not data, and of which set: the linker's mapping symbols say.
    fn ranges(&self, section: &Section<'_>) -> Outcome<Vec<(Range<u32>, Set)>> {
        let end = section.address + section.bytes.len() as u32;
        let mut marks: Vec<_> = self
            .mapping_symbols()?
            .into_iter()
            .filter(|(at, _)| (section.address..end).contains(at))
            .collect();
        marks.sort_unstable();
        let ends = marks.iter().skip(1).map(|(at, _)| *at).chain([end]);
        Ok(marks
            .iter()
            .zip(ends)
            .filter_map(|((at, kind), end)| match kind {
                'a' => Some((*at..end, Set::A32)),
                't' => Some((*at..end, Set::T32)),
                _ => None,
            })
            .collect())
    }

    /// Names and addresses.
    ///
    /// # Errors
    /// The file has none.
    pub fn symbols(&self) -> Outcome<impl Iterator<Item = (&'a str, u32)>> {
        Ok(self.symbol_table()?.map(|(name, at, _)| (name, at)))
    }

    /// Names and addresses of functions.
    ///
    /// # Errors
    /// The file has no symbols.
    pub fn functions(&self) -> Outcome<impl Iterator<Item = (&'a str, u32)>> {
        let functions = self.symbol_table()?.filter(|(_, _, info)| info & 0xf == FUNCTION);
        // Thumb's have bit 0.
        Ok(functions.map(|(name, at, _)| (name, at & !1)))
    }

    /// Names, addresses, and what else is said of symbols.
    fn symbol_table(&self) -> Outcome<impl Iterator<Item = (&'a str, u32, u8)>> {
        let table = self.sections.iter().find(|section| section.kind == SYMTAB);
        let table = table.ok_or("the image has no symbols: it must not be stripped")?;
        let strings = self.sections.get(table.link).map_or(&[][..], |section| section.bytes);
        Ok(table.bytes.chunks_exact(16).filter_map(|symbol| {
            Some((text(strings, word(symbol, 0)? as usize)?, word(symbol, 4)?, symbol[12]))
        }))
    }

    /// `$a`, `$t` and `$d`, perhaps with a suffix: from this address on A32, Thumb, or data.
    fn mapping_symbols(&self) -> Outcome<Vec<(u32, char)>> {
        let marks = self.symbols()?.filter_map(|(name, at)| {
            let mut name = name.chars();
            let (dollar, kind, rest) = (name.next()?, name.next()?, name.next());
            (dollar == '$' && "atd".contains(kind) && rest.is_none_or(|rest| rest == '.'))
                .then_some((at, kind))
        });
        Ok(marks.collect())
    }
}

/// What the file puts into memory, from the lowest physical address on, without what is zero at its end: as
/// `objcopy -O binary` has it.
///
/// # Errors
/// Not such a file, cut short, or nothing is loaded.
pub fn raw(file: &[u8]) -> Outcome<Vec<u8>> {
    let cut = "the ELF file is cut short";
    let headers = word(file, 0x1c).ok_or(cut)? as usize;
    let (size, count) = (half(file, 0x2a).ok_or(cut)?, half(file, 0x2c).ok_or(cut)?);
    let mut parts = Vec::new();
    for index in 0..count {
        let field = |field| word(file, headers + index * size + field).ok_or(cut);
        let (kind, offset, address, bytes) = (field(0)?, field(4)?, field(12)?, field(16)?);
        if kind == LOAD && bytes > 0 {
            let bytes = part(file, offset as usize, bytes as usize).ok_or(cut)?;
            parts.push((address as usize, bytes));
        }
    }
    let start = parts.iter().map(|(address, _)| *address).min().ok_or("nothing is loaded")?;
    let end = parts.iter().map(|(address, bytes)| address + bytes.len()).max().unwrap_or(start);
    let mut raw = vec![0; end - start];
    for (address, bytes) in parts {
        raw[address - start..][..bytes.len()].copy_from_slice(bytes);
    }
    Ok(raw)
}

fn part(bytes: &[u8], from: usize, count: usize) -> Option<&[u8]> {
    bytes.get(from..from.checked_add(count)?)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(part(bytes, at, 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u16::from_le_bytes(part(bytes, at, 2)?.try_into().ok()?).into())
}

fn text(strings: &[u8], at: usize) -> Option<&str> {
    let rest = strings.get(at..)?;
    std::str::from_utf8(&rest[..rest.iter().position(|&byte| byte == 0)?]).ok()
}
