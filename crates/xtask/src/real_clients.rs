//! The tests with programs that this project did not write: each `tests/real-clients/*.py` and
//! `tests/federation/*.py` (clients and servers) runs against the built server.
//!
//! A script finds the server's program in `BALCONY_BIN` and an empty folder of its own in its
//! first argument. It ends with 0 when it passed; with 77 when it could not run, its last line
//! being the reason; with anything else when it failed. Lines that begin with `ok` or `not ok`
//! count as tests of their own. A name that begins with `_` is a part, and no script.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use crate::process::{program, within};
use crate::repo;
use crate::report::Report;

const FOLDERS: [&str; 2] = ["tests/real-clients", "tests/federation"];

/// Exit code of a script that could not run, as automake's test driver has it.
const SKIPPED: i32 = 77;

/// A conversation takes seconds; this is for a machine that is busy with something else.
const LIMIT: Duration = Duration::from_secs(240);

/// What became of one script.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Passed(usize),
    /// Tests that passed, and tests that failed.
    Failed(usize, usize),
    Skipped(String),
}

/// With `must`, a script that skips itself counts as failed.
pub(crate) fn run(
    report: &mut Report,
    python: Option<PathBuf>,
    server: Option<PathBuf>,
    must: bool,
) {
    for script in all_scripts(report) {
        let name = script.display().to_string();
        let verdict = match (&python, &server) {
            (_, None) => Ok(Verdict::Skipped("the server did not build".to_owned())),
            (None, _) => Ok(Verdict::Skipped("python3 is not installed".to_owned())),
            (Some(python), Some(server)) => run_script(&script, python, server),
        };
        match verdict {
            Ok(verdict) => tell(report, &name, verdict, must),
            Err(error) => report.fail(format!("{name}: {error}")),
        }
    }
}

/// A folder without any is a failure: nothing to run is not the same as nothing wrong.
fn all_scripts(report: &mut Report) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for folder in FOLDERS {
        match scripts(Path::new(folder)) {
            Ok(found) if found.is_empty() => report.fail(format!("{folder}: no script")),
            Ok(found) => all.extend(found),
            Err(error) => report.fail(format!("{folder}: {error}")),
        }
    }
    all
}

fn scripts(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut scripts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let part = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('_'));
        if path.extension().is_some_and(|extension| extension == "py") && !part {
            scripts.push(path);
        }
    }
    scripts.sort();
    Ok(scripts)
}

fn run_script(script: &Path, python: &Path, server: &Path) -> Result<Verdict, String> {
    // Below the scratch folder as it is below `tests`.
    let below = script.strip_prefix("tests").unwrap_or(script);
    let folder = repo::scratch().join(below.with_extension(""));
    let trouble = |error: io::Error| format!("{}: {error}", folder.display());
    // What an earlier run left behind must not help or hinder this one.
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(trouble)?;
    }
    fs::create_dir_all(&folder).map_err(trouble)?;
    let log = folder.with_extension("log");
    let arguments = [script.to_string_lossy(), folder.to_string_lossy()];
    let mut command = program(
        &python.to_string_lossy(),
        arguments.iter().map(AsRef::as_ref),
    );
    command
        .env("BALCONY_BIN", server)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    println!("xtask: {}", script.display());
    let code = within(command, LIMIT, &log)?;
    let output = fs::read_to_string(&log).unwrap_or_default();
    print!("{output}");
    Ok(verdict(code, &output))
}

/// `None` for the code of a script that was stopped at its limit.
fn verdict(code: Option<i32>, output: &str) -> Verdict {
    let count = |start: &str| {
        output
            .lines()
            .filter(|line| line.starts_with(start))
            .count()
    };
    let (passed, failed) = (count("ok "), count("not ok "));
    match code {
        Some(SKIPPED) => {
            let last = output.lines().rev().find(|line| !line.trim().is_empty());
            Verdict::Skipped(last.unwrap_or("it gave no reason").trim().to_owned())
        }
        Some(0) if failed == 0 => Verdict::Passed(passed.max(1)),
        _ => Verdict::Failed(passed, failed.max(1)),
    }
}

fn tell(report: &mut Report, name: &str, verdict: Verdict, must: bool) {
    match verdict {
        Verdict::Passed(tests) => (0..tests).for_each(|_| report.pass()),
        Verdict::Failed(passed, failed) => {
            (0..passed).for_each(|_| report.pass());
            (0..failed).for_each(|_| report.fail(name));
        }
        Verdict::Skipped(reason) if must => {
            report.fail(format!(
                "{name}: skipped, which CI does not allow: {reason}"
            ));
        }
        Verdict::Skipped(reason) => report.skip(name, reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_judged_by_its_exit_code() {
        assert_eq!(verdict(Some(0), "hello\n"), Verdict::Passed(1));
        assert_eq!(verdict(Some(1), "hello\n"), Verdict::Failed(0, 1));
        assert_eq!(verdict(None, "still here\n"), Verdict::Failed(0, 1));
    }

    #[test]
    fn the_tests_that_a_script_reports_are_counted() {
        assert_eq!(
            verdict(Some(0), "ok 1 login\nok 2 chat\n"),
            Verdict::Passed(2)
        );
        assert_eq!(
            verdict(Some(1), "ok 1 login\nnot ok 2 chat\n"),
            Verdict::Failed(1, 1)
        );
        assert_eq!(verdict(Some(0), "not ok 1 chat\n"), Verdict::Failed(0, 1));
    }

    #[test]
    fn a_skipped_script_tells_its_reason_and_fails_where_it_must_run() {
        let skipped = verdict(Some(77), "looking\nprofanity is not installed\n\n");
        assert_eq!(
            skipped,
            Verdict::Skipped("profanity is not installed".into())
        );
        let mut report = Report::default();
        tell(&mut report, "profanity.py", skipped, true);
        assert!(!report.print());
    }
}
