//! Keys of the configuration as modules declare them, all of which a reload may change.

use balcony_core::module::{Applies, Fallback, Key, KeyKind};

/// A key with a default, written as in the file.
pub(crate) const fn key(
    name: &'static str,
    kind: KeyKind,
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key::new(name, kind, Fallback::Toml(default), Applies::Reload, doc)
}

/// A key that may be left out; `without` says what holds then.
pub(crate) const fn optional(
    name: &'static str,
    kind: KeyKind,
    without: &'static str,
    doc: &'static str,
) -> Key {
    Key::new(name, kind, Fallback::Unset(without), Applies::Reload, doc)
}

/// A key that must be written wherever its section is.
pub(crate) const fn required(name: &'static str, kind: KeyKind, doc: &'static str) -> Key {
    Key::new(name, kind, Fallback::Required, Applies::Reload, doc)
}
