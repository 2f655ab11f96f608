//! What the tests need besides Rust and a C compiler, installed where that is allowed. Nothing
//! here is an error: a test that then still misses something says so and is skipped.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::process::{program, show, succeeds};
use crate::repo;

/// Programs that the real-client tests use, and the Debian package of each.
const PROGRAMS: [(&str, &str); 4] = [
    ("profanity", "profanity"),
    ("tmux", "tmux"),
    ("expect", "expect"),
    ("python3", "python3"),
];

/// Python packages of the real-client tests, with their versions.
const REQUIREMENTS: &str = "tests/real-clients/requirements.txt";

/// Written into the virtual environment when it holds what `REQUIREMENTS` names.
const STAMP: &str = "requirements.installed";

/// Installs what is missing; the answer is the Python that the real-client tests run in.
pub(crate) fn run() -> Option<PathBuf> {
    rust_components();
    debian_packages();
    match virtual_environment() {
        Ok(python) => Some(python),
        Err(reason) => {
            println!("xtask: no virtual environment for Python: {reason}");
            python()
        }
    }
}

/// The Python to use without setting anything up.
pub(crate) fn python() -> Option<PathBuf> {
    let ours = venv().join("bin/python");
    if ours.exists() {
        return Some(ours);
    }
    on_path("python3")
}

fn venv() -> PathBuf {
    repo::scratch().join("venv")
}

/// A minimal toolchain comes without rustfmt and clippy; rustup can add them.
fn rust_components() {
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let missing = !succeeds(program("cargo", [tool, "--version"]));
        if missing && on_path("rustup").is_some() {
            attempt(show(program("rustup", ["component", "add", component])));
        }
    }
}

fn debian_packages() {
    let missing = PROGRAMS.iter().filter(|(name, _)| on_path(name).is_none());
    let mut packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    // Debian's Python comes without the part that fills a virtual environment.
    if !succeeds(program("python3", ["-c", "import venv, ensurepip"])) {
        packages.push("python3-venv");
    }
    if packages.is_empty() {
        return;
    }
    if !(is_root() && on_path("apt-get").is_some()) {
        println!(
            "xtask: not installed, and not root on Debian: {}",
            packages.join(" ")
        );
        return;
    }
    // A fresh machine has no package lists yet; one in use rarely needs new ones.
    if !install(&packages) {
        attempt(show(apt(&["update"])));
        install(&packages);
    }
}

fn install(packages: &[&str]) -> bool {
    let words = ["install", "--yes", "--no-install-recommends"];
    let arguments: Vec<&str> = words.iter().chain(packages).copied().collect();
    show(apt(&arguments)).unwrap_or(false)
}

fn apt(arguments: &[&str]) -> std::process::Command {
    // Two minutes for another package manager to finish.
    let mut command = program("apt-get", ["-q", "-o", "DPkg::Lock::Timeout=120"]);
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn virtual_environment() -> Result<PathBuf, String> {
    let wanted =
        fs::read_to_string(REQUIREMENTS).map_err(|error| format!("{REQUIREMENTS}: {error}"))?;
    let folder = venv();
    let python = folder.join("bin/python");
    let stamp = folder.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && python.exists() {
        return Ok(python);
    }
    if !show(program(
        "python3",
        ["-m", "venv", &folder.to_string_lossy()],
    ))? {
        return Err("python3 -m venv failed".to_owned());
    }
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
        REQUIREMENTS,
    ];
    if !show(program(&python.to_string_lossy(), pip))? {
        return Err(format!("pip could not install {REQUIREMENTS}"));
    }
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python)
}

/// Where a program is found, as a shell would find it.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    // The owner of our own process folder is the user that we run as.
    fs::metadata(Path::new("/proc/self")).is_ok_and(|folder| folder.uid() == 0)
}

fn attempt(result: Result<bool, String>) {
    if let Err(error) = result {
        println!("xtask: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_as_a_shell_finds_it() {
        assert!(on_path("sh").is_some());
        assert!(on_path("romeo-and-juliet").is_none());
    }
}
