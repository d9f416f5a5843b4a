//! The parts of the library that are changed.

/// Every part, as `--part` calls it.
pub const PARTS: [&str; 4] = ["format", "inspect", "table", "mm"];

/// The files that are changed.
pub const FILES: [&str; 3] = ["src/format/**", "src/table/**", "src/mm/**"];

/// Which part a file is of.
pub fn part_of(file: &str) -> &'static str {
    match file.strip_prefix("src/").unwrap_or(file) {
        rest if rest.starts_with("format/") => "format",
        rest if rest.starts_with("table/inspect/") => "inspect",
        rest if rest.starts_with("table/") => "table",
        _ => "mm",
    }
}
