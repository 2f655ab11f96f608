//! The initiating entity of a client's stream: RFC 6120 §4–7, XEP-0388, XEP-0386, XEP-0440,
//! XEP-0474, XEP-0198, XEP-0484, XEP-0480, XEP-0509.
//!
//! Used as [`crate::receiving`] is: [`Initiating::handle`], then [`Initiating::poll`] until that is
//! `None`. It connects to any server: by STARTTLS, direct TLS or in clear; by SASL2 and Bind 2
//! where they are offered, else by classic SASL and binding.

mod auth;
mod bind;
mod choice;
mod failure;
mod fast;
mod negotiation;
mod resume;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::limits::Limits;
use balcony_proto::sasl::Mechanism;
use balcony_proto::sasl::scram::ClientKeys;
use balcony_proto::stream::Features;
use balcony_proto::xml::Element;

pub use failure::Failure;
pub use fast::FastToken;
pub use resume::{Resume, Resumption};

use crate::established::Established;
use crate::random::Random;
use crate::tls::TlsInfo;
use crate::user_agent::UserAgent;
use negotiation::Negotiation;

/// Who connects and how. Held in an `Arc`.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The account, or for [`Secret::Anonymous`] the domain.
    pub jid: Jid,
    /// How to prove it.
    pub secret: Secret,
    /// The mechanisms that may be used; the strongest one offered is. Default: SCRAM in all its
    /// forms. PLAIN, if named, is used over TLS only.
    pub mechanisms: Vec<Mechanism>,
    /// What protects the stream.
    pub tls: TlsPolicy,
    /// SASL2 and Bind 2 are used where they are offered. Default: true.
    pub sasl2: bool,
    /// The resource to ask for in classic binding. `None` (the default): the server makes one.
    pub resource: Option<String>,
    /// The software's name in the resource that Bind 2 makes (XEP-0386 §3.2.1). Default: none.
    pub tag: Option<String>,
    /// What the server may tell the account of us (XEP-0388 §2.3). Default: nothing.
    pub user_agent: Option<UserAgent>,
    /// Logs in without the password where the server takes it; if it does not, the password
    /// follows. Needs an id in [`Self::user_agent`]. Default: none.
    pub token: Option<FastToken>,
    /// Asks for a token where the server has some. Needs an id in [`Self::user_agent`]. Default:
    /// false.
    pub request_token: bool,
    /// What [`Bound::config_version`] was at the last login: with a token, the login goes out with
    /// the stream header (XEP-0509). Default: none, which waits for the features.
    pub pipelined: Option<String>,
    /// Makes keys of stronger hashes from the password, for a server that asks for them (XEP-0480).
    /// Default: false.
    pub upgrade: bool,
    /// Features to enable within `<bind/>` of Bind 2. Default: none.
    pub bind_inline: Vec<Element>,
    /// Further children of `<authenticate/>` of SASL2. Default: none.
    pub authenticate_inline: Vec<Element>,
    /// A former stream to take up again instead of binding, where the server can. Default: none.
    pub resume: Option<Resume>,
    /// The language of the stream (RFC 6120 §4.7.4). Default: `en`.
    pub lang: Option<String>,
    /// What the scanner accepts from the server. Default: [`Limits::AFTER_LOGIN`].
    pub limits: Limits,
    /// From the connection to the bound resource. Default: 60 s.
    pub timeout: Duration,
}

/// What proves the account.
#[derive(Clone)]
#[non_exhaustive]
pub enum Secret {
    /// The password, and what an earlier login kept ([`Bound::keys`]), which spares the costly
    /// derivation as long as the server's salt stays.
    Password {
        /// In clear.
        password: String,
        /// From the same account.
        keys: Option<ClientKeys>,
    },
    /// Nothing (RFC 4505).
    Anonymous,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Secret::Password { .. } => "Password",
            Secret::Anonymous => "Anonymous",
        })
    }
}

/// What protects the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPolicy {
    /// STARTTLS, or nothing happens.
    StartTls,
    /// TLS comes first (XEP-0368).
    Direct,
    /// In clear: for a test on the same machine.
    Clear,
}

impl ClientConfig {
    /// A login by password over STARTTLS, everything else by default.
    pub fn new(jid: Jid, password: impl Into<String>) -> ClientConfig {
        let password = password.into();
        ClientConfig {
            jid,
            secret: Secret::Password {
                password,
                keys: None,
            },
            mechanisms: Mechanism::ALL
                .into_iter()
                .filter(|known| known.hash().is_some())
                .collect(),
            tls: TlsPolicy::StartTls,
            sasl2: true,
            resource: None,
            tag: None,
            user_agent: None,
            token: None,
            request_token: false,
            pipelined: None,
            upgrade: false,
            bind_inline: Vec::new(),
            authenticate_inline: Vec::new(),
            resume: None,
            lang: Some("en".into()),
            limits: Limits::AFTER_LOGIN,
            timeout: Duration::from_secs(60),
        }
    }

    /// An anonymous login at `domain`.
    pub fn anonymous(domain: Jid) -> ClientConfig {
        ClientConfig {
            secret: Secret::Anonymous,
            mechanisms: vec![Mechanism::Anonymous],
            ..ClientConfig::new(domain, "")
        }
    }
}

/// What happens to a stream.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// Bytes came; decrypted where there is TLS.
    Bytes(&'a [u8]),
    /// The handshake is done that [`Output::StartTls`] or [`TlsPolicy::Direct`] called for, and the
    /// server's certificate was found good for the domain (RFC 6120 §13.7.2).
    TlsReady(TlsInfo),
    /// The server will send no more.
    Eof,
    /// The time of [`Initiating::deadline`] has come.
    Timeout,
}

/// What the owner has to do, in this order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send these bytes.
    Write(Vec<u8>),
    /// Begin the TLS handshake.
    StartTls,
    /// Ready for stanzas. Take [`Initiating::into_established`] now.
    Bound(Box<Bound>),
    /// It did not work, and why.
    Failed(Failure),
    /// Send what was written, then close the connection.
    Close,
}

impl From<Vec<u8>> for Output {
    fn from(bytes: Vec<u8>) -> Output {
        Output::Write(bytes)
    }
}

/// A negotiated stream.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The full JID that the server gave, or that of the stream that goes on.
    pub jid: Jid,
    /// How we authenticated.
    pub mechanism: Mechanism,
    /// The features after login.
    pub features: Features,
    /// The stream's id.
    pub stream_id: Option<String>,
    /// Children of `<bound/>` (XEP-0386 §3.2).
    pub bound: Vec<Element>,
    /// Other children of `<success/>` of SASL2.
    pub success: Vec<Element>,
    /// To keep for [`Secret::Password`]. `None` unless SCRAM was used.
    pub keys: Option<ClientKeys>,
    /// What became of [`ClientConfig::resume`]. `None`: it was not asked for, or the server has no
    /// stream management.
    pub resumption: Option<Resumption>,
    /// A token for the next login, to be kept in place of any other. `None`: the server gave none,
    /// and [`ClientConfig::token`] stays good unless it was refused.
    pub token: Option<FastToken>,
    /// [`ClientConfig::token`] was refused: it is to be forgotten (XEP-0484 §4.1).
    pub token_refused: bool,
    /// For [`ClientConfig::pipelined`]. `None`: the server announces none.
    pub config_version: Option<String>,
}

/// The initiating machine from connection to bound resource.
#[derive(Debug)]
pub struct Initiating {
    machine: Box<Negotiation>,
}

impl Initiating {
    /// A connection stands at `now`. Times are since any fixed moment.
    pub fn new(config: Arc<ClientConfig>, random: Random, now: Duration) -> Initiating {
        Initiating {
            machine: Box::new(Negotiation::new(config, random, now)),
        }
    }

    /// Tells the machine what happened at `now`.
    pub fn handle(&mut self, input: Input<'_>, now: Duration) {
        self.machine.handle(input, now);
    }

    /// The next thing to do; `None` when there is nothing until the next input.
    pub fn poll(&mut self) -> Option<Output> {
        self.machine.out.poll()
    }

    /// When to send [`Input::Timeout`]; `None`: no time limit any more.
    pub fn deadline(&self) -> Option<Duration> {
        self.machine.deadline()
    }

    /// The stream after [`Output::Bound`], and what the server sent beyond that, which must be
    /// given to [`Established::receive`] first.
    pub fn into_established(self) -> (Established, Vec<u8>) {
        self.machine.into_established()
    }
}
