//! The matrix: that its rows cover what they promise, and that it is red where it should be.

use std::collections::BTreeSet;

use xtask::command::Ending;
use xtask::elf;
use xtask::image::Format;
use xtask::matrix::Depth;
use xtask::matrix::covering::rows;
use xtask::matrix::expect::{Came, Expect, NO_LPAE, judge};
use xtask::options::{Task, parse};

const CLEAN: Ending = Ending::Exited(Some(0));
const FAILED: Ending = Ending::Exited(Some(1));

const SAID: &str = "\
device tree: at r2
RAM: 64 MiB
    PL011 at 0x9000000
running 2 tests
test walk ... ok
test high ...\x20
    no memory there
test high ... skipped

classic: 1 passed, 0 failed
";

fn passes(sentences: &[&str]) -> Expect {
    Expect::Passes(sentences.iter().map(|sentence| sentence.to_string()).collect())
}

fn came(expect: &Expect, said: &str, ending: Ending, noted: &str) -> Result<Came, String> {
    judge(Format::Classic, expect, said, ending, noted, None)
}

/// All values of two of the columns of an allowed row, beside each other.
fn pairs(row: &[usize]) -> impl Iterator<Item = [usize; 4]> {
    (0..row.len()).flat_map(move |b| (0..b).map(move |a| [a, row[a], b, row[b]]))
}

#[test]
fn few_rows_have_every_pair() {
    let sizes = [3, 7, 3, 4, 2, 2, 2];
    let allowed = |row: &[usize]| row[5] == 0 || row[1] < 5;
    let chosen = rows(&sizes, 2, allowed);
    assert!(chosen.iter().all(|row| allowed(row)));
    let found: BTreeSet<_> = chosen.iter().flat_map(|row| pairs(row)).collect();
    let mut wanted = 0;
    for b in 0..sizes.len() {
        for a in 0..b {
            for (x, y) in (0..sizes[a]).flat_map(|x| (0..sizes[b]).map(move |y| (x, y))) {
                if (a, b) != (1, 5) || y == 0 || x < 5 {
                    assert!(found.contains(&[a, x, b, y]), "column {a}: {x}, column {b}: {y}");
                    wanted += 1;
                }
            }
        }
    }
    assert_eq!(found.len(), wanted);
    // No fewer than the two largest columns' pairs; a table of all rows has two thousand.
    assert!((28..=36).contains(&chosen.len()), "{} rows", chosen.len());
}

#[test]
fn few_rows_have_every_triple() {
    let sizes = [2, 3, 2, 4];
    let chosen = rows(&sizes, 3, |_| true);
    for (a, b, c) in [(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)] {
        let found: BTreeSet<_> = chosen.iter().map(|row| [row[a], row[b], row[c]]).collect();
        assert_eq!(found.len(), sizes[a] * sizes[b] * sizes[c], "columns {a}, {b}, {c}");
    }
    assert!(chosen.len() < sizes.iter().product());
    assert_eq!(rows(&[2, 2], 2, |_| false), Vec::<Vec<usize>>::new());
}

#[test]
fn a_machine_as_expected_is_green() {
    let expect = passes(&["RAM: 64 MiB", "PL011 at", "device tree: at r2"]);
    assert_eq!(came(&expect, SAID, CLEAN, ""), Ok(Came::Passed { passed: 1, of: 2 }));
    let refuses = Expect::Refuses(NO_LPAE.into());
    assert_eq!(came(&refuses, &format!("{NO_LPAE}\n"), FAILED, ""), Ok(Came::Refused));
}

#[test]
fn what_is_not_as_expected_is_red() {
    let red = |expect: &Expect, said: &str, ending, noted: &str, why: &str| {
        let problem = came(expect, said, ending, noted).expect_err(why);
        assert!(problem.contains(why), "`{why}` is told as: {problem}");
    };
    let anything = passes(&[]);
    red(&passes(&["RAM: 128 MiB"]), SAID, CLEAN, "", "does not say `RAM: 128 MiB`");
    // A sentence that ends otherwise is another.
    red(&passes(&["device tree: at r2, but"]), SAID, CLEAN, "", "does not say");
    red(
        &anything,
        SAID,
        CLEAN,
        "Invalid read at addr 0x0\n",
        "did wrong: Invalid read at addr 0x0",
    );
    red(&anything, &SAID.replace("    no memory there\n", ""), CLEAN, "", "does not say why");
    red(&anything, SAID, FAILED, "", "exit status 1");
    let refusal = format!("{NO_LPAE}\n");
    red(&anything, &refusal, FAILED, "", "no verdict");
    let refuses = Expect::Refuses(NO_LPAE.into());
    red(&refuses, SAID, CLEAN, "", "does not refuse");
    red(&refuses, &format!("running 1 test\n{refusal}"), FAILED, "", "does not refuse");
    red(&refuses, &refusal, CLEAN, "", "does not end with exit status 1");
    red(&refuses, &refusal, FAILED, "noted\n", "did wrong: noted");
}

#[test]
fn a_second_boot_says_what_the_first_said() {
    let twice = Expect::PassesTwice(vec!["RAM: 64 MiB".into()]);
    let said = format!("{SAID}entering the image again\n{SAID}");
    let passed = Ok(Came::Passed { passed: 1, of: 2 });
    assert_eq!(came(&twice, &said, CLEAN, ""), passed);
    // What QEMU says when it starts is not the guest's.
    let qemus = "qemu: module audio not found\nqemu-system-arm: warning: nothing\n";
    assert_eq!(came(&twice, &format!("{qemus}{said}"), CLEAN, ""), passed);
    let red = |said: &str, why: &str| {
        let problem = came(&twice, said, CLEAN, "").expect_err(why);
        assert!(problem.contains(why), "`{why}` is told as: {problem}");
    };
    red(SAID, "does not say `entering the image again`");
    let second = said.rfind("PL011 at 0x9").unwrap();
    let (first, other) = said.split_at(second);
    red(&format!("{first}{}", other.replace("0x9", "0x8")), "says `    PL011 at 0x8000000` for");
    red(&said.replacen("walk ... ok", "walk ... FAILED", 1), "in the first boot");
}

#[test]
fn the_options_of_matrix_are_read() {
    let read = |line: &str| parse(line.split_whitespace().map(Into::into));
    assert_eq!(read("matrix"), Ok(Task::Matrix(Depth::Full)));
    assert_eq!(read("matrix --quick"), Ok(Task::Matrix(Depth::Quick)));
    assert_eq!(read("matrix --help"), Ok(Task::Help));
    for nonsense in ["matrix --cpu x", "matrix quick", "matrix -- -d int"] {
        assert!(read(nonsense).is_err(), "{nonsense}");
    }
}

/// An ELF file that loads these at these physical addresses.
fn elf(parts: &[(u32, &[u8])]) -> Vec<u8> {
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([2u16, 40].map(u16::to_le_bytes).concat());
    file.extend([1, 0, 52, 0, 0].map(u32::to_le_bytes).concat());
    file.extend([52u16, 32, parts.len() as u16, 40, 0, 0].map(u16::to_le_bytes).concat());
    let mut offset = 52 + 32 * parts.len();
    for (address, bytes) in parts {
        let length = bytes.len() as u32;
        // Loaded; another virtual address than the physical one; more memory than bytes.
        let header = [1, offset as u32, !address, *address, length, length + 9, 5, 4];
        file.extend(header.map(u32::to_le_bytes).concat());
        offset += bytes.len();
    }
    parts.iter().for_each(|(_, bytes)| file.extend(*bytes));
    file
}

#[test]
fn a_raw_image_is_what_is_loaded() {
    let file = elf(&[(0x1004, b"later"), (0x1000, b"it"), (0x3000, b"")]);
    assert_eq!(elf::raw(&file), Ok(b"it\0\0later".to_vec()));
    for cut in [0, 40, 60, file.len() - 1] {
        assert!(elf::raw(&file[..cut]).is_err(), "{cut} bytes");
    }
    assert!(elf::raw(&elf(&[])).is_err());
}
