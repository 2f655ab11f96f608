//! What was measured so far, written down as it comes, so that an interrupted comparison keeps it.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::machine::Machine;
use super::rows::{Case, Row};
use super::runs::Run;
use super::site::Trouble;
use super::table::{self, Outcome, Verdict};

/// One try of one case.
pub(super) struct Try<'a> {
    pub(super) row: &'a Row,
    pub(super) case: &'a Case,
    pub(super) round: u32,
    pub(super) result: Result<Run, Trouble>,
    /// With starting and stopping the server.
    pub(super) took: Duration,
    /// The one of its turn that the table is made of.
    pub(super) counts: bool,
}

/// All runs, and where they are written.
pub(super) struct Book {
    rows: Vec<Row>,
    outcomes: Vec<Outcome>,
    /// Above the table.
    head: String,
    /// Who was left out, and why.
    notes: Vec<String>,
    json: Option<(PathBuf, File)>,
    markdown: Option<PathBuf>,
}

impl Book {
    /// Adds to the one file, and writes the other anew.
    ///
    /// # Errors
    /// They cannot be written.
    pub(super) fn open(
        rows: &[Row],
        machine: &Machine,
        command: &str,
        json: Option<&Path>,
        markdown: Option<&Path>,
    ) -> Result<Book, String> {
        let file = json.map(|path| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
            Ok::<_, String>((path.to_path_buf(), file))
        });
        let head = format!("{}, by `{command}`.\n", machine.sentence());
        let mut book = Book {
            rows: rows.to_vec(),
            outcomes: Vec::new(),
            head,
            notes: Vec::new(),
            json: file.transpose()?,
            markdown: markdown.map(Path::to_path_buf),
        };
        book.line(&json!({"comparison": command, "machine": machine.json()}))?;
        book.publish()?;
        Ok(book)
    }

    /// Something that whoever reads the table has to know. It is told at once, too.
    ///
    /// # Errors
    /// The files cannot be written.
    pub(super) fn note(&mut self, text: String) -> Result<(), String> {
        println!("xtask: {text}");
        self.line(&json!({"note": text}))?;
        self.notes.push(text);
        self.publish()
    }

    /// # Errors
    /// The files cannot be written.
    pub(super) fn add(&mut self, tried: Try<'_>) -> Result<(), String> {
        let Try {
            row,
            case,
            round,
            result,
            took,
            counts,
        } = tried;
        let disturbed = result.as_ref().is_ok_and(Run::is_disturbed);
        let (reports, why) = match &result {
            Ok(run) => (Some(&run.reports), None),
            Err(trouble) => (None, Some(&trouble.why)),
        };
        self.line(&json!({
            "row": row.name,
            "kind": case.kind.name(),
            "variant": case.variant,
            "round": round,
            "words": case.words,
            "counts": counts,
            "disturbed": disturbed,
            "took_s": took.as_secs(),
            "failed": why,
            "reports": reports,
        }))?;
        if counts {
            self.outcomes.push(Outcome {
                row: row.name,
                kind: case.kind,
                variant: case.variant,
                disturbed,
                result: result.map(|run| run.values),
            });
            self.publish()?;
        }
        Ok(())
    }

    /// The end: the verdicts into the file of results; true when all is well.
    ///
    /// # Errors
    /// The files cannot be written.
    pub(super) fn close(mut self) -> Result<bool, String> {
        let verdicts = table::verdicts(&self.rows, &self.outcomes);
        for (what, verdict) in &verdicts {
            self.line(&json!({"verdict": what, "is": format!("{verdict:?}")}))?;
        }
        if self.markdown.is_none() {
            println!("\n{}", self.text());
        }
        let missed = verdicts
            .iter()
            .any(|(_, verdict)| *verdict == Verdict::Missed);
        Ok(!missed && !self.failed())
    }

    /// Whether a run of Balcony or of the relay has no result. What a peer cannot do is told in
    /// the table.
    fn failed(&self) -> bool {
        let mut ours = self
            .outcomes
            .iter()
            .filter(|outcome| !outcome.kind.is_peer());
        ours.any(|outcome| outcome.result.is_err())
    }

    fn text(&self) -> String {
        let mut text = self.head.clone();
        for note in &self.notes {
            text.push_str(&format!("\n* {note}"));
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        text.push_str(
            "\nMedians, with the range in brackets where there is more than one run. A time of a \
             disturbed run counts only\nwhere there is no other, and then its verdict is void.\n\n",
        );
        text.push_str(&table::markdown(&self.rows, &self.outcomes));
        text.push_str("\nWhat `balcony-bench` was told, beside where the server is:\n\n");
        text + &table::settings(&self.rows)
    }

    fn publish(&self) -> Result<(), String> {
        let Some(path) = &self.markdown else {
            return Ok(());
        };
        fs::write(path, self.text()).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn line(&mut self, value: &Value) -> Result<(), String> {
        let Some((path, file)) = &mut self.json else {
            return Ok(());
        };
        writeln!(file, "{value}").map_err(|error| format!("{}: {error}", path.display()))
    }
}
