//! Why XML was refused, and which stream error says so.

use crate::stream::StreamCondition;

/// A limit that was passed. See [`crate::limits::Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Bytes of a first-level element or stream header.
    StanzaBytes,
    /// Open elements.
    Depth,
    /// Attributes of one element.
    Attributes,
    /// Elements of a stanza.
    Children,
    /// Bytes of a name.
    NameBytes,
    /// Bytes of a namespace name.
    NamespaceBytes,
    /// The canonical form would be many times what was received.
    Amplification,
}

/// What the peer did wrong. All of them end the stream (RFC 6120 §4.9.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XmlError {
    /// Not well-formed, or not namespace-well-formed (RFC 6120 §11.3).
    #[error("not well-formed: {0}")]
    NotWellFormed(&'static str),
    /// A DTD, processing instruction, comment or entity (RFC 6120 §11.1).
    #[error("restricted XML: {0}")]
    Restricted(&'static str),
    /// Well-formed, but nothing that may stand there (RFC 6120 §4.9.3.1).
    #[error("bad format: {0}")]
    BadFormat(&'static str),
    /// A prefix where XMPP allows none (RFC 6120 §4.8.5).
    #[error("bad namespace prefix")]
    BadNamespacePrefix,
    /// The stream or content namespace is not ours (RFC 6120 §4.9.3.10).
    #[error("invalid namespace")]
    InvalidNamespace,
    /// The XML declaration names another encoding (RFC 6120 §11.6).
    #[error("unsupported encoding")]
    UnsupportedEncoding,
    /// Bytes that are not UTF-8 (RFC 6120 §4.9.3.22).
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// Larger or deeper than we accept (RFC 6120 §4.9.3.14).
    #[error("over the limit: {0:?}")]
    Policy(Limit),
}

impl XmlError {
    /// The condition to close the stream with.
    pub fn stream_condition(&self) -> StreamCondition {
        match self {
            XmlError::NotWellFormed(_) => StreamCondition::NotWellFormed,
            XmlError::Restricted(_) => StreamCondition::RestrictedXml,
            XmlError::BadFormat(_) => StreamCondition::BadFormat,
            XmlError::BadNamespacePrefix => StreamCondition::BadNamespacePrefix,
            XmlError::InvalidNamespace => StreamCondition::InvalidNamespace,
            XmlError::UnsupportedEncoding | XmlError::InvalidUtf8 => {
                StreamCondition::UnsupportedEncoding
            }
            XmlError::Policy(_) => StreamCondition::PolicyViolation,
        }
    }
}
