//! The sentences that crates defend and that a manifest cannot: what a crate's text may name.

use super::Found;
use super::source::Source;
use crate::repo::{File, Tree};

/// Folders and files in which reading the machine's clock is the job: the clock itself, and the
/// programs around the server. Everything else is handed the time.
const CLOCKS: [&str; 4] = [
    "crates/balcony-core/src/clock.rs",
    "crates/balcony-server/",
    "crates/balcony-bench/",
    "crates/xtask/",
];

/// Statements, as they begin in a string literal.
const SQL: [&str; 8] = [
    "SELECT ",
    "INSERT INTO ",
    "INSERT OR ",
    "UPDATE OR ",
    "DELETE FROM ",
    "CREATE TABLE ",
    "CREATE INDEX ",
    "PRAGMA ",
];

/// What would make a crate of values and machines wait, or look at the world.
const IO: [&str; 8] = [
    "tokio::",
    "TcpStream",
    "UdpSocket",
    "std::fs",
    "std::thread",
    "std::process",
    "async fn",
    "std::io::stdin",
];

/// Comments, and the help of a configuration key, may cite one.
pub(super) fn core_names_no_xep(tree: &Tree) -> Vec<Found> {
    let core = in_crate(tree, "balcony-core");
    let found = find(
        core,
        |source| &source.code,
        &["proto::xep", "xep::", "xep_", "XEP"],
    );
    found
        .into_iter()
        .map(|fault| explain(fault, "in the core"))
        .collect()
}

pub(super) fn module_door(tree: &Tree) -> Vec<Found> {
    let mut found = Vec::new();
    for (file, source) in in_crate(tree, "balcony-modules") {
        for (number, line) in source.shipped(&source.code) {
            let mut uses = line.match_indices("balcony_core::");
            if uses.any(|(at, name)| !opens_module(line.get(at + name.len()..))) {
                let message = "names the core by another way than core::module".to_owned();
                found.push((file.path.clone(), number, message));
            }
        }
    }
    found
}

fn opens_module(rest: Option<&str>) -> bool {
    let word = rest.unwrap_or_default();
    word.strip_prefix("module")
        .is_some_and(|after| !after.starts_with(char::is_alphanumeric))
}

pub(super) fn sql(tree: &Tree) -> Vec<Found> {
    let outside = |file: &File| !matches!(file.crate_name(), Some("balcony-store" | "xtask"));
    let strings = tree.rust().filter(|(file, _)| outside(file));
    let statements = find(strings, |source| &source.strings, &SQL);
    let code = tree.rust().filter(|(file, _)| outside(file));
    let libraries = find(code, |source| &source.code, &["rusqlite"]);
    let all = statements.into_iter().chain(libraries);
    all.map(|found| explain(found, "outside balcony-store"))
        .collect()
}

pub(super) fn sans_io(tree: &Tree) -> Vec<Found> {
    let mut found = Vec::new();
    for name in ["balcony-proto", "balcony-stream"] {
        let faults = find(in_crate(tree, name), |source| &source.code, &IO);
        found.extend(
            faults
                .into_iter()
                .map(|fault| explain(fault, &format!("in {name}"))),
        );
    }
    found
}

pub(super) fn clock(tree: &Tree) -> Vec<Found> {
    let others = tree
        .rust()
        .filter(|(file, _)| !CLOCKS.iter().any(|place| file.path.starts_with(place)));
    let words = ["Instant::now", "SystemTime::now"];
    let found = find(others, |source| &source.code, &words);
    found
        .into_iter()
        .map(|fault| explain(fault, "outside the clock"))
        .collect()
}

fn in_crate<'a>(
    tree: &'a Tree,
    name: &'a str,
) -> impl Iterator<Item = (&'a File, &'a Source)> + 'a {
    tree.rust()
        .filter(move |(file, _)| file.crate_name() == Some(name))
}

/// Each line of a layer, test code aside, on which one of the words stands.
fn find<'a>(
    files: impl Iterator<Item = (&'a File, &'a Source)>,
    layer: fn(&Source) -> &Vec<String>,
    words: &[&str],
) -> Vec<Found> {
    let mut found = Vec::new();
    for (file, source) in files {
        for (number, line) in source.shipped(layer(source)) {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                found.push((file.path.clone(), number, format!("`{}`", word.trim())));
            }
        }
    }
    found
}

fn explain((path, line, word): Found, place: &str) -> Found {
    (path, line, format!("{word} {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(check: fn(&Tree) -> Vec<Found>, path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)]))
            .into_iter()
            .map(|(_, line, _)| line)
            .collect()
    }

    #[test]
    fn the_core_may_cite_a_xep_but_not_name_one() {
        let path = "crates/balcony-core/src/router.rs";
        assert!(lines(core_names_no_xep, path, "// XEP-0198 §4\nfn a() {}\n").is_empty());
        assert_eq!(
            lines(core_names_no_xep, path, "fn a() { xep_0198() }\n"),
            [1]
        );
        assert_eq!(
            lines(core_names_no_xep, path, "\nuse balcony_proto::xep::mam;\n"),
            [2]
        );
    }

    #[test]
    fn modules_enter_the_core_by_its_door() {
        let path = "crates/balcony-modules/src/ping.rs";
        assert!(lines(module_door, path, "use balcony_core::module::{Flow};\n").is_empty());
        assert!(lines(module_door, path, "use balcony_core::module;\n").is_empty());
        assert_eq!(
            lines(module_door, path, "use balcony_core::router::Router;\n"),
            [1]
        );
        assert_eq!(
            lines(module_door, path, "use balcony_core::modules::X;\n"),
            [1]
        );
    }

    #[test]
    fn sql_stays_in_the_store() {
        let text = "fn a() { run(\"SELECT jid FROM roster\") }\n";
        assert_eq!(
            lines(sql, "crates/balcony-modules/src/roster.rs", text),
            [1]
        );
        assert!(lines(sql, "crates/balcony-store/src/sqlite/roster.rs", text).is_empty());
        assert!(lines(sql, "crates/balcony-core/src/a.rs", "// SELECT is a word\n").is_empty());
        assert_eq!(
            lines(sql, "crates/balcony-core/src/a.rs", "use rusqlite::Row;\n"),
            [1]
        );
    }

    #[test]
    fn values_and_machines_do_no_io() {
        let text = "use std::net::TcpStream;\n";
        assert_eq!(lines(sans_io, "crates/balcony-stream/src/a.rs", text), [1]);
        assert!(lines(sans_io, "crates/balcony-net/src/a.rs", text).is_empty());
    }

    #[test]
    fn time_comes_from_the_clock() {
        let text = "fn a() { let now = Instant::now(); }\n";
        assert_eq!(lines(clock, "crates/balcony-core/src/router.rs", text), [1]);
        assert!(lines(clock, "crates/balcony-core/src/clock.rs", text).is_empty());
        let in_test = "#[cfg(test)]\nmod t {\nfn a() { Instant::now(); }\n}\n";
        assert!(lines(clock, "crates/balcony-core/src/router.rs", in_test).is_empty());
    }
}
