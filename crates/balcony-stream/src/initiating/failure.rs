//! Why a client did not get in, in words for a person.

use balcony_proto::sasl::SaslError;
use balcony_proto::sasl::scram::ClientError;
use balcony_proto::stanza::StanzaError;
use balcony_proto::stream::StreamError;
use balcony_proto::xml::XmlError;

/// Why the stream was not established.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The server has no STARTTLS, or somebody took it out on the way.
    #[error("the server offers no encryption")]
    NoTls,
    /// The server requires STARTTLS, which the configuration forbids.
    #[error("the server wants encryption")]
    TlsWanted,
    /// `<failure/>` to STARTTLS (RFC 6120 §5.4.2.2).
    #[error("the server refuses to encrypt")]
    TlsRefused,
    /// Nothing offered is allowed by the configuration.
    #[error("the server offers no way to log in that is allowed here; it offers: {offered}")]
    NoMechanism {
        /// Names with commas, or `nothing`.
        offered: String,
    },
    /// What the server says about channel binding contradicts itself (XEP-0440 §3).
    #[error("the server's offer contradicts itself; somebody may be intercepting the connection")]
    Contradiction,
    /// Our side of SCRAM gave up: the server did not prove itself, or the offer was changed on the
    /// way.
    #[error("login stopped: {0}")]
    Scram(#[from] ClientError),
    /// The server refused (RFC 6120 §6.5).
    #[error("the server refused the login: {}{}", explain(*.condition), said(.text))]
    Refused {
        /// Why.
        condition: SaslError,
        /// In the server's words.
        text: Option<String>,
    },
    /// The server gave no resource (RFC 6120 §7.6.2).
    #[error("the server gave no address for this session: {}", .0.condition.as_str())]
    Bind(StanzaError),
    /// The server ended the stream with an error.
    #[error("the server ended the stream: {0}")]
    Stream(StreamError),
    /// The server ended the stream or the connection.
    #[error("the server closed the connection")]
    Closed,
    /// What came is no XML that XMPP allows.
    #[error("the server sent bad XML: {0}")]
    Xml(#[from] XmlError),
    /// What came has no place there.
    #[error("the server broke the protocol: {0}")]
    Protocol(&'static str),
    /// [`ClientConfig::timeout`](super::ClientConfig::timeout) is over.
    #[error("the server did not answer in time")]
    Timeout,
}

fn explain(condition: SaslError) -> &'static str {
    match condition {
        SaslError::NotAuthorized => "wrong user name or password",
        SaslError::AccountDisabled => "the account is disabled",
        SaslError::CredentialsExpired => "the password has expired",
        SaslError::TemporaryAuthFailure => "it cannot check the password now, try later",
        SaslError::EncryptionRequired => "it wants encryption first",
        SaslError::MechanismTooWeak => "it wants a stronger way to log in",
        other => other.as_str(),
    }
}

fn said(text: &Option<String>) -> String {
    text.as_ref()
        .map(|text| format!(" ({text})"))
        .unwrap_or_default()
}
