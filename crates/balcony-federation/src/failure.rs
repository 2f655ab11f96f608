//! Why a domain cannot be reached: for the operator in words, for a sender as a condition.

use std::fmt;

use balcony_proto::stanza::StanzaError;

/// Of which kind a failure is; the sender learns no more than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is no such domain, or no XMPP server of it (RFC 6120 §8.3.3.16).
    NotFound,
    /// There is one, and it cannot be spoken with now (§8.3.3.17).
    Unreachable,
    /// The same, for one domain of ours alone: it does not believe that we are that.
    NotBelieved,
    /// It is not spoken with here (§8.3.3.12).
    Forbidden,
}

/// Why a domain cannot be reached.
#[derive(Clone, Debug)]
pub struct Failure {
    pub(crate) kind: Kind,
    /// What happened and what to do about it.
    words: String,
}

impl Failure {
    /// Of this kind, in these words.
    pub fn new(kind: Kind, words: impl fmt::Display) -> Failure {
        let words = words.to_string();
        Failure { kind, words }
    }

    /// It cannot be spoken with now.
    pub fn unreachable(words: impl fmt::Display) -> Failure {
        Failure::new(Kind::Unreachable, words)
    }

    /// What the sender of a stanza is told.
    #[must_use]
    pub fn error(&self) -> StanzaError {
        match self.kind {
            Kind::NotFound => StanzaError::remote_server_not_found(),
            Kind::Unreachable | Kind::NotBelieved => StanzaError::remote_server_timeout(),
            Kind::Forbidden => StanzaError::policy_violation(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}
