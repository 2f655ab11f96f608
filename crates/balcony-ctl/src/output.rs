//! How answers are shown: as text for a reader, or as the JSON that they are.

use std::io::{self, Write};

use balcony_admin_api::Answer;

pub(crate) struct Output<'a> {
    out: &'a mut dyn Write,
    json: bool,
    color: bool,
}

/// Colours of a terminal that can be told apart on a dark and on a light ground.
#[derive(Clone, Copy)]
pub(crate) enum Color {
    Cyan,
    Yellow,
    Dim,
}

impl Color {
    fn code(self) -> &'static str {
        match self {
            Color::Cyan => "36",
            Color::Yellow => "33",
            Color::Dim => "2",
        }
    }
}

impl<'a> Output<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, json: bool, color: bool) -> Output<'a> {
        Output { out, json, color }
    }

    /// Shows an answer as JSON where that is wanted; otherwise `text` does it for a reader.
    pub(crate) fn show(
        &mut self,
        answer: &Answer,
        text: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.json {
            self.answer(answer)
        } else {
            text(self)
        }
    }

    pub(crate) fn answer(&mut self, answer: &Answer) -> io::Result<()> {
        self.out.write_all(answer.to_line()?.as_bytes())?;
        self.out.flush()
    }

    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", harmless(text))?;
        self.out.flush()
    }

    /// A question, after which the answer is typed on the same line.
    pub(crate) fn question(&mut self, text: &str) -> io::Result<()> {
        write!(self.out, "{} ", harmless(text))?;
        self.out.flush()
    }

    /// Words on one line, coloured on a terminal.
    pub(crate) fn colored(&mut self, parts: &[(&str, Option<Color>)]) -> io::Result<()> {
        for (text, color) in parts {
            match color.filter(|_| self.color) {
                Some(color) => {
                    write!(
                        self.out,
                        "\u{1b}[{}m{}\u{1b}[0m",
                        color.code(),
                        harmless(text)
                    )?;
                }
                None => write!(self.out, "{}", harmless(text))?,
            }
        }
        writeln!(self.out)?;
        self.out.flush()
    }

    /// Rows in columns as wide as their widest cell.
    pub(crate) fn table(&mut self, rows: &[Vec<String>]) -> io::Result<()> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
        let length = |cell: &String| cell.chars().count();
        let widths: Vec<usize> = (0..columns)
            .map(|column| cells(column).map(length).max().unwrap_or(0))
            .collect();
        for row in rows {
            let padded = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"));
            self.line(padded.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// A text that cannot drive a terminal. Names of clients and what they write come from strangers,
/// who could otherwise move the cursor or turn the direction of writing to show what is not there.
pub(crate) fn harmless(text: &str) -> String {
    let tame = |c: char| match c {
        '\n' | '\t' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if tame(c) {
            out.extend(c.escape_unicode())
        } else {
            out.push(c)
        }
    }
    out
}

/// A time span in its two greatest units: `3d 4h`, `5m 2s`.
pub(crate) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// A number of bytes with three digits or so.
pub(crate) fn bytes(count: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| count >> shift >= 10) {
        Some((unit, shift)) => format!("{} {unit}", count >> shift),
        None => format!("{count} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_from_strangers_are_spelt_out() {
        assert_eq!(harmless("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(harmless("\u{9b}31m\u{202e}"), "\\u{9b}31m\\u{202e}");
        assert_eq!(harmless("é\n\t<x/>"), "é\n\t<x/>");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut out = Vec::new();
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        Output::new(&mut out, false, false)
            .table(&[row("é", "x"), row("abc", ""), row("a", "y")])
            .unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "é    x\nabc\na    y\n");
    }

    #[test]
    fn colours_are_only_for_terminals() {
        let show = |color: bool| {
            let mut out = Vec::new();
            let mut output = Output::new(&mut out, false, color);
            output
                .colored(&[("x", Some(Color::Cyan)), ("y", None)])
                .unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(show(false), "xy\n");
        assert_eq!(show(true), "\u{1b}[36mx\u{1b}[0my\n");
    }

    #[test]
    fn spans_and_sizes_are_short() {
        assert_eq!(span(59), "59s");
        assert_eq!(span(302), "5m 2s");
        assert_eq!(span(90_000), "1d 1h");
        assert_eq!(bytes(9_000), "9000 bytes");
        assert_eq!(bytes(25 << 20), "25 MiB");
    }
}
