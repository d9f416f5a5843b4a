//! Counts, read, written and held against those that are checked in.

use xtask::bench::counted::{Counted, decimal};
use xtask::bench::rows::ROWS;
use xtask::bench::{expected, host, json, markdown, table, versus};
use xtask::image::Format;
use xtask::options::{BenchOptions, Report, Task, parse};

fn read(said: &str) -> Counted {
    Counted::read(said).expect("it makes sense")
}

/// Every operation counted as `count`.
fn all(count: u32) -> Counted {
    read(&ROWS.map(|row| format!("count {} {count} 1\n", row.key)).concat())
}

#[test]
fn a_guest_s_counts_are_read_among_all_else() {
    let said = "banner\nrunning 1 test\ntest bench::map ... \n    count map_4k 9 4\n    \
                count map_4k_floor 2 1\ntest bench::map ... ok\nclassic: 1 passed, 0 failed\n";
    let counted = read(said);
    assert_eq!(counted.iter().collect::<Vec<_>>(), [("map_4k", 2.25), ("map_4k_floor", 2.0)]);
    assert_eq!(counted.floor("map_4k"), Some(2.0));
    assert_eq!(counted.get("unmap_4k"), None);
}

#[test]
fn counts_that_make_no_sense_are_refused() {
    for said in ["count map", "count map 1", "count map 1 0", "count map x 1", "count map 1 1 1"] {
        assert!(Counted::read(said).is_err(), "{said}");
    }
    assert!(Counted::read("count map 1 1\ncount map 1 1").is_err());
}

#[test]
fn decimals_stand_where_a_number_is_not_whole() {
    assert_eq!([87.0, 2.25, 0.3334, 100.0].map(decimal), ["87", "2.25", "0.333", "100"]);
}

#[test]
fn machines_read_one_object_a_format() {
    let counted = read("count map_4k 9 4\ncount map_4k_floor 2 1\n");
    let text = json::text(&[(Format::Classic, counted), (Format::Lpae, read("count idmap 7 1"))]);
    let tight: String = text.split_whitespace().collect();
    assert_eq!(tight, r#"{"classic":{"map_4k":2.25,"map_4k_floor":2},"lpae":{"idmap":7}}"#);
}

#[test]
fn a_rise_of_more_than_three_percent_is_told() {
    let file = ROWS.map(|row| format!("{} 100\n", row.key)).concat();
    let file = format!("# rustc 1.0.0\n{file}");
    assert_eq!(expected::risen(&file, &all(103)), Ok(vec![]));
    assert_eq!(expected::risen(&file, &all(10)), Ok(vec![]));
    let risen = expected::risen(&file, &all(104)).expect("it makes sense");
    assert_eq!(risen.len(), ROWS.len());
    assert_eq!(risen[0], "pgd_alloc_warm from 100 to 104");
    assert!(expected::risen("pgd_free 100\n", &all(1)).is_err_and(|why| why.contains("missing")));
    assert!(expected::risen("nothing 100\n", &all(1)).is_err());
    assert!(expected::risen("pgd_free\n", &all(1)).is_err());
}

#[test]
fn tables_say_what_is_met_and_what_is_not() {
    let counted = read("count pgd_free 50 1\ncount map_4k 5 1\ncount map_4k_floor 5 2");
    let text = table::text(Format::Classic, &counted);
    let line = |name: &str| {
        text.lines().find(|line| line.starts_with(name)).expect("the operation has a line")
    };
    assert!(line("pgd_free").ends_with("met"), "{text}");
    assert!(line("map 1 GiB in pages").ends_with("MISSED"), "{text}");
    assert!(line("map 1 GiB in pages").contains(" 2.50  2.00 "), "{text}");
    assert!(!text.contains("translate"), "{text}");

    let markdown = markdown::table(&[(Format::Lpae, counted)], "an emulator; a compiler");
    assert!(markdown.contains("| map 1 GiB in pages | page | **5.00** | 2.50 | 12.0 | – |"));
    assert!(markdown.ends_with("an emulator; a compiler.\n"));
}

#[test]
fn ours_is_compared_with_the_best_peer_that_does_all_of_the_work() {
    let said = "time unmap_4k floor 0.1\ntime unmap_4k ours-lpae 3\ntime unmap_4k a 6\n\
                time unmap_4k b 1 partly\ntime unmap_4k c 9\nunits unmap_4k a 7\n";
    let costs = host::read(said, "time").expect("it makes sense");
    assert_eq!(costs.len(), 5);
    assert!(costs.iter().all(|cost| cost.whole == (cost.contender != "b")));
    let text = versus::table("nanoseconds", &costs);
    let line = text.lines().find(|line| line.starts_with("unmap_4k")).expect("it has a line");
    let cells: Vec<_> = line.split_whitespace().collect();
    assert_eq!(cells[2..], ["0.10", "3.00", "6.00", "(1.00)", "9.00", "0.50", "≤", "1", "met"]);
    assert!(host::read("time map a much", "time").is_err());
}

#[test]
fn the_options_of_bench_are_read() {
    let read = |line: &str| parse(line.split_whitespace().map(Into::into));
    let bench = |formats: &[Format], quick, report| {
        Ok(Task::Bench(BenchOptions { formats: formats.to_vec(), quick, report }))
    };
    assert_eq!(read("bench"), bench(&Format::ALL, false, Report::Table));
    assert_eq!(read("bench --help"), Ok(Task::Help));
    assert_eq!(read("bench --format lpae --quick"), bench(&[Format::Lpae], true, Report::Table));
    assert_eq!(read("bench --size"), bench(&Format::ALL, false, Report::Size));
    for nonsense in
        ["bench --cpu x", "bench --bless --quick", "bench --size --bless", "bench -- -d"]
    {
        assert!(read(nonsense).is_err(), "{nonsense}");
    }
}
