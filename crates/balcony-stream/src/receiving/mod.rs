//! The receiving entity of a client's stream: RFC 6120 §4–7, XEP-0388, XEP-0386, XEP-0198 §5,
//! XEP-0440, XEP-0474, XEP-0478.
//!
//! Give it what happens by [`Receiving::handle`], then take what follows from it by
//! [`Receiving::poll`] until that is `None`. It reads no clock, opens no socket and knows no store:
//! what it needs to know it asks ([`Question`]), one thing at a time.
//!
//! What a later extension hooks into: `<authenticate/>` hands all foreign children to the owner and
//! `<success/>` takes foreign children from it; all that happens between the proof of SASL2 and its
//! success goes through one function (`complete`); header, closing tag and stream error are written
//! in `framing` alone, which is
//! where WebSocket differs (RFC 7395 §3.3).

mod auth;
mod bind;
mod bind2;
mod completion;
mod ending;
mod exchange;
mod fast;
mod features;
mod header;
mod login;
mod negotiation;
mod question;
mod resume;
mod sasl2;
mod starttls;
#[cfg(test)]
mod tests;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::sasl::Mechanism;
use balcony_proto::stanza::Stanza;

pub use question::{Answer, BindAnswer, BindRequest, Credentials, Password, Question, Verdict};
pub use question::{
    KnownToken, NewToken, TokenAnswer, TokenRequest, TokenSecret, Tokens, UsedToken,
};
pub use question::{ResumeRequest, Resumption};

pub(crate) use upgrade::task;

use crate::established::Established;
use crate::random::Random;
use crate::settings::Settings;
use crate::tls::{Security, TlsInfo};
use crate::user_agent::UserAgent;
use negotiation::Negotiation;

/// What happens to a stream.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// Bytes came; decrypted where there is TLS. At the end of a TLS handshake only what followed
    /// it.
    Bytes(&'a [u8]),
    /// The handshake is done that [`Output::StartTls`] or [`Security::DirectTls`] called for.
    TlsReady(TlsInfo),
    /// The answer to the open question.
    Answer(Answer),
    /// The client will send no more.
    Eof,
    /// The time of [`Receiving::deadline`] has come. Too early does no harm.
    Timeout,
    /// The server stops: the stream ends with `system-shutdown`.
    Shutdown,
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
    /// An iq that came before login on a host with registration, not yet looked at. The reply is
    /// [`Answer::PreAuth`]; until then the machine stands still.
    PreAuth(Box<Stanza>),
    /// The client is told of its session. Take [`Receiving::into_established`] now.
    Bound(Box<Bound>),
    /// The client is told that its earlier session goes on over this stream. Otherwise like
    /// [`Output::Bound`].
    Resumed(Box<Bound>),
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
    /// The full JID.
    pub jid: Jid,
    /// How the client authenticated.
    pub mechanism: Mechanism,
    /// The stream is encrypted.
    pub encrypted: bool,
    /// Bind 2 was used (XEP-0386).
    pub bind2: bool,
    /// What the client said of itself, by SASL2 only.
    pub client: Option<UserAgent>,
    /// The client's language, from the stream header.
    pub lang: Option<String>,
}

/// The receiving machine from connection to bound resource. As large as a pointer; what it points
/// to is gone once the stream is [`Established`].
#[derive(Debug)]
pub struct Receiving {
    machine: Box<Negotiation>,
}

impl Receiving {
    /// A connection was accepted at `now`. Times are since any fixed moment, the same for all
    /// calls.
    pub fn new(
        settings: Arc<Settings>,
        security: Security,
        random: Random,
        now: Duration,
    ) -> Receiving {
        Receiving {
            machine: Box::new(Negotiation::new(settings, security, random, now)),
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

    /// When to send [`Input::Timeout`]; `None`: no time limit. Changes with every input.
    pub fn deadline(&self) -> Option<Duration> {
        self.machine.deadline()
    }

    /// Whether it makes sense to read from the socket now: no question is open and the stream isn't
    /// closed. Bytes given nevertheless are held within [`Settings::bytes_before_login`].
    pub fn wants_bytes(&self) -> bool {
        self.machine.reads()
    }

    /// How many authentications have failed on this stream, for limits that span streams.
    pub fn failed_logins(&self) -> u8 {
        self.machine.auth_failures
    }

    /// Bytes of the client held here.
    pub fn buffered(&self) -> usize {
        self.machine.buffered()
    }

    /// The stream after [`Output::Bound`] or [`Output::Resumed`], and what the client sent beyond
    /// that, which must be
    /// given to [`Established::receive`] first. Everything else of the negotiation is dropped.
    /// Before `Bound` it is a stream that takes nothing seriously: don't.
    pub fn into_established(self) -> (Established, Vec<u8>) {
        self.machine.into_established()
    }
}
