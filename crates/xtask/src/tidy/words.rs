//! Words that must not stand in what is kept.

use super::Found;
use crate::repo::Tree;

/// Promises to come back. Spelled in two halves, so that this file keeps its own rule.
const UNFINISHED: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
];

/// Places that exist on the machine of one author.
const MACHINE_PATHS: [&str; 4] = [
    concat!("/wo", "rk/"),
    concat!("/fa", "rm/"),
    concat!("/tmp/con", "tract"),
    concat!("/ro", "ot/"),
];

pub(super) fn unfinished(tree: &Tree) -> Vec<Found> {
    let mut found = Vec::new();
    for (file, source) in tree.rust() {
        for (at, line) in source.comments.iter().enumerate() {
            if let Some(word) = UNFINISHED.iter().find(|word| line.contains(**word)) {
                found.push((file.path.clone(), at + 1, format!("{word} in a comment")));
            }
        }
    }
    found
}

pub(super) fn ignored_tests(tree: &Tree) -> Vec<Found> {
    let mut found = Vec::new();
    for (file, source) in tree.rust() {
        for (at, line) in source.code.iter().enumerate() {
            if line.trim_start().starts_with("#[ignore") {
                found.push((file.path.clone(), at + 1, "a test is ignored".to_owned()));
            }
        }
    }
    found
}

pub(super) fn machine_paths(tree: &Tree) -> Vec<Found> {
    let mut found = Vec::new();
    for file in &tree.files {
        for (at, line) in file.text.lines().enumerate() {
            if let Some(place) = MACHINE_PATHS.iter().find(|place| line.contains(**place)) {
                found.push((
                    file.path.clone(),
                    at + 1,
                    format!("`{place}` is one machine's"),
                ));
            }
        }
    }
    found
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
    fn a_promise_in_a_comment_is_found_and_a_string_is_not() {
        let [word, ..] = UNFINISHED;
        assert_eq!(
            lines(
                unfinished,
                "crates/a/src/b.rs",
                &format!("\n// {word} later\n")
            ),
            [2]
        );
        assert!(
            lines(
                unfinished,
                "crates/a/src/b.rs",
                &format!("f(\"{word}\");\n")
            )
            .is_empty()
        );
    }

    #[test]
    fn an_ignored_test_is_found() {
        let text = concat!("#[test]\n#[ig", "nore = \"slow\"]\nfn a() {}\n");
        assert_eq!(lines(ignored_tests, "crates/a/tests/b.rs", text), [2]);
    }

    #[test]
    fn a_path_of_one_machine_is_found_in_any_text() {
        let [place, ..] = MACHINE_PATHS;
        assert_eq!(
            lines(machine_paths, "docs/a.md", &format!("see {place}x\n")),
            [1]
        );
        assert!(lines(machine_paths, "docs/a.md", "see /var/lib/balcony\n").is_empty());
    }
}
