//! The judge, by transcripts.

use std::time::Duration;

use xtask::command::Ending;
use xtask::image::Format;
use xtask::verdict::{Counts, judge};

const CLEAN: Ending = Ending::Exited(Some(0));
const FAILED: Ending = Ending::Exited(Some(1));
const HUNG: Ending = Ending::TimedOut(Duration::from_secs(60));

const GREEN: &str = "\
armv7a-mm on Cortex-A15
running 3 tests
test walk ... ok
test map ... ok
test high_memory ... skipped: no memory above 4 GiB

classic: 2 passed, 0 failed, 1 skipped
";

/// The sentence for a transcript that must be red.
fn red(said: &str, ending: Ending) -> String {
    judge(Format::Classic, said, ending, None).expect_err("this transcript is red")
}

#[test]
fn a_whole_transcript_is_green() {
    assert_eq!(judge(Format::Classic, GREEN, CLEAN, None), Ok(Counts { passed: 2, failed: 0 }));
    // A verdict need not say how many were skipped.
    let lpae = GREEN.replace("classic:", "1 skipped\nlpae:").replace(", 1 skipped", "");
    assert_eq!(judge(Format::Lpae, &lpae, CLEAN, Some("a")), Ok(Counts { passed: 2, failed: 0 }));
}

#[test]
fn what_a_test_or_qemu_says_itself_does_no_harm() {
    let said = GREEN
        .replace("walk ... ok", "walk ... 12 tables\n12 more: fine\ntest walk ... ok")
        .replace("map ... ok", "map ... qemu-system-arm: warning: nothing\nok")
        .replace('\n', "\r\n");
    let said = format!("{said}qemu-system-arm: warning: late\n");
    assert_eq!(judge(Format::Classic, &said, CLEAN, None), Ok(Counts { passed: 2, failed: 0 }));
}

#[test]
fn a_failed_test_is_named() {
    let said =
        GREEN.replace("walk ... ok", "walk ... FAILED").replace("2 passed, 0", "1 passed, 1");
    assert_eq!(red(&said, FAILED), "classic: 1 test failed: `walk`");
    // The exit status alone cannot make it green.
    assert_eq!(red(&said, CLEAN), "classic: 1 test failed: `walk`");
}

#[test]
fn a_bad_exit_status_is_red_although_every_test_passed() {
    assert_eq!(
        red(GREEN, Ending::Exited(Some(3))),
        "classic: every test passed, but the guest ended with exit status 3"
    );
    assert_eq!(
        red(GREEN, Ending::Exited(None)),
        "classic: every test passed, but the guest ended with a signal"
    );
}

#[test]
fn a_panic_tells_its_message_and_its_test() {
    let said = "running 1 tests\ntest walk ... \npanic: index out of bounds, boot/src/main.rs:7\n";
    let sentence =
        "classic: the guest panicked in test `walk`: index out of bounds, boot/src/main.rs:7";
    assert_eq!(red(said, Ending::Exited(Some(101))), sentence);
    // Also where the line goes on, where the panic hangs, and where a verdict follows all the same.
    assert_eq!(red(&said.replace("... \n", "... "), HUNG), sentence);
    assert_eq!(red(&format!("{said}{GREEN}"), CLEAN), sentence);
    assert_eq!(
        red("panic: early\n", FAILED),
        "classic: the guest panicked outside of any test: early"
    );
}

#[test]
fn an_unexpected_fault_tells_where_it_was() {
    let said = "running 1 tests\ntest walk ... \nfault: data abort, write to 0xdead0000, translation, level 1\n";
    let sentence = "classic: a fault nobody expected in test `walk`: data abort, write to 0xdead0000, translation, level 1";
    assert_eq!(red(said, FAILED), sentence);
}

#[test]
fn a_hang_names_the_last_test() {
    let cases = [
        ("", "hung: no output within 60 s"),
        (
            "banner\n",
            "hung: no verdict within 60 s; no test had been announced, and the last line was \"banner\"",
        ),
        ("running 2 tests\n", "hung: no verdict within 60 s; no test had started"),
        (
            "running 2 tests\ntest walk ... ",
            "hung: no verdict within 60 s; the last test started was `walk`",
        ),
        (
            "running 2 tests\ntest walk ... ok\n",
            "hung: no verdict within 60 s; the last test started was `walk`",
        ),
        (GREEN, "hung: the verdict was given, but no exit followed within 60 s"),
    ];
    for (said, sentence) in cases {
        assert_eq!(red(said, HUNG), format!("classic: {sentence}"));
    }
    let flood = red("running 2 tests\ntest walk ... la la", Ending::Flooded);
    assert_eq!(
        flood,
        "classic: the guest would not stop talking and was killed; the last test started was `walk`"
    );
}

#[test]
fn silence_is_red_whatever_the_exit_status() {
    assert_eq!(
        red("", CLEAN),
        "classic: no output: the guest ended with exit status 0 before it said anything"
    );
    assert_eq!(
        red("\n\n", FAILED),
        "classic: no output: the guest ended with exit status 1 before it said anything"
    );
    assert_eq!(
        red("qemu-system-arm: unsupported machine type\n", FAILED),
        "classic: QEMU did not start the guest: qemu-system-arm: unsupported machine type"
    );
}

#[test]
fn an_end_without_a_verdict_is_red() {
    assert_eq!(
        red("this CPU has no LPAE\n", FAILED),
        "classic: no verdict: the guest ended with exit status 1 and no line `classic: N passed, N failed`; its last \
         line was \"this CPU has no LPAE\""
    );
    let said = "running 2 tests\ntest walk ... ";
    assert_eq!(
        red(said, CLEAN),
        "classic: the guest ended with exit status 0 in the middle of test `walk`"
    );
    for almost in
        ["classic 2 passed", "classic: 2 passsed", "classic: -2 passed", "the classic: 2 passed"]
    {
        let said = GREEN.replace("classic: 2 passed", almost);
        assert!(red(&said, CLEAN).starts_with("classic: no verdict"), "{almost}");
    }
    assert!(red(&GREEN.replace("1 skipped", "1 more"), CLEAN).starts_with("classic: no verdict"));
}

#[test]
fn the_verdict_must_agree_with_what_was_seen() {
    let cases = [
        (GREEN.replace("classic: 2", "lpae: 2"), "the verdict is that of another image: `lpae`"),
        (
            GREEN.replace("2 passed", "3 passed"),
            "inconsistent: the verdict says 3 passed, but 2 tests were",
        ),
        (
            GREEN.replace("walk ... ok", "walk ... FAILED"),
            "inconsistent: the verdict says 2 passed, but 1 tests were",
        ),
        (
            GREEN.replace(", 1 skipped", ", 0 skipped"),
            "inconsistent: the verdict says 0 skipped, but 1 tests were",
        ),
        (
            GREEN.replace("running 3", "running 4"),
            "inconsistent: 4 tests were announced, but 3 ran",
        ),
        (
            GREEN.replace("running 3 tests\n", ""),
            "inconsistent: the guest did not announce how many tests it runs",
        ),
        (
            format!("{GREEN}and so on\n"),
            "inconsistent: the guest went on after its verdict: \"and so on\"",
        ),
        (format!("{GREEN}{GREEN}"), "inconsistent: the guest gave its verdict more than once"),
    ];
    for (said, sentence) in cases {
        assert_eq!(red(&said, CLEAN), format!("classic: {sentence}"));
    }
}

#[test]
fn nothing_passed_is_red() {
    let said = "running 0 tests\n\nclassic: 0 passed, 0 failed\n";
    assert_eq!(red(said, CLEAN), "classic: no test passed: none was run");
    let filtered = judge(Format::Classic, said, CLEAN, Some("wlak"));
    assert_eq!(
        filtered,
        Err("classic: no test passed: none that can run here has `wlak` in its name".into())
    );
}
