//! What to type where set-up cannot help itself.

use std::fs;

use super::Missing;
use crate::command::find;
use crate::qemu::QEMU;

/// What is missing, and the commands for this system.
pub fn text(missing: &Missing) -> String {
    let mut lines = Vec::new();
    let mut commands = Vec::new();
    if let Some((target, why)) = &missing.target {
        lines.push(format!("missing: a Rust toolchain that links for {target} ({why})"));
        let add = format!("rustup target add {target}");
        commands.push(match find("rustup") {
            Some(_) => add,
            None => format!("(install rustup: https://rustup.rs) && {add}"),
        });
    }
    if missing.qemu {
        lines.push(format!("missing: {QEMU}"));
        commands.push(install_qemu(&system()));
    }
    if missing.target.is_some() && find("apt-get").is_some() && !super::debian::is_root() {
        commands.push("or, as root, `cargo xtask boot` once: it uses Debian's packages".into());
    }
    lines.push("to install it:".into());
    lines.extend(commands.into_iter().map(|command| format!("    {command}")));
    lines.join("\n")
}

/// The names that the system goes by, the closest first.
fn system() -> String {
    if cfg!(target_os = "macos") {
        return "macos".into();
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        release.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().replace('"', "")
    };
    format!("{} {}", value("ID="), value("ID_LIKE="))
}

fn install_qemu(system: &str) -> String {
    let by_system = [
        ("macos", "brew install qemu"),
        ("debian", "sudo apt-get update && sudo apt-get install qemu-system-arm"),
        ("ubuntu", "sudo apt-get update && sudo apt-get install qemu-system-arm"),
        ("fedora", "sudo dnf install qemu-system-arm"),
        ("rhel", "sudo dnf install qemu-system-arm"),
        ("arch", "sudo pacman -S qemu-system-arm"),
        ("suse", "sudo zypper install qemu-arm"),
        ("alpine", "sudo apk add qemu-system-arm"),
    ];
    let known = by_system
        .iter()
        .find(|(name, _)| system.split_whitespace().any(|word| word.starts_with(name)));
    match known {
        Some((_, command)) => (*command).into(),
        None => format!("(your system's package that brings {QEMU}, from QEMU 7 on)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_known_system_gets_its_own_command() {
        assert!(install_qemu("debian ").contains("apt-get install qemu-system-arm"));
        assert!(install_qemu("linuxmint ubuntu debian").contains("apt-get"));
        assert!(install_qemu("fedora ").contains("dnf"));
        assert!(install_qemu("manjaro arch").contains("pacman"));
        assert!(install_qemu("macos").contains("brew"));
        assert!(install_qemu("opensuse-leap suse opensuse").contains("zypper"));
        assert!(install_qemu("plan9 ").contains("your system's package"));
    }

    #[test]
    fn the_advice_names_everything_missing() {
        let text = text(&Missing { target: Some(("a-target", "error[E0463]".into())), qemu: true });
        assert!(text.contains("error[E0463]") && text.contains("a-target") && text.contains(QEMU));
    }
}
