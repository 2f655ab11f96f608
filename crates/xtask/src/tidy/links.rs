//! What the documents of the repository point at.

use super::Found;
use crate::repo::Tree;

/// Folders whose paths, between backticks, are meant as places in the repository.
const FOLDERS: [&str; 4] = ["crates/", "docs/", "tests/", "fuzz/"];

/// Every relative link, and every path between backticks, leads to something.
pub(super) fn dead_ends(tree: &Tree) -> Vec<Found> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, line) in prose(&file.text) {
            let links = between(line, "](", ")").filter(|link| is_relative(link));
            let quoted = between(line, "`", "`").filter(|text| is_place(text));
            let links = links.map(|link| resolve(folder, link));
            for place in links.chain(quoted.map(str::to_owned)) {
                if !exists(tree, &place) {
                    found.push((file.path.clone(), number, format!("{place} does not exist")));
                }
            }
        }
    }
    found
}

/// Lines with their numbers, without blocks of code.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        (!code && !fence).then_some((at + 1, line))
    })
}

/// What stands between each pair of marks in a line.
fn between<'a>(line: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(open)?;
        let (inside, after) = after.split_once(close)?;
        rest = after;
        Some(inside)
    })
}

fn is_relative(link: &str) -> bool {
    !link.contains("://") && !link.starts_with('#') && !link.starts_with("mailto:")
}

/// A path that is meant as it stands: one with a placeholder or a pattern in it is not.
fn is_place(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    FOLDERS.iter().any(|folder| text.starts_with(folder)) && text.chars().all(plain)
}

fn resolve(folder: &str, link: &str) -> String {
    let path = link.split('#').next().unwrap_or(link);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// A file, a folder, or the beginning of a decision's name (`docs/decisions/0002`).
fn exists(tree: &Tree, place: &str) -> bool {
    // The licence is not among the kinds of text that the checks read.
    let start = place.trim_end_matches('/');
    place == "LICENSE" || tree.files.iter().any(|file| reaches(&file.path, start))
}

fn reaches(path: &str, start: &str) -> bool {
    let numbered = start.ends_with(|c: char| c.is_ascii_digit());
    path.strip_prefix(start)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let files = [
            ("docs/operations/running.md", text),
            ("docs/config.md", "\n"),
            ("crates/balcony-core/src/walk.rs", "\n"),
            ("docs/decisions/0002-workers.md", "\n"),
        ];
        dead_ends(&Tree::of(&files))
            .into_iter()
            .map(|(_, line, _)| line)
            .collect()
    }

    #[test]
    fn a_link_is_followed_from_where_it_stands() {
        assert!(lines("[a](../config.md) [b](running.md#start) [c](../decisions)\n").is_empty());
        assert_eq!(lines("\n[a](config.md)\n"), [2]);
        assert!(lines("[a](https://xmpp.org) [b](#here)\n").is_empty());
    }

    #[test]
    fn a_path_between_backticks_is_followed_from_the_root() {
        assert!(lines("`crates/balcony-core/src/walk.rs`, `docs/decisions/0002`\n").is_empty());
        assert_eq!(lines("`crates/balcony-core/src/wal`\n"), [1]);
        assert!(lines("`tests/conversations/<document>/`, `balcony.toml`\n").is_empty());
    }

    #[test]
    fn code_is_not_prose() {
        assert!(lines("```\n[a](nowhere.md)\n```\n").is_empty());
    }
}
