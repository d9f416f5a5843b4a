//! Counts as a table for the README.

use super::counted::Counted;
use super::rows::ROWS;
use super::table::number;
use crate::image::Format;

/// What the other columns are.
const NOTES: &str = "
*floor*: a plain loop that does the bare work, eight words a turn at most. *Linux 6.1*: Debian's kernels on the same
emulator; for pages, `set_pte` alone. *peer*: `page_table_multiarch` 0.6.2, the one published crate with both levels of the
classic format.
";

/// One table: every operation in a row, the formats side by side.
pub fn table(all: &[(Format, Counted)], versions: &str) -> String {
    let mut head = String::from("| instructions | per |");
    let mut rule = String::from("|---|---|");
    for (format, _) in all {
        head.push_str(&format!(" {format} | floor | Linux 6.1 | peer |"));
        rule.push_str("---:|---:|---:|---:|");
    }
    let mut table = format!("{head}\n{rule}\n");
    for row in &ROWS {
        table.push_str(&format!("| {} | {} |", row.name, row.unit));
        for (format, counted) in all {
            let cell = |count: Option<f64>| count.map_or("–".into(), number);
            table.push_str(&format!(
                " **{}** | {} | {} | {} |",
                cell(counted.get(row.key)),
                cell(counted.floor(row.key)),
                cell(row.linux(*format)),
                cell(row.peer(*format)),
            ));
        }
        table.push('\n');
    }
    table.push_str(NOTES);
    table.push_str(&format!("\nCounted by `cargo xtask bench`: {versions}.\n"));
    table
}
