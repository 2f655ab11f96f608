//! Every script below `tests/conversations`, as a test of its own: against a server in memory, in
//! virtual time.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use balcony_testkit::{run, script};
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conversations");
    let found = folder
        .canonicalize()
        .and_then(|folder| Ok((script::find(&folder)?, folder)));
    let (scripts, folder) = match found {
        Ok(found) if !found.0.is_empty() => found,
        // An empty list would pass.
        _ => {
            eprintln!("no conversations in {}", folder.display());
            return ExitCode::FAILURE;
        }
    };
    let trial = |path: PathBuf| {
        let name = path.strip_prefix(&folder).unwrap_or(&path);
        let name = name.display().to_string();
        let name = name.trim_end_matches(".txt").to_owned();
        Trial::test(name, move || run::file_in_memory(&path).map_err(Into::into))
    };
    let trials = scripts.into_iter().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
