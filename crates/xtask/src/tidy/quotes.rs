//! Code that a document quotes: under `<!-- from crates/x/src/y.rs -->` stands what that file says.

use super::Found;
use crate::repo::Tree;

/// Every quoted piece of code stands in its file as it is quoted, but for white space.
pub(super) fn outdated(tree: &Tree) -> Vec<Found> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        for quote in quotes(&file.text) {
            let source = tree.files.iter().find(|source| source.path == quote.path);
            let stands = source.is_some_and(|source| {
                condensed(&source.text).contains(condensed(&quote.code).trim_end_matches(','))
            });
            if !stands {
                let message = format!("{} does not say what is quoted", quote.path);
                found.push((file.path.clone(), quote.line, message));
            }
        }
    }
    found
}

struct Quote<'a> {
    path: &'a str,
    /// Where the mark stands, from 1.
    line: usize,
    code: String,
}

fn quotes(text: &str) -> Vec<Quote<'_>> {
    let lines = || text.lines().enumerate();
    lines()
        .filter_map(|(at, line)| {
            let path = line
                .trim()
                .strip_prefix("<!-- from ")?
                .strip_suffix(" -->")?;
            let block = lines().skip(at + 1).map(|(_, line)| line);
            let inside = block.skip_while(|line| !is_fence(line)).skip(1);
            let code: Vec<&str> = inside.take_while(|line| !is_fence(line)).collect();
            Some(Quote {
                path,
                line: at + 1,
                code: code.join("\n"),
            })
        })
        .collect()
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

/// Without white space, and without the commas that rustfmt puts before a closing bracket: where
/// a line breaks is no difference.
fn condensed(code: &str) -> String {
    let dense: String = code.split_whitespace().collect();
    dense
        .replace(",}", "}")
        .replace(",]", "]")
        .replace(",)", ")")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "static A: X = X {\n    on: &[L { a: 1, b: 2 }],\n};\n";

    fn lines(quoted: &str, path: &str) -> Vec<usize> {
        let text = format!("\n<!-- from {path} -->\n```rust\n{quoted}```\n");
        let tree = Tree::of(&[("crates/a/src/ping.rs", CODE), ("GUIDE.md", &text)]);
        outdated(&tree)
            .into_iter()
            .map(|(_, line, _)| line)
            .collect()
    }

    #[test]
    fn a_quote_may_break_its_lines_elsewhere() {
        let quoted = "    on: &[L {\n        a: 1,\n        b: 2,\n    }],\n";
        assert!(lines(quoted, "crates/a/src/ping.rs").is_empty());
    }

    #[test]
    fn a_quote_that_the_file_no_longer_says_is_found() {
        assert_eq!(
            lines("on: &[L { a: 1, b: 3 }]\n", "crates/a/src/ping.rs"),
            [2]
        );
        assert_eq!(lines(CODE, "crates/a/src/gone.rs"), [2]);
    }
}
