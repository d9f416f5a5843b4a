//! Counts as a table for the terminal.

use super::columns;
use super::counted::Counted;
use super::rows::{ROWS, Reach, Row};
use crate::image::Format;

/// A count as people read it: three digits or more, and no decimals that mean nothing.
pub fn number(count: f64) -> String {
    match count {
        100.0.. => format!("{count:.0}"),
        10.0.. => format!("{count:.1}"),
        _ => format!("{count:.2}"),
    }
}

/// `count` and how many of it the operation takes; or a dash.
fn beside(ours: f64, theirs: Option<f64>) -> [String; 2] {
    match theirs {
        Some(count) => [number(count), format!("{:.2}", ours / count)],
        None => ["–".into(), String::new()],
    }
}

/// What is to be reached, and whether it is; none where too little was counted to say.
fn verdict(row: &Row, format: Format, counted: &Counted, ours: f64) -> Option<(f64, bool)> {
    let most = match row.reach(format) {
        Reach::AtMost(most) => most,
        Reach::Near(most, other, times) => most.min(counted.get(other)? * times),
        Reach::Floor(times, plus) => counted.floor(row.key)? * times + plus,
    };
    // To the precision of what is printed.
    Some((most, ours < most + 0.005))
}

/// The table of one format.
pub fn text(format: Format, counted: &Counted) -> String {
    let heads = ["", "per", "counted", "floor", "×", "Linux", "×", "peer", "×", "reach", ""];
    let mut lines = vec![heads.map(String::from).to_vec()];
    for row in &ROWS {
        let Some(ours) = counted.get(row.key) else { continue };
        let [floor, over] = beside(ours, counted.floor(row.key));
        let [linux, to_linux] = beside(ours, row.linux(format));
        let [peer, to_peer] = beside(ours, row.peer(format));
        let (reach, met) = match verdict(row, format, counted, ours) {
            Some((most, true)) => (format!("≤ {}", number(most)), "met"),
            Some((most, false)) => (format!("≤ {}", number(most)), "MISSED"),
            None => ("–".into(), ""),
        };
        lines.push(vec![
            row.name.into(),
            row.unit.into(),
            number(ours),
            floor,
            over,
            linux,
            to_linux,
            peer,
            to_peer,
            reach,
            met.into(),
        ]);
    }
    format!("{format}: instructions\n{}", columns::align(&lines, &[0, 1, 10]))
}
