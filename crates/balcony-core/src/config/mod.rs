//! The configuration: one TOML file, strict, checked as a whole.
//!
//! Every key is declared in a table ([`Section`], [`Key`]), by the core here and by modules beside
//! their code. Reading, defaults, the complaint about a key that does not exist, the reference in
//! `docs/config.md` and what a reload may change are all made from these tables.
//!
//! [`Config::load`] tells everything that is wrong at once, each with its line and column.

mod changes;
mod check;
mod components;
mod federation;
mod host;
mod kind;
mod limits;
mod listen;
mod parse;
mod problem;
mod reference;
mod schema;
mod services;
pub mod units;
mod value;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use changes::Change;
pub use components::{Component, Delegation, Privilege, Seen};
pub use federation::{Federation, Pattern, RemotePolicy, Require};
pub use host::{Auth, HostConfig, Registration};
pub use limits::{Limits, Rate, Timeouts};
pub use listen::{Listen, Log, LogFormat, Tls};
pub use problem::Problem;
pub use reference::reference;
pub use schema::{Applies, Fallback, Key, Kind, Section};
pub use services::{Archive, ArchiveDefault, Offline, Push, Service};
pub use value::{Secret, Value, Values};

use parse::Parsed;
use problem::Source;
use schema::Schema;
use value::{Table, Tables};

/// The sections of the core, in the order of the reference.
static CORE: [&Section; 16] = [
    &listen::TOP,
    &listen::LISTEN,
    &listen::TLS,
    &host::HOST,
    &host::AUTH,
    &limits::LIMITS,
    &services::OFFLINE,
    &listen::LOG,
    &services::ARCHIVE,
    &services::MUC,
    &services::PUBSUB,
    &federation::FEDERATION,
    &federation::REMOTE,
    &components::COMPONENT,
    &components::PRIVILEGE,
    &components::DELEGATION,
];
/// After the others, so that the reference ends with what is furthest from a first start.
static LAST: [&Section; 1] = [&services::PUSH];

fn schema(modules: &[&'static Section]) -> Schema {
    let modules: Vec<&'static Section> = LAST.iter().chain(modules).copied().collect();
    Schema::new(&CORE, &modules)
}

/// A configuration without a fault.
///
/// The default is what an empty file says: `localhost`, on loopback, data in `./balcony-data`.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it came from; `None` for the defaults.
    pub file: Option<PathBuf>,
    /// The folder of everything that the server keeps. Default: `./balcony-data`.
    pub data_dir: PathBuf,
    /// Threads that serve sockets; `None` (the default): one for each processor.
    pub workers: Option<usize>,
    /// Where connections are accepted.
    pub listen: Listen,
    /// TLS of every listener.
    pub tls: Tls,
    /// The domains that are served: at least one, none twice.
    pub hosts: Vec<HostConfig>,
    /// How accounts log in.
    pub auth: Auth,
    /// What one client may cost.
    pub limits: Limits,
    /// Messages that wait for an account without a session.
    pub offline: Offline,
    /// The archive of each account's messages.
    pub archive: Archive,
    /// Domains of rooms.
    pub muc: Service,
    /// Domains of publish-subscribe services.
    pub pubsub: Service,
    /// Other servers.
    pub federation: Federation,
    /// External components.
    pub components: Vec<Component>,
    /// What components may do in the name of accounts.
    pub privileges: Vec<Privilege>,
    /// What components answer in place of the server.
    pub delegations: Vec<Delegation>,
    /// Notifications to push services.
    pub push: Push,
    /// What is logged, and how.
    pub log: Log,
    tables: Arc<Tables>,
    schema: Schema,
}

impl Config {
    /// Reads a file against the keys of the core and of these modules; `None` gives the defaults.
    ///
    /// # Errors
    /// Everything that is wrong with the file, in the order of its lines.
    pub fn load(path: Option<&Path>, modules: &[&'static Section]) -> Result<Config, Vec<Problem>> {
        let text = read(path)?;
        Config::parse(&text, path, modules)
    }

    /// Reads a text as [`Config::load`] reads a file. `file` is named in problems, and its folder
    /// is where relative paths begin; without one they begin at the working directory.
    ///
    /// # Errors
    /// Everything that is wrong with the text, in the order of its lines.
    pub fn parse(
        text: &str,
        file: Option<&Path>,
        modules: &[&'static Section],
    ) -> Result<Config, Vec<Problem>> {
        let source = Source::new(file, text);
        let schema = schema(modules);
        let Parsed {
            tables,
            mut problems,
            sound,
        } = parse::parse(&source, &schema, base(file));
        let config = Config::from_tables(file, tables, schema);
        if sound {
            problems.extend(check::check(&config, &config.tables, &source));
        }
        problems.sort_by_key(|problem| (problem.line, problem.column));
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(problems)
        }
    }

    fn from_tables(file: Option<&Path>, tables: Tables, schema: Schema) -> Config {
        let single = |name| Values::new(tables.get(name).and_then(|list| list.first()));
        let all = |name| {
            tables
                .get(name)
                .into_iter()
                .flatten()
                .map(|t| Values::new(Some(t)))
        };
        let data_dir = single("")
            .path("data_dir")
            .unwrap_or(Path::new(""))
            .to_path_buf();
        let auth = Auth::new(single("auth"));
        let hosts: Vec<HostConfig> = all("host")
            .filter_map(|values| HostConfig::new(values, &auth))
            .collect();
        Config {
            file: file.map(Path::to_path_buf),
            workers: single("").maybe_int("workers"),
            listen: Listen::new(single("listen"), &data_dir),
            tls: Tls::new(single("tls"), &data_dir),
            limits: Limits::new(single("limits")),
            offline: Offline::new(single("offline")),
            archive: Archive::new(single("archive")),
            muc: Service::new(single("muc"), "conference", &hosts),
            pubsub: Service::new(single("pubsub"), "pubsub", &hosts),
            federation: Federation::new(single("federation"), all("remote")),
            components: all("component").filter_map(Component::new).collect(),
            privileges: all("privilege").filter_map(Privilege::new).collect(),
            delegations: all("delegation").filter_map(Delegation::new).collect(),
            push: Push::new(single("push")),
            log: Log::new(single("log")),
            data_dir,
            hosts,
            auth,
            tables: Arc::new(tables),
            schema,
        }
    }

    /// The values of a section that is written once, `""` being the top of the file. This is how
    /// a module reads the keys that it declared.
    pub fn values(&self, section: &str) -> Values<'_> {
        let table = self.tables.get(section).and_then(|tables| tables.first());
        debug_assert!(
            table.is_some(),
            "the section [{section}] is not declared, or a list"
        );
        Values::new(table)
    }

    /// The values of each table of a section that is written `[[section]]`, in the file's order.
    pub fn each(&self, section: &str) -> impl Iterator<Item = Values<'_>> {
        let tables = self
            .tables
            .get(section)
            .map_or(&[] as &[Table], Vec::as_slice);
        tables.iter().map(|table| Values::new(Some(table)))
    }

    /// A host by its prepared name.
    pub fn host(&self, name: &str) -> Option<&HostConfig> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// The values of a host's own section, where modules may have keys; `None` for a domain that is
    /// not served.
    pub fn host_values(&self, name: &str) -> Option<Values<'_>> {
        self.each("host")
            .find(|values| values.text("name") == Some(name))
    }

    /// What differs between two configurations, in the order of the reference.
    pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
        changes::changes(&new.schema, &old.tables, &new.tables)
    }

    /// The keys that differ and take effect only with a restart, as `section.key`.
    pub fn changes_needing_restart(old: &Config, new: &Config) -> Vec<String> {
        let changes = Config::changes(old, new).into_iter();
        changes
            .filter(|change| change.needs_restart)
            .map(|change| change.key)
            .collect()
    }

    /// Where the admin socket of a server with this file is. Reads only the keys that say so: an
    /// admin command has to reach a server whose file was changed for the worse since it started.
    ///
    /// # Errors
    /// The file cannot be read or is not TOML, or one of these keys is wrong.
    pub fn admin_socket(path: Option<&Path>) -> Result<PathBuf, Vec<Problem>> {
        let text = read(path)?;
        let source = Source::new(path, &text);
        let schema = schema(&[]);
        let Parsed {
            tables,
            problems,
            sound,
        } = parse::parse(&source, &schema, base(path));
        let about = |problem: &Problem| matches!(&*problem.key, "" | "data_dir" | "listen.admin");
        let problems: Vec<Problem> = problems.into_iter().filter(about).collect();
        if !sound || !problems.is_empty() {
            return Err(problems);
        }
        Ok(Config::from_tables(path, tables, schema).listen.admin)
    }
}

impl Default for Config {
    fn default() -> Config {
        let schema = schema(&[]);
        let source = Source::new(None, "");
        let tables = parse::parse(&source, &schema, Path::new("")).tables;
        Config::from_tables(None, tables, schema)
    }
}

fn read(path: Option<&Path>) -> Result<String, Vec<Problem>> {
    let Some(path) = path else {
        return Ok(String::new());
    };
    fs::read_to_string(path).map_err(|error| {
        let what = format!("cannot be read: {error}");
        vec![Source::new(Some(path), "").problem_nowhere(String::new(), what)]
    })
}

/// The folder where relative paths of a file begin.
fn base(file: Option<&Path>) -> &Path {
    file.and_then(Path::parent).unwrap_or(Path::new(""))
}

/// What is wrong with the declarations themselves: a key that two sections declare, a default
/// that its own kind refuses, a section that is a list in one place only. For a test of whoever
/// puts modules together; empty when all is well.
pub fn declaration_faults(modules: &[&'static Section]) -> Vec<String> {
    let schema = schema(modules);
    let mut faults = Vec::new();
    for section in schema.names() {
        let lists = schema.parts(section).filter(|part| part.list).count();
        if lists != 0 && lists != schema.parts(section).count() {
            faults.push(format!(
                "[{section}] is declared both as a list and as none"
            ));
        }
        let mut seen: Vec<&str> = Vec::new();
        for key in schema.keys(section) {
            let name = parse::path(section, key.name);
            if seen.contains(&key.name) {
                faults.push(format!("{name} is declared twice"));
            }
            seen.push(key.name);
            let has_default = matches!(key.default, Fallback::Toml(_));
            if has_default && parse::default(key, Path::new("")).is_none() {
                faults.push(format!("the default of {name} is refused by its own kind"));
            }
            if key.default == Fallback::Required && lists == 0 {
                faults.push(format!(
                    "{name} is required, so an empty file could not be read"
                ));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests;
