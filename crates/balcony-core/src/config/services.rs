//! What is kept for accounts, and the services beside them.

use std::time::Duration;

use super::host::HostConfig;
use super::schema::{Applies, Fallback, Key, Kind, Section};
use super::value::Values;

const GIB: u64 = 1 << 30;
const DAY: u64 = 86_400;
/// Ten years: a bound that catches a slip of the unit and no real wish.
const MOST_DAYS: u64 = 3_650 * DAY;

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
