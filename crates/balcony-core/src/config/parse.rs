//! From the text of a file to values: everything that is wrong is collected, and a key whose
//! value is wrong has its default, so that one slip is told once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::host::DEFAULT_NAME;
use super::problem::{Problem, Source, nearest};
use super::schema::{Fallback, Key, Schema};
use super::value::{Slot, Table, Tables, Value};

/// What was read.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) tables: Tables,
    pub(crate) problems: Vec<Problem>,
    /// Whether the text is TOML, so that what spans several keys can be judged.
    pub(crate) sound: bool,
}

/// Reads a text against the schema. `base` is the folder where relative paths begin.
pub(crate) fn parse(source: &Source<'_>, schema: &Schema, base: &Path) -> Parsed {
    let (root, errors) = DeTable::parse_recoverable(source.text());
    let mut walk = Walk {
        source,
        schema,
        base,
        problems: Vec::new(),
    };
    let tables = walk.root(root.get_ref());
    let mut problems = walk.problems;
    let sound = errors.is_empty();
    if !sound {
        problems = with_syntax_errors(source, problems, &errors);
    }
    Parsed {
        tables,
        problems,
        sound,
    }
}

/// Errors after which the parser goes on with what the author meant. Behind any other, brackets
/// and tables may be misread, and what the walk found there would only confuse.
const HARMLESS: [&str; 3] = [
    "duplicate key",
    "string values must be quoted",
    "invalid basic string",
];

/// The first syntax error of each line, and of the walk's findings those that can be trusted.
fn with_syntax_errors(source: &Source<'_>, found: Vec<Problem>, errors: &[Error]) -> Vec<Problem> {
    let mut by_line: BTreeMap<usize, Problem> = BTreeMap::new();
    let mut trusted_before = usize::MAX;
    for error in errors {
        let at = error.span().unwrap_or(0..0);
        let line = source.line(at.start);
        if !HARMLESS
            .iter()
            .any(|harmless| error.message().starts_with(harmless))
        {
            trusted_before = trusted_before.min(line);
        }
        let problem = source.problem(&at, String::new(), format!("not TOML: {}", error.message()));
        let kept = by_line.entry(line).or_insert_with(|| problem.clone());
        if problem.column < kept.column {
            *kept = problem;
        }
    }
    let trusted =
        |problem: &Problem| problem.line < trusted_before && !by_line.contains_key(&problem.line);
    let mut problems: Vec<Problem> = found.into_iter().filter(trusted).collect();
    problems.extend(by_line.into_values());
    problems
}

struct Walk<'a> {
    source: &'a Source<'a>,
    schema: &'a Schema,
    base: &'a Path,
    problems: Vec<Problem>,
}

type Entry<'a, 'i> = (
    &'a Spanned<std::borrow::Cow<'i, str>>,
    &'a Spanned<DeValue<'i>>,
);

impl Walk<'_> {
    fn root(&mut self, root: &DeTable<'_>) -> Tables {
        let names = self.schema.names();
        let mut tables = Tables::new();
        let is_section = |name: &str| names.iter().any(|n| !n.is_empty() && *n == name);
        let top = root.iter().filter(|(name, _)| !is_section(name.get_ref()));
        tables.insert("", vec![self.table("", 0..0, top)]);
        for name in names.iter().copied().filter(|name| !name.is_empty()) {
            let entry = root.iter().find(|(key, _)| key.get_ref() == name);
            let read = match (entry, self.schema.is_list(name)) {
                (Some((_, value)), true) => self.list(name, value),
                (Some((_, value)), false) => vec![self.single(name, value)],
                (None, true) => Vec::new(),
                (None, false) => vec![self.table(name, 0..0, std::iter::empty())],
            };
            tables.insert(name, read);
        }
        if let Some(hosts) = tables.get_mut("host")
            && hosts.is_empty()
        {
            hosts.push(self.default_host());
        }
        tables
    }

    /// What is served when the file names no host.
    fn default_host(&self) -> Table {
        let slot = |key: &Key| {
            let value = default(key, self.base);
            (
                key.name,
                Slot {
                    value,
                    written: None,
                },
            )
        };
        let mut slots: BTreeMap<_, _> = self.schema.keys("host").map(slot).collect();
        let name = Some(Value::Text(DEFAULT_NAME.to_owned()));
        slots.insert(
            "name",
            Slot {
                value: name,
                written: None,
            },
        );
        Table { at: 0..0, slots }
    }

    /// A section that is written `[name]`.
    fn single(&mut self, name: &'static str, value: &Spanned<DeValue<'_>>) -> Table {
        if let Some(table) = value.get_ref().as_table() {
            return self.table(name, value.span(), table.iter());
        }
        let what = if value.get_ref().is_array() {
            "stands only once"
        } else {
            "is a section"
        };
        self.report(
            &value.span(),
            name,
            what.to_owned(),
            Some(format!("write it as [{name}]")),
        );
        self.table(name, value.span(), std::iter::empty())
    }

    /// A section that is written `[[name]]`.
    fn list(&mut self, name: &'static str, value: &Spanned<DeValue<'_>>) -> Vec<Table> {
        let hint = Some(format!("write it as [[{name}]]"));
        if let Some(table) = value.get_ref().as_table() {
            self.report(
                &value.span(),
                name,
                "may stand several times".to_owned(),
                hint,
            );
            return vec![self.table(name, value.span(), table.iter())];
        }
        let Some(items) = value.get_ref().as_array() else {
            self.report(&value.span(), name, "is a section".to_owned(), hint);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_table() {
                Some(table) => tables.push(self.table(name, item.span(), table.iter())),
                None => {
                    self.report(&item.span(), name, "is a section".to_owned(), hint.clone());
                }
            }
        }
        tables
    }

    /// Reads the written keys of a table, and fills in those that are not.
    fn table<'a, 'i: 'a>(
        &mut self,
        section: &'static str,
        at: Range<usize>,
        entries: impl Iterator<Item = Entry<'a, 'i>>,
    ) -> Table {
        let mut table = Table {
            at,
            slots: BTreeMap::new(),
        };
        for (name, value) in entries {
            match self
                .schema
                .keys(section)
                .find(|key| key.name == name.get_ref())
            {
                Some(key) => {
                    let slot = self.slot(section, key, name, value);
                    table.slots.insert(key.name, slot);
                }
                None => self.unknown(section, name, value.get_ref().is_table()),
            }
        }
        let schema = self.schema;
        for key in schema.keys(section) {
            if !table.slots.contains_key(key.name) {
                let value = self.fallback(section, key, &table.at);
                table.slots.insert(
                    key.name,
                    Slot {
                        value,
                        written: None,
                    },
                );
            }
        }
        table
    }

    fn slot(
        &mut self,
        section: &str,
        key: &'static Key,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Slot {
        let written = Some(name.span());
        match key.kind.read(value, self.base) {
            Ok(value) => Slot {
                value: Some(value),
                written,
            },
            Err(faults) => {
                for fault in faults {
                    self.report(&fault.at, &path(section, key.name), fault.what, fault.hint);
                }
                Slot {
                    value: default(key, self.base),
                    written,
                }
            }
        }
    }

    fn fallback(&mut self, section: &str, key: &Key, table: &Range<usize>) -> Option<Value> {
        match key.default {
            Fallback::Required => {
                self.report(
                    table,
                    &path(section, key.name),
                    "must be written".to_owned(),
                    None,
                );
                None
            }
            Fallback::Toml(_) => {
                let value = default(key, self.base);
                debug_assert!(
                    value.is_some(),
                    "the default of {section}.{} is wrong",
                    key.name
                );
                value
            }
            Fallback::Unset(_) => None,
        }
    }

    fn unknown(&mut self, section: &str, name: &Spanned<std::borrow::Cow<'_, str>>, table: bool) {
        let written: &str = name.get_ref();
        let mut known: Vec<&str> = self.schema.keys(section).map(|key| key.name).collect();
        if section.is_empty() {
            known.extend(self.schema.names().iter().filter(|name| !name.is_empty()));
        }
        let hint = match nearest(written, known) {
            Some(near) if self.is_section(section, near) => {
                Some(format!("did you mean {}?", self.bracketed(near)))
            }
            Some(near) => Some(format!("did you mean \"{near}\"?")),
            None => self.elsewhere(written),
        };
        let what = if table {
            "unknown section"
        } else {
            "unknown key"
        };
        self.report(&name.span(), &path(section, written), what.to_owned(), hint);
    }

    fn is_section(&self, within: &str, name: &str) -> bool {
        within.is_empty() && self.schema.keys("").all(|key| key.name != name)
    }

    /// Where a key stands that is known, but not here.
    fn elsewhere(&self, key: &str) -> Option<String> {
        let sections = self.schema.sections_with(key);
        if sections.is_empty() {
            return None;
        }
        let places: Vec<String> = sections
            .into_iter()
            .map(|name| self.bracketed(name))
            .collect();
        Some(format!("it belongs to {}", places.join(" or ")))
    }

    fn bracketed(&self, section: &str) -> String {
        match section {
            "" => "the top of the file".to_owned(),
            name if self.schema.is_list(name) => format!("[[{name}]]"),
            name => format!("[{name}]"),
        }
    }

    fn report(&mut self, at: &Range<usize>, key: &str, what: String, hint: Option<String>) {
        self.problems.push(
            self.source
                .problem(at, key.to_owned(), what)
                .with_hint(hint),
        );
    }
}

/// The name of a key as problems and the reference give it.
pub(crate) fn path(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}

/// The default of a key, read as if it stood in the file.
pub(crate) fn default(key: &Key, base: &Path) -> Option<Value> {
    let Fallback::Toml(text) = key.default else {
        return None;
    };
    let value = DeValue::parse(text).ok()?;
    key.kind.read(&value, base).ok()
}
