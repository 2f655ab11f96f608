//! How often the code that obeys a spec says which one.

use super::Found;
use crate::repo::Tree;

/// Crates whose rules come from documents.
const CRATES: [&str; 3] = ["balcony-proto", "balcony-stream", "balcony-modules"];

/// Mentions of a document for each thousand lines. rustls has 12.8, mox 17.3, most servers 1.
const LEAST: usize = 8;

/// A crate below this size is too small for a rate to mean anything.
const LINES: usize = 200;

/// How one crate cites: mentions in comments, and lines, test code aside.
struct Density {
    name: &'static str,
    mentions: usize,
    lines: usize,
}

impl Density {
    fn of(tree: &Tree, name: &'static str) -> Self {
        let mut density = Self {
            name,
            mentions: 0,
            lines: 0,
        };
        for (_, source) in tree
            .rust()
            .filter(|(file, _)| file.crate_name() == Some(name))
        {
            for (_, line) in source.shipped(&source.comments) {
                density.lines += 1;
                density.mentions += mentions(line);
            }
        }
        density
    }

    fn per_thousand(&self) -> usize {
        (self.mentions * 1000).checked_div(self.lines).unwrap_or(0)
    }
}

pub(super) fn too_few(tree: &Tree) -> Vec<Found> {
    let all = CRATES.iter().map(|name| Density::of(tree, name));
    let low = all.filter(|density| density.lines >= LINES && density.per_thousand() < LEAST);
    low.map(|density| {
        let rate = density.per_thousand();
        let message = format!("cites a document {rate} times in 1000 lines, not {LEAST}");
        (format!("crates/{}/src", density.name), 0, message)
    })
    .collect()
}

/// One line for each crate that is held to the rate.
pub(super) fn densities(tree: &Tree) -> Vec<String> {
    let all = CRATES.iter().map(|name| Density::of(tree, name));
    all.map(|density| {
        let Density {
            name,
            mentions,
            lines,
        } = &density;
        let rate = density.per_thousand();
        format!("{name} cites a document {rate} times in 1000 lines ({mentions} in {lines})")
    })
    .collect()
}

/// Mentions of an RFC, a XEP, or a section sign that continues one.
fn mentions(comment: &str) -> usize {
    let documents = numbered(comment, "RFC ") + numbered(comment, "XEP-");
    documents.max(comment.matches('§').count())
}

fn numbered(comment: &str, prefix: &str) -> usize {
    let ends = comment
        .match_indices(prefix)
        .map(|(at, found)| at + found.len());
    ends.filter(|end| {
        comment
            .get(*end..)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })
    .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_counted_once_each() {
        assert_eq!(mentions("// RFC 6120 §4.9.3.1 and XEP-0198 §4"), 2);
        assert_eq!(mentions("// as §4.9 says"), 1);
        assert_eq!(mentions("// the RFC says, and a XEP too"), 0);
    }

    #[test]
    fn a_crate_that_cites_too_little_is_found() {
        let path = "crates/balcony-stream/src/a.rs";
        let silent = "fn a() {}\n".repeat(300);
        assert_eq!(too_few(&Tree::of(&[(path, &silent)])).len(), 1);
        let cited = format!("{silent}{}", "// RFC 6120 §4\n".repeat(4));
        assert!(too_few(&Tree::of(&[(path, &cited)])).is_empty());
    }
}
