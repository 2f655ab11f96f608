//! Other servers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::limits::Rate;
use super::schema::{Applies, Fallback, Key, Kind, Section};
use super::value::Values;

const KIB: u64 = 1 << 10;
const GIB: u64 = 1 << 30;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// How a server may prove its domain, the strictest first.
const REQUIRE: &[&str] = &["valid-certificate", "dialback-over-tls", "dialback"];

/// `[federation]`
pub(super) static FEDERATION: Section = Section {
    name: "federation",
    doc: "Other servers (RFC 6120, XEP-0220). They find this one by DNS: \
          `docs/operations/federation.md` says what to put there.",
    list: false,
    keys: &[
        Key::new(
            "enabled",
            Kind::Bool,
            Fallback::Toml("true"),
            Applies::Reload,
            "Whether stanzas go to and come from other domains at all.",
        ),
        Key::new(
            "require",
            Kind::Choice(REQUIRE),
            Fallback::Toml("\"valid-certificate\""),
            Applies::Reload,
            "How another server proves its domain. `valid-certificate`: by one that an authority \
             signed, see `trust_roots`. `dialback-over-tls`: DNS is enough (XEP-0220), which \
             whoever controls the network between can forge, but the stream is encrypted. \
             `dialback`: the stream may even be in clear. A valid certificate is always enough. \
             `[[remote]]` makes exceptions.",
        ),
        Key::new(
            "allow",
            Kind::Domains,
            Fallback::Unset("every domain"),
            Applies::Reload,
            "When written, the only other domains that are spoken to.",
        ),
        Key::new(
            "block",
            Kind::Domains,
            Fallback::Toml("[]"),
            Applies::Reload,
            "Domains that are not spoken to, even where `allow` names them.",
        ),
        Key::new(
            "resolvers",
            Kind::Addrs,
            Fallback::Unset("those of the system"),
            Applies::Restart,
            "The DNS servers that are asked for other domains.",
        ),
        Key::new(
            "trust_roots",
            Kind::Path,
            Fallback::Unset("those of the system"),
            Applies::Reload,
            "A PEM file with the authorities whose certificates are valid.",
        ),
        Key::new(
            "dane",
            Kind::Bool,
            Fallback::Toml("false"),
            Applies::Restart,
            "Whether answers of DNS are validated by DNSSEC, and certificates that TLSA records \
             name are valid (RFC 7673). Off, as it makes each lookup ask several times as much.",
        ),
        Key::new(
            "queue",
            Kind::Size {
                min: 64 * KIB,
                max: GIB,
            },
            Fallback::Toml("\"4MiB\""),
            Applies::Reload,
            "Bytes that may wait for one domain: some ten thousand messages, and little beside \
             what a domain that is down for `give_up` gets. Past it the sender gets \
             `resource-constraint`.",
        ),
        Key::new(
            "queues",
            Kind::Size {
                min: 256 * KIB,
                max: 64 * GIB,
            },
            Fallback::Toml("\"256MiB\""),
            Applies::Reload,
            "Bytes that may wait for all domains together.",
        ),
        Key::new(
            "give_up",
            Kind::Duration {
                min: 10,
                max: 7 * DAY,
            },
            Fallback::Toml("\"10m\""),
            Applies::Reload,
            "How long a message waits for a server that cannot be reached, also over a restart of \
             this one; then its sender gets an error. Long enough for the other server to be \
             upgraded, short enough that a person still knows what the error is about. All other \
             stanzas fail with the first attempt.",
        ),
        Key::new(
            "connect",
            Kind::Duration { min: 1, max: 300 },
            Fallback::Toml("\"30s\""),
            Applies::Reload,
            "How long it may take to look a server up, connect and be authenticated.",
        ),
        Key::new(
            "idle",
            Kind::Duration {
                min: 30,
                max: 7 * DAY,
            },
            Fallback::Toml("\"10m\""),
            Applies::Reload,
            "After how long without a stanza a stream is closed. The next one opens it again.",
        ),
        Key::new(
            "stanza",
            Kind::Size {
                min: 10_000,
                max: 16 << 20,
            },
            Fallback::Toml("\"512KiB\""),
            Applies::Reload,
            "Bytes of a stanza from another server. More than clients may send here, as other \
             servers let their clients send more.",
        ),
        Key::new(
            "rate",
            Kind::Size {
                min: 10_000,
                max: GIB,
            },
            Fallback::Toml("\"8MiB\""),
            Applies::Reload,
            "Bytes in a second that are read from one stream of another server, after twice as \
             many at once. A flood is read more slowly, not refused.",
        ),
        Key::new(
            "connections",
            Kind::Int {
                min: 1,
                max: 1_000_000,
            },
            Fallback::Toml("10000"),
            Applies::Reload,
            "Streams that other servers open at a time, and as many that this one opens; some \
             thousands is what the largest public servers have.",
        ),
    ],
};

/// `[[remote]]`
pub(super) static REMOTE: Section = Section {
    name: "remote",
    doc: "Another rule for some domains; the first section that names a domain counts.",
    list: true,
    keys: &[
        Key::new(
            "domains",
            Kind::Domains,
            Fallback::Required,
            Applies::Reload,
            "Which.",
        ),
        Key::new(
            "require",
            Kind::Choice(REQUIRE),
            Fallback::Required,
            Applies::Reload,
            "As in `[federation]`.",
        ),
    ],
};

/// Domains: one, or `*.` and all below, or `*`. The names are prepared domainparts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    fn all(texts: &[String]) -> Vec<Pattern> {
        texts.iter().cloned().map(Pattern).collect()
    }

    /// Whether it stands for this prepared domainpart.
    #[must_use]
    pub fn matches(&self, domain: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some("") => true,
            // With its dot: `*.example.org` is not `badexample.org`, nor `example.org` itself.
            Some(below) => domain
                .strip_suffix(below)
                .is_some_and(|rest| !rest.is_empty()),
            None => self.0 == domain,
        }
    }
}

/// How a server has to prove its domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Require {
    /// By dialback, even in clear.
    Dialback,
    /// By dialback, with the stream encrypted.
    DialbackOverTls,
    /// By a certificate.
    ValidCertificate,
}

impl Require {
    fn new(word: &str) -> Require {
        match word {
            "dialback" => Require::Dialback,
            "dialback-over-tls" => Require::DialbackOverTls,
            _ => Require::ValidCertificate,
        }
    }
}

/// One `[[remote]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemotePolicy {
    /// Which domains.
    pub domains: Vec<Pattern>,
    /// What is required of them.
    pub require: Require,
}

/// `[federation]` with all `[[remote]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Federation {
    /// Default: true.
    pub enabled: bool,
    /// Default: a valid certificate.
    pub require: Require,
    /// The only other domains that are spoken to; `None` (the default): every domain.
    pub allow: Option<Vec<Pattern>>,
    /// Domains that are not spoken to. Default: none.
    pub block: Vec<Pattern>,
    /// DNS servers; none (the default): those of the system.
    pub resolvers: Vec<SocketAddr>,
    /// Authorities; `None` (the default): those of the system.
    pub trust_roots: Option<PathBuf>,
    /// Whether DNSSEC is validated and TLSA records count. Default: false.
    pub dane: bool,
    /// Bytes that may wait for one domain. Default: 4 MiB.
    pub queue: usize,
    /// Bytes that may wait for all domains. Default: 256 MiB.
    pub queues: usize,
    /// How long a message waits. Default: 10 minutes.
    pub give_up: Duration,
    /// How long it may take to get a stream. Default: 30 s.
    pub connect: Duration,
    /// When an idle stream is closed. Default: 10 minutes.
    pub idle: Duration,
    /// Bytes of a stanza from another server. Default: 512 KiB.
    pub stanza: usize,
    /// How fast a stream is read. Default: 8 MiB a second.
    pub rate: Rate,
    /// Streams that others open, and as many that we open. Default: 10,000.
    pub connections: u32,
    /// Exceptions, the first that matches counts. Default: none.
    pub remotes: Vec<RemotePolicy>,
}

impl Federation {
    pub(super) fn new<'a>(
        values: Values<'_>,
        remotes: impl Iterator<Item = Values<'a>>,
    ) -> Federation {
        let rate = values.size("rate");
        Federation {
            enabled: values.bool("enabled"),
            require: Require::new(values.choice("require")),
            allow: values.maybe_texts("allow").map(Pattern::all),
            block: Pattern::all(values.texts("block")),
            resolvers: values.addrs("resolvers").to_vec(),
            trust_roots: values.path("trust_roots").map(Path::to_path_buf),
            dane: values.bool("dane"),
            queue: values.size("queue"),
            queues: values.size("queues"),
            give_up: values.duration("give_up"),
            connect: values.duration("connect"),
            idle: values.duration("idle"),
            stanza: values.size("stanza"),
            rate: Rate {
                bytes_per_second: rate,
                burst_bytes: rate.saturating_mul(2),
            },
            connections: values.int("connections"),
            remotes: remotes
                .map(|values| RemotePolicy {
                    domains: Pattern::all(values.texts("domains")),
                    require: Require::new(values.choice("require")),
                })
                .collect(),
        }
    }

    /// Whether a domain is spoken to.
    #[must_use]
    pub fn allows(&self, domain: &str) -> bool {
        let named = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(domain));
        let allowed = self.allow.as_deref().is_none_or(named);
        self.enabled && allowed && !named(&self.block)
    }

    /// What is required of a domain.
    #[must_use]
    pub fn requires(&self, domain: &str) -> Require {
        let names = |policy: &&RemotePolicy| policy.domains.iter().any(|p| p.matches(domain));
        let policy = self.remotes.iter().find(names);
        policy.map_or(self.require, |policy| policy.require)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_what_is_below_and_nothing_else() {
        let matches = |pattern: &str, domain| Pattern(pattern.into()).matches(domain);
        assert!(matches("mantua.example", "mantua.example"));
        assert!(!matches("mantua.example", "rooms.mantua.example"));
        assert!(matches("*.mantua.example", "rooms.mantua.example"));
        assert!(!matches("*.mantua.example", "mantua.example"));
        assert!(!matches("*.mantua.example", "badmantua.example"));
        assert!(matches("*", "mantua.example"));
    }
}
