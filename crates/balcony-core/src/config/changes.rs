//! What a reload changes, and what has to wait for a restart.

use super::parse::path;
use super::schema::{Applies, Schema};
use super::value::{Table, Tables};

/// A key whose value differs between two configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `section.key`. In a section that is a list: `host`, when any of its tables differs.
    pub key: String,
    /// Whether the new value takes effect only with the next start.
    pub needs_restart: bool,
}

pub(super) fn changes(schema: &Schema, old: &Tables, new: &Tables) -> Vec<Change> {
    let tables = |side: &'_ Tables, name: &str| side.get(name).cloned().unwrap_or_default();
    let mut changes = Vec::new();
    for section in schema.names() {
        let (old, new) = (tables(old, section), tables(new, section));
        if schema.is_list(section) {
            changes.extend(list_change(schema, section, &old, &new));
            continue;
        }
        for key in schema.keys(section) {
            let value = |side: &[Table]| side.first().and_then(|t| t.value(key.name)).cloned();
            if value(&old) != value(&new) {
                let needs_restart = key.applies == Applies::Restart;
                changes.push(Change {
                    key: path(section, key.name),
                    needs_restart,
                });
            }
        }
    }
    changes
}

/// A list changes as a whole: its tables have no names that are the same on both sides.
fn list_change(schema: &Schema, section: &str, old: &[Table], new: &[Table]) -> Option<Change> {
    let mut changed = false;
    let mut needs_restart = false;
    for key in schema.keys(section) {
        let values = |side: &[Table]| -> Vec<_> {
            side.iter()
                .map(|table| table.value(key.name).cloned())
                .collect()
        };
        if values(old) != values(new) {
            changed = true;
            needs_restart |= key.applies == Applies::Restart;
        }
    }
    changed.then(|| Change {
        key: section.to_owned(),
        needs_restart,
    })
}
