//! The command line, read.

use std::time::Duration;

use xtask::image::{Code, Format};
use xtask::mutants::{Believe, MutantsOptions};
use xtask::options::{BootOptions, FuzzOptions, SoakOptions, Task, parse};
use xtask::qemu::Guest;

fn read(line: &str) -> Result<Task, String> {
    parse(line.split_whitespace().map(Into::into))
}

fn booted(line: &str) -> BootOptions {
    match read(line) {
        Ok(Task::Boot(options)) => options,
        other => panic!("`{line}` was read as {other:?}"),
    }
}

#[test]
fn commands_are_read() {
    assert_eq!(read(""), Ok(Task::Help));
    assert_eq!(read("help"), Ok(Task::Help));
    assert_eq!(read("--help"), Ok(Task::Help));
    assert_eq!(read("boot -h"), Ok(Task::Help));
    assert_eq!(read("test"), Ok(Task::Test));
    assert_eq!(read("build"), Ok(Task::Build));
}

#[test]
fn boot_without_options_boots_both_formats_on_the_default_machine() {
    assert_eq!(
        booted("boot"),
        BootOptions { formats: Format::ALL.to_vec(), code: Code::Fast, guest: Guest::default() }
    );
}

#[test]
fn the_example_is_run_with_the_options_of_boot() {
    let guest = Guest { cpu: "cortex-a7".into(), cpus: 4, ..Guest::default() };
    let options = BootOptions { formats: vec![Format::Lpae], code: Code::Fast, guest };
    let line = "run hobby-kernel --format lpae --cpu cortex-a7 --smp 4";
    assert_eq!(read(line), Ok(Task::Run(options.clone())));
    let line = "run --format lpae hobby-kernel --cpu cortex-a7 --smp 4";
    assert_eq!(read(line), Ok(Task::Run(options.clone())));
    let options = BootOptions { code: Code::Small, ..options };
    assert_eq!(read(&format!("{line} --small")), Ok(Task::Run(options)));
    for (line, says) in [
        ("run", "which example"),
        ("run other", "no example `other`"),
        ("run hobby-kernel twice", "twice"),
        ("run hobby-kernel --test x", "--test"),
        ("run hobby-kernel --gdb", "--gdb"),
    ] {
        assert!(read(line).is_err_and(|error| error.contains(says)), "{line}");
    }
}

#[test]
fn every_option_of_boot_is_read() {
    let line = "boot --format=lpae --cpu cortex-a7 --memory 8G --smp 4 --machine virtualization=on,secure=on \
                --test walk --small --gdb --timeout 5 -- -d int --format";
    let guest = Guest {
        machine: "virt,virtualization=on,secure=on".into(),
        cpu: "cortex-a7".into(),
        memory: "8G".into(),
        cpus: 4,
        test: Some("walk".into()),
        debugger: true,
        limit: Duration::from_secs(5),
        extra: ["-d", "int", "--format"].map(Into::into).to_vec(),
        ..Guest::default()
    };
    assert_eq!(booted(line), BootOptions { formats: vec![Format::Lpae], code: Code::Small, guest });
}

#[test]
fn soak_is_read() {
    assert_eq!(read("soak"), Ok(Task::Soak(SoakOptions::default())));
    let (operations, seed) = (10_000_000_000, 7);
    let machine = Some("lpae_up_coherent".into());
    let options = SoakOptions { operations, seed, machine, threads: Some(1) };
    let line = "soak --operations 10000000000 --seed=7 --machine lpae_up_coherent --threads 1";
    assert_eq!(read(line), Ok(Task::Soak(options)));
}

#[test]
fn fuzz_is_read() {
    let all = FuzzOptions { target: None, seconds: 600 };
    assert_eq!(read("fuzz"), Ok(Task::Fuzz(all)));
    let one = FuzzOptions { target: Some("decode"), seconds: 5 };
    assert_eq!(read("fuzz decode --seconds 5"), Ok(Task::Fuzz(one)));
}

#[test]
fn mutants_and_coverage_are_read() {
    let all = MutantsOptions::default();
    assert_eq!(read("mutants"), Ok(Task::Mutants(all)));
    let some = MutantsOptions {
        part: Some("mm".into()),
        only: Some("asid".into()),
        believe: Some(Believe::Caught),
        jobs: Some(2),
    };
    assert_eq!(read("mutants --part mm --only asid --again --jobs 2"), Ok(Task::Mutants(some)));
    let rest = MutantsOptions { believe: Some(Believe::All), ..MutantsOptions::default() };
    assert_eq!(read("mutants --resume"), Ok(Task::Mutants(rest)));
    assert_eq!(read("coverage"), Ok(Task::Coverage));
}

#[test]
fn a_machine_may_be_named_or_only_its_options() {
    assert_eq!(booted("boot --machine secure=on").guest.machine, "virt,secure=on");
    assert_eq!(booted("boot --machine vexpress-a15").guest.machine, "vexpress-a15");
    assert_eq!(booted("boot --machine virt,secure=on").guest.machine, "virt,secure=on");
}

#[test]
fn only_virt_takes_elf_images() {
    for (machine, takes) in
        [("virt", true), ("virt-2.6", true), ("virt,secure=on", true), ("vexpress-a9", false)]
    {
        assert_eq!(Guest { machine: machine.into(), ..Guest::default() }.takes_elf(), takes);
    }
}

#[test]
fn nonsense_is_refused_with_a_reason() {
    let cases = [
        ("launch", "no command `launch`"),
        ("boot again", "unexpected argument"),
        ("boot --colour", "--colour"),
        ("boot --format", "missing argument"),
        ("boot --format aarch64", "no format `aarch64`"),
        ("boot --smp 0", "not a whole number from 1"),
        ("boot --timeout soon", "not a whole number from 1"),
        ("boot --gdb", "--gdb debugs one image"),
        ("test --cpu cortex-a7", "`test` takes no options"),
        ("build -- -d int", "`build` takes no options"),
        ("fuzz everything", "there is no target"),
        ("fuzz --seconds 0", "not a whole number from 1"),
        ("soak --operations 0", "not a whole number from 1"),
        ("soak -- -d int", "`soak` hands nothing to QEMU"),
        ("mutants --jobs 0", "not a whole number from 1"),
        ("mutants -- -d int", "`mutants` hands nothing to QEMU"),
        ("coverage --part mm", "--part"),
        ("--format lpae", "the options belong to a command"),
    ];
    for (line, reason) in cases {
        let refused = read(line).expect_err(line);
        assert!(refused.contains(reason), "`{line}` is refused with: {refused}");
    }
}
