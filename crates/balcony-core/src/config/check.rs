//! What spans several keys.

use std::ops::Range;

use super::Config;
use super::components::Seen;
use super::parse::path;
use super::problem::{Problem, Source};
use super::value::{Table, Tables};

/// Bytes of the path of a UNIX socket: `sun_path` has 108, one of them for the final zero.
const SOCKET_PATH: usize = 107;

/// Everything that is wrong between keys that are each right.
pub(super) fn check(config: &Config, tables: &Tables, source: &Source<'_>) -> Vec<Problem> {
    let mut check = Check {
        config,
        tables,
        source,
        problems: Vec::new(),
    };
    check.tls();
    check.admin();
    check.names();
    check.logins();
    check.limits();
    check.tokens();
    check.waiting();
    check.grants();
    check.privileges();
    check.delegations();
    check.problems
}

struct Check<'a> {
    config: &'a Config,
    tables: &'a Tables,
    source: &'a Source<'a>,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn report(&mut self, at: &Range<usize>, key: String, what: String, hint: &str) {
        let hint = if hint.is_empty() {
            None
        } else {
            Some(hint.to_owned())
        };
        self.problems
            .push(self.source.problem(at, key, what).with_hint(hint));
    }

    fn place(&self, section: &str, key: &str) -> Range<usize> {
        let table = self.tables.get(section).and_then(|tables| tables.first());
        table.map_or(0..0, |table| table.place(key))
    }

    fn tables(&self, section: &str) -> &'a [Table] {
        self.tables.get(section).map_or(&[], Vec::as_slice)
    }

    /// Without TLS passwords and messages are readable on the way, so only where there is no way.
    fn tls(&mut self) {
        let open = self
            .config
            .listen
            .c2s
            .iter()
            .filter(|addr| !addr.ip().to_canonical().is_loopback());
        let open: Vec<String> = open.map(ToString::to_string).collect();
        if self.config.tls.required || open.is_empty() {
            return;
        }
        let at = self.place("tls", "required");
        let what = format!(
            "may be false only where listen.c2s is on loopback, and {} is not",
            open.join(", ")
        );
        self.report(&at, path("tls", "required"), what, "set it to true");
    }

    fn admin(&mut self) {
        let length = self.config.listen.admin.as_os_str().len();
        if length <= SOCKET_PATH {
            return;
        }
        let written = self
            .tables("listen")
            .first()
            .is_some_and(|table| table.is_written("admin"));
        let key = if written {
            path("listen", "admin")
        } else {
            "data_dir".to_owned()
        };
        let at = if written {
            self.place("listen", "admin")
        } else {
            self.place("", "data_dir")
        };
        let what = format!(
            "the path of the admin socket has {length} bytes, and the system takes {SOCKET_PATH}"
        );
        self.report(&at, key, what, "set listen.admin to a shorter path");
    }

    /// A domain has one owner: a host, a component, or a service.
    fn names(&mut self) {
        let mut owners: Vec<(String, &'static str)> = Vec::new();
        for section in ["host", "component"] {
            for table in self.tables(section) {
                if let Some(super::Value::Text(name)) = table.value("name") {
                    self.own(&mut owners, name, section, table.place("name"));
                }
            }
        }
        for section in ["muc", "pubsub"] {
            for table in self.tables(section) {
                if let Some(super::Value::Texts(names)) = table.value("hosts") {
                    for name in names {
                        self.own(&mut owners, name, section, table.place("hosts"));
                    }
                }
            }
        }
    }

    fn own(
        &mut self,
        owners: &mut Vec<(String, &'static str)>,
        name: &str,
        section: &'static str,
        at: Range<usize>,
    ) {
        let owner = owners
            .iter()
            .find(|(owned, _)| owned == name)
            .map(|(_, owner)| *owner);
        let Some(owner) = owner else {
            owners.push((name.to_owned(), section));
            return;
        };
        let key = if matches!(section, "host" | "component") {
            "name"
        } else {
            "hosts"
        };
        let what = format!("\"{name}\" stands already as a {owner}");
        self.report(&at, path(section, key), what, "");
    }

    /// A host that nobody can log in to is a slip.
    fn logins(&mut self) {
        for (host, table) in self.config.hosts.iter().zip(self.tables("host")) {
            if !host.mechanisms.is_empty() || host.anonymous {
                continue;
            }
            let own = table.is_written("mechanisms");
            let section = if own { "host" } else { "auth" };
            let at = if own {
                table.place("mechanisms")
            } else {
                self.place("auth", "mechanisms")
            };
            let what = format!("nobody can log in to {}", host.name);
            let hint = "name a mechanism, or set anonymous = true for the host";
            self.report(&at, path(section, "mechanisms"), what, hint);
        }
    }

    fn limits(&mut self) {
        let limits = &self.config.limits;
        let pairs = [
            (
                "session_queue",
                limits.session_queue,
                "stanza",
                limits.after_login.stanza_bytes,
            ),
            (
                "bytes_before_login",
                limits.bytes_before_login,
                "stanza_before_login",
                limits.before_login.stanza_bytes,
            ),
        ];
        for (key, value, least_key, least) in pairs {
            if value < least {
                let table = self.tables("limits").first();
                let written = table.is_some_and(|table| table.is_written(key));
                let at = self.place("limits", if written { key } else { least_key });
                let what = format!("is {value} bytes, less than {least_key} with {least}");
                self.report(&at, path("limits", key), what, "one stanza has to fit");
            }
        }
    }

    /// The first of these keys that is written, which is the one to change; else their section.
    fn written(&self, keys: [(&'static str, &'static str); 2]) -> (Range<usize>, String) {
        let written = keys.into_iter().find(|(section, key)| {
            let table = self.tables(section).first();
            table.is_some_and(|table| table.is_written(key))
        });
        let (section, key) = written.unwrap_or(keys[0]);
        (self.place(section, key), path(section, key))
    }

    /// A token that is not renewed before it expires would throw out a client that is always there.
    fn tokens(&mut self) {
        let auth = &self.config.auth;
        if auth.token_renewal < auth.token_lifetime {
            return;
        }
        let (at, key) = self.written([("auth", "token_renewal"), ("auth", "token_lifetime")]);
        let what = "a token would expire before its client gets another one".to_owned();
        let hint = "set auth.token_renewal to less than auth.token_lifetime";
        self.report(&at, key, what, hint);
    }

    /// What waits is kept in the archive, with a reference to it in the queue: retention would take
    /// messages that are acknowledged and that nobody has got.
    fn waiting(&mut self) {
        let (archive, offline) = (&self.config.archive, &self.config.offline);
        if offline.messages == 0 {
            return;
        }
        let fits = [
            ("keep", archive.keep >= offline.keep),
            ("bytes", archive.bytes >= offline.bytes),
        ];
        for (key, _) in fits.into_iter().filter(|(_, fits)| !fits) {
            let (at, at_key) = self.written([("archive", key), ("offline", key)]);
            let what = format!("archive.{key} is less than offline.{key}, and has what waits");
            let hint = format!("set archive.{key} to offline.{key} at least");
            self.report(&at, at_key, what, &hint);
        }
    }

    /// What is granted is granted to a component, on hosts.
    fn grants(&mut self) {
        let components: Vec<String> = self.names_of("component");
        let hosts = self.config.hosts.iter().map(|host| host.name.clone());
        let hosts: Vec<String> = hosts.collect();
        for section in ["privilege", "delegation"] {
            for table in self.tables(section) {
                if let Some(super::Value::Text(name)) = table.value("component")
                    && !components.contains(name)
                {
                    let what = format!("no [[component]] has the name \"{name}\"");
                    let hint = "a component needs its own section, with a secret";
                    self.report(
                        &table.place("component"),
                        path(section, "component"),
                        what,
                        hint,
                    );
                }
                let Some(super::Value::Texts(names)) = table.value("hosts") else {
                    continue;
                };
                for name in names.iter().filter(|name| !hosts.contains(name)) {
                    let what = format!("no [[host]] has the name \"{name}\"");
                    self.report(&table.place("hosts"), path(section, "hosts"), what, "");
                }
            }
        }
    }

    fn names_of(&self, section: &str) -> Vec<String> {
        let names = self.tables(section).iter().map(|table| table.value("name"));
        let texts = names.filter_map(|value| match value {
            Some(super::Value::Text(name)) => Some(name.clone()),
            _ => None,
        });
        texts.collect()
    }

    /// XEP-0356 §7.4: presence of contacts is for who may know the contacts.
    fn privileges(&mut self) {
        for (privilege, table) in self.config.privileges.iter().zip(self.tables("privilege")) {
            if privilege.presence == Seen::Contacts && !privilege.roster_get {
                let what = "\"roster\" is for components that may read rosters".to_owned();
                let hint = "set roster to \"get\" or \"both\", or presence to \"managed_entity\"";
                self.report(
                    &table.place("presence"),
                    path("privilege", "presence"),
                    what,
                    hint,
                );
            }
        }
    }

    /// XEP-0355 §8 point 5: who answers is not itself delegated.
    fn delegations(&mut self) {
        const OWN: &str = "urn:xmpp:delegation:2";
        const NODES: [&str; 2] = [":bare:disco#info:*", ":bare:disco#items:*"];
        for (delegation, table) in self
            .config
            .delegations
            .iter()
            .zip(self.tables("delegation"))
        {
            let Some(rest) = delegation.namespace.strip_prefix(OWN) else {
                continue;
            };
            if NODES.contains(&rest) {
                continue;
            }
            let what = format!("\"{}\" is not delegated", delegation.namespace);
            self.report(
                &table.place("namespace"),
                path("delegation", "namespace"),
                what,
                "",
            );
        }
    }
}
