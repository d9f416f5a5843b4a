//! The table in `README.md` and the tests agree: every row is answered, every test that it names exists, and every
//! test that is named for a row stands in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where tests stand, and what their names start with.
const ROOTS: [(&str, &str); 3] =
    [("", "tests"), ("xtask::", "xtask/src"), ("devicetree::", "boot/devicetree/tests")];

/// How a row is answered that no test can answer.
const REASON: &str = "By construction: ";

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of Rust below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let all = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    all.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The name at the start of `text`.
fn name(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// The tests in a file: functions under `#[test]`, the list of a `both_formats!`, the bodies of an `everywhere!`.
fn tests_in(source: &str) -> Vec<&str> {
    let (mut tests, mut test, mut list, mut bodies) = (Vec::new(), false, false, false);
    for line in source.lines() {
        let text = line.trim();
        let function = text.split_once("fn ").map(|(_, rest)| name(rest));
        if let Some(first) = text.strip_prefix("both_formats!(") {
            list = !first.contains(')');
            tests.extend(first.split([',', ')']).map(|item| name(item.trim())));
        } else if list {
            list = !text.contains(')');
            tests.extend(text.split([',', ')']).map(|item| name(item.trim())));
        } else if line.starts_with("everywhere! {") {
            bodies = true;
        } else if line == "}" {
            bodies = false;
        } else if text == "#[test]" {
            test = true;
        } else if let Some(function) = function
            && (test || bodies && line.starts_with("    fn "))
        {
            tests.push(function);
            test = false;
        }
    }
    tests.retain(|test| !test.is_empty());
    tests
}

/// Every host test by its name, as the table writes it.
fn host_tests() -> Vec<String> {
    let mut all = Vec::new();
    for (prefix, root) in ROOTS {
        let root = repository().join(root);
        for path in files(&root) {
            let module = path.strip_prefix(&root).unwrap().with_extension("");
            let module: Vec<&str> = module.iter().map(|part| part.to_str().unwrap()).collect();
            let module = module.join("::");
            let module = module.strip_suffix("::main").unwrap_or(&module);
            let source = read(&path);
            all.extend(
                tests_in(&source).into_iter().map(|test| format!("{prefix}{module}::{test}")),
            );
        }
    }
    all
}

/// Every in-kernel test, and every machine that `cargo xtask matrix` boots them on, by its name.
fn emulated() -> Vec<String> {
    let sources = |folder| files(&repository().join(folder)).into_iter().map(|path| read(&path));
    let mut all = Vec::new();
    for source in sources("boot/src/tests") {
        let names = source.split("name: \"").skip(1).filter_map(|rest| rest.split('"').next());
        all.extend(names.map(str::to_owned));
    }
    for source in sources("xtask/src/matrix") {
        let strings = source.split('"').skip(1).step_by(2);
        all.extend(strings.map(|text| format!("matrix::{text}")));
    }
    all
}

/// All rows there are.
fn all_rows() -> Vec<String> {
    let bugs = (1..=68).map(|row| format!("B{row:02}"));
    bugs.chain((1..=30).map(|row| format!("R{row}"))).collect()
}

/// The rows that a test's name starts with.
fn rows_of(test: &str) -> Vec<String> {
    let function = test.rsplit("::").next().unwrap();
    let is_row = |part: &&str| {
        let digits = part.strip_prefix(['b', 'r']).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    function.split('_').take_while(is_row).map(str::to_uppercase).collect()
}

/// What stands in backquotes and is a path.
fn named(answer: &str) -> Vec<&str> {
    answer.split('`').skip(1).step_by(2).filter(|code| code.contains("::")).collect()
}

/// What is wrong with the table of `readme`.
fn faults(readme: &str, host: &[String], emulated: &[String]) -> Vec<String> {
    let mut answers = BTreeMap::<&str, Vec<&str>>::new();
    for line in readme.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, row, _, answer, _] = cells[..] else { continue };
        if !rows_of(&row.to_lowercase()).is_empty() {
            answers.entry(row).or_default().push(answer);
        }
    }
    let mut faults = Vec::new();
    for row in all_rows() {
        let [answer] = answers.remove(&*row).unwrap_or_default()[..] else {
            faults.push(format!("{row} does not stand in the table once"));
            continue;
        };
        let named = named(answer);
        let reason = answer.starts_with(REASON);
        if named.is_empty() && !reason {
            faults.push(format!("{row}: neither a test nor a reason: {answer}"));
        }
        let exists = |test: &&str| host.iter().chain(emulated).any(|known| known == test);
        faults.extend(
            named
                .iter()
                .filter(|test| !exists(test))
                .map(|test| format!("{row}: there is no test {test}")),
        );
        let theirs = |test: &&str| {
            rows_of(test).contains(&row) || emulated.iter().any(|known| known == test)
        };
        if !reason && !named.iter().any(theirs) {
            faults.push(format!("{row}: none of its tests is named for it"));
        }
        let forgotten =
            host.iter().filter(|test| rows_of(test).contains(&row) && !named.contains(&&***test));
        faults.extend(
            forgotten
                .map(|test| format!("{row}: {test} is named for it, but does not stand there")),
        );
    }
    faults.extend(answers.keys().map(|row| format!("{row} is no row")));
    faults
}

#[test]
fn every_row_is_answered() {
    let (host, emulated) = (host_tests(), emulated());
    assert!(
        host.len() > 150 && emulated.len() > 100,
        "{} and {} tests found",
        host.len(),
        emulated.len()
    );
    let known = all_rows();
    let stray: Vec<_> =
        host.iter().filter(|test| rows_of(test).iter().any(|row| !known.contains(row))).collect();
    assert!(stray.is_empty(), "named for a row that is none: {stray:?}");
    let faults = faults(&read(&repository().join("tests/README.md")), &host, &emulated);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Each way to be wrong, in a table that is right otherwise.
#[test]
fn gaps_in_the_table_are_noticed() {
    let host = ["one::b01_first", "one::other", "two::b01_r1_second"].map(str::to_owned);
    let emulated = ["three::in-kernel".to_owned()];
    let table = |first: &str| {
        let rest = all_rows().into_iter().skip(1).map(|row| match &*row {
            "R1" => "| R1 | x | `two::b01_r1_second` |\n".to_owned(),
            _ => format!("| {row} | x | By construction: of something |\n"),
        });
        format!("| Row | The bug | Answer |\n|---|---|---|\n{first}\n{}", rest.collect::<String>())
    };
    let first = "| B01 | x | `one::b01_first`, `two::b01_r1_second`, `three::in-kernel` |";
    assert_eq!(faults(&table(first), &host, &emulated), Vec::<String>::new());
    let cases = [
        ("", "does not stand in the table once"),
        (
            "| B01 | x | By construction: x `one::b01_first` |\n| B01 | x | By construction: x |",
            "does not stand in the table once",
        ),
        ("| B01 | x | somehow |", "neither a test nor a reason"),
        (
            "| B01 | x | `one::b01_first`, `two::b01_r1_second`, `one::gone` |",
            "there is no test one::gone",
        ),
        ("| B01 | x | `one::other` |", "none of its tests is named for it"),
        ("| B01 | x | `one::b01_first` |", "two::b01_r1_second is named for it"),
    ];
    for (row, wanted) in cases {
        let found = faults(&table(row), &host, &emulated);
        assert!(found.iter().any(|fault| fault.contains(wanted)), "{row}: {found:?}");
    }
    let found =
        faults(&table(&format!("{first}\n| B69 | x | By construction: x |")), &host, &emulated);
    assert_eq!(found, ["B69 is no row"]);
    let source = "both_formats!(\n    b01_a,\n    b,\n);\nfn c() {}\n#[test]\n#[ignore]\nfn d() {}\n\
        everywhere! {\n    /// The fn of it.\n    fn e(f, g) {\n        fn inner() {}\n    }\n}\nboth_formats!(h, i,);";
    assert_eq!(tests_in(source), ["b01_a", "b", "d", "e", "h", "i"]);
}
