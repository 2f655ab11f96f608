//! `cargo xtask deviations`: every place that departs from a spec or bends for a client, as the
//! code itself says it.

use crate::repo::Tree;

/// The two marks, and what each means.
const MARKS: [(&str, &str); 2] = [
    ("DEVIATION:", "Departs from a spec"),
    ("COMPAT(", "Here for the sake of a client"),
];

pub(crate) fn run() -> Result<bool, String> {
    let tree = Tree::read()?;
    for (mark, title) in MARKS {
        println!("{title}:");
        let found = list(&tree, mark);
        for line in &found {
            println!("  {line}");
        }
        if found.is_empty() {
            println!("  nothing");
        }
    }
    Ok(true)
}

/// `path:line: text`, the text being the comment from the mark to its last line.
fn list(tree: &Tree, mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (file, source) in tree.rust() {
        for (at, line) in source.comments.iter().enumerate() {
            if comment(line).is_some_and(|text| text.starts_with(mark)) {
                let rest = source
                    .comments
                    .iter()
                    .skip(at)
                    .map_while(|line| comment(line));
                let text: Vec<&str> = rest.collect();
                found.push(format!("{}:{}: {}", file.path, at + 1, text.join(" ")));
            }
        }
    }
    found
}

/// What a comment line says, without its slashes. `None` for a line that is no comment.
fn comment(line: &str) -> Option<&str> {
    let text = line.trim().strip_prefix("//")?;
    Some(text.trim_start_matches(['/', '!']).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deviation_is_listed_with_all_its_lines() {
        let text = "fn a() {\n    // DEVIATION: RFC 6120 says so;\n    // we do not, because.\n    b();\n}\n";
        let tree = Tree::of(&[("crates/a/src/b.rs", text)]);
        let expected = "crates/a/src/b.rs:2: DEVIATION: RFC 6120 says so; we do not, because.";
        assert_eq!(list(&tree, "DEVIATION:"), [expected]);
        assert!(list(&tree, "COMPAT(").is_empty());
    }
}
