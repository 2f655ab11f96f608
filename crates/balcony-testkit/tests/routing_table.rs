//! Each cell of `docs/routing.md` links to the conversation that shows it.

// A failed unwrap in a helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

/// RFC 6121 §8.5.4, Table 1: the rows of an account that does not exist, one without resources,
/// and three kinds of accounts with resources; four types of message, and errors.
const ROWS: usize = 2 + 2 + 3 * 3;
const TYPES: usize = 4 + 1;

#[test]
fn every_cell_of_the_table_has_its_conversation() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let text = std::fs::read_to_string(docs.join("routing.md")).unwrap();
    let mut links: Vec<&str> = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link)
        .filter(|link| link.contains("rfc6121/messages/"))
        .collect();
    assert_eq!(links.len(), ROWS * TYPES);
    for link in &links {
        assert!(docs.join(link).is_file(), "{link} is not there");
    }
    links.sort_unstable();
    links.dedup();
    assert_eq!(links.len(), ROWS * TYPES, "two cells share a conversation");
}

#[test]
fn no_conversation_of_the_table_is_left_out_of_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("docs/routing.md")).unwrap();
    let folder = root.join("tests/conversations/rfc6121/messages");
    for path in balcony_testkit::script::find(&folder).unwrap() {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        assert!(text.contains(&name), "docs/routing.md does not name {name}");
    }
}
