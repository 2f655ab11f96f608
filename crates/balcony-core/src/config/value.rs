//! The values of a file, by section and key.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use balcony_proto::jid::Jid;

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being shown.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What was read for one key, by its [`Kind`](super::Kind).
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of `Kind::Bool`.
    Bool(bool),
    /// Of `Kind::Int`.
    Int(i64),
    /// Of `Kind::Duration`.
    Duration(Duration),
    /// Of `Kind::Size`, in bytes.
    Size(u64),
    /// Of `Kind::Str` and `Kind::HostName`.
    Text(String),
    /// Of `Kind::Secret`.
    Secret(Secret),
    /// Of `Kind::Path`, joined to the folder of the file.
    Path(PathBuf),
    /// Of `Kind::Addrs`.
    Addrs(Vec<SocketAddr>),
    /// Of `Kind::Strs` and `Kind::HostNames`.
    Texts(Vec<String>),
    /// Of `Kind::Choice`.
    Choice(&'static str),
    /// Of `Kind::Choices`.
    Choices(Vec<&'static str>),
    /// Of `Kind::Jids`.
    Jids(Vec<Jid>),
}

/// One key of one table: its value, and where the file wrote it.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) value: Option<Value>,
    /// `None` where the default holds.
    pub(crate) written: Option<Range<usize>>,
}

/// One table of the file, every declared key filled in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    /// Where the table begins in the file.
    pub(crate) at: Range<usize>,
    pub(crate) slots: BTreeMap<&'static str, Slot>,
}

impl Table {
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.slots.get(key)?.value.as_ref()
    }

    /// Where the key was written, or else where its table begins.
    pub(crate) fn place(&self, key: &str) -> Range<usize> {
        let written = self.slots.get(key).and_then(|slot| slot.written.clone());
        written.unwrap_or_else(|| self.at.clone())
    }

    pub(crate) fn is_written(&self, key: &str) -> bool {
        self.slots
            .get(key)
            .is_some_and(|slot| slot.written.is_some())
    }
}

/// All tables by section; a section that is no list has exactly one.
pub(crate) type Tables = BTreeMap<&'static str, Vec<Table>>;

/// The values of one table, each asked for by the name and the kind that its key declares.
///
/// Asking for a key that is not declared, or for another kind, is a mistake in the program: it
/// fails in a debug build and answers zero or nothing in a release build.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    table: Option<&'a Table>,
}

impl<'a> Values<'a> {
    pub(crate) fn new(table: Option<&'a Table>) -> Values<'a> {
        Values { table }
    }

    /// The value as it was read; `None` where the key has neither a value nor a default.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        let slot = self.table.and_then(|table| table.slots.get(key));
        debug_assert!(
            slot.is_some(),
            "the configuration key {key} is not declared"
        );
        slot?.value.as_ref()
    }

    fn pick<T>(&self, key: &str, as_kind: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        let value = self.get(key)?;
        let picked = as_kind(value);
        debug_assert!(
            picked.is_some(),
            "the configuration key {key} is of another kind"
        );
        picked
    }

    /// A key of `Kind::Bool`.
    pub fn bool(&self, key: &str) -> bool {
        self.pick(key, |v| {
            if let Value::Bool(b) = v {
                Some(*b)
            } else {
                None
            }
        })
        .unwrap_or(false)
    }

    /// A key of `Kind::Int`, as the type that its bounds fit into; `None` where it is unset.
    pub fn maybe_int<T: TryFrom<i64>>(&self, key: &str) -> Option<T> {
        self.pick(key, |v| {
            if let Value::Int(n) = v {
                T::try_from(*n).ok()
            } else {
                None
            }
        })
    }

    /// A key of `Kind::Int` that has a default.
    pub fn int<T: TryFrom<i64> + Default>(&self, key: &str) -> T {
        self.maybe_int(key).unwrap_or_default()
    }

    /// A key of `Kind::Duration`; `None` where it is unset.
    pub fn maybe_duration(&self, key: &str) -> Option<Duration> {
        self.pick(key, |v| {
            if let Value::Duration(d) = v {
                Some(*d)
            } else {
                None
            }
        })
    }

    /// A key of `Kind::Duration` that has a default.
    pub fn duration(&self, key: &str) -> Duration {
        self.maybe_duration(key).unwrap_or_default()
    }

    /// A key of `Kind::Size` that has a default, in bytes.
    pub fn size(&self, key: &str) -> usize {
        self.pick(key, |v| {
            if let Value::Size(n) = v {
                usize::try_from(*n).ok()
            } else {
                None
            }
        })
        .unwrap_or(0)
    }

    /// A key of `Kind::Str` or `Kind::HostName`; `None` where it is unset.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.pick(key, |v| {
            if let Value::Text(t) = v {
                Some(t.as_str())
            } else {
                None
            }
        })
    }

    /// A key of `Kind::Secret`; `None` where it is unset.
    pub fn secret(&self, key: &str) -> Option<&'a Secret> {
        self.pick(key, |v| {
            if let Value::Secret(s) = v {
                Some(s)
            } else {
                None
            }
        })
    }

    /// A key of `Kind::Path`; `None` where it is unset.
    pub fn path(&self, key: &str) -> Option<&'a Path> {
        self.pick(key, |v| {
            if let Value::Path(p) = v {
                Some(p.as_path())
            } else {
                None
            }
        })
    }

    /// A key of `Kind::Addrs`.
    pub fn addrs(&self, key: &str) -> &'a [SocketAddr] {
        self.pick(key, |v| {
            if let Value::Addrs(a) = v {
                Some(a.as_slice())
            } else {
                None
            }
        })
        .unwrap_or(&[])
    }

    /// A key of `Kind::Strs` or `Kind::HostNames`; `None` where it is unset.
    pub fn maybe_texts(&self, key: &str) -> Option<&'a [String]> {
        self.pick(key, |v| {
            if let Value::Texts(t) = v {
                Some(t.as_slice())
            } else {
                None
            }
        })
    }

    /// A key of `Kind::Strs` or `Kind::HostNames` that has a default.
    pub fn texts(&self, key: &str) -> &'a [String] {
        self.maybe_texts(key).unwrap_or(&[])
    }

    /// A key of `Kind::Choice`; empty where it is unset.
    pub fn choice(&self, key: &str) -> &'static str {
        self.pick(key, |v| {
            if let Value::Choice(c) = v {
                Some(*c)
            } else {
                None
            }
        })
        .unwrap_or("")
    }

    /// A key of `Kind::Choices`; `None` where it is unset.
    pub fn maybe_choices(&self, key: &str) -> Option<&'a [&'static str]> {
        self.pick(key, |v| {
            if let Value::Choices(c) = v {
                Some(c.as_slice())
            } else {
                None
            }
        })
    }

    /// A key of `Kind::Choices` that has a default.
    pub fn choices(&self, key: &str) -> &'a [&'static str] {
        self.maybe_choices(key).unwrap_or(&[])
    }

    /// A key of `Kind::Jids`.
    pub fn jids(&self, key: &str) -> &'a [Jid] {
        self.pick(key, |v| {
            if let Value::Jids(j) = v {
                Some(j.as_slice())
            } else {
                None
            }
        })
        .unwrap_or(&[])
    }
}
