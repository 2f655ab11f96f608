//! What is kept for accounts, and the services beside them.

use std::time::Duration;

use super::host::HostConfig;
use super::schema::{Applies, Fallback, Key, Kind, Section};
use super::value::{Secret, Values};

const GIB: u64 = 1 << 30;
const DAY: u64 = 86_400;
/// Ten years: a bound that catches a slip of the unit and no real wish.
const MOST_DAYS: u64 = 3_650 * DAY;

const FEDERATION_USE: Applies = Applies::NotYet("federation");
const COMPONENT_USE: Applies = Applies::NotYet("external components");

/// `[archive]`
pub(super) static ARCHIVE: Section = Section {
    name: "archive",
    doc: "The archive of each account's messages (XEP-0313).",
    list: false,
    keys: &[
        Key::new(
            "default",
            Kind::Choice(&["always", "roster", "never"]),
            Fallback::Toml("\"always\""),
            Applies::Reload,
            "What is archived for an account that has chosen nothing (XEP-0441). `always` is what \
             people with several devices expect.",
        ),
        Key::new(
            "keep",
            Kind::Duration {
                min: DAY,
                max: MOST_DAYS,
            },
            Fallback::Toml("\"180d\""),
            Applies::Reload,
            "How long a message is kept. Half a year brings a new device up to date without \
             keeping a life. Not shorter than `keep` of `[offline]`, as what waits is kept here.",
        ),
        Key::new(
            "bytes",
            Kind::Size {
                min: 1 << 20,
                max: 1 << 40,
            },
            Fallback::Toml("\"1GiB\""),
            Applies::Reload,
            "How much one account's archive may hold; the oldest messages of a larger one go. A \
             gigabyte is about three million messages. Not less than `bytes` of `[offline]`, as \
             what waits is kept here.",
        ),
        Key::new(
            "page",
            Kind::Int {
                min: 10,
                max: 1_000,
            },
            Fallback::Toml("250"),
            Applies::Reload,
            "The most messages in one page of an answer (XEP-0059): about 100 KB.",
        ),
    ],
};

/// `[offline]`
pub(super) static OFFLINE: Section = Section {
    name: "offline",
    doc: "Messages that wait for an account without a session (XEP-0160). Past a bound the sender \
          gets `service-unavailable`.",
    list: false,
    keys: &[
        Key::new(
            "messages",
            Kind::Int {
                min: 0,
                max: 1_000_000,
            },
            Fallback::Toml("1000"),
            Applies::Reload,
            "Messages for one account; 0 keeps none. A thousand is weeks of talk, and a client \
             takes them all at its next login.",
        ),
        Key::new(
            "bytes",
            Kind::Size { min: 0, max: GIB },
            Fallback::Toml("\"8MiB\""),
            Applies::Reload,
            "Bytes of these messages: a thousand of 8 KiB, so that size binds only for unusual \
             ones.",
        ),
        Key::new(
            "keep",
            Kind::Duration {
                min: DAY,
                max: MOST_DAYS,
            },
            Fallback::Toml("\"90d\""),
            Applies::Reload,
            "How long a message waits before it is dropped: longer than a holiday.",
        ),
    ],
};

/// `[muc]`
pub(super) static MUC: Section = Section {
    name: "muc",
    doc: "Rooms (XEP-0045).",
    list: false,
    keys: &[Key::new(
        "hosts",
        Kind::HostNames,
        Fallback::Unset("`conference.<host>` for each host"),
        Applies::Reload,
        "The domains of rooms; an empty list means none. A default name that is a `[[host]]` \
         itself is left out.",
    )],
};

/// `[pubsub]`
pub(super) static PUBSUB: Section = Section {
    name: "pubsub",
    doc: "Publish-subscribe services (XEP-0060).",
    list: false,
    keys: &[Key::new(
        "hosts",
        Kind::HostNames,
        Fallback::Unset("`pubsub.<host>` for each host"),
        Applies::Reload,
        "The domains of publish-subscribe services; an empty list means none. A default name that \
         is a `[[host]]` itself is left out.",
    )],
};

/// `[federation]`
pub(super) static FEDERATION: Section = Section {
    name: "federation",
    doc: "Other servers (RFC 6120, XEP-0220).",
    list: false,
    keys: &[
        Key::new(
            "enabled",
            Kind::Bool,
            Fallback::Toml("true"),
            FEDERATION_USE,
            "Whether stanzas go to and come from other domains at all.",
        ),
        Key::new(
            "trust",
            Kind::Choice(&["certificate", "dialback"]),
            Fallback::Toml("\"certificate\""),
            FEDERATION_USE,
            "What proves that another server is who it says: a certificate that a public \
             authority signed, or DNS alone (XEP-0220), which whoever controls the network can \
             forge.",
        ),
        Key::new(
            "allow",
            Kind::HostNames,
            Fallback::Unset("every domain"),
            FEDERATION_USE,
            "When written, the only other domains that are spoken to.",
        ),
        Key::new(
            "block",
            Kind::HostNames,
            Fallback::Toml("[]"),
            FEDERATION_USE,
            "Domains that are not spoken to.",
        ),
    ],
};

/// `[[component]]`
pub(super) static COMPONENT: Section = Section {
    name: "component",
    doc: "An external component (XEP-0114); one section for each.",
    list: true,
    keys: &[
        Key::new(
            "name",
            Kind::HostName,
            Fallback::Required,
            COMPONENT_USE,
            "The domain that the component serves.",
        ),
        Key::new(
            "secret",
            Kind::Secret,
            Fallback::Required,
            COMPONENT_USE,
            "The secret that server and component share (XEP-0114 §3).",
        ),
    ],
};

/// `[push]`
pub(super) static PUSH: Section = Section {
    name: "push",
    doc: "Notifications to the push services of clients (XEP-0357).",
    list: false,
    keys: &[
        Key::new(
            "enabled",
            Kind::Bool,
            Fallback::Toml("true"),
            Applies::Reload,
            "Whether clients may register for them.",
        ),
        Key::new(
            "include_body",
            Kind::Bool,
            Fallback::Toml("false"),
            Applies::Reload,
            "Whether a notification carries sender and text. Off, because both would pass through \
             somebody else's service.",
        ),
    ],
};

/// What of an account's messages is archived when it has chosen nothing (XEP-0441).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveDefault {
    /// Everything.
    Always,
    /// What contacts of the roster say.
    Roster,
    /// Nothing.
    Never,
}

/// `[archive]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Default: always.
    pub default: ArchiveDefault,
    /// How long a message is kept. Default: 180 days.
    pub keep: Duration,
    /// Bytes that one account's archive may hold. Default: 1 GiB.
    pub bytes: usize,
    /// The most messages in one page of an answer. Default: 250.
    pub page: usize,
}

impl Archive {
    pub(super) fn new(values: Values<'_>) -> Archive {
        let default = match values.choice("default") {
            "roster" => ArchiveDefault::Roster,
            "never" => ArchiveDefault::Never,
            _ => ArchiveDefault::Always,
        };
        Archive {
            default,
            keep: values.duration("keep"),
            bytes: values.size("bytes"),
            page: values.int("page"),
        }
    }
}

/// `[offline]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offline {
    /// Messages that wait for one account; 0 keeps none. Default: 1,000.
    pub messages: u32,
    /// Bytes of these messages. Default: 8 MiB.
    pub bytes: usize,
    /// How long a message waits. Default: 90 days.
    pub keep: Duration,
}

impl Offline {
    pub(super) fn new(values: Values<'_>) -> Offline {
        Offline {
            messages: values.int("messages"),
            bytes: values.size("bytes"),
            keep: values.duration("keep"),
        }
    }
}

/// `[muc]` or `[pubsub]`: domains of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Prepared domainparts. Default: `conference.<host>` or `pubsub.<host>` for each host.
    pub hosts: Vec<String>,
}

impl Service {
    pub(super) fn new(values: Values<'_>, label: &str, hosts: &[HostConfig]) -> Service {
        let derived = || {
            let names = hosts.iter().map(|host| format!("{label}.{}", host.name));
            names
                .filter(|name| hosts.iter().all(|host| host.name != *name))
                .collect()
        };
        Service {
            hosts: values
                .maybe_texts("hosts")
                .map_or_else(derived, <[String]>::to_vec),
        }
    }
}

/// What proves who another server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// A certificate of a public authority.
    Certificate,
    /// DNS, by XEP-0220.
    Dialback,
}

/// `[federation]`. Not in force yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Federation {
    /// Default: true.
    pub enabled: bool,
    /// Default: a certificate.
    pub trust: Trust,
    /// The only other domains that are spoken to; `None` (the default): every domain.
    pub allow: Option<Vec<String>>,
    /// Domains that are not spoken to. Default: none.
    pub block: Vec<String>,
}

impl Federation {
    pub(super) fn new(values: Values<'_>) -> Federation {
        let dialback = values.choice("trust") == "dialback";
        Federation {
            enabled: values.bool("enabled"),
            trust: if dialback {
                Trust::Dialback
            } else {
                Trust::Certificate
            },
            allow: values.maybe_texts("allow").map(<[String]>::to_vec),
            block: values.texts("block").to_vec(),
        }
    }
}

/// One `[[component]]`. Not in force yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The domain, a prepared domainpart.
    pub name: String,
    /// What server and component share.
    pub secret: Secret,
}

impl Component {
    pub(super) fn new(values: Values<'_>) -> Option<Component> {
        Some(Component {
            name: values.text("name")?.to_owned(),
            secret: values.secret("secret")?.clone(),
        })
    }
}

/// `[push]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Whether clients may register for notifications. Default: true.
    pub enabled: bool,
    /// Whether a notification carries sender and text. Default: false.
    pub include_body: bool,
}

impl Push {
    pub(super) fn new(values: Values<'_>) -> Push {
        Push {
            enabled: values.bool("enabled"),
            include_body: values.bool("include_body"),
        }
    }
}
