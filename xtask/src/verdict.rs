//! Whether a guest's run is a success, or in one sentence why it is not.

use std::ops::AddAssign;

use crate::Outcome;
use crate::command::Ending;
use crate::image::Format;
use crate::transcript::{Crash, Summary, TestEnd, Transcript};

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests passed.
    pub passed: usize,
    /// Tests failed.
    pub failed: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
    }
}

/// Judges a guest by all that it said, how it ended, and the filter it was given.
///
/// Green takes everything at once: exit status 0, a last line that agrees with the lines before it and with the
/// image's format, at least one test passed and none failed.
///
/// # Errors
/// The first thing that is wrong, the most telling first.
pub fn judge(format: Format, said: &str, ending: Ending, filter: Option<&str>) -> Outcome<Counts> {
    let transcript = Transcript::read(said);
    match complaint(format, &transcript, ending, filter) {
        Some(complaint) => Err(format!("{format}: {complaint}")),
        None => Ok(Counts {
            passed: transcript.summaries.iter().map(|summary| summary.passed).sum(),
            failed: 0,
        }),
    }
}

fn complaint(
    format: Format,
    transcript: &Transcript,
    ending: Ending,
    filter: Option<&str>,
) -> Option<String> {
    if let Some(crash) = &transcript.crash {
        return Some(crashed(crash));
    }
    if let Some(complaint) = not_ended(transcript, ending) {
        return Some(complaint);
    }
    if transcript.is_silent() {
        return Some(match &transcript.qemu {
            Some(line) => format!("QEMU did not start the guest: {line}"),
            None => format!(
                "no output: the guest ended with {} before it said anything",
                status(ending)
            ),
        });
    }
    let summary = match transcript.summaries.as_slice() {
        [] => return Some(no_verdict(format, transcript, ending)),
        [only] => only,
        _ => return Some("inconsistent: the guest gave its verdict more than once".into()),
    };
    if summary.format != format.name() {
        return Some(format!("the verdict is that of another image: `{}`", summary.format));
    }
    if !transcript.summary_is_last {
        return Some(format!(
            "inconsistent: the guest went on after its verdict: {}",
            last_line(transcript)
        ));
    }
    if summary.failed > 0 {
        return Some(failures(summary, transcript));
    }
    if let Some(complaint) = disagreement(summary, transcript) {
        return Some(format!("inconsistent: {complaint}"));
    }
    if summary.passed == 0 {
        return Some(match filter {
            Some(filter) => {
                format!("no test passed: none that can run here has `{filter}` in its name")
            }
            None => "no test passed: none was run".into(),
        });
    }
    if !ending.succeeded() {
        return Some(format!("every test passed, but the guest ended with {}", status(ending)));
    }
    None
}

/// `panic: …` and `fault: …` carry what happened; the test is told unless the guest did.
fn crashed(crash: &Crash) -> String {
    let what = crash.line.strip_prefix("panic: ").map(|what| ("the guest panicked", what));
    let (event, what) = what
        .unwrap_or_else(|| ("a fault nobody expected", crash.line.trim_start_matches("fault: ")));
    match &crash.during {
        Some(test) => {
            let what = what.trim_end_matches(&format!(", while running test {test}"));
            format!("{event} in test `{test}`: {what}")
        }
        None => format!("{event} outside of any test: {what}"),
    }
}

/// Hung, or talking for ever.
fn not_ended(transcript: &Transcript, ending: Ending) -> Option<String> {
    let during = match (transcript.last_started(), transcript.announced) {
        (Some(test), _) => format!("the last test started was `{test}`"),
        (None, Some(_)) => "no test had started".into(),
        (None, None) => {
            format!("no test had been announced, and the last line was {}", last_line(transcript))
        }
    };
    match ending {
        Ending::Exited(_) => None,
        Ending::Flooded => {
            Some(format!("the guest would not stop talking and was killed; {during}"))
        }
        Ending::TimedOut(limit) => {
            let seconds = limit.as_secs();
            Some(match (transcript.is_silent(), transcript.summaries.is_empty()) {
                (true, _) => format!("hung: no output within {seconds} s"),
                (false, true) => format!("hung: no verdict within {seconds} s; {during}"),
                (false, false) => {
                    format!("hung: the verdict was given, but no exit followed within {seconds} s")
                }
            })
        }
    }
}

fn no_verdict(format: Format, transcript: &Transcript, ending: Ending) -> String {
    let status = status(ending);
    match &transcript.open {
        Some(test) => format!("the guest ended with {status} in the middle of test `{test}`"),
        None => format!(
            "no verdict: the guest ended with {status} and no line `{format}: N passed, N failed`; its last line was {}",
            last_line(transcript)
        ),
    }
}

fn failures(summary: &Summary, transcript: &Transcript) -> String {
    let names: Vec<_> =
        named(transcript, TestEnd::Failed).map(|name| format!("`{name}`")).collect();
    match summary.failed {
        1 => format!("1 test failed: {}", names.join(", ")),
        failed => format!("{failed} tests failed: {}", names.join(", ")),
    }
}

/// The counts of the verdict against the lines that precede it.
fn disagreement(summary: &Summary, transcript: &Transcript) -> Option<String> {
    if let Some(test) = &transcript.open {
        return Some(format!("test `{test}` started and never ended"));
    }
    let told = [
        ("passed", Some(summary.passed), TestEnd::Ok),
        ("failed", Some(summary.failed), TestEnd::Failed),
        ("skipped", summary.skipped, TestEnd::Skipped),
    ];
    for (what, told, end) in told {
        let seen = named(transcript, end).count();
        if let Some(told) = told
            && told != seen
        {
            return Some(format!("the verdict says {told} {what}, but {seen} tests were"));
        }
    }
    match transcript.announced {
        None => Some("the guest did not announce how many tests it runs".into()),
        Some(announced) if announced != transcript.ended.len() => {
            Some(format!("{announced} tests were announced, but {} ran", transcript.ended.len()))
        }
        Some(_) => None,
    }
}

fn named(transcript: &Transcript, end: TestEnd) -> impl Iterator<Item = &str> {
    transcript.ended.iter().filter(move |(_, ended)| *ended == end).map(|(name, _)| name.as_str())
}

fn last_line(transcript: &Transcript) -> String {
    format!("\"{}\"", transcript.last_line.as_deref().unwrap_or_default())
}

fn status(ending: Ending) -> String {
    match ending {
        Ending::Exited(Some(status)) => format!("exit status {status}"),
        _ => "a signal".into(),
    }
}
