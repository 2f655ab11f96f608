//! Streams between servers: RFC 6120 §4–6 and §13.7, XEP-0220, XEP-0185, XEP-0178, XEP-0288,
//! XEP-0198 §3–4.
//!
//! [`Incoming`] is the side that accepted the connection, [`Outgoing`] the one that opened it. Each
//! lives as long as its stream, since domains are proved at any time in it (XEP-0220 §2.6). Used as
//! [`crate::receiving`] is: `handle`, then `poll` until that is `None`. Stanzas are written by the
//! owner, who knows what waits; everything else is written here.
//!
//! A domain is always a prepared domainpart (RFC 7622 §3.2).

mod counts;
mod incoming;
mod outgoing;
mod stream;
#[cfg(test)]
mod tests;

use balcony_proto::limits::Limits;
use balcony_proto::stanza::{BadStanza, Stanza};
use balcony_proto::stream::StreamError;
pub use balcony_proto::xep::dialback::{Secret, Verdict};

pub use incoming::Incoming;
pub use outgoing::{Failure, Options, Outgoing, Refusal};

use crate::settings::Timeouts;
use crate::tls::TlsInfo;

/// The same for every stream between servers. Held in an `Arc`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What keys of dialback are made of (XEP-0185).
    pub secret: Secret,
    /// What the scanner accepts until the other side has proved a domain. Default:
    /// [`Limits::BEFORE_LOGIN`].
    pub before_proof: Limits,
    /// What it accepts then. Default: [`Limits::AFTER_LOGIN`].
    pub after_proof: Limits,
    /// All bytes that the other side may send until it has proved a domain. Default: 64 KiB; a
    /// claim takes under 300 bytes.
    pub bytes_before_proof: usize,
    /// Time-outs of the phases; `registration` is not used.
    pub timeouts: Timeouts,
    /// Claims that may be undecided at a time on one stream. Default: 64.
    pub claims: usize,
    /// Domains that may be proved on one stream. Default: 1,000: the largest hosters have some
    /// hundred that talk with one other server.
    pub domains: usize,
    /// What XEP-0478 announces as `<idle-seconds/>`. `None` (the default): not announced.
    pub idle_seconds: Option<u64>,
}

impl Settings {
    /// The defaults with this secret.
    #[must_use]
    pub fn new(secret: Secret) -> Settings {
        Settings {
            secret,
            before_proof: Limits::BEFORE_LOGIN,
            after_proof: Limits::AFTER_LOGIN,
            bytes_before_proof: 64 * 1024,
            timeouts: Timeouts::default(),
            claims: 64,
            domains: 1_000,
            idle_seconds: None,
        }
    }
}

/// A domain of ours and one of the other side, between which stanzas go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair {
    /// Ours.
    pub local: String,
    /// The other side's.
    pub remote: String,
}

impl Pair {
    /// A pair.
    pub fn new(local: impl Into<String>, remote: impl Into<String>) -> Pair {
        Pair {
            local: local.into(),
            remote: remote.into(),
        }
    }
}

/// What happens to a stream.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// Bytes came; decrypted where there is TLS.
    Bytes(&'a [u8]),
    /// The handshake is done.
    TlsReady(TlsInfo),
    /// The answer to the open question.
    Answer(Answer),
    /// The other side will send no more.
    Eof,
    /// The time of `deadline` has come. Too early does no harm.
    Timeout,
}

/// What the machine must know to go on. One at a time; bytes wait meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether a stream is accepted that another server opened. Answer: [`Answer::Host`].
    Header {
        /// The domain of ours that it is for.
        to: String,
        /// The domain that it says it is. `None`: it does not say.
        from: Option<String>,
    },
    /// Whether the certificate that the other side showed is one of this domain. Answer:
    /// [`Answer::Certificate`].
    Certificate {
        /// The other side's.
        domain: String,
    },
}

/// What the owner answers to a [`Question`].
#[derive(Debug)]
pub enum Answer {
    /// The terms on which a stream is accepted, or why it is not.
    Host(Result<HostTerms, StreamError>),
    /// What the certificate is worth.
    Certificate(Trust),
}

/// What a certificate is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It proves the domain.
    Proved,
    /// It does not, and need not.
    Unproved,
    /// It does not, and nothing else is enough; why.
    Refused(String),
}

/// The terms on which a stream of another server is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostTerms {
    /// Nothing but STARTTLS is possible before encryption.
    pub tls_required: bool,
    /// Dialback is offered. It also serves those who prove themselves by a certificate to claim
    /// further domains.
    pub dialback: bool,
    /// Stanzas may go both ways (XEP-0288).
    pub bidi: bool,
}

/// How a domain was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By SASL EXTERNAL.
    External,
    /// As the owner decided about a claim.
    Claim,
}

/// What the owner has to do, in this order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send these bytes.
    Write(Vec<u8>),
    /// Send what was written, in clear; then begin the TLS handshake with the next bytes from the
    /// socket.
    StartTls,
    /// Answer this by [`Input::Answer`].
    Ask(Question),
    /// Incoming: the other side claims to be `remote`. Answer by [`Incoming::decide`].
    Claim {
        /// Its domain, and the one of ours that it wants to send to.
        pair: Pair,
        /// What the server of `remote` is to be asked about.
        key: String,
        /// The id of the stream that the key is for.
        stream_id: String,
    },
    /// Incoming: stanzas of this domain are taken from now on.
    Proved {
        /// The other side's domain, and the one of ours that it was proved to.
        pair: Pair,
        /// How.
        how: How,
    },
    /// Outgoing: stanzas of this pair may be written from now on.
    Ready {
        /// Our domain is proved to the other one.
        pair: Pair,
        /// How.
        how: How,
    },
    /// Outgoing: the other side does not take stanzas of this pair on this stream.
    PairRefused {
        /// Which.
        pair: Pair,
        /// Why.
        refusal: Refusal,
    },
    /// Outgoing: the answer to [`Outgoing::verify`].
    Verified {
        /// The domain of ours that asked.
        local: String,
        /// The id of the stream that the key is for.
        stream_id: String,
        /// Whether the key is good.
        verdict: Verdict,
    },
    /// Stanzas of this pair may be written to a stream that the other side opened (XEP-0288), or
    /// may come over one that we opened.
    Bidi(Pair),
    /// A stanza of a domain that is proved, with `from` and `to`.
    Stanza(Box<Stanza>),
    /// One whose own attributes are wrong: to be answered with its condition (RFC 6120 §8.3).
    BadStanza(Box<BadStanza>),
    /// Stanzas that are written from now on are counted, once what was written before is sent.
    Counts,
    /// So many more of our stanzas are handled.
    Acknowledged(u32),
    /// The other side asks how many of its stanzas are handled: to be answered at once, by
    /// [`Incoming::acknowledge`] or [`Outgoing::acknowledge`] (XEP-0198 §4).
    Asked,
    /// Why the stream is over, when it did not end in order.
    Failed(Failure),
    /// Send what was written, then close the connection.
    Close,
}

impl From<Vec<u8>> for Output {
    fn from(bytes: Vec<u8>) -> Output {
        Output::Write(bytes)
    }
}
