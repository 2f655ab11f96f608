//! `cargo xtask fuzz`: each target of `fuzz/fuzz_targets` for a while, on the nightly compiler.

use std::fs;

use crate::process::{program, show, succeeds};

const TARGETS: &str = "fuzz/fuzz_targets";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long each target runs, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Do not install cargo-fuzz when it is missing.
    #[arg(long)]
    no_install: bool,
    /// Only these targets; all of them when none is named.
    targets: Vec<String>,
}

/// True when no target found anything.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let mut targets = targets()?;
    if let Some(unknown) = options.targets.iter().find(|name| !targets.contains(name)) {
        return Err(format!("{TARGETS}/{unknown}.rs does not exist"));
    }
    targets.retain(|name| options.targets.is_empty() || options.targets.contains(name));
    require_tools(options)?;
    let mut failed = Vec::new();
    let time = format!("-max_total_time={}", options.seconds);
    for name in &targets {
        if !show(program(
            "cargo",
            ["+nightly", "fuzz", "run", name, "--", &time],
        ))? {
            failed.push(name.as_str());
        }
    }
    println!(
        "fuzz: {} targets, {} failed: {}",
        targets.len(),
        failed.len(),
        failed.join(" ")
    );
    Ok(failed.is_empty())
}

fn require_tools(options: &Options) -> Result<(), String> {
    if !succeeds(program("cargo", ["+nightly", "--version"])) {
        return Err(
            "fuzzing needs a nightly compiler: rustup toolchain install nightly".to_owned(),
        );
    }
    if succeeds(program("cargo", ["fuzz", "--version"])) {
        return Ok(());
    }
    let installed =
        !options.no_install && show(program("cargo", ["install", "--locked", "cargo-fuzz"]))?;
    if installed {
        Ok(())
    } else {
        Err("cargo-fuzz is not installed".to_owned())
    }
}

fn targets() -> Result<Vec<String>, String> {
    let trouble = |error: std::io::Error| format!("{TARGETS}: {error}");
    let mut names = Vec::new();
    for entry in fs::read_dir(TARGETS).map_err(trouble)? {
        let path = entry.map_err(trouble)?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(
                path.file_stem()
                    .map(|name| name.to_string_lossy().into_owned()),
            );
        }
    }
    names.sort();
    Ok(names)
}
