//! What Debian's packages can bring: QEMU, and a Rust toolchain whose `core` for Arm is built here from their sources.
//!
//! The steps are independent of each other and each is skipped when its result is there, so a set-up that was
//! killed goes on where it stopped.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Missing, probe, say};
use crate::Outcome;
use crate::command::{find, root, stream, target_directory, tool};
use crate::image::{Code, Format, built_in};

const PREFIX: &str = "/usr";
const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const CLIPPY: &str = "/usr/bin/cargo-clippy";

/// The name under which rustup knows Debian's toolchain.
const TOOLCHAIN: &str = "armv7a-mm";

/// The crates that every program for the target needs.
const CRATES: [&str; 3] = ["core", "alloc", "compiler_builtins"];

/// Brings `missing`, for images compiled for `codes`, as far as it can.
///
/// # Errors
/// The step that did not work; none of them is undone.
pub fn provide(missing: &Missing, codes: &[Code]) -> Outcome<()> {
    let toolchain_lacks = missing.target.is_some() && !toolchain_is_ready(codes);
    if missing.qemu || toolchain_lacks {
        if !is_root() {
            return Err("not root, so nothing was installed".into());
        }
        install(missing.qemu, toolchain_lacks)?;
    }
    if toolchain_lacks {
        provide_linker()?;
        let links = |code: &Code| probe::link(RUSTC, &[*code]).is_ok();
        let lacking: Vec<_> =
            codes.iter().filter(|code| !links(code)).map(|code| code.target()).collect();
        if !lacking.is_empty() {
            provide_core(&lacking)?;
        }
    }
    match missing.target.is_some() && find("rustup").is_some() {
        true => choose_toolchain(),
        false => Ok(()),
    }
}

/// Whether this process may write everywhere: only then are packages installed.
pub fn is_root() -> bool {
    let id = tool("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

fn toolchain_is_ready(codes: &[Code]) -> bool {
    [RUSTC, CARGO, CLIPPY].iter().all(|tool| Path::new(tool).exists())
        && probe::link(RUSTC, codes).is_ok()
}

fn install(qemu: bool, toolchain: bool) -> Outcome<()> {
    if find("apt-get").is_none() {
        return Err("this system has no apt-get".into());
    }
    let mut packages = Vec::new();
    if qemu {
        packages.push("qemu-system-arm");
    }
    if toolchain {
        packages.extend(["rustc-web", "cargo-web", "rust-web-src", "rust-web-clippy"]);
    }
    if packages.iter().all(|package| is_installed(package))
        && (!toolchain || newest_lld().is_some())
    {
        return Ok(());
    }
    say("apt-get update");
    run("apt-get", ["update", "-qq"])?;
    if toolchain && newest_lld().is_none() {
        // The release that fits the compiler, or whatever this Debian has.
        let fits = tool("apt-cache")
            .args(["show", "lld-22"])
            .output()
            .is_ok_and(|shown| shown.status.success());
        packages.push(if fits { "lld-22" } else { "lld" });
    }
    // Heals a package manager that was killed; says nothing where there is nothing to heal.
    run("dpkg", ["--configure", "-a"])?;
    say(&format!("apt-get install {} (half a minute)", packages.join(" ")));
    let options =
        ["install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"];
    run("apt-get", options.into_iter().chain(packages))
}

fn is_installed(package: &str) -> bool {
    let status = tool("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]).output();
    status.is_ok_and(|status| status.stdout == b"installed")
}

/// Rust calls its linker `rust-lld` and looks for it beside its libraries.
fn provide_linker() -> Outcome<()> {
    let link = rustlib().join(host()?).join("bin/rust-lld");
    if link.exists() {
        return Ok(());
    }
    let lld = newest_lld().ok_or("there is no lld in /usr/bin")?;
    say(&format!("{} -> {}", link.display(), lld.display()));
    let place = || -> io::Result<()> {
        fs::create_dir_all(link.with_file_name(""))?;
        // One that points nowhere may be left of an older version.
        let _ = fs::remove_file(&link);
        symlink(&lld, &link)
    };
    place().map_err(|error| format!("{}: {error}", link.display()))
}

fn newest_lld() -> Option<PathBuf> {
    let version = |name: &str| match name.strip_prefix("lld")? {
        "" => Some(0),
        rest => rest.strip_prefix('-')?.parse::<u32>().ok(),
    };
    let files = fs::read_dir("/usr/bin").ok()?.flatten().map(|entry| entry.path());
    files
        .filter_map(|file| Some((version(file.file_name()?.to_str()?)?, file)))
        .max()
        .map(|(_, file)| file)
}

#[cfg(unix)]
fn symlink(to: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, link)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Builds `core` and its neighbours from Debian's sources and puts them where rustc looks for a target's libraries.
fn provide_core(targets: &[&str]) -> Outcome<()> {
    say(&format!("building core and alloc for {} (half a minute each)", targets.join(" and ")));
    let scratch = target_directory().join("setup/core");
    let complain = |error: io::Error| format!("core for Arm: {error}");
    // Left of a set-up that was killed, perhaps of another compiler.
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(scratch.join("src")).map_err(complain)?;
    let manifest =
        "[workspace]\n[package]\nname = \"scratch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n";
    fs::write(scratch.join("Cargo.toml"), manifest).map_err(complain)?;
    fs::write(scratch.join("src/lib.rs"), "#![no_std]\nextern crate alloc;\n").map_err(complain)?;

    let mut build = tool(CARGO);
    build
        .current_dir(&scratch)
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        // The images are built with link-time optimisation, which wants bitcode of every library.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes");
    for name in
        ["CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER", "CARGO_TARGET_DIR"]
    {
        build.env_remove(name);
    }
    build.args(["build", "--quiet", "--release", "--target-dir", "target"]);
    build.args(targets.iter().map(|target| format!("--target={target}")));
    build.args([
        format!("-Zbuild-std={}", CRATES.join(",")).as_str(),
        "-Zbuild-std-features=compiler-builtins-mem",
    ]);
    finish(build)?;

    targets.iter().try_for_each(|target| place_core(&scratch, target).map_err(complain))?;
    let _ = fs::remove_dir_all(&scratch);
    // What was built against other libraries cannot be linked with these, and cargo does not notice.
    for target in targets {
        let _ = fs::remove_dir_all(target_directory().join(target));
        for format in Format::ALL {
            let _ = fs::remove_dir_all(built_in(format).join(target));
        }
    }
    Ok(())
}

/// Puts the libraries that were built for `target` in `scratch` in their place.
fn place_core(scratch: &Path, target: &str) -> io::Result<()> {
    let built = scratch.join("target").join(target).join("release/deps");
    let place = rustlib().join(target).join("lib");
    fs::create_dir_all(&place)?;
    let fresh = libraries(&built)?;
    // Each appears whole or not at all, and those of an older compiler go last.
    for name in &fresh {
        let unfinished = place.join(format!("{name}.new"));
        fs::copy(built.join(name), &unfinished)?;
        fs::rename(&unfinished, place.join(name))?;
    }
    for name in libraries(&place)? {
        if !fresh.contains(&name) {
            fs::remove_file(place.join(name))?;
        }
    }
    Ok(())
}

/// The names of the libraries of [`CRATES`] in `directory`.
fn libraries(directory: &Path) -> io::Result<Vec<String>> {
    let ours = |name: &String| {
        CRATES.iter().any(|library| name.starts_with(&format!("lib{library}-")))
            && name.ends_with(".rlib")
    };
    let names =
        fs::read_dir(directory)?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(ours).collect())
}

/// Makes plain `cargo` in this checkout use Debian's toolchain.
fn choose_toolchain() -> Outcome<()> {
    let home = env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".rustup")));
    let linked =
        home.and_then(|home| fs::canonicalize(home.join("toolchains").join(TOOLCHAIN)).ok());
    if linked.as_deref() != Some(Path::new(PREFIX)) {
        say(&format!("rustup toolchain link {TOOLCHAIN} {PREFIX}"));
        run("rustup", ["toolchain", "link", TOOLCHAIN, PREFIX])?;
    }
    if sysroot("rustc").as_deref() == Some(Path::new(PREFIX)) {
        return Ok(());
    }
    let checkout = root();
    say(&format!("rustup override set {TOOLCHAIN} --path {}", checkout.display()));
    run("rustup", ["override", "set", TOOLCHAIN, "--path", &checkout.to_string_lossy()])?;
    // Another compiler, so this tool is built once more: better now than when the next command is typed.
    let _ = tool("cargo").args(["build", "--quiet", "--package", "xtask"]).status();
    Ok(())
}

/// Where the toolchain that `rustc` stands for keeps its libraries.
fn sysroot(rustc: &str) -> Option<PathBuf> {
    let told = tool(rustc).args(["--print", "sysroot"]).output().ok()?;
    Some(PathBuf::from(String::from_utf8(told.stdout).ok()?.trim()))
}

fn rustlib() -> PathBuf {
    Path::new(PREFIX).join("lib/rustlib")
}

fn host() -> Outcome<String> {
    let version = tool(RUSTC).arg("-vV").output().map_err(|error| format!("{RUSTC}: {error}"))?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(String::from).ok_or_else(|| format!("{RUSTC} does not say what its host is"))
}

fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Outcome<()> {
    let mut command = tool(program);
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    finish(command)
}

/// Quiet unless it goes wrong.
fn finish(command: std::process::Command) -> Outcome<()> {
    let shown =
        command.get_args().fold(command.get_program().to_os_string(), |mut line, argument| {
            line.push(" ");
            line.push(argument);
            line
        });
    let shown = shown.display();
    let (said, ending) =
        stream(command, false, None).map_err(|error| format!("{shown}: {error}"))?;
    match ending.succeeded() {
        true => Ok(()),
        false => Err(format!("{shown}: failed\n{}", said.trim_end())),
    }
}
