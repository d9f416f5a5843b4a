//! The in-kernel test runner: names and verdicts as libtest writes them, so that one reader serves both.
//!
//! A panic ends the run (there is no unwinding), and so does a fault that nobody expected; both say which test
//! was running. The four `red-` tests fail in every way there is; they run only when named exactly.

use core::fmt;

use armv7a_mm::format::{Active, Format};
use semihosting::experimental::env;
use spin::Mutex;

use crate::kernel::kernel;
use crate::{console, print, println, probe, reboot};

/// A self-test.
#[derive(Debug)]
pub struct Test {
    /// Its name, as printed and as `--test` filters it.
    pub name: &'static str,
    /// Runs it. It reports by [`check!`](crate::check), [`skip!`](crate::skip), a panic or a fault.
    pub run: fn(),
}

/// How a test ended, so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Ok,
    Failed,
    Skipped,
}

struct State {
    running: Option<&'static str>,
    /// Whether the running test has written nothing since its name.
    fresh: bool,
    end: End,
}

static STATE: Mutex<State> = Mutex::new(State { running: None, fresh: false, end: End::Ok });

/// What is running, as the end of a sentence: empty between tests.
pub struct During;

impl fmt::Display for During {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match STATE.try_lock().and_then(|state| state.running) {
            Some(name) => write!(f, ", while running test {name}"),
            None => Ok(()),
        }
    }
}

/// Ends the line that a test's name has begun, so that what a test says starts at a line's start.
pub fn break_line() {
    let fresh = STATE.try_lock().is_some_and(|mut state| core::mem::take(&mut state.fresh));
    if fresh {
        println!();
    }
}

/// Notes that the running test failed. [`check!`](crate::check) calls it.
pub fn fail(what: fmt::Arguments<'_>, file: &str, line: u32) {
    STATE.lock().end = End::Failed;
    break_line();
    println!("    {what}, {file}:{line}");
}

/// Notes that the running test has nothing to test here, or nothing more where it failed already. [`skip!`](crate::skip)
/// calls it.
pub fn skip(why: fmt::Arguments<'_>) {
    let mut state = STATE.lock();
    if state.end != End::Failed {
        state.end = End::Skipped;
    }
    drop(state);
    break_line();
    println!("    {why}");
}

/// Fails the running test, and returns from it, unless the condition holds. What went wrong may follow, as for
/// `assert!`.
#[macro_export]
macro_rules! check {
    ($condition:expr $(,)?) => { $crate::check!($condition, "{}", stringify!($condition)) };
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            $crate::harness::fail(format_args!($($what)+), file!(), line!());
            return;
        }
    };
}

/// Fails the running test, and returns from it, unless both are equal.
#[macro_export]
macro_rules! check_eq {
    ($left:expr, $right:expr $(,)?) => { $crate::check_eq!($left, $right, "{}", stringify!($left)) };
    ($left:expr, $right:expr, $($what:tt)+) => {
        match (&$left, &$right) {
            (left, right) => $crate::check!(
                *left == *right,
                "{}: {left:x?}, expected {right:x?}",
                format_args!($($what)+)
            ),
        }
    };
}

/// Ends the running test: this machine, or this format, has nothing to test there.
#[macro_export]
macro_rules! skip {
    ($($why:tt)+) => {{
        $crate::harness::skip(format_args!($($why)+));
        return;
    }};
}

/// The tests that are red on purpose.
const RED: [Test; 4] = [
    Test { name: "red-fail", run: || check_eq!(1 + 1, 3) },
    Test { name: "red-panic", run: || panic!("as asked") },
    Test { name: "red-fault", run: || probe::touch(probe::UNMAPPED) },
    Test {
        name: "red-hang",
        run: || loop {
            core::hint::spin_loop();
        },
    },
];

/// Whether `word` stands among the command line's arguments.
pub fn argument(word: &str) -> bool {
    let arguments = env::args::<256>();
    arguments.is_ok_and(|words| (&words).any(|given| given == Ok(word)))
}

/// Runs the tests that the command line asks for, all by default, and ends: status 0 if none failed.
pub fn run(suites: &[&[Test]]) -> ! {
    let arguments = env::args::<256>();
    let (mut words, mut filter) = (arguments.as_ref().ok(), None);
    while let Some(Ok(word)) = words.as_mut().and_then(Iterator::next) {
        if word == "--test" {
            filter = words.as_mut().and_then(Iterator::next).and_then(Result::ok);
        }
    }
    let wanted = |test: &Test| filter.is_none_or(|filter| test.name.contains(filter));
    let named = |test: &Test| filter == Some(test.name);

    let tests = suites.iter().copied().flatten().filter(|test| wanted(test));
    let tests = tests.chain(RED.iter().filter(|test| named(test)));
    let count = tests.clone().count();
    println!("running {count} test{}", if count == 1 { "" } else { "s" });
    let [mut passed, mut failed, mut skipped] = [0_u32; 3];
    for test in tests {
        match run_one(test) {
            End::Ok => passed += 1,
            End::Failed => failed += 1,
            End::Skipped => skipped += 1,
        }
    }
    println!();
    print!("{}: {passed} passed, {failed} failed", Active::NAME);
    match skipped {
        0 => println!(),
        _ => println!(", {skipped} skipped"),
    }
    if failed == 0 && reboot::before() == 0 && argument("--reboot") {
        println!("{AGAIN}");
        reboot::again(kernel());
    }
    console::exit(u8::from(failed > 0))
}

/// What stands between the two boots of `--reboot`.
const AGAIN: &str = "entering the image again";

fn run_one(test: &Test) -> End {
    // The name goes out before the test runs: a hang is told by it.
    print!("test {} ... ", test.name);
    *STATE.lock() = State { running: Some(test.name), fresh: true, end: End::Ok };
    (test.run)();
    let state =
        core::mem::replace(&mut *STATE.lock(), State { running: None, fresh: false, end: End::Ok });
    if !state.fresh {
        // What the test said has parted its name from its verdict.
        print!("test {} ... ", test.name);
    }
    println!(
        "{}",
        match state.end {
            End::Ok => "ok",
            End::Failed => "FAILED",
            End::Skipped => "skipped",
        }
    );
    state.end
}
