//! Each row of the table in `docs/archiving.md` links to the conversation that shows it.

// A failed unwrap in a helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Where the conversations of the table are, as seen from `docs`.
const FOLDER: &str = "../tests/conversations/xep-0313/worth/";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// What the table says of a kind of message.
#[derive(Debug)]
struct Row {
    message: String,
    link: String,
    archived: bool,
    waits: bool,
}

impl Row {
    /// `| [message](link) | yes or no | yes or no | why |`
    fn parse(line: &str) -> Option<Row> {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (message, link) = cells.get(1)?.strip_prefix('[')?.split_once("](")?;
        let yes = |cell: &str| match cell {
            "yes" => true,
            "no" => false,
            other => panic!("{message}: {other} is neither yes nor no"),
        };
        Some(Row {
            message: message.to_owned(),
            link: link.strip_suffix(')')?.to_owned(),
            archived: yes(cells[2]),
            waits: yes(cells[3]),
        })
    }

    /// What the second line of its conversation says.
    fn sentence(&self) -> String {
        let archived = if self.archived {
            "archived"
        } else {
            "not archived"
        };
        let waits = if self.waits { "waits" } else { "does not wait" };
        format!(
            "{} is {archived} and {waits} for who is away.",
            self.message
        )
    }
}

fn rows() -> Vec<Row> {
    let text = read_to_string(docs().join("archiving.md")).unwrap();
    text.lines().filter_map(Row::parse).collect()
}

#[test]
fn every_row_of_the_table_has_its_conversation_which_says_the_same() {
    for row in rows() {
        assert!(row.link.starts_with(FOLDER), "{}", row.link);
        let script = read_to_string(docs().join(&row.link)).unwrap();
        assert_eq!(script.lines().nth(1), Some(row.sentence().as_str()));
        // What the script plays is what it says.
        assert_eq!(script.contains("<result "), row.archived, "{}", row.link);
        let nobody = script.contains("Juliet receives nothing");
        assert_eq!(nobody, !row.waits, "{}", row.link);
    }
}

#[test]
fn no_conversation_of_the_table_is_left_out_of_it() {
    let folder = docs().join(FOLDER);
    let mut linked: Vec<PathBuf> = rows().iter().map(|row| docs().join(&row.link)).collect();
    let mut there = balcony_testkit::script::find(&folder).unwrap();
    linked.sort();
    there.sort();
    assert!(!there.is_empty());
    assert_eq!(linked, there);
}
