//! `cargo xtask bench`: what every operation costs, beside the plain loop, Linux and the peers.
//!
//! ```text
//!   counted    what a guest counted: boots the bench image under -icount shift=0, reads its lines
//!   rows       the operations: what others need for them, and what is to be reached
//!   table      one table a format, for the terminal
//!   markdown   one table for the README
//!   json       target/bench/guest.json
//!   host       package bench: ours beside the published libraries, on this machine
//!   expected   the counts that are checked in, and what is too much above them
//!   size       the library's code, module by module
//!   versus     its tables
//!   columns    lines of cells
//!   versions   of the compiler and the emulator, on which all counts depend
//! ```

use std::fs;

use crate::Outcome;
use crate::command::target_directory;
use crate::image::{Binary, Format, shown};
use crate::options::{BenchOptions, Report};

pub mod columns;
pub mod counted;
pub mod expected;
pub mod host;
pub mod json;
pub mod markdown;
pub mod rows;
pub mod size;
pub mod table;
pub mod versions;
pub mod versus;

use counted::Counted;

/// Does what the command line asks for.
///
/// # Errors
/// An image does not build, or is red; a file cannot be written; a count rose by more than 3 %.
pub fn run(options: &BenchOptions) -> Outcome<()> {
    match options.report {
        Report::Size => return size::report(&options.formats),
        Report::Host => return host::report(),
        _ => {}
    }
    let mut all = Vec::new();
    for &format in &options.formats {
        all.push((format, counted::measure(format, options.quick)?));
    }
    match options.report {
        Report::Markdown => print!("{}", markdown::table(&all, &versions::told()?)),
        Report::Bless => all.iter().try_for_each(|(format, counted)| {
            let file = expected::bless(*format, counted)?;
            println!("{}", shown(&file));
            Ok::<(), String>(())
        })?,
        _ => {
            println!("{}", versions::told()?);
            for (format, counted) in &all {
                print!("\n{}", table::text(*format, counted));
            }
        }
    }
    if options.quick {
        return Ok(());
    }
    if all.len() == Format::ALL.len() {
        write_json(&all)?;
    }
    if options.report == Report::Table {
        println!();
        for (format, counted) in &all {
            println!("{}", expected::check(*format, counted)?);
        }
    }
    Ok(())
}

fn write_json(all: &[(Format, Counted)]) -> Outcome<()> {
    let file = target_directory().join(Binary::Bench.name()).join("guest.json");
    fs::write(&file, json::text(all)).map_err(|error| format!("{}: {error}", shown(&file)))
}
