//! The domains that are served, and how their accounts log in.

use std::time::Duration;

use balcony_proto::jid::Jid;

use super::schema::{Applies, Fallback, Key, Kind, Section};
use super::value::Values;

/// The SASL mechanisms that a file may name, strongest first. ANONYMOUS is a key of its own,
/// because it is about who may come in and not about how an account proves itself.
const MECHANISMS: &[&str] = &[
    "SCRAM-SHA-512-PLUS",
    "SCRAM-SHA-512",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-1",
    "PLAIN",
];

/// The host that is served when the file names none: it resolves on every machine, and nobody else
/// can claim it.
pub(super) const DEFAULT_NAME: &str = "localhost";

/// `[[host]]`
pub(super) static HOST: Section = Section {
    name: "host",
    doc: "A domain that is served; one section for each. Without any, `localhost` is served.",
    list: true,
    keys: &[
        Key::new(
            "name",
            Kind::HostName,
            Fallback::Required,
            Applies::Reload,
            "The domain, as it stands behind the `@` of its addresses.",
        ),
        Key::new(
            "registration",
            Kind::Choice(&["closed", "invite", "open"]),
            Fallback::Toml("\"closed\""),
            Applies::Reload,
            "Who may make an account from a client (XEP-0077): nobody, who has an invitation \
             (`balcony invite create`), or everybody. Open registration is found and abused by \
             senders of spam within days, hence the default.",
        ),
        Key::new(
            "admins",
            Kind::Jids,
            Fallback::Toml("[]"),
            Applies::Reload,
            "Bare JIDs of those who may use the admin commands of XEP-0133 on this host.",
        ),
        Key::new(
            "mechanisms",
            Kind::Choices(MECHANISMS),
            Fallback::Unset("those of `[auth]`"),
            Applies::Reload,
            "SASL mechanisms of this host alone. An empty list leaves `anonymous` as the only way \
             in.",
        ),
        Key::new(
            "anonymous",
            Kind::Bool,
            Fallback::Toml("false"),
            Applies::Reload,
            "Whether everybody may log in without an account, by SASL ANONYMOUS (RFC 6120 §6.3.5, \
             XEP-0175), and gets a random address that is gone with the session.",
        ),
    ],
};

/// `[auth]`
pub(super) static AUTH: Section = Section {
    name: "auth",
    doc: "How accounts log in, unless their host says otherwise.",
    list: false,
    keys: &[
        Key::new(
            "mechanisms",
            Kind::Choices(MECHANISMS),
            Fallback::Toml(
                "[\"SCRAM-SHA-512-PLUS\", \"SCRAM-SHA-512\", \"SCRAM-SHA-256-PLUS\", \
                 \"SCRAM-SHA-256\", \"SCRAM-SHA-1-PLUS\", \"SCRAM-SHA-1\"]",
            ),
            Applies::Reload,
            "The SASL mechanisms that are offered. Those with `-PLUS` need TLS and prove that \
             nobody sits in between. `PLAIN`, only ever offered over TLS, hands the password to \
             the server, so it is off unless named (XEP-0474 §7).",
        ),
        Key::new(
            "iterations",
            Kind::Int {
                min: 4096,
                max: 1_000_000,
            },
            Fallback::Toml("10000"),
            Applies::Reload,
            "PBKDF2 rounds of new SCRAM keys; an account keeps its rounds until its password \
             changes. The client pays for them at each login. XEP-0438 §7 recommends 10,000 at \
             least; RFC 7677 §4 sets the floor of 4,096.",
        ),
        Key::new(
            "token_lifetime",
            Kind::Duration {
                min: 3_600,
                max: 365 * 86_400,
            },
            Fallback::Toml("\"30d\""),
            Applies::Reload,
            "How long a client that has logged in by password can come back by a token without it \
             (XEP-0484). Every login after `token_renewal` begins the time anew, so this is how \
             long a device may be away. Longer than `token_renewal`.",
        ),
        Key::new(
            "token_renewal",
            Kind::Duration {
                min: 60,
                max: 30 * 86_400,
            },
            Fallback::Toml("\"1d\""),
            Applies::Reload,
            "How old a token is when its client gets another one at its next login. The old one is \
             good until the new one is used, as the connection may break before it arrives.",
        ),
        Key::new(
            "remember_clients",
            Kind::Bool,
            Fallback::Toml("true"),
            Applies::Reload,
            "Whether a client that logs in by password and has no token is remembered with the \
             names of its software and device, until it has been away for `token_lifetime`: so \
             that people see what has access to their account (XEP-0494 §5).",
        ),
    ],
};

/// Who may make an account from a client (XEP-0077).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Registration {
    /// Nobody.
    #[default]
    Closed,
    /// Who has an invitation.
    Invite,
    /// Everybody.
    Open,
}

/// One `[[host]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostConfig {
    /// The domain in its prepared form (RFC 7622 §3.2).
    pub name: String,
    /// Default: closed.
    pub registration: Registration,
    /// Bare JIDs of accounts. Default: none.
    pub admins: Vec<Jid>,
    /// SASL mechanisms, those of `[auth]` where the host names none.
    pub mechanisms: Vec<&'static str>,
    /// Whether SASL ANONYMOUS is offered. Default: false.
    pub anonymous: bool,
}

impl HostConfig {
    pub(super) fn new(values: Values<'_>, auth: &Auth) -> Option<HostConfig> {
        let registration = match values.choice("registration") {
            "open" => Registration::Open,
            "invite" => Registration::Invite,
            _ => Registration::Closed,
        };
        Some(HostConfig {
            name: values.text("name")?.to_owned(),
            registration,
            admins: values.jids("admins").to_vec(),
            mechanisms: values
                .maybe_choices("mechanisms")
                .unwrap_or(&auth.mechanisms)
                .to_vec(),
            anonymous: values.bool("anonymous"),
        })
    }
}

/// `[auth]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Names of SASL mechanisms. Default: SCRAM with SHA-512, SHA-256 and SHA-1, each also -PLUS.
    pub mechanisms: Vec<&'static str>,
    /// PBKDF2 rounds of new SCRAM keys. Default: 10,000.
    pub iterations: u32,
    /// How long a token is good. Default: 30 days.
    pub token_lifetime: Duration,
    /// How old a token is when another one is given. Default: 1 day.
    pub token_renewal: Duration,
    /// Whether clients without a token are remembered. Default: true.
    pub remember_clients: bool,
}

impl Auth {
    pub(super) fn new(values: Values<'_>) -> Auth {
        Auth {
            mechanisms: values.choices("mechanisms").to_vec(),
            iterations: values.int("iterations"),
            token_lifetime: values.duration("token_lifetime"),
            token_renewal: values.duration("token_renewal"),
            remember_clients: values.bool("remember_clients"),
        }
    }
}
