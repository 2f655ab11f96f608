//! The tables in `docs/rooms.md` and `docs/pubsub.md`: each use case of XEP-0045 and XEP-0060 has a
//! conversation, and each conversation about them is in its table.

// A failed unwrap in a helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

/// A document with a table of use cases.
struct Table {
    file: &'static str,
    use_cases: &'static [&'static str],
    /// Those that are shown by others, or are none of the server's.
    without: &'static [&'static str],
    folders: &'static [&'static str],
}

/// XEP-0045 1.35.5, §6 to §11.
const ROOMS: Table = Table {
    file: "rooms.md",
    use_cases: &[
        "6.1", "6.2", "6.3", "6.4", "6.5", "6.6", "6.7", "7.1", "7.2.1", "7.2.2", "7.2.3", "7.2.4",
        "7.2.5", "7.2.6", "7.2.7", "7.2.8", "7.2.9", "7.2.10", "7.2.11", "7.2.12", "7.2.13",
        "7.2.14", "7.2.15", "7.2.16", "7.2.17", "7.2.18", "7.3", "7.4", "7.5", "7.6", "7.7",
        "7.8.1", "7.8.2", "7.9", "7.10", "7.11", "7.12", "7.13", "7.14", "8.1", "8.2", "8.3",
        "8.4", "8.5", "8.6", "9.1", "9.2", "9.3", "9.4", "9.5", "9.6", "9.7", "9.8", "9.9",
        "10.1.1", "10.1.2", "10.1.3", "10.2", "10.2.1", "10.3", "10.4", "10.5", "10.6", "10.7",
        "10.8", "10.9", "11.1", "11.2",
    ],
    without: &["6.7", "7.2.17"],
    folders: &["xep-0045"],
};

/// XEP-0060 1.30.0, §5 to §9.
const NODES: Table = Table {
    file: "pubsub.md",
    use_cases: &[
        "5.1", "5.2", "5.3", "5.4", "5.5", "5.6", "5.7", "6.1", "6.1.3", "6.1.4", "6.1.5", "6.1.6",
        "6.1.7", "6.2", "6.3", "6.4", "6.5", "6.5.9", "7.1", "7.1.3", "7.1.4", "7.1.5", "7.2",
        "8.1", "8.2", "8.3", "8.4", "8.5", "8.6", "8.7", "8.8", "8.9", "9.1", "9.2",
    ],
    without: &["6.1.5"],
    folders: &["xep-0060", "xep-0163"],
};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// What a line links to, as seen from `docs`.
fn links(line: &str) -> Vec<String> {
    let parts = line.split("](").skip(1);
    let links = parts.filter_map(|part| part.split_once(')'));
    links.map(|(link, _)| link.to_owned()).collect()
}

impl Table {
    fn each_use_case_has_a_conversation(&self) {
        let text = read_to_string(docs().join(self.file)).unwrap();
        for number in self.use_cases {
            let start = format!("| §{number} |");
            let row = text.lines().find(|line| line.starts_with(&start));
            let row = row.unwrap_or_else(|| panic!("§{number} is not in the table"));
            let none = links(row).is_empty();
            assert_eq!(none, self.without.contains(number), "§{number}");
        }
    }

    fn each_conversation_is_there(&self) {
        let text = read_to_string(docs().join(self.file)).unwrap();
        let linked: BTreeSet<String> = text.lines().flat_map(links).collect();
        for link in &linked {
            assert!(docs().join(link).is_file(), "{link} is not there");
        }
        for folder in self.folders {
            let folder = format!("../tests/conversations/{folder}");
            for entry in read_dir(docs().join(&folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let link = format!("{folder}/{name}");
                assert!(linked.contains(&link), "{name} is not in {}", self.file);
            }
        }
    }
}

#[test]
fn each_use_case_of_rooms_has_a_conversation() {
    ROOMS.each_use_case_has_a_conversation();
}

#[test]
fn each_conversation_about_rooms_is_in_the_table() {
    ROOMS.each_conversation_is_there();
}

#[test]
fn each_use_case_of_nodes_has_a_conversation() {
    NODES.each_use_case_has_a_conversation();
}

#[test]
fn each_conversation_about_nodes_is_in_the_table() {
    NODES.each_conversation_is_there();
}
