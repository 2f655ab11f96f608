//! Each folder of conversations that a module names is there and holds some.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use balcony_modules::MODULES;
use balcony_testkit::script;

fn conversations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conversations")
}

/// Whether there is a script in the folder or below it.
fn holds_a_script(folder: &Path) -> bool {
    folder.is_dir() && script::find(folder).is_ok_and(|found| !found.is_empty())
}

#[test]
fn every_folder_of_a_module_holds_a_conversation() {
    let root = conversations();
    let declared = MODULES.iter().flat_map(|module| {
        module
            .conversations
            .iter()
            .map(|folder| (module.name, *folder))
    });
    let empty: Vec<_> = declared
        .filter(|(_, folder)| !holds_a_script(&root.join(folder)))
        .collect();
    assert_eq!(
        empty,
        [],
        "tests/conversations has nothing for these modules"
    );
}

#[test]
fn every_module_names_a_folder() {
    let silent: Vec<&str> = MODULES
        .iter()
        .filter(|module| module.conversations.is_empty())
        .map(|module| module.name)
        .collect();
    assert_eq!(silent, [""; 0], "these modules name no conversations");
}

#[test]
fn no_module_names_a_folder_twice_or_outside() {
    for module in MODULES {
        let folders: BTreeSet<&str> = module.conversations.iter().copied().collect();
        assert_eq!(folders.len(), module.conversations.len(), "{}", module.name);
        let inside = |folder: &&str| !folder.starts_with('/') && !folder.contains("..");
        assert!(folders.iter().all(inside), "{}", module.name);
    }
}

#[test]
fn a_folder_that_is_missing_is_noticed() {
    let root = conversations();
    assert!(!holds_a_script(&root.join("xep-0000")));
    // A file is no folder, and text that is no script counts for nothing.
    assert!(!holds_a_script(&root.join("README.md")));
}
