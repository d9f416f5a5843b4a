//! Few rows of a table that still put every combination of values of any few columns side by side.

use std::collections::BTreeSet;

/// Rows, an index into its values for each column, such that for any `strength` columns every combination of their
/// values that some allowed row has, some chosen row has. `sizes` says how many values each column has.
///
/// Greedy: the row that has most combinations which no row before has, again and again. So the first rows cover
/// most, and the same arguments give the same rows.
pub fn rows(
    sizes: &[usize],
    strength: usize,
    allowed: impl Fn(&[usize]) -> bool,
) -> Vec<Vec<usize>> {
    let all: Vec<_> = every_row(sizes).filter(|row| allowed(row)).collect();
    let columns = choices(sizes.len(), strength);
    let combinations = |row: &[usize]| -> Vec<Vec<(usize, usize)>> {
        columns.iter().map(|of| of.iter().map(|&column| (column, row[column])).collect()).collect()
    };
    let had: Vec<_> = all.iter().map(|row| combinations(row)).collect();
    let mut wanted: BTreeSet<_> = had.iter().flatten().collect();
    let mut chosen = Vec::new();
    while !wanted.is_empty() {
        let gain = |at: &usize| had[*at].iter().filter(|one| wanted.contains(one)).count();
        // The first of the best.
        let best = (0..all.len()).rev().max_by_key(gain).expect("what is wanted, a row has");
        had[best].iter().for_each(|one| {
            wanted.remove(one);
        });
        chosen.push(all[best].clone());
    }
    chosen
}

/// Every row there is, the last column changing fastest.
fn every_row(sizes: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    (0..sizes.iter().product()).map(move |mut number: usize| {
        let mut row: Vec<_> = sizes
            .iter()
            .rev()
            .map(|size| {
                let value = number % size;
                number /= size;
                value
            })
            .collect();
        row.reverse();
        row
    })
}

/// Every choice of `count` of the numbers below `of`, each in order.
fn choices(of: usize, count: usize) -> Vec<Vec<usize>> {
    match count {
        0 => vec![vec![]],
        _ => (count - 1..of)
            .flat_map(|last| {
                choices(last, count - 1).into_iter().map(move |mut few| {
                    few.push(last);
                    few
                })
            })
            .collect(),
    }
}
