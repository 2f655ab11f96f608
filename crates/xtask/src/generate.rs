//! `cargo xtask generate`: files that are written by the program itself, from what its modules
//! declare, so that they cannot say anything else than the code does.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::process::{program, show};
use crate::repo;

/// What the server's own command writes: `balcony dev generate --out FOLDER`.
const COMMAND: [&str; 7] = [
    "run",
    "--quiet",
    "--package",
    "balcony",
    "--",
    "dev",
    "generate",
];

/// Each generated file, and what it is made from.
const FILES: [(&str, &str); 4] = [
    ("XEPS.md", "the specs that modules declare"),
    ("doap.xml", "the specs that modules declare"),
    ("docs/config.md", "the schema of the configuration"),
    (
        "docs/pipeline.txt",
        "the hooks that modules declare, in the order they run",
    ),
];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail when a file is not what would be written.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(options: &Options) -> Result<bool, String> {
    if options.check {
        return fresh();
    }
    let folder = generate()?;
    for (path, source) in FILES {
        if stale(&folder, path)? {
            let text = read(&folder.join(path))?;
            if let Some(parent) = Path::new(path).parent() {
                fs::create_dir_all(parent).map_err(|error| trouble(parent, &error))?;
            }
            fs::write(path, text).map_err(|error| trouble(Path::new(path), &error))?;
            println!("xtask: wrote {path} from {source}");
        }
    }
    Ok(true)
}

/// True when every generated file is what would be written now.
pub(crate) fn fresh() -> Result<bool, String> {
    let folder = generate()?;
    let mut all = true;
    for (path, source) in FILES {
        if stale(&folder, path)? {
            println!("{path}: no longer agrees with {source}; run `cargo xtask generate`");
            all = false;
        }
    }
    Ok(all)
}

/// Writes all of them into a folder of ours.
fn generate() -> Result<PathBuf, String> {
    let folder = repo::scratch().join("generated");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| trouble(&folder, &error))?;
    }
    fs::create_dir_all(&folder).map_err(|error| trouble(&folder, &error))?;
    let out = folder.to_string_lossy();
    let arguments = COMMAND.into_iter().chain(["--out", &out]);
    if show(program("cargo", arguments))? {
        Ok(folder)
    } else {
        Err("`balcony dev generate` failed".to_owned())
    }
}

fn stale(folder: &Path, path: &str) -> Result<bool, String> {
    let new = read(&folder.join(path))?;
    Ok(fs::read_to_string(path).ok() != Some(new))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| trouble(path, &error))
}

fn trouble(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
