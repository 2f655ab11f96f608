//! `cargo xtask test`: sets up what is missing, then checks and tests everything.

use std::process::Command;
use std::{env, path::PathBuf};

use crate::bench::instructions::{self, Verdict};
use crate::process::{program, show, show_and_keep, succeeds};
use crate::report::{Counts, Report};
use crate::{generate, licences, real_clients, repo, setup, tidy};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Install nothing: use what is there.
    #[arg(long)]
    no_setup: bool,
}

pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let python = if options.no_setup {
        setup::python()
    } else {
        setup::run()
    };
    let mut report = Report::default();
    style(&mut report);
    let built = build(&mut report);
    tests(&mut report)?;
    instructions(&mut report);
    real_clients::run(&mut report, python, built, in_ci());
    Ok(report.print())
}

/// Checks that read the code without running it.
fn style(report: &mut Report) {
    cargo_tool(report, "fmt", &["--all", "--check"]);
    let clippy = [
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ];
    cargo_tool(report, "clippy", &clippy);
    report.check("tidy", tidy::run(&tidy::Options::default()));
    report.check("licences", licences::run());
    report.check("generated files", generate::fresh());
}

fn cargo_tool(report: &mut Report, tool: &str, arguments: &[&str]) {
    let name = format!("cargo {tool}");
    if !succeeds(program("cargo", [tool, "--version"])) {
        report.skip(name, "it is not installed with this toolchain");
        return;
    }
    report.check(
        &name,
        show(program(
            "cargo",
            [tool].into_iter().chain(arguments.iter().copied()),
        )),
    );
}

/// The server that the real clients talk to; `None` when it does not build.
fn build(report: &mut Report) -> Option<PathBuf> {
    let result = show(program("cargo", ["build", "--package", "balcony"]));
    let built = result == Ok(true);
    report.check("cargo build", result);
    built.then(|| repo::target().join("debug/balcony"))
}

fn tests(report: &mut Report) -> Result<(), String> {
    let nextest = succeeds(program("cargo", ["nextest", "--version"]));
    if nextest {
        let all = [
            "nextest",
            "run",
            "--workspace",
            "--no-fail-fast",
            "--color",
            "never",
        ];
        counted(report, "tests", program("cargo", all))?;
    } else {
        let all = ["test", "--workspace", "--all-targets", "--no-fail-fast"];
        counted(report, "tests", program("cargo", all))?;
    }
    // Neither of the two runs the examples in the documentation.
    counted(
        report,
        "doc tests",
        program("cargo", ["test", "--workspace", "--doc", "--no-fail-fast"]),
    )
}

/// The hot paths may not cost much more than they did.
fn instructions(report: &mut Report) {
    const NAME: &str = "instruction counts";
    match instructions::check() {
        Ok(Verdict::Skipped(reason)) => report.skip(NAME, reason),
        Ok(verdict) => report.check(NAME, Ok(verdict == Verdict::Held)),
        Err(error) => report.check(NAME, Err(error)),
    }
}

fn counted(report: &mut Report, what: &str, command: Command) -> Result<(), String> {
    let ended = show_and_keep(command)?;
    report.add(what, &Counts::read(&ended.output), ended.succeeded());
    Ok(())
}

/// Build services set `CI` to something; a person may set it to nothing, or to `false`.
fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}
