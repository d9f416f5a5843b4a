//! A small text in, the text with every change behind a question out.

use crate::change::{Change, Genre};
use crate::rewrite::{Origin, Rewritten, Writer};
use crate::site::{self, Found, Reason};

/// A change of the first `old` after `behind`.
fn change(source: &str, genre: Genre, behind: &str, old: &str, with: &str) -> Change {
    let from = source.find(behind).expect("it is there") + behind.len();
    let start = from + source[from..].find(old).expect("it is there");
    Change {
        file: "src/it.rs".into(),
        name: String::new(),
        key: String::new(),
        function: String::new(),
        genre,
        span: start..start + old.len(),
        with: with.into(),
    }
}

fn rewritten(source: &str, changes: &[Change]) -> (Rewritten, Vec<(usize, Reason)>) {
    let all: Vec<usize> = (0..changes.len()).collect();
    let numbers: Vec<u32> = (1..=changes.len() as u32).collect();
    let Found { sites, unplaced } = site::find(source, changes, &all).expect("it is Rust");
    let new = Writer { source, changes, numbers: &numbers }.write(&sites);
    syn::parse_file(&new.text).expect("it is Rust still");
    (new, unplaced)
}

fn text(source: &str, changes: &[Change]) -> String {
    let (new, unplaced) = rewritten(source, changes);
    assert_eq!(unplaced, []);
    new.text.replace("crate::mutant::within", "within")
}

#[test]
fn a_body_returns_first() {
    let source = "fn f(a: u32) -> u32 { a }";
    let changes =
        [change(source, Genre::Body, "{ ", "a", "0"), change(source, Genre::Body, "{ ", "a", "1")];
    assert_eq!(
        text(source, &changes),
        "fn f(a: u32) -> u32 { if within(1, 2) { if within(1, 1) { return 0; } \
         if within(2, 2) { return 1; } }  a }"
    );
}

#[test]
fn the_innermost_body_returns() {
    let source = "fn f() -> u32 { fn g() -> u32 { 7 } g() }";
    let changes = [change(source, Genre::Body, "", "7", "0")];
    assert_eq!(
        text(source, &changes),
        "fn f() -> u32 { fn g() -> u32 { if within(1, 1) { if within(1, 1) { return 0; } }  7 } g() }"
    );
}

#[test]
fn an_operator_is_replaced_as_text() {
    let source = "fn f(a: u32) -> u32 { a - 1 - g(a + 2) }";
    let changes = [
        change(source, Genre::Binary, "- 1 ", "-", "/"),
        change(source, Genre::Binary, "g(a ", "+", "*"),
    ];
    assert_eq!(
        text(source, &changes),
        "fn f(a: u32) -> u32 { (if !within(1, 1) { (a - 1 - g((if !within(2, 2) { (a + 2) } \
         else { (a * 2) }))) } else { (a - 1 / g(a + 2)) }) }"
    );
}

#[test]
fn an_assignment_is_an_operator() {
    let source = "fn f(a: &mut u32) { *a += 1; }";
    let changes = [change(source, Genre::Binary, "*a ", "+=", "-=")];
    assert_eq!(
        text(source, &changes),
        "fn f(a: &mut u32) { (if !within(1, 1) { (*a += 1) } else { (*a -= 1) }); }"
    );
}

#[test]
fn several_of_one_place_are_asked_at_once() {
    let source = "fn f(a: u32, b: u32) -> bool { a < b }";
    let changes = ["==", ">", "<="].map(|with| change(source, Genre::Binary, "a ", "<", with));
    assert_eq!(
        text(source, &changes),
        "fn f(a: u32, b: u32) -> bool { (if !within(1, 3) { (a < b) } else if within(1, 1) { \
         (a == b) } else if within(2, 2) { (a > b) } else { (a <= b) }) }"
    );
}

#[test]
fn a_sign_goes() {
    let source = "fn f(a: bool) -> bool { !a }";
    let changes = [change(source, Genre::Unary, "", "!", "")];
    assert_eq!(
        text(source, &changes),
        "fn f(a: bool) -> bool { (if !within(1, 1) { (!a) } else { (a) }) }"
    );
}

#[test]
fn an_arm_goes() {
    let source = "fn f(a: u32) { match a { 1 => g(), b if b == 2 => h(), _ => {} } }";
    let changes = [
        change(source, Genre::Arm, "{ match a { ", "1 => g(),", ""),
        change(source, Genre::Arm, "g(), ", "b if b == 2 => h(),", ""),
    ];
    assert_eq!(
        text(source, &changes),
        "fn f(a: u32) { match a { 1 if !within(1, 1) => g(), b if !within(2, 2) && (b == 2) => h(), \
         _ => {} } }"
    );
}

#[test]
fn a_guard_is_met() {
    let source = "fn f(a: u32) { match a { b if b == 2 => h(), _ => {} } }";
    let changes = [
        change(source, Genre::Guard, "b if ", "b == 2", "true"),
        change(source, Genre::Guard, "b if ", "b == 2", "false"),
        change(source, Genre::Binary, "b if b ", "==", "!="),
        change(source, Genre::Arm, "{ match a { ", "b if b == 2 => h(),", ""),
    ];
    assert_eq!(
        text(source, &changes),
        "fn f(a: u32) { match a { b if !within(4, 4) && ((if !within(1, 3) { (b == 2) } \
         else if within(1, 1) { (true) } else if within(2, 2) { (false) } else { (b != 2) })) => h(), \
         _ => {} } }"
    );
}

#[test]
fn a_field_goes() {
    let source = "fn f(s: S) -> S { S { a: 1, ..s } }";
    let changes = [change(source, Genre::Field, "S { ", "a: 1,", "")];
    assert_eq!(
        text(source, &changes),
        "fn f(s: S) -> S { (if !within(1, 1) { (S { a: 1, ..s }) } else { (S {  ..s }) }) }"
    );
}

#[test]
fn what_cannot_be_switched_is_told() {
    let source = "const A: u32 = 1 + 2; fn f(a: Option<u32>) -> [u32; 1 - 1] { \
                  if let Some(b) = a && b == 1 { g() } m!(1 * 2) }";
    let changes = [
        change(source, Genre::Binary, "1 ", "+", "-"),
        change(source, Genre::Binary, "; 1 ", "-", "+"),
        change(source, Genre::Binary, "= a ", "&&", "||"),
        change(source, Genre::Binary, "m!(1 ", "*", "+"),
        change(source, Genre::Binary, "b ", "==", "!="),
    ];
    let (new, mut unplaced) = rewritten(source, &changes);
    unplaced.sort();
    let reasons = [Reason::Constant, Reason::Constant, Reason::Chain, Reason::Nothing];
    assert_eq!(unplaced, reasons.into_iter().enumerate().collect::<Vec<_>>());
    assert!(new.text.contains("= a && (if !crate::mutant::within(5, 5) { (b == 1) } else"));
}

#[test]
fn errors_find_their_change() {
    let source = "fn f(a: u32, b: u32) -> bool { a < b }";
    let changes = ["==", ">"].map(|with| change(source, Genre::Binary, "a ", "<", with));
    let (new, _) = rewritten(source, &changes);
    let origin = |part: &str| {
        let at = new.text.find(part).expect("it is there");
        new.origin(&(at..at + part.len()))
    };
    assert_eq!(origin("a == b"), Some(Origin::Change(0)));
    assert_eq!(origin("b) })"), Some(Origin::Change(1)));
    assert_eq!(origin("a < b"), Some(Origin::Source(source.find("a < b").expect("it is there"))));
    assert_eq!(origin("(if"), Some(Origin::Added(source.find("a < b").expect("it is there"))));
}
