//! What a guest said, line by line.

/// Whether a line is QEMU's own: guest and QEMU write to one stream.
pub fn is_qemus(line: &str) -> bool {
    line.starts_with("qemu-system-") || line.starts_with("qemu: ")
}

/// How one self-test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestEnd {
    /// It passed.
    Ok,
    /// It failed.
    Failed,
    /// This machine or format has nothing to test there.
    Skipped,
}

/// The last line of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The format that the image says it has.
    pub format: String,
    /// Tests passed.
    pub passed: usize,
    /// Tests failed.
    pub failed: usize,
    /// Tests skipped, where the line says.
    pub skipped: Option<usize>,
}

/// A panic or a fault, as the guest told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// The whole line.
    pub line: String,
    /// The test that was running.
    pub during: Option<String>,
}

/// What a guest said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// How many tests it announced.
    pub announced: Option<usize>,
    /// The tests that ended, in order.
    pub ended: Vec<(String, TestEnd)>,
    /// The test that has started and not ended.
    pub open: Option<String>,
    /// The first panic or unexpected fault.
    pub crash: Option<Crash>,
    /// Every line that reads like a summary.
    pub summaries: Vec<Summary>,
    /// Whether the last line is a summary.
    pub summary_is_last: bool,
    /// The last line that the guest wrote.
    pub last_line: Option<String>,
    /// The first line that is QEMU's own.
    pub qemu: Option<String>,
}

impl Transcript {
    /// Reads `said`, which may end anywhere.
    pub fn read(said: &str) -> Self {
        let mut transcript = Transcript::default();
        for line in said.lines().map(str::trim_end).filter(|line| !line.trim_start().is_empty()) {
            if is_qemus(line) {
                transcript.qemu.get_or_insert_with(|| line.to_string());
                continue;
            }
            transcript.read_line(line);
            transcript.last_line = Some(line.to_string());
        }
        transcript
    }

    /// Whether the guest said nothing at all.
    pub fn is_silent(&self) -> bool {
        self.last_line.is_none()
    }

    /// The test that was running at the end, or the last that ended.
    pub fn last_started(&self) -> Option<&str> {
        self.open.as_deref().or_else(|| self.ended.last().map(|(name, _)| name.as_str()))
    }

    fn read_line(&mut self, line: &str) {
        self.summary_is_last = false;
        if let Some((name, rest)) =
            line.strip_prefix("test ").and_then(|line| line.split_once(" ..."))
        {
            self.open = Some(name.to_string());
            // Whatever the test says itself stands between its name and its end.
            return self.read_rest(rest.trim_start());
        }
        if let Some(count) = line.strip_prefix("running ").and_then(|rest| rest.split(' ').next()) {
            self.announced = count.parse().ok().or(self.announced);
        } else if let Some(summary) = Summary::read(line) {
            self.summaries.push(summary);
            self.summary_is_last = true;
        } else {
            self.read_rest(line);
        }
    }

    fn read_rest(&mut self, text: &str) {
        if text.starts_with("panic: ") || text.starts_with("fault: ") {
            let during = self.open.clone();
            self.crash.get_or_insert_with(|| Crash { line: text.to_string(), during });
        } else if self.open.is_some()
            && let Some(end) = TestEnd::read(text)
        {
            self.ended.extend(self.open.take().map(|name| (name, end)));
        }
    }
}

impl TestEnd {
    /// `ok`, `FAILED` or `skipped`, and whatever follows on the line.
    fn read(text: &str) -> Option<Self> {
        match text.split([' ', ':', ',', '(']).next()? {
            "ok" => Some(TestEnd::Ok),
            "FAILED" => Some(TestEnd::Failed),
            "skipped" | "ignored" => Some(TestEnd::Skipped),
            _ => None,
        }
    }
}

impl Summary {
    /// `FORMAT: N passed, N failed`, and perhaps `, N skipped`.
    pub fn read(line: &str) -> Option<Self> {
        let (format, counts) = line.split_once(": ")?;
        if format.is_empty() || format.contains(char::is_whitespace) {
            return None;
        }
        let counted = |part: &str, what: &str| part.strip_suffix(what)?.parse().ok();
        let parts: Vec<_> = counts.split(", ").collect();
        let (passed, failed, skipped) = match parts[..] {
            [passed, failed] => (passed, failed, None),
            [passed, failed, skipped] => (passed, failed, Some(counted(skipped, " skipped")?)),
            _ => return None,
        };
        let (passed, failed) = (counted(passed, " passed")?, counted(failed, " failed")?);
        Some(Summary { format: format.to_string(), passed, failed, skipped })
    }
}
