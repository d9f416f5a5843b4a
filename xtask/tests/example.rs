//! The example kernel's runs, judged.

use std::time::Duration;

use xtask::command::Ending;
use xtask::example::{judge, run};
use xtask::image::{Code, Format};
use xtask::options::BootOptions;
use xtask::qemu::Guest;
use xtask::verdict::Counts;

/// What a good run says.
const GOOD: &str = "\
hobby-kernel on armv7a-mm, classic tables
the CPU translates 288 addresses as the tables say
in use before: 14798 frames free; 1 pgd, 0 pmd, 5 pte in 21504 bytes
module: reading the clock
[7] Clock: exited with 0
[8] Null: killed: translation fault at level 2 in domain 1, writing to 0x00000000, through a null pointer
[9] Peek: killed: permission fault at level 2, reading from 0xc0200000, where the kernel is
[10] Shellcode: killed: permission fault at level 2, executing at 0xbdffff24, which is not meant for that
[15] child 3 saw 2, and has 330 now
[5] Fork: exited with 0
[6] Cheat: exited with 0
[4] Grow: exited with 0
[1] Count: exited with 0
in use after:  14798 frames free; 1 pgd, 0 pmd, 5 pte in 21504 bytes
34 turns ended by the timer, 0 kernel entries copied by faults
hobby-kernel classic: 10 programs ended as they should, 0 did not; memory balanced; preemption seen
";

const WELL: Ending = Ending::Exited(Some(0));

fn complaint(said: &str, ending: Ending) -> String {
    judge(Format::Classic, said, ending).expect_err("this run is red")
}

#[test]
fn a_good_run_counts_its_programs() {
    assert_eq!(judge(Format::Classic, GOOD, WELL), Ok(Counts { passed: 10, failed: 0 }));
}

/// Each line is needed, and each number counts.
#[test]
fn a_run_that_lacks_something_is_red() {
    for line in GOOD.lines().skip(1) {
        complaint(&GOOD.replace(line, ""), WELL);
    }
    for (from, to, says) in [
        ("0 did not", "1 did not", "1 did not"),
        ("balanced", "LOST", "LOST"),
        ("preemption seen", "preemption MISSING", "MISSING"),
        ("after:  14798", "after:  14797", "14797"),
        ("5 pte in 21504 bytes\nmodule", "4 pte in 21504 bytes\nmodule", "4 pte"),
        ("module: reading", "panic: reading", "panic: reading"),
        ("hobby-kernel classic", "hobby-kernel lpae", "no verdict"),
    ] {
        let said = GOOD.replace(from, to);
        assert_ne!(said, GOOD);
        let told = complaint(&said, WELL);
        assert!(told.contains(says), "{told}");
    }
}

#[test]
fn how_it_ends_counts() {
    assert!(complaint(GOOD, Ending::Exited(Some(1))).contains("exit status 1"));
    assert!(complaint(GOOD, Ending::Exited(None)).contains("signal"));
    assert!(complaint(GOOD, Ending::TimedOut(Duration::from_secs(60))).contains("60 s"));
    assert!(complaint(GOOD, Ending::Flooded).contains("talking"));
    assert!(complaint("", WELL).contains("no verdict"));
    let half = &GOOD[..GOOD.len() / 2];
    assert!(complaint(half, WELL).contains("no verdict"));
}

/// Before anything is built.
#[test]
fn it_starts_in_svc_mode_of_the_normal_world() {
    for (machine, option) in [
        ("virt,virtualization=on", "virtualization=on"),
        ("virt,gic-version=2,secure=on", "secure=on"),
    ] {
        let guest = Guest { machine: machine.into(), ..Guest::default() };
        let options = BootOptions { formats: Format::ALL.to_vec(), code: Code::Fast, guest };
        let refused = run(&options).expect_err("no such start");
        assert!(refused.ends_with(&format!("not with {option}")), "{refused}");
    }
}
