//! External components, and what they may do beyond their own domain.

use super::schema::{Applies, Fallback, Key, Kind, Section};
use super::value::{Secret, Values};

const KIB: u64 = 1 << 10;
const GIB: u64 = 1 << 30;

/// `[[component]]`
pub(super) static COMPONENT: Section = Section {
    name: "component",
    doc: "An external component (XEP-0114); one section for each. \
          `docs/operations/components.md` says what it is for.",
    list: true,
    keys: &[
        Key::new(
            "name",
            Kind::HostName,
            Fallback::Required,
            Applies::Reload,
            "The domain that the component serves.",
        ),
        Key::new(
            "secret",
            Kind::Secret,
            Fallback::Required,
            Applies::Reload,
            "The secret that server and component share (XEP-0114 §3).",
        ),
        Key::new(
            "subdomains",
            Kind::Bool,
            Fallback::Toml("false"),
            Applies::Reload,
            "Whether the component has all domains below its own too.",
        ),
        Key::new(
            "queue",
            Kind::Size {
                min: 64 * KIB,
                max: GIB,
            },
            Fallback::Toml("\"4MiB\""),
            Applies::Reload,
            "Bytes that may wait for a component that does not read; then it is disconnected.",
        ),
        Key::new(
            "stanza",
            Kind::Size {
                min: 10_000,
                max: 16 << 20,
            },
            Fallback::Toml("\"1MiB\""),
            Applies::Reload,
            "Bytes of a stanza from the component.",
        ),
    ],
};

/// `[[privilege]]`
pub(super) static PRIVILEGE: Section = Section {
    name: "privilege",
    doc: "What an external component may do in the name of accounts (XEP-0356); one section for \
          each component. It is told of what it may when it connects. Grant this to components \
          that you trust as you trust the server.",
    list: true,
    keys: &[
        COMPONENT_NAME,
        HOSTS,
        Key::new(
            "roster",
            Kind::Choice(&["none", "get", "set", "both"]),
            Fallback::Toml("\"none\""),
            Applies::Reload,
            "Whether it may read (`get`) and change (`set`) the rosters of accounts.",
        ),
        Key::new(
            "roster_pushes",
            Kind::Bool,
            Fallback::Toml("true"),
            Applies::Reload,
            "Whether it is told of every change of a roster that it may read.",
        ),
        Key::new(
            "message",
            Kind::Choice(&["none", "outgoing"]),
            Fallback::Toml("\"none\""),
            Applies::Reload,
            "Whether it may send messages in the name of the host and of its accounts.",
        ),
        Key::new(
            "iq_get",
            Kind::Strs,
            Fallback::Toml("[]"),
            Applies::Reload,
            "Namespaces in which it may send requests of type `get` in the name of accounts.",
        ),
        Key::new(
            "iq_set",
            Kind::Strs,
            Fallback::Toml("[]"),
            Applies::Reload,
            "The same for requests of type `set`.",
        ),
        Key::new(
            "presence",
            Kind::Choice(&["none", "managed_entity", "roster"]),
            Fallback::Toml("\"none\""),
            Applies::Reload,
            "Whose presence it gets: that of accounts when they come and go (`managed_entity`), or \
             that of their contacts too (`roster`), for which it has to be allowed to read \
             rosters.",
        ),
    ],
};

/// `[[delegation]]`
pub(super) static DELEGATION: Section = Section {
    name: "delegation",
    doc: "Requests to hosts and accounts that an external component answers in place of the server \
          (XEP-0355); one section for each namespace. Of several that fit, the first counts.",
    list: true,
    keys: &[
        COMPONENT_NAME,
        HOSTS,
        Key::new(
            "namespace",
            Kind::Str,
            Fallback::Required,
            Applies::Reload,
            "The namespace of the requests, such as `\"urn:xmpp:mam:2\"`. \
             `\"urn:xmpp:delegation:2:bare:disco#info:*\"` stands for what nodes of accounts are \
             that the server does not know, `\"urn:xmpp:delegation:2:bare:disco#items:*\"` for \
             what accounts and such nodes have.",
        ),
        Key::new(
            "attributes",
            Kind::Strs,
            Fallback::Toml("[]"),
            Applies::Reload,
            "Attributes that the request has to have; all others stay with the server.",
        ),
    ],
};

const COMPONENT_NAME: Key = Key::new(
    "component",
    Kind::HostName,
    Fallback::Required,
    Applies::Reload,
    "The component, by the `name` of its `[[component]]`.",
);

const HOSTS: Key = Key::new(
    "hosts",
    Kind::HostNames,
    Fallback::Unset("all hosts"),
    Applies::Reload,
    "The hosts for which this holds.",
);

/// One `[[component]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The domain, a prepared domainpart.
    pub name: String,
    /// What server and component share.
    pub secret: Secret,
    /// Whether it has the domains below too. Default: false.
    pub subdomains: bool,
    /// Bytes that may wait for it. Default: 4 MiB.
    pub queue: usize,
    /// Bytes of a stanza from it. Default: 1 MiB.
    pub stanza: usize,
}

impl Component {
    pub(super) fn new(values: Values<'_>) -> Option<Component> {
        Some(Component {
            name: values.text("name")?.to_owned(),
            secret: values.secret("secret")?.clone(),
            subdomains: values.bool("subdomains"),
            queue: values.size("queue"),
            stanza: values.size("stanza"),
        })
    }

    /// Whether a prepared domainpart is the component's.
    #[must_use]
    pub fn has(&self, domain: &str) -> bool {
        let below = || {
            let rest = domain.strip_suffix(self.name.as_str())?;
            rest.strip_suffix('.').filter(|rest| !rest.is_empty())
        };
        domain == self.name || (self.subdomains && below().is_some())
    }
}

/// One `[[privilege]]` (XEP-0356)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privilege {
    /// The component.
    pub component: String,
    /// The hosts; `None` (the default): all.
    pub hosts: Option<Vec<String>>,
    /// Whether it may read rosters. Default: false.
    pub roster_get: bool,
    /// Whether it may change rosters. Default: false.
    pub roster_set: bool,
    /// Whether it gets roster pushes. Default: whether it may read rosters.
    pub roster_pushes: bool,
    /// Whether it may send messages. Default: false.
    pub message: bool,
    /// Namespaces of requests of type get. Default: none.
    pub iq_get: Vec<String>,
    /// Namespaces of requests of type set. Default: none.
    pub iq_set: Vec<String>,
    /// Whose presence it gets. Default: nobody's.
    pub presence: Seen,
}

/// Whose presence a component gets (XEP-0356 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// Nobody's.
    Nobody,
    /// That of accounts.
    Accounts,
    /// That of their contacts too.
    Contacts,
}

impl Privilege {
    pub(super) fn new(values: Values<'_>) -> Option<Privilege> {
        let roster = values.choice("roster");
        let roster_get = matches!(roster, "get" | "both");
        Some(Privilege {
            component: values.text("component")?.to_owned(),
            hosts: values.maybe_texts("hosts").map(<[String]>::to_vec),
            roster_get,
            roster_set: matches!(roster, "set" | "both"),
            roster_pushes: roster_get && values.bool("roster_pushes"),
            message: values.choice("message") == "outgoing",
            iq_get: values.texts("iq_get").to_vec(),
            iq_set: values.texts("iq_set").to_vec(),
            presence: match values.choice("presence") {
                "roster" => Seen::Contacts,
                "managed_entity" => Seen::Accounts,
                _ => Seen::Nobody,
            },
        })
    }

    /// Whether it holds for a host.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        includes(self.hosts.as_deref(), host)
    }
}

/// One `[[delegation]]` (XEP-0355)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// The component.
    pub component: String,
    /// The hosts; `None` (the default): all.
    pub hosts: Option<Vec<String>>,
    /// The namespace.
    pub namespace: String,
    /// Attributes that must be there. Default: none.
    pub attributes: Vec<String>,
}

impl Delegation {
    pub(super) fn new(values: Values<'_>) -> Option<Delegation> {
        Some(Delegation {
            component: values.text("component")?.to_owned(),
            hosts: values.maybe_texts("hosts").map(<[String]>::to_vec),
            namespace: values.text("namespace")?.to_owned(),
            attributes: values.texts("attributes").to_vec(),
        })
    }

    /// Whether it holds for a host.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        includes(self.hosts.as_deref(), host)
    }
}

fn includes(hosts: Option<&[String]>, host: &str) -> bool {
    hosts.is_none_or(|hosts| hosts.iter().any(|name| name == host))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_component_has_its_domain_and_perhaps_those_below() {
        let config = |below| {
            let text = format!(
                "[[component]]\nname = \"gate.localhost\"\nsecret = \"s\"\nsubdomains = {below}"
            );
            crate::config::Config::parse(&text, None, &[])
                .unwrap()
                .components
        };
        let has = |below, domain| config(below).iter().any(|component| component.has(domain));
        assert!(has(false, "gate.localhost") && has(true, "gate.localhost"));
        assert!(!has(false, "irc.gate.localhost") && has(true, "irc.gate.localhost"));
        assert!(!has(true, "flood-gate.localhost"));
    }
}
