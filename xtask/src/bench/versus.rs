//! Ours beside the published libraries, as tables.

use super::columns;
use super::host::Cost;
use super::table::number;

/// What nothing can be faster than; ours; the format that peers are compared with.
const FLOOR: &str = "floor";
const OURS: &str = "ours-";
const COMPARED: &str = "ours-lpae";

/// How many times the best peer's cost ours is to be at most.
const REACH: [(&str, f64); 6] = [
    ("map_4k", 0.6),
    ("scatter", 0.75),
    ("translate", 0.9),
    ("unmap_4k", 1.0),
    ("protect_4k", 0.5),
    ("create", 0.6),
];

/// What an operation is counted by.
const UNITS: [(&str, &str); 7] = [
    ("map_4k", "page"),
    ("map_largest", "leaf"),
    ("scatter", "page"),
    ("translate", "lookup"),
    ("unmap_4k", "page"),
    ("protect_4k", "page"),
    ("create", "space"),
];

/// A table: an operation a line, a library a column, and ours beside the best of the others.
pub fn table(title: &str, costs: &[Cost]) -> String {
    let mut contenders: Vec<&str> = Vec::new();
    for cost in costs {
        if !contenders.contains(&cost.contender.as_str()) {
            contenders.push(&cost.contender);
        }
    }
    let mut head = vec![title.to_string(), "per".into()];
    head.extend(contenders.iter().map(|name| name.to_string()));
    head.extend(["lpae / best peer".into(), "reach".into(), String::new()]);
    let mut lines = vec![head];
    for (operation, unit) in UNITS {
        let of = |name: &str| {
            costs.iter().find(|cost| cost.operation == operation && cost.contender == name)
        };
        let mut line = vec![operation.to_string(), unit.to_string()];
        line.extend(contenders.iter().map(|name| match of(name) {
            Some(cost) if cost.whole => number(cost.amount),
            Some(cost) => format!("({})", number(cost.amount)),
            None => "–".into(),
        }));
        let peers = contenders.iter().filter(|name| **name != FLOOR && !name.starts_with(OURS));
        let best = peers
            .filter_map(|name| of(name).filter(|cost| cost.whole))
            .map(|cost| cost.amount)
            .reduce(f64::min);
        let ratio = of(COMPARED).zip(best).map(|(ours, best)| ours.amount / best);
        let reach = REACH.iter().find(|(name, _)| *name == operation).map(|(_, most)| *most);
        line.push(ratio.map_or("–".into(), number));
        line.push(reach.map_or("–".into(), |most| format!("≤ {most}")));
        line.push(match (ratio, reach) {
            (Some(ratio), Some(most)) if ratio <= most => "met".into(),
            (Some(_), Some(_)) => "MISSED".into(),
            _ => String::new(),
        });
        lines.push(line);
    }
    let partly = costs.iter().any(|cost| !cost.whole);
    let note = if partly { "(in brackets: the tables of what is unmapped are kept)\n" } else { "" };
    let last = lines[0].len() - 1;
    format!("{}{note}", columns::align(&lines, &[0, 1, last]))
}
