//! The changes: those that cargo-mutants lists.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde_json::Value;

use crate::Outcome;
use crate::child::tool;
use crate::part::FILES;

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Genre {
    /// A function returns something else, and does nothing.
    Body,
    /// An operator between two operands.
    Binary,
    /// An operator before an operand goes.
    Unary,
    /// An arm of a `match` goes.
    Arm,
    /// The condition of an arm is always or never met.
    Guard,
    /// A field of a struct expression goes: the base has it.
    Field,
}

/// One change of the library.
#[derive(Clone, Debug)]
pub struct Change {
    /// The file, from the root of the checkout.
    pub file: String,
    /// As cargo-mutants calls it, with line and column.
    pub name: String,
    /// The same without its place, which moves with every edit; the kth of those that are equal then ends in ` #k`.
    pub key: String,
    /// The function that it is in, if any.
    pub function: String,
    /// What is changed.
    pub genre: Genre,
    /// The bytes that are replaced.
    pub span: Range<usize>,
    /// What replaces them.
    pub with: String,
}

impl Change {
    /// The text of its file with the change.
    pub fn made(&self, source: &str) -> String {
        self.made_in(source, &(0..source.len()))
    }

    /// These bytes of its file's text with the change, which is among them.
    pub fn made_in(&self, source: &str, range: &Range<usize>) -> String {
        let (before, after) = (range.start..self.span.start, self.span.end..range.end);
        format!("{}{}{}", &source[before], self.with, &source[after])
    }
}

/// Fields of a word do not overlap: there `|` and `^` are the same.
pub const EQUAL: &str = r"replace \| with \^";

/// Asks cargo-mutants for all changes of the library in `root`.
///
/// # Errors
/// cargo-mutants is missing, fails, or says what is not understood; a file cannot be read.
pub fn list(root: &Path) -> Outcome<Vec<Change>> {
    let mut command = tool("cargo", root);
    command.args(["mutants", "--list", "--json", "--package", "armv7a-mm", "--exclude-re", EQUAL]);
    for files in FILES {
        command.args(["--file", files]);
    }
    let output = command.output().map_err(|error| format!("cargo does not start: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "cargo-mutants does not list the changes: {}\nis it installed? `cargo install --locked cargo-mutants`",
            said.trim()
        ));
    }
    let listed: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("the list of changes: {error}"))?;
    let mut sources = BTreeMap::new();
    let mut changes = Vec::new();
    for entry in listed.as_array().into_iter().flatten() {
        let file = entry["file"].as_str().unwrap_or_default().to_string();
        if !sources.contains_key(&file) {
            let text = std::fs::read_to_string(root.join(&file))
                .map_err(|error| format!("{file}: {error}"))?;
            sources.insert(file.clone(), text);
        }
        let change = read(entry, &sources[&file])
            .ok_or_else(|| format!("the list of changes: what is {entry}"))?;
        changes.push(change);
    }
    changes.sort_by(|a, b| (&a.file, a.span.start).cmp(&(&b.file, b.span.start)));
    number(&mut changes);
    Ok(changes)
}

fn read(entry: &Value, source: &str) -> Option<Change> {
    let genre = match entry["genre"].as_str()? {
        "FnValue" => Genre::Body,
        "BinaryOperator" => Genre::Binary,
        "UnaryOperator" => Genre::Unary,
        "MatchArm" => Genre::Arm,
        "MatchArmGuard" => Genre::Guard,
        "StructField" => Genre::Field,
        _ => return None,
    };
    let name = entry["name"].as_str()?;
    let offset = |end: &str| {
        let place = &entry["span"][end];
        offset(source, place["line"].as_u64()?, place["column"].as_u64()?)
    };
    Some(Change {
        file: entry["file"].as_str()?.into(),
        name: name.into(),
        key: placeless(name)?,
        function: entry["function"]["function_name"].as_str().unwrap_or_default().into(),
        genre,
        span: offset("start")?..offset("end")?,
        with: entry["replacement"].as_str()?.into(),
    })
}

/// Where a line and a column are, both from 1 and in characters.
fn offset(source: &str, line: u64, column: u64) -> Option<usize> {
    let start: usize = source.split_inclusive('\n').take(line as usize - 1).map(str::len).sum();
    let rest = source.get(start..)?;
    let (at, _) = rest.char_indices().chain([(rest.len(), ' ')]).nth(column as usize - 1)?;
    Some(start + at)
}

/// `file:line:column: change` as `file: change`.
fn placeless(name: &str) -> Option<String> {
    let mut parts = name.splitn(4, ':');
    let (file, _line, _column) = (parts.next()?, parts.next()?, parts.next()?);
    Some(format!("{file}:{}", parts.next()?))
}

/// Tells equal keys apart, by their order.
fn number(changes: &mut [Change]) {
    let mut equal: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, change) in changes.iter().enumerate() {
        equal.entry(change.key.clone()).or_default().push(index);
    }
    for indices in equal.into_values().filter(|indices| indices.len() > 1) {
        for (before, index) in indices.into_iter().enumerate() {
            changes[index].key += &format!(" #{}", before + 1);
        }
    }
}
