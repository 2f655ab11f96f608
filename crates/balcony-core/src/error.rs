//! The one place where what went wrong inside becomes what a peer is told.

use balcony_proto::stanza::{Condition, StanzaError};

/// What can go wrong in running the core.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store refused or failed; who is to blame stands in it.
    #[error(transparent)]
    Store(#[from] balcony_store::Error),
    /// The address is not one of a host that this server serves. The caller is to blame.
    #[error("{0} is not a host of this server")]
    NoSuchHost(String),
    /// The account does not exist. The caller is to blame.
    #[error("there is no account {0}")]
    NoSuchAccount(String),
    /// The account exists already. The caller is to blame.
    #[error("the account {0} exists already")]
    AccountExists(String),
    /// The address or password is malformed. The caller is to blame.
    #[error("{0}")]
    Malformed(String),
    /// Modules contradict each other: a mistake in their declarations.
    #[error("modules do not fit together: {0}")]
    Modules(String),
    /// The operating system gave no randomness.
    #[error("the system's random numbers failed: {0}")]
    Random(String),
}

/// Turns a failure of the store into the error that a peer gets, and logs the cause, which the
/// peer is never told.
#[must_use]
pub fn stanza_error(cause: &balcony_store::Error) -> StanzaError {
    use balcony_store::Error as Store;
    tracing::warn!(%cause, "the store did not do what a stanza asked for");
    match cause {
        // It may go better later: RFC 6120 §8.3.3.18, with type `wait`.
        Store::Busy | Store::Full | Store::ReadOnly | Store::Closed => {
            StanzaError::new(Condition::ResourceConstraint)
        }
        Store::Conflict(_) => StanzaError::new(Condition::Conflict),
        Store::NotFound => StanzaError::new(Condition::ItemNotFound),
        Store::Limit(_) => StanzaError::new(Condition::NotAllowed),
        // RFC 6120 §8.3.3.6
        _ => StanzaError::new(Condition::InternalServerError),
    }
}

/// The same for what a stanza's way wanted kept. RFC 6121 §8.5.1, §8.5.2.2.1: an account that does
/// not exist and one that has no room left answer alike.
#[must_use]
pub(crate) fn undelivered(cause: &balcony_store::Error) -> StanzaError {
    match cause {
        balcony_store::Error::NotFound | balcony_store::Error::Limit(_) => {
            StanzaError::new(Condition::ServiceUnavailable)
        }
        _ => stanza_error(cause),
    }
}
