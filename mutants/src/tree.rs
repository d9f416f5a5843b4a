//! A copy of the checkout, where the library is written anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::child::tool;

/// The switch's place in the copy.
const MODULE: &str = "src/mutant.rs";
const SWITCH: &str = include_str!("../switch.rs");

/// Copies what git knows, and what it does not know yet, from `root` to `tree`; what is the same keeps its time.
///
/// # Errors
/// There is no git, or a file cannot be read or written.
pub fn copy(root: &Path, tree: &Path) -> Outcome<()> {
    copy_as(root, tree, |_, old| Some(old))
}

/// The same with the switch in the library, but for what is written `anew`.
///
/// # Errors
/// As above.
pub fn copy_switched(root: &Path, tree: &Path, anew: &BTreeSet<&str>) -> Outcome<()> {
    copy_as(root, tree, |name, old| match name {
        "src/lib.rs" => Some(library(&old).into_bytes()),
        name => (!anew.contains(name)).then_some(old),
    })?;
    write(&tree.join(MODULE), SWITCH.as_bytes())
}

fn copy_as(
    root: &Path,
    tree: &Path,
    text: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>,
) -> Outcome<()> {
    let mut command = tool("git", root);
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = command.output().map_err(|error| format!("git does not start: {error}"))?;
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut kept = BTreeSet::new();
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        // One that is deleted and not yet committed is listed too.
        let Ok(old) = fs::read(root.join(name)) else { continue };
        kept.insert(tree.join(name));
        if let Some(text) = text(name, old) {
            write(&tree.join(name), &text)?;
        }
    }
    if kept.is_empty() {
        return Err("git lists no file".into());
    }
    kept.insert(tree.join(MODULE));
    for folder in ["src", "tests"] {
        clear(&tree.join(folder), &kept)?;
    }
    Ok(())
}

/// The library's root, with the module that the changes ask.
fn library(old: &[u8]) -> String {
    format!(
        "#![allow(internal_features)]\n#![feature(const_eval_select, core_intrinsics)]\n{}\n\
         extern crate std as std_of_the_host;\n/// Which change is made.\npub mod mutant;\n",
        String::from_utf8_lossy(old)
    )
}

/// Writes a file unless it is there and the same: cargo goes by times.
///
/// # Errors
/// It cannot be written.
pub fn write(file: &Path, bytes: &[u8]) -> Outcome<()> {
    if fs::read(file).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(file, bytes))
        .map_err(|error| format!("{}: {error}", file.display()))
}

/// The text of all files of a folder, in some order that stays.
///
/// # Errors
/// One cannot be read.
pub fn all_text(folder: &Path) -> Outcome<Vec<u8>> {
    let failed = |path: &Path, error| format!("{}: {error}", path.display());
    let entries = fs::read_dir(folder).map_err(|error| failed(folder, error))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut text = Vec::new();
    for path in paths {
        text.extend(match path.is_dir() {
            true => all_text(&path)?,
            false => fs::read(&path).map_err(|error| failed(&path, error))?,
        });
    }
    Ok(text)
}

/// Removes files that are no longer there: a test would go on being built.
fn clear(folder: &Path, kept: &BTreeSet<PathBuf>) -> Outcome<()> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => clear(&path, kept)?,
            false if !kept.contains(&path) => {
                fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            }
            false => {}
        }
    }
    Ok(())
}
