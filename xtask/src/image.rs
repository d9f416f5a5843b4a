//! The images: what runs after the boot stub, one for each page-table format.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;

use crate::command::{root, target_directory, tool};
use crate::{Outcome, elf};

/// What an image is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Speed: A32, by the profile `release`.
    Fast,
    /// Size: Thumb, by the profile `small`.
    Small,
}

impl Code {
    /// Every kind.
    pub const ALL: [Code; 2] = [Code::Fast, Code::Small];

    /// Rust's name of the target.
    pub const fn target(self) -> &'static str {
        match self {
            Code::Fast => "armv7a-none-eabi",
            Code::Small => "thumbv7a-none-eabi",
        }
    }

    /// Cargo's profile, and the name of its directory.
    fn profile(self) -> &'static str {
        match self {
            Code::Fast => "release",
            Code::Small => "small",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Code::Fast => "fast",
            Code::Small => "small",
        })
    }
}

/// The target of the images, where none other is asked for.
pub const TARGET: &str = Code::Fast.target();

/// A page-table format, and so an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Two levels of 32-bit descriptors.
    Classic,
    /// Three levels of 64-bit descriptors.
    Lpae,
}

impl Format {
    /// Every format, in the order of building.
    pub const ALL: [Format; 2] = [Format::Classic, Format::Lpae];

    /// The name in options, file names and verdicts.
    pub fn name(self) -> &'static str {
        match self {
            Format::Classic => "classic",
            Format::Lpae => "lpae",
        }
    }

    /// What cargo is told of it, for a command about the package `boot` or the library.
    pub fn features(self) -> &'static [&'static str] {
        match self {
            Format::Classic => &[],
            Format::Lpae => &["--features", "lpae"],
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Outcome<Self> {
        Format::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| format!("there is no format `{name}`: classic or lpae"))
    }
}

/// Said before images are built that a person waits for.
pub const BUILDING: &str = "building (minutes the first time, nothing where nothing changed)";

/// What an image does once it has booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// It tests the library.
    Boot,
    /// It measures the library.
    Bench,
    /// It uses all that swapper, pgds and faults offer.
    Whole,
    /// It is a kernel of its own, the example.
    HobbyKernel,
}

impl Binary {
    /// Its name in its package, and that of its directory.
    pub fn name(self) -> &'static str {
        match self {
            Binary::Boot => "boot",
            Binary::Bench => "bench",
            Binary::Whole => "whole",
            Binary::HobbyKernel => "hobby-kernel",
        }
    }

    /// Its package.
    fn package(self) -> &'static str {
        match self {
            Binary::HobbyKernel => self.name(),
            _ => "boot",
        }
    }

    /// Where its image of `format` is left: `classic.elf`, or `classic-small.elf`.
    pub fn place(self, format: Format, code: Code) -> PathBuf {
        let kind = if code == Code::Fast { "" } else { "-small" };
        target_directory().join(self.name()).join(format!("{format}{kind}.elf"))
    }

    /// Builds its images of all formats at once.
    ///
    /// # Errors
    /// As for [`build`](Self::build).
    pub fn build_all(self, code: Code) -> Outcome<()> {
        thread::scope(|scope| {
            let builds = Format::ALL.map(|format| scope.spawn(move || self.build(format, code)));
            builds.into_iter().try_for_each(|build| match build.join() {
                Ok(built) => built.map(drop),
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    /// Builds its image of `format` and leaves it in its [`place`](Self::place).
    ///
    /// # Errors
    /// It does not build, or cannot be written.
    pub fn build(self, format: Format, code: Code) -> Outcome<PathBuf> {
        let (name, image) = (self.name(), self.place(format, code));
        let complain = |error: std::io::Error| format!("{format}: {}: {error}", image.display());
        if let Some(directory) = image.parent() {
            fs::create_dir_all(directory).map_err(complain)?;
        }
        // Nobody else may build between our build and our copy.
        let turn = File::create(image.with_extension("lock")).map_err(complain)?;
        turn.lock().map_err(complain)?;

        let status = tool("cargo")
            .args(["build", "--quiet", "--package", self.package(), "--bin", name])
            .args(["--profile", code.profile(), "--target", code.target()])
            .args(format.features())
            .arg("--target-dir")
            .arg(built_in(format))
            // Meant for the host, as `-C target-cpu=native` is.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .map_err(|error| format!("{format}: cargo does not start: {error}"))?;
        if !status.success() {
            return Err(format!("{format}: the {name} image does not build"));
        }
        // A new file under a new name, then renamed: a QEMU that boots the old one keeps it.
        let fresh = image.with_extension("new");
        let built = built_in(format).join(code.target()).join(code.profile()).join(name);
        fs::copy(built, &fresh).map_err(complain)?;
        fs::rename(&fresh, &image).map_err(complain)?;
        Ok(image)
    }
}

/// Where cargo builds images of `format`: it gives those of both one name, and locks the directory.
pub fn built_in(format: Format) -> PathBuf {
    target_directory().join(format.name())
}

/// Leaves the image of the ELF file `elf` beside it, as a loader that knows no ELF takes it: `classic.bin`.
///
/// # Errors
/// It cannot be read or written, or is no ELF file.
pub fn raw(elf: &Path) -> Outcome<PathBuf> {
    let complain = |error: std::io::Error| format!("{}: {error}", elf.display());
    let bytes = elf::raw(&fs::read(elf).map_err(complain)?)?;
    let (raw, fresh) = (elf.with_extension("bin"), elf.with_extension("bin.new"));
    fs::write(&fresh, bytes).and_then(|()| fs::rename(&fresh, &raw)).map_err(complain)?;
    Ok(raw)
}

/// `path` as a person would type it in the checkout.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
