//! Hands the linker its script, and the size of the table heap.

use std::path::Path;

fn main() {
    let boot = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let script = Path::new(&boot).parent().expect("boot lies in the workspace").join("linker.ld");
    println!("cargo:rerun-if-changed={}", script.display());
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "arm") {
        println!("cargo:rustc-link-arg-bins=-T{}", script.display());
        // Two crates make the same function of a generic one: keep one copy.
        println!("cargo:rustc-link-arg-bins=--icf=all");
        // 10 000 classic address spaces of 16 KiB, and some.
        println!("cargo:rustc-link-arg-bin=bench=--defsym=TABLE_HEAP={}", 192 << 20);
    }
}
