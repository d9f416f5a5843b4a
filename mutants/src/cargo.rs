//! Building a copy of the checkout.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::Outcome;
use crate::child::{limit, tool};

/// A program of tests.
#[derive(Clone, Debug)]
pub struct Binary {
    /// As cargo calls its target.
    pub name: String,
    /// Where it is.
    pub file: PathBuf,
}

/// No compiler needs longer.
const LONGEST: Duration = Duration::from_secs(900);

/// Cargo, for one copy.
#[derive(Clone, Debug)]
pub struct Cargo {
    /// The copy.
    pub tree: PathBuf,
    /// What is built of it.
    pub built: PathBuf,
    /// How much is optimised.
    pub level: &'static str,
    /// What rustc is told beside.
    pub flags: &'static str,
}

/// What it said, and whether all compiles.
#[derive(Debug)]
pub struct Built {
    /// Its messages, a value each.
    pub messages: Vec<Value>,
    /// Whether it succeeded.
    pub succeeded: bool,
}

impl Cargo {
    /// Builds what the arguments name.
    ///
    /// # Errors
    /// It does not start.
    pub fn run(&self, arguments: &[&str]) -> Outcome<Built> {
        let mut command = tool("cargo", &self.tree);
        command.args(arguments).args(["--package", "armv7a-mm", "--message-format", "json"]);
        command.arg("--quiet").env("CARGO_TARGET_DIR", &self.built);
        // The switch needs what no stable compiler offers, and no other crate may notice.
        command.env("RUSTC_BOOTSTRAP", "armv7a_mm");
        command.env("RUSTFLAGS", self.flags);
        command.env("CARGO_PROFILE_DEV_DEBUG", "0");
        command.env("CARGO_PROFILE_DEV_OPT_LEVEL", self.level);
        // A constant may be computed without end.
        limit(&mut command, LONGEST);
        // Its errors are among the messages.
        command.stderr(Stdio::null());
        let output = command.output().map_err(|error| format!("cargo does not start: {error}"))?;
        let lines = String::from_utf8_lossy(&output.stdout);
        let messages = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Built { messages, succeeded: output.status.success() })
    }
}

impl Built {
    /// The programs of tests that were built.
    pub fn binaries(&self) -> Vec<Binary> {
        let tests = self.messages.iter().filter(|message| message["profile"]["test"] == true);
        let binaries = tests.filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_string();
            Some(Binary { name, file: message["executable"].as_str()?.into() })
        });
        binaries.collect()
    }

    /// The compiler's messages about what does not compile.
    pub fn errors(&self) -> impl Iterator<Item = &Value> {
        let messages = self.messages.iter().map(|message| &message["message"]);
        // The last one only counts the others.
        messages.filter(|message| {
            message["level"] == "error"
                && message["spans"].as_array().is_some_and(|spans| !spans.is_empty())
        })
    }

    /// The first error, as the compiler shows it.
    pub fn first_error(&self) -> &str {
        self.errors().find_map(|error| error["rendered"].as_str()).unwrap_or_default()
    }
}
