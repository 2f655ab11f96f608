//! The repository as a tree of text files, read once and handed to the checks.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::tidy::source::Source;

/// Folders that hold nothing which people wrote.
const SKIPPED: [&str; 7] = [
    "target",
    "node_modules",
    "balcony-data",
    "dist",
    "corpus",
    "artifacts",
    "__pycache__",
];

/// Dotted folders that belong to the project; every other one is somebody's tool.
const DOTTED: [&str; 3] = [".ci", ".cargo", ".config"];

/// Kinds of text file that the checks read.
const TEXT: [&str; 11] = [
    "rs", "toml", "md", "txt", "py", "sh", "xml", "service", "sql", "exp", "yml",
];

/// One file: its path from the root with `/` between parts, and what it says.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
    /// Present for Rust files.
    pub(crate) rust: Option<Source>,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let rust = path.ends_with(".rs").then(|| Source::new(path, text));
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            rust,
        }
    }

    /// The crate that the file belongs to: `balcony-core` for `crates/balcony-core/src/lib.rs`.
    pub(crate) fn crate_name(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }
}

/// Every text file of the repository, sorted by path.
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// Reads the tree below the current folder.
    pub(crate) fn read() -> Result<Self, String> {
        let mut paths = Vec::new();
        walk(Path::new("."), &mut paths)?;
        let mut files = Vec::new();
        for path in paths {
            // A file that is not UTF-8 is not text: the checks have nothing to say about it.
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let name = path.to_string_lossy().replace('\\', "/");
            files.push(File::new(name.strip_prefix("./").unwrap_or(&name), &text));
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files }.with_test_modules_marked())
    }

    /// A tree made of (path, text) pairs, for the tests of the checks.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(path, text)| File::new(path, text))
            .collect();
        Self { files }.with_test_modules_marked()
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = (&File, &Source)> {
        self.files
            .iter()
            .filter_map(|file| Some((file, file.rust.as_ref()?)))
    }

    /// A file that its parent declares under `#[cfg(test)]` is test code from its first line on.
    fn with_test_modules_marked(mut self) -> Self {
        let declared: Vec<String> = self
            .rust()
            .flat_map(|(file, source)| {
                let folder = module_folder(&file.path);
                source
                    .test_modules()
                    .map(move |name| format!("{folder}/{name}"))
            })
            .collect();
        for file in &mut self.files {
            let path = file.path.as_str();
            let is_test = declared.iter().any(|module| {
                path.strip_prefix(module.as_str())
                    .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            });
            if let Some(source) = file.rust.as_mut().filter(|_| is_test) {
                source.mark_all_as_test();
            }
        }
        self
    }
}

/// Where the children of a module file live: `a/b.rs` and `a/b/mod.rs` both answer `a/b`.
fn module_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", name.trim_end_matches(".rs")),
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let entry = entry.map_err(|error| format!("{}: {error}", folder.display()))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = entry.path();
        let kind = entry
            .file_type()
            .map_err(|error| format!("{}: {error}", path.display()))?;
        if kind.is_dir() {
            let ours = !name.starts_with('.') || DOTTED.contains(&name.as_ref());
            if ours && !SKIPPED.contains(&name.as_ref()) {
                walk(&path, found)?;
            }
        } else if kind.is_file() && is_text(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn is_text(path: &Path) -> bool {
    match path.extension() {
        Some(extension) => TEXT.iter().any(|known| extension == *known),
        // `.ci/run` has no extension.
        None => path.ends_with(".ci/run"),
    }
}

/// Makes the root of the repository the current folder, wherever the chore was started.
pub(crate) fn enter_root() -> Result<(), String> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = manifest
        .ancestors()
        .nth(2)
        .ok_or("xtask is not in crates/xtask")?;
    env::set_current_dir(root).map_err(|error| format!("{}: {error}", root.display()))
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    let folder = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    std::path::absolute(&folder).unwrap_or_else(|_| PathBuf::from(folder))
}

/// The chores' own corner of the target folder.
pub(crate) fn scratch() -> PathBuf {
    target().join("xtask")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_declared_under_cfg_test_is_test_code() {
        let tree = Tree::of(&[
            (
                "crates/a/src/lib.rs",
                "//! A.\n#[cfg(test)]\nmod probes;\nmod work;\n",
            ),
            ("crates/a/src/probes.rs", "fn x() {}\n"),
            ("crates/a/src/work.rs", "fn x() {}\n"),
        ]);
        let tests: Vec<bool> = tree.rust().map(|(_, source)| source.is_test(1)).collect();
        assert_eq!(tests, [false, true, false]);
    }

    #[test]
    fn the_crate_is_read_from_the_path() {
        let file = File::new("crates/balcony-core/src/lib.rs", "");
        assert_eq!(file.crate_name(), Some("balcony-core"));
        assert_eq!(File::new("README.md", "").crate_name(), None);
    }
}
