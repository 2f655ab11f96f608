//! What one client may cost: every size, rate, count and time that is bounded.

use std::time::Duration;

use balcony_proto::limits::Limits as XmlLimits;

use super::schema::{Applies, Fallback, Key, Kind, Section};
use super::value::Values;

/// The least a server may set (RFC 6120 §13.12 point 4).
const LEAST_STANZA: u64 = 10_000;
/// More than this in one stanza stalls everything behind it on the stream; files have XEP-0363.
const MOST_STANZA: u64 = 16 << 20;
const GIB: u64 = 1 << 30;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const fn int(
    name: &'static str,
    (min, max): (i64, i64),
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key::new(
        name,
        Kind::Int { min, max },
        Fallback::Toml(default),
        Applies::Reload,
        doc,
    )
}

const fn size(
    name: &'static str,
    (min, max): (u64, u64),
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key::new(
        name,
        Kind::Size { min, max },
        Fallback::Toml(default),
        Applies::Reload,
        doc,
    )
}

const fn time(
    name: &'static str,
    (min, max): (u64, u64),
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key::new(
        name,
        Kind::Duration { min, max },
        Fallback::Toml(default),
        Applies::Reload,
        doc,
    )
}

/// `[limits]`
pub(super) static LIMITS: Section = Section {
    name: "limits",
    doc: "What one client may cost. \"Before login\" is a stranger, who gets little; the sizes \
          are announced to clients by XEP-0478. An IPv6 address counts by its /64, which is what \
          one subscriber has.",
    list: false,
    keys: &[
        // XML, after login
        size(
            "stanza",
            (LEAST_STANZA, MOST_STANZA),
            "\"256KiB\"",
            "Bytes of a stanza from a client that is logged in. The default holds the avatars and \
             key bundles that clients publish in one stanza.",
        ),
        int(
            "depth",
            (8, 1_000),
            "64",
            "Open elements within a stanza, itself included. Forwarded messages with rich text \
             nest about 20 deep.",
        ),
        int(
            "attributes",
            (8, 1_000),
            "128",
            "Attributes of one element, namespace declarations included. Forms and whiteboards \
             stay under 40.",
        ),
        int(
            "elements",
            (64, 1_000_000),
            "10000",
            "Elements in a stanza, itself included: a roster or bookmark list of thousands fits.",
        ),
        int(
            "name",
            (64, 4_096),
            "512",
            "Bytes of an element's or attribute's name with its prefix. Real ones are under 64.",
        ),
        int(
            "namespace",
            (128, 8_192),
            "1024",
            "Bytes of a namespace name. The longest in use is under 128.",
        ),
        // XML, before login
        size(
            "stanza_before_login",
            (LEAST_STANZA, MOST_STANZA),
            "10000",
            "As `stanza`, before login. The default is the least that RFC 6120 §13.12 allows, and \
             a login needs under 4 KiB in all.",
        ),
        int(
            "depth_before_login",
            (8, 1_000),
            "16",
            "As `depth`, before login. SASL2 with Bind 2 nests 6 deep.",
        ),
        int(
            "attributes_before_login",
            (8, 1_000),
            "32",
            "As `attributes`, before login. A stream header has 7.",
        ),
        int(
            "elements_before_login",
            (64, 1_000_000),
            "128",
            "As `elements`, before login. A registration form has about 40.",
        ),
        int(
            "name_before_login",
            (64, 4_096),
            "256",
            "As `name`, before login.",
        ),
        int(
            "namespace_before_login",
            (128, 8_192),
            "512",
            "As `namespace`, before login.",
        ),
        size(
            "bytes_before_login",
            (LEAST_STANZA, MOST_STANZA),
            "\"64KiB\"",
            "All bytes that a client may send until it is logged in. A login needs under 4 KiB, a \
             registration with a form a few more.",
        ),
        // Rates
        size(
            "rate",
            (1_000, GIB),
            "\"256KiB\"",
            "Bytes a second that are read from a session that is logged in, on average. What is \
             more waits in the network and is not lost. The default is far above what people \
             type and lets one client take less than a hundredth of a processor.",
        ),
        size(
            "burst",
            (LEAST_STANZA, GIB),
            "\"1MiB\"",
            "Bytes that may come at once after a pause before `rate` holds: four of the largest \
             stanzas, such as an avatar and the bookmarks of a new client.",
        ),
        size(
            "rate_before_login",
            (1_000, GIB),
            "\"16KiB\"",
            "As `rate`, before login: a whole login within a second.",
        ),
        size(
            "burst_before_login",
            (LEAST_STANZA, GIB),
            "\"32KiB\"",
            "As `burst`, before login: a TLS handshake with a client certificate and a login.",
        ),
        // Connections
        Key::new(
            "connections",
            Kind::Int {
                min: 1,
                max: 100_000_000,
            },
            Fallback::Unset("as many as there are descriptors"),
            Applies::Restart,
            "Connections at a time, from everywhere.",
        ),
        Key::new(
            "connections_per_address",
            Kind::Int {
                min: 1,
                max: 1_000_000,
            },
            Fallback::Toml("500"),
            Applies::Restart,
            "Connections from one address at a time; the next one is closed at once (RFC 6120 \
             §13.12 point 1). Offices and mobile networks share an address; raise it for a proxy \
             in front. Connections from this machine are not counted by address.",
        ),
        Key::new(
            "connects_per_address",
            Kind::Int {
                min: 1,
                max: 1_000_000,
            },
            Fallback::Toml("50"),
            Applies::Restart,
            "New connections from one address in a second, on average (RFC 6120 §13.12 point 2).",
        ),
        Key::new(
            "connect_burst_per_address",
            Kind::Int {
                min: 1,
                max: 1_000_000,
            },
            Fallback::Toml("200"),
            Applies::Restart,
            "New connections from one address at once, before the average counts: all clients of \
             an office come back in the second after its network did.",
        ),
        int(
            "unauthenticated",
            (1, 1_000_000),
            "10000",
            "Connections that are not logged in yet, from everywhere. Each costs up to 3 KB until \
             it sends something, so the default bounds what strangers hold at about 30 MB.",
        ),
        // Attempts
        int(
            "login_attempts",
            (3, 6),
            "5",
            "Failed logins until a stream is closed: four retries, since some clients try a \
             mechanism with each channel binding they know (RFC 6120 §6.4.5 wants at least 2 and \
             no more than 5).",
        ),
        int(
            "bind_attempts",
            (5, 11),
            "6",
            "Failed resource bindings until a stream is closed: five retries (RFC 6120 §7.7.3 \
             wants at least 5 and no more than 10).",
        ),
        int(
            "login_failures_per_address",
            (1, 1_000_000),
            "30",
            "Failed logins from one address within `login_failures_window`; after that every \
             login from there is refused as a temporary failure until the window has moved on. \
             Six streams of five attempts: enough for people, too few for guessing.",
        ),
        time(
            "login_failures_window",
            (1, DAY),
            "\"10m\"",
            "The time in which `login_failures_per_address` is counted. The default allows 4,320 \
             guesses a day from one address.",
        ),
        // Time-outs
        time(
            "tls_timeout",
            (1, 10 * MINUTE),
            "\"15s\"",
            "How long a TLS handshake may take: five times what a bad mobile link needs.",
        ),
        time(
            "negotiation_timeout",
            (1, HOUR),
            "\"60s\"",
            "From the connection to the bound resource. A slow phone needs ten seconds.",
        ),
        time(
            "registration_timeout",
            (1, HOUR),
            "\"5m\"",
            "The same when an account is made on the way (XEP-0077): a person fills in a form.",
        ),
        time(
            "close_timeout",
            (1, 10 * MINUTE),
            "\"5s\"",
            "How long the peer may take to close its side of the stream (RFC 6120 §4.4) before \
             the connection is dropped.",
        ),
        time(
            "write_timeout",
            (1, HOUR),
            "\"1m\"",
            "How long a client may take nothing of what waits for it before its connection counts \
             as dead.",
        ),
        time(
            "keepalive_idle",
            (MINUTE, DAY),
            "\"5m\"",
            "After this long without a byte from a session it is pinged (XEP-0199), or asked what \
             it has got where it acknowledges stanzas (XEP-0198 §8.2). RFC 6120 §4.6.4 recommends \
             no more than one check in 5 minutes: each wakes a phone's radio.",
        ),
        time(
            "keepalive_answer",
            (1, HOUR),
            "\"1m\"",
            "How long the answer to that may take before the stream is closed with \
             `connection-timeout` (RFC 6120 §4.6.1).",
        ),
        time(
            "resume",
            (1, 7 * DAY),
            "\"10m\"",
            "How long a session is held for a client that was cut off (XEP-0198 §5), if it does \
             not ask for less. Long enough for a tunnel or a change of networks; meanwhile its \
             contacts see it where it was.",
        ),
        // What a session and an account hold
        size(
            "session_queue",
            (LEAST_STANZA, GIB),
            "\"2MiB\"",
            "Bytes that wait to be written to one session; one that falls further behind is \
             closed and its messages go to the offline queue; what was written and not \
             acknowledged counts too. At least `stanza`, so that the \
             largest one fits; the default is eight of them.",
        ),
        int(
            "sessions_per_account",
            (1, 10_000),
            "20",
            "Resources that an account may bind at a time (RFC 6120 §13.12 point 3); the next one \
             gets `resource-constraint`. A person with several devices has under ten.",
        ),
        int(
            "roster_items",
            (10, 1_000_000),
            "5000",
            "Contacts in a roster. 5,000 are about 500 KB at each login without versioning.",
        ),
    ],
};

/// `[limits]`. "Before login" is a stranger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// What the scanner accepts from a session that is logged in.
    pub after_login: XmlLimits,
    /// What the scanner accepts from a stranger.
    pub before_login: XmlLimits,
    /// All bytes that a stranger may send. Default: 64 KiB.
    pub bytes_before_login: usize,
    /// What is read from a session that is logged in. Default: 256 KiB/s, 1 MiB at once.
    pub rate: Rate,
    /// What is read from a stranger. Default: 16 KiB/s, 32 KiB at once.
    pub rate_before_login: Rate,
    /// Connections at a time; `None` (the default): as many as there are descriptors.
    pub connections: Option<usize>,
    /// Connections from one address at a time. Default: 500.
    pub connections_per_address: u32,
    /// New connections from one address in a second, on average. Default: 50.
    pub connects_per_address: u32,
    /// New connections from one address at once. Default: 200.
    pub connect_burst_per_address: u32,
    /// Connections that are not logged in. Default: 10,000.
    pub unauthenticated: usize,
    /// Failed logins until a stream is closed. Default: 5.
    pub login_attempts: u8,
    /// Failed resource bindings until a stream is closed. Default: 6.
    pub bind_attempts: u8,
    /// Failed logins from one address within the window. Default: 30.
    pub login_failures_per_address: u32,
    /// The window. Default: 10 minutes.
    pub login_failures_window: Duration,
    /// How long each phase may take.
    pub timeouts: Timeouts,
    /// Silence after which a session is pinged. Default: 5 minutes.
    pub keepalive_idle: Duration,
    /// How long the answer may take. Default: 1 minute.
    pub keepalive_answer: Duration,
    /// How long a session is held for a client that was cut off. Default: 10 minutes.
    pub resume: Duration,
    /// Bytes that wait to be written to one session. Default: 2 MiB; never under a stanza's size.
    pub session_queue: usize,
    /// Resources that an account may bind at a time. Default: 20.
    pub sessions_per_account: usize,
    /// Contacts in a roster. Default: 5,000.
    pub roster_items: usize,
}

/// How fast bytes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// On average.
    pub bytes_per_second: usize,
    /// At once, after a pause.
    pub burst_bytes: usize,
}

/// How long each phase of a stream may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// A TLS handshake. Default: 15 s.
    pub tls_handshake: Duration,
    /// From the connection to the bound resource. Default: 60 s.
    pub negotiation: Duration,
    /// The same with a registration on the way. Default: 5 minutes.
    pub registration: Duration,
    /// The peer's `</stream:stream>` after ours. Default: 5 s.
    pub close: Duration,
    /// Without the peer taking a byte of what waits. Default: 1 minute.
    pub write: Duration,
}

impl Limits {
    pub(super) fn new(values: Values<'_>) -> Limits {
        Limits {
            after_login: XmlLimits {
                stanza_bytes: values.size("stanza"),
                depth: values.int("depth"),
                attributes: values.int("attributes"),
                children: values.int("elements"),
                name_bytes: values.int("name"),
                namespace_bytes: values.int("namespace"),
            },
            before_login: XmlLimits {
                stanza_bytes: values.size("stanza_before_login"),
                depth: values.int("depth_before_login"),
                attributes: values.int("attributes_before_login"),
                children: values.int("elements_before_login"),
                name_bytes: values.int("name_before_login"),
                namespace_bytes: values.int("namespace_before_login"),
            },
            bytes_before_login: values.size("bytes_before_login"),
            rate: Rate {
                bytes_per_second: values.size("rate"),
                burst_bytes: values.size("burst"),
            },
            rate_before_login: Rate {
                bytes_per_second: values.size("rate_before_login"),
                burst_bytes: values.size("burst_before_login"),
            },
            connections: values.maybe_int("connections"),
            connections_per_address: values.int("connections_per_address"),
            connects_per_address: values.int("connects_per_address"),
            connect_burst_per_address: values.int("connect_burst_per_address"),
            unauthenticated: values.int("unauthenticated"),
            login_attempts: values.int("login_attempts"),
            bind_attempts: values.int("bind_attempts"),
            login_failures_per_address: values.int("login_failures_per_address"),
            login_failures_window: values.duration("login_failures_window"),
            timeouts: Timeouts::new(values),
            keepalive_idle: values.duration("keepalive_idle"),
            keepalive_answer: values.duration("keepalive_answer"),
            resume: values.duration("resume"),
            session_queue: values.size("session_queue"),
            sessions_per_account: values.int("sessions_per_account"),
            roster_items: values.int("roster_items"),
        }
    }
}

impl Timeouts {
    fn new(values: Values<'_>) -> Timeouts {
        Timeouts {
            tls_handshake: values.duration("tls_timeout"),
            negotiation: values.duration("negotiation_timeout"),
            registration: values.duration("registration_timeout"),
            close: values.duration("close_timeout"),
            write: values.duration("write_timeout"),
        }
    }
}
