//! Sizes and names: functions, files, lines, and what a file may be called.

use super::Found;
use crate::repo::Tree;

/// TigerBeetle's limit: what fits on one screen. In the best Rust 1 to 2 % of functions are longer.
const FUNCTION_LINES: usize = 70;

/// Ten screens. Beyond it a file has always had more than one subject, tables of data aside.
const FILE_LINES: usize = 800;

/// The width that rustfmt is set to.
const LINE_CHARACTERS: usize = 100;

/// Names that say nothing about what is inside.
const NAMES: [&str; 8] = [
    "common", "utils", "util", "shared", "types", "helpers", "helper", "misc",
];

pub(super) fn long_functions(tree: &Tree) -> Vec<Found> {
    let mut found = Vec::new();
    for (file, source) in tree.rust() {
        for function in source.functions() {
            if function.lines > FUNCTION_LINES && !source.is_test(function.line) {
                let message = format!("fn {} has {} lines", function.name, function.lines);
                found.push((file.path.clone(), function.line, message));
            }
        }
    }
    found
}

pub(super) fn long_files(tree: &Tree) -> Vec<Found> {
    let counted = tree.rust().map(|(file, source)| (file, source.code.len()));
    counted
        .filter(|(_, lines)| *lines > FILE_LINES)
        .map(|(file, lines)| (file.path.clone(), 0, format!("{lines} lines")))
        .collect()
}

/// A literal in a test may be as long as the stanza it quotes, and a link is not broken.
pub(super) fn long_lines(tree: &Tree) -> Vec<Found> {
    let mut found = Vec::new();
    for (file, source) in tree.rust() {
        for (at, line) in file.text.lines().enumerate() {
            let characters = line.chars().count();
            let literal = source
                .strings
                .get(at)
                .is_some_and(|text| !text.trim().is_empty());
            let excused = line.contains("https://") || (literal && source.is_test(at + 1));
            if characters > LINE_CHARACTERS && !excused {
                found.push((
                    file.path.clone(),
                    at + 1,
                    format!("{characters} characters"),
                ));
            }
        }
    }
    found
}

pub(super) fn trailing_space(tree: &Tree) -> Vec<Found> {
    let mut found = Vec::new();
    for file in &tree.files {
        let mut blame = |line: usize, message: &str| {
            found.push((file.path.clone(), line, message.to_owned()));
        };
        for (at, line) in file.text.split('\n').enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                blame(at + 1, "the line ends in white space");
            }
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            blame(file.text.lines().count(), "the last line has no end");
        }
    }
    found
}

pub(super) fn forbidden_names(tree: &Tree) -> Vec<Found> {
    let mut found = Vec::new();
    for file in &tree.files {
        for part in file.path.split('/') {
            let stem = part.split('.').next().unwrap_or(part);
            let stem = stem.strip_prefix("balcony-").unwrap_or(stem);
            if NAMES.contains(&stem) {
                found.push((file.path.clone(), 0, format!("`{stem}` names no subject")));
            }
        }
    }
    found
}

pub(super) fn first_sentences(tree: &Tree) -> Vec<Found> {
    let mut found = Vec::new();
    for file in &tree.files {
        let root = file.path.ends_with("/src/lib.rs") || file.path.ends_with("/src/main.rs");
        let first = file.text.lines().next().unwrap_or_default();
        let words = first
            .strip_prefix("//! ")
            .unwrap_or_default()
            .split_whitespace()
            .count();
        if root && words < 3 {
            let message = "begins without a `//!` sentence".to_owned();
            found.push((file.path.clone(), 1, message));
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

    const PATH: &str = "crates/a/src/router.rs";

    #[test]
    fn a_function_of_71_lines_is_too_long_and_one_of_70_is_not() {
        let function = |body: usize| format!("\nfn a() {{\n{}}}\n", "    b();\n".repeat(body));
        assert_eq!(lines(long_functions, PATH, &function(69)), [2]);
        assert!(lines(long_functions, PATH, &function(68)).is_empty());
    }

    #[test]
    fn a_long_test_is_allowed() {
        let text = format!(
            "#[cfg(test)]\nmod t {{\nfn a() {{\n{}}}\n}}\n",
            "b();\n".repeat(90)
        );
        assert!(lines(long_functions, PATH, &text).is_empty());
    }

    #[test]
    fn a_file_of_801_lines_is_too_long() {
        assert_eq!(lines(long_files, PATH, &"\n".repeat(801)), [0]);
        assert!(lines(long_files, PATH, &"\n".repeat(800)).is_empty());
    }

    #[test]
    fn lines_are_counted_in_characters() {
        assert_eq!(
            lines(long_lines, PATH, &format!("//{}\n", "x".repeat(99))),
            [1]
        );
        assert!(lines(long_lines, PATH, &format!("//{}\n", "é".repeat(98))).is_empty());
    }

    #[test]
    fn a_long_literal_is_allowed_in_a_test_only() {
        let literal = format!("let a = \"{}\";\n", "x".repeat(100));
        assert_eq!(lines(long_lines, PATH, &literal), [1]);
        assert!(lines(long_lines, "crates/a/tests/x.rs", &literal).is_empty());
    }

    #[test]
    fn space_at_the_end_of_a_line_or_no_line_end_is_found() {
        assert_eq!(lines(trailing_space, "a.md", "one \ntwo\n"), [1]);
        assert_eq!(lines(trailing_space, "a.md", "one\ntwo"), [2]);
    }

    #[test]
    fn files_folders_and_crates_need_a_subject() {
        for path in [
            "crates/a/src/utils.rs",
            "crates/a/src/misc/x.rs",
            "crates/balcony-common/x.rs",
        ] {
            assert_eq!(lines(forbidden_names, path, ""), [0], "{path}");
        }
        assert!(lines(forbidden_names, "crates/a/src/utility_of_types.rs", "").is_empty());
    }

    #[test]
    fn a_crate_begins_with_its_sentence() {
        assert_eq!(
            lines(first_sentences, "crates/a/src/lib.rs", "mod x;\n"),
            [1]
        );
        assert_eq!(
            lines(first_sentences, "crates/a/src/lib.rs", "//! A.\n"),
            [1]
        );
        assert!(
            lines(
                first_sentences,
                "crates/a/src/lib.rs",
                "//! Values and codecs.\n"
            )
            .is_empty()
        );
    }
}
