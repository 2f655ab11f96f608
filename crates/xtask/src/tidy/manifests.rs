//! The arrows between crates, read from their manifests.

use super::Found;
use crate::repo::{File, Tree};

/// For each crate, the crates of ours that it may name. ARCHITECTURE.md draws the same arrows.
const ARROWS: &[(&str, &[&str])] = &[
    ("balcony-proto", &[]),
    ("balcony-stream", &["balcony-proto"]),
    ("balcony-net", &["balcony-proto", "balcony-stream"]),
    ("balcony-store", &["balcony-proto"]),
    ("balcony-cluster", &["balcony-proto"]),
    (
        "balcony-core",
        &[
            "balcony-proto",
            "balcony-stream",
            "balcony-store",
            "balcony-cluster",
        ],
    ),
    (
        "balcony-modules",
        &["balcony-proto", "balcony-store", "balcony-core"],
    ),
    (
        "balcony-federation",
        &[
            "balcony-proto",
            "balcony-stream",
            "balcony-net",
            "balcony-store",
            "balcony-core",
        ],
    ),
    ("balcony-admin-api", &[]),
    (
        "balcony-server",
        &[
            "balcony-proto",
            "balcony-stream",
            "balcony-net",
            "balcony-store",
            "balcony-cluster",
            "balcony-core",
            "balcony-modules",
            "balcony-federation",
            "balcony-admin-api",
        ],
    ),
    ("balcony-ctl", &["balcony-admin-api"]),
    // The core for its configuration: a command has to know where the admin socket is.
    (
        "balcony",
        &[
            "balcony-core",
            "balcony-federation",
            "balcony-server",
            "balcony-ctl",
        ],
    ),
    (
        "balcony-testkit",
        &[
            "balcony-proto",
            "balcony-stream",
            "balcony-net",
            "balcony-store",
            "balcony-cluster",
            "balcony-core",
            "balcony-modules",
            "balcony-federation",
            "balcony-server",
        ],
    ),
    ("balcony-bench", &["balcony-proto", "balcony-stream"]),
    ("xtask", &[]),
];

/// What a crate's tests may name besides: the testkit stands above the server, and a test of
/// anything at or above the server may use it.
const TESTKIT_USERS: [&str; 4] = [
    "balcony-modules",
    "balcony-server",
    "balcony-testkit",
    "balcony",
];

pub(super) fn arrows(tree: &Tree) -> Vec<Found> {
    let mut found = Vec::new();
    for (file, name, manifest) in manifests(tree) {
        let mut blame = |message: String| found.push((file.path.clone(), 0, message));
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            blame(format!(
                "{name} has no place in ARROWS of xtask/src/tidy/manifests.rs"
            ));
            continue;
        };
        let lower = |dependency: &str| allowed.contains(&dependency);
        for dependency in ours(&manifest, "dependencies") {
            if !lower(dependency) {
                blame(format!("{name} must not depend on {dependency}"));
            }
        }
        for dependency in ours(&manifest, "dev-dependencies") {
            let testkit = dependency == "balcony-testkit" && TESTKIT_USERS.contains(&name);
            // The tests of the testkit and of the binary look at every part.
            let above = matches!(name, "balcony" | "balcony-testkit");
            if !(lower(dependency) || testkit || above) {
                blame(format!(
                    "the tests of {name} must not depend on {dependency}"
                ));
            }
        }
    }
    found
}

pub(super) fn lints(tree: &Tree) -> Vec<Found> {
    let mut found = Vec::new();
    for (file, _, manifest) in manifests(tree) {
        let inherits = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        if inherits.and_then(toml::Value::as_bool) != Some(true) {
            let message = "has no `[lints] workspace = true`".to_owned();
            found.push((file.path.clone(), 0, message));
        }
    }
    found
}

/// Manifests of crates, with the crate's name.
fn manifests(tree: &Tree) -> impl Iterator<Item = (&File, &str, toml::Table)> {
    tree.files.iter().filter_map(|file| {
        let name = file.crate_name()?;
        let manifest = file.path == format!("crates/{name}/Cargo.toml");
        Some((
            file,
            name,
            manifest.then(|| file.text.parse().ok()).flatten()?,
        ))
    })
}

fn ours<'a>(manifest: &'a toml::Table, section: &str) -> Vec<&'a str> {
    let table = manifest.get(section).and_then(toml::Value::as_table);
    let names = table
        .into_iter()
        .flat_map(|table| table.keys().map(String::as_str));
    names
        .filter(|name| ARROWS.iter().any(|(known, _)| known == name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(name: &str, text: &str) -> Vec<String> {
        let path = format!("crates/{name}/Cargo.toml");
        arrows(&Tree::of(&[(&path, text)]))
            .into_iter()
            .map(|(_, _, message)| message)
            .collect()
    }

    #[test]
    fn an_arrow_that_goes_up_is_found() {
        let up = "[dependencies]\nbalcony-core.workspace = true\nserde = \"1\"\n";
        assert_eq!(
            messages("balcony-proto", up),
            ["balcony-proto must not depend on balcony-core"]
        );
        assert!(messages("balcony-modules", up).is_empty());
    }

    #[test]
    fn the_tests_of_a_low_crate_may_not_use_the_testkit() {
        let dev = "[dev-dependencies]\nbalcony-testkit.workspace = true\n";
        assert_eq!(messages("balcony-proto", dev).len(), 1);
        assert!(messages("balcony-server", dev).is_empty());
    }

    #[test]
    fn a_crate_that_nobody_placed_is_found() {
        assert_eq!(messages("balcony-new", "[package]\n").len(), 1);
    }

    #[test]
    fn the_arrows_have_no_circle() {
        for (at, (name, lower)) in ARROWS.iter().enumerate() {
            for below in *lower {
                let place = ARROWS.iter().position(|(known, _)| known == below);
                assert!(place.is_some_and(|place| place < at), "{name} → {below}");
            }
        }
    }

    #[test]
    fn a_crate_inherits_the_lints() {
        let check = |text| lints(&Tree::of(&[("crates/balcony-proto/Cargo.toml", text)])).len();
        assert_eq!(check("[package]\n"), 1);
        assert_eq!(check("[lints]\nworkspace = true\n"), 0);
    }
}
