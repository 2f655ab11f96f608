//! What a configuration key is: the tables that parsing, defaults, cross checks, the written
//! reference and the diff of a reload are all made from.

/// One table of the file: `[name]`, or `[[name]]` where it is a list.
///
/// Sections of the same name are one to the reader of the file, so a module may add keys to a
/// section of the core (`[limits]`, `[[host]]`) by declaring a section of that name.
#[derive(Debug)]
pub struct Section {
    /// The name between the brackets; empty for the keys at the top of the file.
    pub name: &'static str,
    /// One or two sentences for the reference. Empty where another section of that name has them.
    pub doc: &'static str,
    /// Whether it is written `[[name]]` and may stand several times.
    pub list: bool,
    /// Its keys, in the order of the reference.
    pub keys: &'static [Key],
}

/// One key of a section.
#[derive(Debug)]
pub struct Key {
    /// As written in the file.
    pub name: &'static str,
    /// What may be written.
    pub kind: Kind,
    /// What holds when it is not written.
    pub default: Fallback,
    /// When a changed value takes effect.
    pub applies: Applies,
    /// What it does, what an empty value means, and why the default is what it is.
    pub doc: &'static str,
}

impl Key {
    /// A key, in the order in which the reference shows it.
    pub const fn new(
        name: &'static str,
        kind: Kind,
        default: Fallback,
        applies: Applies,
        doc: &'static str,
    ) -> Key {
        Key {
            name,
            kind,
            default,
            applies,
            doc,
        }
    }
}

/// What may be written for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number, both ends included.
    Int {
        /// The least that is accepted.
        min: i64,
        /// The most that is accepted.
        max: i64,
    },
    /// A time span such as `"30s"`; the ends are included, in seconds.
    Duration {
        /// The shortest that is accepted, in seconds.
        min: u64,
        /// The longest that is accepted, in seconds.
        max: u64,
    },
    /// A number of bytes such as `"256KiB"`, or a plain number; both ends included.
    Size {
        /// The least that is accepted, in bytes.
        min: u64,
        /// The most that is accepted, in bytes.
        max: u64,
    },
    /// Any text but an empty one.
    Str,
    /// A text that is neither shown nor logged.
    Secret,
    /// A path; a relative one begins at the folder of the file.
    Path,
    /// A list of socket addresses; empty means off.
    Addrs,
    /// A list of texts.
    Strs,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of some of these words, none twice.
    Choices(&'static [&'static str]),
    /// A domainpart (RFC 7622 §3.2), kept in its prepared form.
    HostName,
    /// A list of domainparts, none twice.
    HostNames,
    /// A list of domains; `*.` in front stands for all domains below, `*` for all.
    Domains,
    /// A list of bare JIDs of accounts, none twice.
    Jids,
}

/// What holds for a key that is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This value, written as in the file (`"\"30s\""`, `"true"`, `"[]"`).
    Toml(&'static str),
    /// No value; the text says what the server does then (`"<data_dir>/certs"`).
    Unset(&'static str),
    /// It has to be written.
    Required,
}

/// When a changed value takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// With `balcony reload`; what has begun (a stream being negotiated, a bound session) keeps
    /// the value that it began with.
    Reload,
    /// With the next start.
    Restart,
}

/// The sections of the core and those of the modules as one schema.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    sections: Vec<&'static Section>,
}

impl Schema {
    pub(crate) fn new(core: &[&'static Section], modules: &[&'static Section]) -> Schema {
        Schema {
            sections: core.iter().chain(modules).copied().collect(),
        }
    }

    /// The names of all sections, each once, in the order of declaration; the top is `""`.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for section in &self.sections {
            if !names.contains(&section.name) {
                names.push(section.name);
            }
        }
        names
    }

    /// All parts of one section.
    pub(crate) fn parts<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = &'static Section> + 'a {
        self.sections
            .iter()
            .copied()
            .filter(move |section| section.name == name)
    }

    /// All keys of one section.
    pub(crate) fn keys<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'static Key> + 'a {
        self.parts(name).flat_map(|section| section.keys)
    }

    /// Whether the section is written `[[name]]`. The first declaration decides.
    pub(crate) fn is_list(&self, name: &str) -> bool {
        self.parts(name).next().is_some_and(|section| section.list)
    }

    /// The sections that have a key of this name.
    pub(crate) fn sections_with(&self, key: &str) -> Vec<&'static str> {
        self.names()
            .into_iter()
            .filter(|name| self.keys(name).any(|k| k.name == key))
            .collect()
    }
}
