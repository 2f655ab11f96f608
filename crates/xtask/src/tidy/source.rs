//! A Rust file taken apart into code, comments and strings, so that a check reads only what it
//! means to. There is no parser: counting braces and finding words is enough for the rules.

use super::layers::Layers;

/// The layers of one file. Each has as many lines as the file, blank where another layer speaks.
pub(crate) struct Source {
    /// Code without comments and without the contents of strings.
    pub(crate) code: Vec<String>,
    pub(crate) comments: Vec<String>,
    /// Contents of string and character literals.
    pub(crate) strings: Vec<String>,
    /// For each line, whether it is test code.
    tests: Vec<bool>,
}

/// A function found in the code: its name, its first line (from 1) and how many lines it spans.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let layers = Layers::of(text);
        let lines = |layer: String| layer.lines().map(str::to_owned).collect::<Vec<_>>();
        let mut source = Self {
            code: lines(layers.code),
            comments: lines(layers.comments),
            strings: lines(layers.strings),
            tests: Vec::new(),
        };
        source.tests = source.find_tests(is_test_path(path));
        source
    }

    /// Whether a line, counted from 1, is test code.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.tests
            .get(line.wrapping_sub(1))
            .copied()
            .unwrap_or(false)
    }

    pub(crate) fn mark_all_as_test(&mut self) {
        self.tests.fill(true);
    }

    /// Lines of a layer that are not test code, with their numbers from 1.
    pub(crate) fn shipped<'a>(
        &'a self,
        layer: &'a [String],
    ) -> impl Iterator<Item = (usize, &'a str)> {
        let numbered = layer
            .iter()
            .enumerate()
            .map(|(at, line)| (at + 1, line.as_str()));
        numbered.filter(|(number, _)| !self.is_test(*number))
    }

    /// Names of the modules that are declared as `#[cfg(test)] mod name;`.
    pub(crate) fn test_modules(&self) -> impl Iterator<Item = &str> {
        let after_marks = self
            .code
            .iter()
            .enumerate()
            .filter(|(_, line)| is_test_mark(line));
        after_marks.filter_map(|(at, _)| {
            let declaration = self.code.get(at + 1)?.trim().strip_suffix(';')?;
            declaration
                .strip_prefix("pub(crate) ")
                .unwrap_or(declaration)
                .strip_prefix("mod ")
        })
    }

    /// Every function with a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let named = self.code.iter().enumerate();
        named
            .filter_map(|(at, line)| {
                let name = function_name(line)?;
                let end = self.block_end(at)?;
                Some(Function {
                    name,
                    line: at + 1,
                    lines: end - at + 1,
                })
            })
            .collect()
    }

    fn find_tests(&self, whole_file: bool) -> Vec<bool> {
        let mut tests = vec![whole_file; self.code.len()];
        for (at, line) in self.code.iter().enumerate() {
            if !is_test_mark(line) {
                continue;
            }
            let end = self.block_end(at).unwrap_or(at + 1);
            for mark in tests.iter_mut().take(end + 1).skip(at) {
                *mark = true;
            }
        }
        tests
    }

    /// The line, from 0, on which the block that opens at or after `start` ends.
    /// `None` when a `;` ends the item before any block opens.
    fn block_end(&self, start: usize) -> Option<usize> {
        let mut braces = 0_usize;
        let mut brackets = 0_usize;
        for (at, line) in self.code.iter().enumerate().skip(start) {
            for character in line.chars() {
                match character {
                    '{' => braces += 1,
                    '}' => {
                        braces = braces.saturating_sub(1);
                        if braces == 0 {
                            return Some(at);
                        }
                    }
                    '(' | '[' => brackets += 1,
                    ')' | ']' => brackets = brackets.saturating_sub(1),
                    ';' if braces == 0 && brackets == 0 => return None,
                    _ => {}
                }
            }
        }
        None
    }
}

fn is_test_mark(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test")
}

/// Folders and files that hold tests only.
fn is_test_path(path: &str) -> bool {
    let mut parts = path.split('/');
    let name = parts.next_back().unwrap_or_default();
    parts.any(|part| matches!(part, "tests" | "benches" | "fuzz" | "examples"))
        || name == "tests.rs"
        || name.ends_with("_tests.rs")
}

/// The name after `fn`, when the line declares a function.
fn function_name(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    loop {
        let word = words.next()?;
        match word {
            "fn" => break,
            "pub" | "async" | "const" | "unsafe" | "extern" | "default" | "in" => {}
            _ if word.starts_with("pub(") || word.starts_with('"') => {}
            _ => return None,
        }
    }
    let name = words.next()?;
    let end = name.find(['(', '<']).unwrap_or(name.len());
    name.get(..end).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("crates/a/src/lib.rs", text)
    }

    #[test]
    fn functions_are_measured_from_signature_to_closing_brace() {
        let source = source(
            "pub(crate) async fn one(a: [u8; 2]) {\n  if x {\n  }\n}\ntrait T {\n fn two(&self);\n}\n",
        );
        let one = Function {
            name: "one".into(),
            line: 1,
            lines: 4,
        };
        assert_eq!(source.functions(), [one]);
    }

    #[test]
    fn a_test_module_is_test_code_and_what_follows_is_not() {
        let source = source("fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\nfn c() {}\n");
        let tests: Vec<bool> = (1..=6).map(|line| source.is_test(line)).collect();
        assert_eq!(tests, [false, true, true, true, true, false]);
    }

    #[test]
    fn files_in_test_folders_are_test_code() {
        assert!(Source::new("crates/a/tests/x.rs", "fn a() {}\n").is_test(1));
        assert!(Source::new("crates/a/src/tests.rs", "fn a() {}\n").is_test(1));
        assert!(!Source::new("crates/a/src/test.rs", "fn a() {}\n").is_test(1));
    }
}
