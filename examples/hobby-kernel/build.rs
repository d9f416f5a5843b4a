//! Links the user programs to a raw image, which the kernel embeds, and hands both linkers their scripts.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    if variable("CARGO_CFG_TARGET_ARCH") != "arm" {
        return;
    }
    let here = variable("CARGO_MANIFEST_DIR");
    println!("cargo:rerun-if-changed={here}");
    println!("cargo:rustc-link-arg-bin=hobby-kernel=-T{here}/kernel.ld");
    println!("cargo:rustc-link-arg-bin=programs=-T{here}/user/user.ld");

    // A package's binary cannot be the input of another, so the compiler is called directly. Programs are ARM code, be the
    // kernel Thumb: a system call's number goes in r7, which Thumb code has as its frame pointer.
    let image = Path::new(&variable("OUT_DIR")).join("programs.bin");
    let status = Command::new(variable("RUSTC"))
        .args(["--edition=2024", "--target", "armv7a-none-eabi"])
        .args(["-Copt-level=2", "-Cpanic=abort", "-Clto=fat"])
        .arg(format!("-Clink-arg=-T{here}/user/user.ld"))
        .arg("-Clink-arg=--oformat=binary")
        .arg("-o")
        .arg(&image)
        .arg(format!("{here}/user/main.rs"))
        .status();
    assert!(status.is_ok_and(|status| status.success()), "the user programs do not build");
}
