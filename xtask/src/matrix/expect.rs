//! What a machine must come to, and whether it did.

use crate::Outcome;
use crate::command::Ending;
use crate::image::Format;
use crate::transcript::{self, Transcript};
use crate::verdict;

/// What a machine must come to with one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Every self-test passes or says why it is skipped, and all of this is said.
    Passes(Vec<String>),
    /// As `Passes`, twice: told so by [`REBOOT`], the image is entered again behind its first verdict, and says the same.
    PassesTwice(Vec<String>),
    /// The image refuses the machine before any test, in this sentence.
    Refuses(String),
}

/// What a machine came to, as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// Self-tests ran.
    Passed {
        /// So many passed.
        passed: usize,
        /// So many ran or were skipped.
        of: usize,
    },
    /// The image refused it.
    Refused,
}

/// What the image says of a CPU that lacks its format.
pub const NO_LPAE: &str = "boot: this CPU has no LPAE (ID_MMFR0.VMSA < 5); boot the classic image";

/// What tells an image to be entered again.
pub const REBOOT: &str = "--reboot";

/// What it says between its two boots.
const AGAIN: &str = "entering the image again";

/// Judges a boot by what the image said, how it ended, and what QEMU noted of it. `filter` is on the names of
/// self-tests.
///
/// # Errors
/// The first thing that is not as expected, in a sentence.
pub fn judge(
    format: Format,
    expect: &Expect,
    said: &str,
    ending: Ending,
    noted: &str,
    filter: Option<&str>,
) -> Outcome<Came> {
    let came = match expect {
        Expect::Passes(sentences) => {
            let counts = verdict::judge(format, said, ending, filter)?;
            if let Some(missing) = sentences.iter().find(|sentence| !has_line(said, sentence)) {
                return Err(format!("{format}: it does not say `{missing}`"));
            }
            if let Some(test) = skipped_without_reason(said) {
                return Err(format!("{format}: `{test}` is skipped and does not say why"));
            }
            let of = Transcript::read(said).announced.unwrap_or_default();
            Came::Passed { passed: counts.passed, of }
        }
        Expect::PassesTwice(sentences) => {
            let Some((first, second)) = said.split_once(&format!("\n{AGAIN}\n")) else {
                return Err(format!("{format}: it does not say `{AGAIN}`"));
            };
            let passes = Expect::Passes(sentences.clone());
            let exited = Ending::Exited(Some(0));
            judge(format, &passes, first, exited, "", filter)
                .map_err(|problem| format!("{problem}, in the first boot"))?;
            let came = judge(format, &passes, second, ending, noted, filter)
                .map_err(|problem| format!("{problem}, in the second boot"))?;
            if let Some((was, is)) = first_difference(first, second) {
                return Err(format!("{format}: the second boot says `{is}` for `{was}`"));
            }
            came
        }
        Expect::Refuses(sentence) => {
            let transcript = Transcript::read(said);
            if transcript.last_line.as_deref() != Some(sentence) || transcript.announced.is_some() {
                return Err(format!("{format}: it does not refuse with `{sentence}`"));
            }
            if ending != Ending::Exited(Some(1)) {
                return Err(format!("{format}: it refuses, but does not end with exit status 1"));
            }
            Came::Refused
        }
    };
    match noted.lines().next() {
        None => Ok(came),
        Some(first) => Err(format!("{format}: QEMU notes that the guest did wrong: {first}")),
    }
}

/// The first line of a guest's in which its two boots differ.
fn first_difference<'a>(first: &'a str, second: &'a str) -> Option<(&'a str, &'a str)> {
    let guests = |said: &'a str| said.trim_end().lines().filter(|line| !transcript::is_qemus(line));
    let (mut first, mut second) = (guests(first), guests(second));
    loop {
        match (first.next(), second.next()) {
            (None, None) => return None,
            (was, is) if was == is => {}
            (was, is) => return Some((was.unwrap_or_default(), is.unwrap_or_default())),
        }
    }
}

/// Whether a line of `said` begins so, after what it is indented by.
fn has_line(said: &str, sentence: &str) -> bool {
    said.lines().any(|line| line.trim_start().starts_with(sentence))
}

/// A skipped test before whose end stands no line of its own.
fn skipped_without_reason(said: &str) -> Option<&str> {
    let lines: Vec<_> = said.lines().collect();
    (0..lines.len()).find_map(|at| {
        let test = lines[at].strip_prefix("test ")?.strip_suffix(" ... skipped")?;
        let before = at.checked_sub(1).map_or("", |before| lines[before]);
        let is_reason = before.starts_with(' ') && !before.trim().is_empty();
        (!is_reason).then_some(test)
    })
}
