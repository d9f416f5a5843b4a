//! The command line.

use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use crate::Outcome;
use crate::change::Change;
use crate::ledger::Believe;
use crate::part::{PARTS, part_of};

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The checkout.
    pub root: PathBuf,
    /// Where copies, builds and results are kept.
    pub folder: PathBuf,
    /// One part of the library; `None` for all.
    pub part: Option<String>,
    /// Only changes whose name has this in it.
    pub only: Option<String>,
    /// What to believe of what was found the last time.
    pub believe: Believe,
    /// How many at once.
    pub jobs: usize,
}

impl Options {
    /// Reads the arguments that follow the program's name.
    ///
    /// # Errors
    /// An unknown option, a missing or unusable value.
    pub fn read() -> Outcome<Self> {
        let mut options = Self {
            root: PathBuf::from("."),
            folder: PathBuf::from("target/mutants"),
            part: None,
            only: None,
            believe: Believe::Nothing,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
        };
        options.parse(Parser::from_env()).map_err(|error| error.to_string())?;
        for path in [&mut options.root, &mut options.folder] {
            *path = std::path::absolute(&*path).map_err(|error| error.to_string())?;
        }
        Ok(options)
    }

    fn parse(&mut self, mut parser: Parser) -> Result<(), lexopt::Error> {
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("root") => self.root = parser.value()?.into(),
                Arg::Long("folder") => self.folder = parser.value()?.into(),
                Arg::Long("part") => self.part = Some(parser.value()?.parse_with(part)?),
                Arg::Long("only") => self.only = Some(parser.value()?.string()?),
                Arg::Long("again") => self.believe = Believe::Caught,
                Arg::Long("resume") => self.believe = Believe::All,
                Arg::Long("jobs") => self.jobs = parser.value()?.parse::<usize>()?.max(1),
                other => return Err(other.unexpected()),
            }
        }
        Ok(())
    }

    /// Whether a change is asked for.
    pub fn wants(&self, change: &Change) -> bool {
        self.part.as_ref().is_none_or(|part| part_of(&change.file) == part)
            && self.only.as_ref().is_none_or(|text| change.key.contains(text.as_str()))
    }
}

fn part(name: &str) -> Result<String, String> {
    match PARTS.contains(&name) {
        true => Ok(name.into()),
        false => Err(format!("there is no part `{name}`: {}", PARTS.join(", "))),
    }
}
