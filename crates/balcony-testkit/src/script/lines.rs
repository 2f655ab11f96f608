//! Lines with the block that is indented below them.

use super::Mistake;

/// A line at the margin and what is indented below it.
pub(super) struct Entry<'a> {
    pub(super) line: usize,
    pub(super) text: &'a str,
    /// With the indentation of its first line taken off each.
    pub(super) block: String,
}

impl Entry<'_> {
    pub(super) fn mistake(&self, what: impl Into<String>) -> Mistake {
        Mistake {
            line: self.line,
            what: what.into(),
        }
    }
}

/// Entries from line `first` on. Empty lines and comments are left out.
pub(super) fn entries(text: &str, first: usize) -> Result<Vec<Entry<'_>>, Mistake> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut indent = None;
    for (at, line) in text.lines().enumerate().skip(first) {
        let number = at + 1;
        let trimmed = line.trim();
        if !line.starts_with([' ', '\t']) {
            indent = None;
            if !trimmed.is_empty() && !trimmed.starts_with('#') {
                entries.push(Entry {
                    line: number,
                    text: trimmed,
                    block: String::new(),
                });
            }
            continue;
        }
        if trimmed.is_empty() {
            continue;
        }
        let Some(entry) = entries.last_mut() else {
            return Err(Mistake {
                line: number,
                what: "an indented line belongs below another".into(),
            });
        };
        let width = line.len() - line.trim_start().len();
        let taken = (*indent.get_or_insert(width)).min(width);
        if !entry.block.is_empty() {
            entry.block.push('\n');
        }
        entry
            .block
            .push_str(line.get(taken..).unwrap_or(trimmed).trim_end());
    }
    Ok(entries)
}
