//! What is wrong with a file, and where.

use std::fmt;
use std::ops::Range;
use std::path::Path;

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was named, or `(defaults)`.
    pub file: String,
    /// From 1; 0 where the problem has no place, such as a file that cannot be read.
    pub line: usize,
    /// In characters, from 1; 0 where the problem has no place.
    pub column: usize,
    /// `section.key`, or empty where the text does not belong to a key.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to write instead, where that can be told.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what)?;
        self.hint.iter().try_for_each(|hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for Problem {}

/// The text of a file, able to say where a byte of it stands.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    file: String,
    text: &'a str,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: Option<&Path>, text: &'a str) -> Source<'a> {
        let file = file.map_or_else(|| "(defaults)".to_owned(), |f| f.display().to_string());
        Source { file, text }
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// Line and column of a byte, from 1, the column in characters.
    pub(crate) fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(start..).unwrap_or("").chars().count() + 1;
        (line, column)
    }

    pub(crate) fn line(&self, offset: usize) -> usize {
        self.place(offset).0
    }

    /// A problem at a place of the text.
    pub(crate) fn problem(&self, at: &Range<usize>, key: String, what: String) -> Problem {
        let (line, column) = self.place(at.start);
        Problem {
            file: self.file.clone(),
            line,
            column,
            key,
            what,
            hint: None,
        }
    }

    /// A problem that has no place in the text.
    pub(crate) fn problem_nowhere(&self, key: String, what: String) -> Problem {
        Problem {
            file: self.file.clone(),
            line: 0,
            column: 0,
            key,
            what,
            hint: None,
        }
    }
}

impl Problem {
    pub(crate) fn with_hint(mut self, hint: Option<String>) -> Problem {
        self.hint = hint;
        self
    }
}

/// The known name that the written one was probably meant to be.
///
/// A third of its letters may differ, at least one: `regstration` finds `registration`, and
/// `port` does not find `name`.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = (written.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(written, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many letters have to be added, dropped, replaced or swapped with their neighbour
/// (optimal string alignment). Case, `-` and `_` are not counted as differences.
fn distance(a: &str, b: &str) -> usize {
    let fold = |c: char| {
        if c == '-' {
            '_'
        } else {
            c.to_ascii_lowercase()
        }
    };
    let a: Vec<char> = a.chars().map(fold).collect();
    let b: Vec<char> = b.chars().map(fold).collect();
    let mut earlier: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let replaced = cell(&last, j) + usize::from(ca != cb);
            let mut best = replaced.min(cell(&last, j + 1) + 1).min(cell(&row, j) + 1);
            let before = (i.checked_sub(1), j.checked_sub(1));
            if let (Some(pi), Some(pj)) = before
                && a.get(pi) == Some(cb)
                && b.get(pj) == Some(ca)
            {
                best = best.min(cell(&earlier, pj) + 1);
            }
            row.push(best);
        }
        earlier = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits_and_swaps() {
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("depth", "depht"), 1);
        assert_eq!(distance("data-dir", "data_dir"), 0);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn nearest_is_only_what_is_near() {
        let known = ["required", "dir", "registration"];
        assert_eq!(nearest("regstration", known), Some("registration"));
        assert_eq!(nearest("requierd", known), Some("required"));
        assert_eq!(nearest("port", known), None);
    }

    #[test]
    fn places_count_characters_from_one() {
        let source = Source::new(None, "a = 1\nä = \"é\" x");
        let at = source.text().find('x').unwrap();
        assert_eq!(source.place(at), (2, 9));
        assert_eq!(source.place(0), (1, 1));
        assert_eq!(source.place(9_999), (2, 10));
    }

    #[test]
    fn a_problem_reads_as_one_line() {
        let source = Source::new(Some(Path::new("balcony.toml")), "x = 1");
        let problem = source
            .problem(&(0..1), "x".to_owned(), "unknown key".to_owned())
            .with_hint(Some("did you mean \"y\"?".to_owned()));
        assert_eq!(
            problem.to_string(),
            "balcony.toml:1:1: x: unknown key; did you mean \"y\"?"
        );
    }
}
