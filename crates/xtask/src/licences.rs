//! `cargo xtask licences`: whoever ships the binary must be free to; so everything that is
//! linked into it, or runs while it is built, has a licence that asks for no more than a notice.

use crate::process::program;

/// Licences that ask for a notice at most. Copyleft of any reach is not among them: MPL-2.0 is
/// for what only the tests use.
const ACCEPTED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// True when every crate that is not only for tests has an accepted licence.
pub(crate) fn run() -> Result<bool, String> {
    let words = [
        "tree",
        "--workspace",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
    ];
    let mut command = program("cargo", words);
    command.args(["--format", "{p}|{l}"]);
    let output = command
        .output()
        .map_err(|error| format!("cargo tree: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo tree: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    let refused = refused(&String::from_utf8_lossy(&output.stdout));
    for line in &refused {
        println!("licences: {line}");
    }
    Ok(refused.is_empty())
}

/// Crates, out of lines `name version|licence`, whose licence is not accepted.
fn refused(tree: &str) -> Vec<String> {
    // `(*)` marks a crate that stood further up with all that it needs.
    let lines = tree.lines().map(|line| line.trim_end_matches(" (*)"));
    let bad = lines
        .filter_map(|line| line.split_once('|'))
        .filter(|(_, licence)| !accepted(licence));
    let mut refused: Vec<String> = bad
        .map(|(package, licence)| {
            let words: Vec<&str> = package.split_whitespace().take(2).collect();
            format!("{} is under {licence:?}", words.join(" "))
        })
        .collect();
    refused.sort();
    refused.dedup();
    refused
}

/// Whether an SPDX expression can be met with accepted licences alone.
fn accepted(expression: &str) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let result = any(&mut rest);
    result && rest.is_empty()
}

fn any(words: &mut &[&str]) -> bool {
    let mut result = all(words);
    while take(words, "OR") {
        let next = all(words);
        result = result || next;
    }
    result
}

fn all(words: &mut &[&str]) -> bool {
    let mut result = one(words);
    while take(words, "AND") {
        let next = one(words);
        result = result && next;
    }
    result
}

fn one(words: &mut &[&str]) -> bool {
    if take(words, "(") {
        let result = any(words);
        return take(words, ")") && result;
    }
    let Some((name, rest)) = words.split_first() else {
        return false;
    };
    *words = rest;
    if take(words, "WITH") {
        // An exception only gives more freedom.
        *words = words.get(1..).unwrap_or_default();
    }
    ACCEPTED.contains(name)
}

fn take(words: &mut &[&str], word: &str) -> bool {
    match words.split_first() {
        Some((first, rest)) if *first == word => {
            *words = rest;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_needs_one_accepted_licence_and_a_sum_needs_all() {
        assert!(accepted("MIT OR GPL-3.0"));
        assert!(accepted("MIT/Apache-2.0"));
        assert!(!accepted("MIT AND MPL-2.0"));
        assert!(accepted("(MIT OR GPL-2.0) AND Unicode-3.0"));
        assert!(accepted("Apache-2.0 WITH LLVM-exception OR GPL-2.0"));
        assert!(!accepted("MPL-2.0"));
        assert!(!accepted(""));
    }

    #[test]
    fn a_refused_crate_is_named_once() {
        let tree = "a v1.0.0|MIT\nb v2.0.0|MPL-2.0\nb v2.0.0|MPL-2.0 (*)\n";
        assert_eq!(
            refused(tree).first().map(String::as_str),
            Some("b v2.0.0 is under \"MPL-2.0\"")
        );
    }
}
