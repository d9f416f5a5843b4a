//! Counts for machines to read: `{"classic": {"pgd_alloc_warm": 87, …}, "lpae": {…}}`.

use super::counted::{Counted, decimal};
use crate::image::Format;

/// An object of objects; keys are the guest's, and need no escapes.
pub fn text(all: &[(Format, Counted)]) -> String {
    let formats: Vec<_> = all
        .iter()
        .map(|(format, counted)| {
            let counts: Vec<_> = counted
                .iter()
                .map(|(key, count)| format!("    \"{key}\": {}", decimal(count)))
                .collect();
            format!("  \"{format}\": {{\n{}\n  }}", counts.join(",\n"))
        })
        .collect();
    format!("{{\n{}\n}}\n", formats.join(",\n"))
}
