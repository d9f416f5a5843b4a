//! A file's text with all its changes in it, each made when its number says so.

use std::ops::Range;

use crate::change::Change;
use crate::site::{Place, Site};

/// What a stretch of the new text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The old text from here.
    Source(usize),
    /// Added for what begins here.
    Added(usize),
    /// This change.
    Change(usize),
}

/// A file's new text.
#[derive(Debug, Default)]
pub struct Rewritten {
    /// The text.
    pub text: String,
    pieces: Vec<(Range<usize>, Origin)>,
}

impl Rewritten {
    fn push(&mut self, text: &str, origin: Origin) {
        let start = self.text.len();
        self.text += text;
        self.pieces.push((start..self.text.len(), origin));
    }

    /// The change that these bytes are of; else where in the old text they begin.
    pub fn origin(&self, span: &Range<usize>) -> Option<Origin> {
        let (piece, origin) = self.pieces.iter().find(|(piece, _)| piece.contains(&span.start))?;
        Some(match *origin {
            Origin::Source(at) => Origin::Source(at + span.start - piece.start),
            other => other,
        })
    }
}

/// What is needed to write a file anew.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// Its old text.
    pub source: &'a str,
    /// All changes.
    pub changes: &'a [Change],
    /// The number of each change.
    pub numbers: &'a [u32],
}

impl Writer<'_> {
    /// Writes it with `sites`, which are sorted, outer before inner.
    pub fn write(&self, sites: &[Site]) -> Rewritten {
        let mut out = Rewritten::default();
        self.nest(&mut out, 0..self.source.len(), sites);
        out
    }

    fn nest(&self, out: &mut Rewritten, range: Range<usize>, mut sites: &[Site]) {
        let mut at = range.start;
        while let Some((site, rest)) = sites.split_first() {
            let own = |inner: &&Site| {
                site.range.start <= inner.range.start && inner.range.end <= site.range.end
            };
            let (inner, after) = rest.split_at(rest.iter().take_while(own).count());
            out.push(&self.source[at..site.range.start], Origin::Source(at));
            self.site(out, site, inner);
            (at, sites) = (site.range.end, after);
        }
        out.push(&self.source[at..range.end], Origin::Source(at));
    }

    fn site(&self, out: &mut Rewritten, site: &Site, inner: &[Site]) {
        let added = Origin::Added(site.range.start);
        let Some((&last, others)) = site.changes.split_last() else {
            return self.nest(out, site.range.clone(), inner);
        };
        match site.place {
            Place::Body => {
                out.push(&format!(" if {} {{ ", self.among(&site.changes)), added);
                for &index in &site.changes {
                    out.push(&format!("if {} {{ ", self.among(&[index])), added);
                    out.push(
                        &format!("return {};", self.changes[index].with),
                        Origin::Change(index),
                    );
                    out.push(" } ", added);
                }
                out.push("} ", added);
                self.nest(out, site.range.clone(), inner);
            }
            Place::Pattern => {
                out.push(&format!(" if !{}", self.among(&site.changes)), Origin::Change(last));
            }
            Place::Condition => {
                out.push(&format!("!{} && (", self.among(&site.changes)), Origin::Change(last));
                self.nest(out, site.range.clone(), inner);
                out.push(")", added);
            }
            Place::Expression => {
                out.push(&format!("(if !{} {{ (", self.among(&site.changes)), added);
                self.nest(out, site.range.clone(), inner);
                for &index in others {
                    out.push(&format!(") }} else if {} {{ (", self.among(&[index])), added);
                    out.push(
                        &self.changes[index].made_in(self.source, &site.range),
                        Origin::Change(index),
                    );
                }
                out.push(") } else { (", added);
                out.push(
                    &self.changes[last].made_in(self.source, &site.range),
                    Origin::Change(last),
                );
                out.push(") })", added);
            }
        }
    }

    /// Asks whether one of these is made.
    fn among(&self, indices: &[usize]) -> String {
        let numbers = || indices.iter().map(|&index| self.numbers[index]);
        let (first, last) = (numbers().min().unwrap_or(1), numbers().max().unwrap_or(0));
        format!("crate::mutant::within({first}, {last})")
    }
}

#[cfg(test)]
mod tests;
