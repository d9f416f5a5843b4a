//! What a guest counted.

use std::time::Duration;

use crate::image::{Binary, Code, Format};
use crate::qemu::{self, Guest, Show};
use crate::{Outcome, example};

/// Room for the bench image's table heap, and a linear map up to where its identity mapping lies.
const MEMORY: &str = "1G";

/// Instructions by key, per unit, in the order counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counted(Vec<(String, f64)>);

impl Counted {
    /// Reads what a guest said: its lines `count KEY INSTRUCTIONS UNITS`.
    ///
    /// # Errors
    /// Such a line makes no sense, or a key comes twice.
    pub fn read(said: &str) -> Outcome<Self> {
        let mut counted = Self::default();
        for line in said.lines() {
            let Some(count) = line.trim().strip_prefix("count ") else { continue };
            let complain = || format!("the guest's line makes no sense: {line}");
            let mut words = count.split_whitespace();
            let (Some(key), Some(total), Some(units), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(complain());
            };
            let number = |word: &str| word.parse::<u64>().map_err(|_| complain());
            let (total, units) = (number(total)?, number(units)?);
            if units == 0 || counted.get(key).is_some() {
                return Err(complain());
            }
            counted.0.push((key.into(), total as f64 / units as f64));
        }
        Ok(counted)
    }

    /// Instructions per unit of the operation `key`.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.iter().find(|(known, _)| *known == key).map(|(_, count)| count)
    }

    /// Of the plain loop that belongs to it.
    pub fn floor(&self, key: &str) -> Option<f64> {
        self.get(&format!("{key}_floor"))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(key, count)| (key.as_str(), *count))
    }
}

/// A number as files have it: a decimal where it is not whole.
pub fn decimal(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Builds the bench image of `format` and the example kernel, boots them and reads what they counted.
///
/// # Errors
/// It does not build, is red (a wrong answer is), or does not count.
pub fn measure(format: Format, quick: bool) -> Outcome<Counted> {
    let guest = Guest {
        memory: MEMORY.into(),
        words: if quick { vec!["--quick".into()] } else { Vec::new() },
        counting: true,
        limit: Duration::from_secs(300),
        ..Guest::default()
    };
    let image = Binary::Bench.build(format, Code::Fast)?;
    let (_, said) = qemu::listen(format, &guest, &image, Show::WhenRed)?;
    let told = example::measure(format)?;
    Counted::read(&format!("{said}\n{told}")).map_err(|problem| format!("{format}: {problem}"))
}
